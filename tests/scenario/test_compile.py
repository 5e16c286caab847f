"""The plan: a function of scenario and seed, with the properties that the simulator and the testbed lean on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Nat, Role, connectable
from meshsim.scenario import Scenario
from meshsim.scenario.overlay import FULL_MESH

sys.path.insert(0, str(Path(__file__).parent))
from plans import digest


def make(**parts: object) -> Scenario:
    return Scenario.model_validate({"calls": {"rate": 1}, **parts})


def test_the_same_scenario_and_seed_give_the_same_plan():
    assert digest(scenario.compile(make(), 3)) == digest(scenario.compile(make(), 3))
    assert digest(scenario.compile(make(), 3)) != digest(scenario.compile(make(), 4))


@pytest.mark.full
def test_the_plan_does_not_depend_on_the_hash_seed():
    code = (
        "import sys; sys.path.insert(0, 'tests/scenario'); import plans; from meshsim import scenario;"
        "print(plans.digest(scenario.compile(scenario.load('smoke'), 5)))"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": value}, stdout=subprocess.PIPE, text=True
        )
        for value in ("1", "2")
    ]
    printed = [run.communicate(timeout=120)[0] for run in runs]
    assert printed == [digest(scenario.compile(scenario.load("smoke"), 5)) + "\n"] * 2


def test_a_relay_more_leaves_the_peers_where_they_are():
    few = scenario.compile(make(nodes={"count": 30, "roles": {"relay": 5, "super_node": 0}}), 1).nodes
    more = scenario.compile(make(nodes={"count": 31, "roles": {"relay": 6, "super_node": 0}}), 1).nodes
    place = {name: i for i, name in enumerate(more.names)}
    kept = np.array([place[name] for name in few.names])
    for field in ("router", "role", "nat", "latitude", "longitude", "aic", "access_up", "access_delay"):
        assert np.array_equal(getattr(few, field), getattr(more, field)[kept])


def test_a_longer_episode_begins_like_a_shorter_one():
    short, long = (scenario.compile(make(duration=d, churn={"enabled": True}), 1) for d in (600, 1200))
    count = len(short.calls)
    assert 500 < count < 700
    assert np.array_equal(short.calls.start, long.calls.start[:count])
    assert np.array_equal(short.calls.duration, long.calls.duration[:count])
    assert np.array_equal(short.faults.at, long.faults.at[: len(short.faults)])


def test_switching_churn_and_misbehaviour_on_moves_nothing_else():
    calm = scenario.compile(make(), 1)
    rough = scenario.compile(make(churn={"enabled": True}, misbehaviour=[{"kind": "gray_hole", "share": 0.5}]), 1)
    assert len(rough.faults)
    assert set(rough.nodes.behaviour) == {"honest", "gray_hole"}
    for part in ("calls", "links", "underlay"):
        assert digest(getattr(calm, part)) == digest(getattr(rough, part))


def test_roles_nat_and_capacity_come_as_asked():
    nodes = scenario.compile(
        make(nodes={"count": 400, "roles": {"edge": 20, "relay": "10%", "super_node": 4}}), 1
    ).nodes
    assert np.bincount(nodes.role).tolist() == [336, 20, 40, 4]
    assert (nodes.nat[nodes.role >= Role.RELAY] == Nat.OPEN).all()
    shares = np.bincount(nodes.nat[nodes.role == Role.PEER], minlength=4) / 336
    assert shares == pytest.approx([0.15, 0.3, 0.4, 0.15], abs=0.08)
    assert (nodes.max_calls[nodes.role == Role.PEER] == 0).all()
    assert (nodes.max_calls[nodes.role == Role.SUPER_NODE] == 80).all()
    assert len(set(nodes.names)) == 400
    assert len({bytes(seed) for seed in nodes.key_seed}) == 400


def test_named_nodes_are_what_the_scenario_says():
    plan = scenario.compile(scenario.load("tiny"), 1)
    nodes = plan.nodes
    assert nodes.names == ("alice", "bob", "carol", "r1", "r2", "r3", "r4", "super")
    assert nodes.auras[0] == "@alice.aura"
    assert [Nat(n).name for n in nodes.nat[:3]] == ["SYMMETRIC", "SYMMETRIC", "CONE"]
    assert plan.underlay.topology.names[nodes.router[1]] == "gr1.gr"
    assert nodes.access_delay[0] == pytest.approx(0.010)
    assert nodes.aic.tolist() == [True, True, False, True, True, False, False, True]


def test_the_call_of_tiny_needs_a_relay():
    plan = scenario.compile(scenario.load("tiny"), 1)
    assert (len(plan.calls), plan.calls.caller[0], plan.calls.callee_node[0]) == (1, 0, 1)
    assert plan.calls.callee == ("@bob.aura",)
    assert not connectable(plan.nodes.nat[0], plan.nodes.nat[1])


def test_misbehaving_nodes_are_relays_of_the_asked_number_and_strength():
    misbehaviour = [
        {"kind": "gray_hole", "share": 0.4, "strength": 0.1, "strength_spread": 0.05},
        {"kind": "black_hole"},
    ]
    nodes = scenario.compile(
        make(nodes={"count": 60, "roles": {"relay": 20, "super_node": 0}}, misbehaviour=misbehaviour), 1
    ).nodes
    behaviour = np.array(nodes.behaviour)
    gray = behaviour == "gray_hole"
    assert (gray.sum(), (behaviour == "black_hole").sum()) == (8, 2)
    assert (nodes.role[behaviour != "honest"] != Role.PEER).all()
    assert ((nodes.strength[gray] >= 0.05) & (nodes.strength[gray] <= 0.15)).all()
    assert len(set(nodes.strength[gray])) == 8
    assert (nodes.strength[behaviour == "honest"] == 0).all()


def test_a_named_node_keeps_its_behaviour():
    named = [{"name": "mallory", "role": "relay", "behaviour": "gray_hole", "strength": "30%"}]
    nodes = scenario.compile(make(nodes={"named": named}, misbehaviour=[{"kind": "black_hole", "share": 1}]), 1).nodes
    assert (nodes.behaviour[0], nodes.strength[0]) == ("gray_hole", 0.3)
    assert nodes.behaviour.count("black_hole") == (nodes.role != Role.PEER).sum() - 1


@pytest.mark.parametrize("preset", ["demo", "smoke"])
def test_routes_agree_with_networkx_when_not_inflated(preset):
    underlay = scenario.compile(
        scenario.load(preset, ["underlay.routing_inflation=0", "underlay.hop_cost=0"]), 1
    ).underlay
    graph = underlay.topology.to_networkx()
    for a, lengths in nx.all_pairs_dijkstra_path_length(graph, weight=lambda _u, _v, edge: edge["length"] + 1.0):
        for b, expected in lengths.items():
            edges = underlay.route(a, b)
            assert underlay.topology.length[edges].sum() + len(edges) == pytest.approx(expected)


def test_routes_are_loopless_chains_from_end_to_end():
    underlay = scenario.compile(scenario.load("demo"), 2).underlay
    src, dst = underlay.topology.src, underlay.topology.dst
    for a in range(len(underlay.topology)):
        for b in range(len(underlay.topology)):
            edges = underlay.route(a, b)
            places = [a, *dst[edges].tolist()]
            assert places[-1] == b
            assert src[edges].tolist() == places[:-1]
            assert len(set(places)) == len(places)


def test_inflation_makes_routes_longer():
    straight, inflated = (
        scenario.compile(scenario.load("demo", [f"underlay.routing_inflation={s}", "underlay.hop_cost=0"]), 1).underlay
        for s in (0, 1)
    )
    assert inflated.topology.length[inflated.route_edge].sum() > straight.topology.length[straight.route_edge].sum()


def test_edge_qualities_lie_in_their_ranges():
    underlay = scenario.compile(make(underlay={"utilisation_spread": 5, "loss": "20%", "loss_spread": 3}), 1).underlay
    assert ((underlay.utilisation >= 0) & (underlay.utilisation < 1)).all()
    assert ((underlay.loss >= 0) & (underlay.loss <= 1)).all()
    assert (underlay.propagation >= 0.0002).all()
    assert (underlay.capacity > 0).all()


def links_of(plan: scenario.Plan) -> set[tuple[int, int]]:
    return set(zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True))


def test_overlay_links_are_sorted_two_way_and_join_what_can_be_joined():
    plan = scenario.compile(make(nodes={"count": 100, "roles": {"edge": 20, "relay": 10, "super_node": 2}}), 1)
    pairs = np.stack([plan.links.src, plan.links.dst], axis=1)
    assert (np.unique(pairs, axis=0) == pairs).all()
    assert links_of(plan) == {(b, a) for a, b in links_of(plan)}
    assert all(a != b for a, b in links_of(plan))
    assert connectable(plan.nodes.nat[plan.links.src], plan.nodes.nat[plan.links.dst]).all()
    assert (plan.nodes.role[pairs] != Role.PEER).any(axis=1).all()


def test_peers_keep_the_asked_links_and_few_relays_know_each_other():
    plan = scenario.compile(make(nodes={"count": 50, "roles": {"relay": 12, "super_node": 0}, "random_relays": 1}), 1)
    degree = np.bincount(plan.links.src, minlength=50)
    relays = np.flatnonzero(plan.nodes.role == Role.RELAY)
    assert (degree[plan.nodes.role == Role.PEER] == 3 + 1).all()
    assert {(a, b) for a in relays.tolist() for b in relays.tolist() if a != b} <= links_of(plan)


def test_many_relays_know_only_some_of_each_other():
    plan = scenario.compile(make(nodes={"count": 200, "roles": {"relay": FULL_MESH + 60, "super_node": 0}}), 1)
    relays = plan.nodes.role == Role.RELAY
    between = relays[plan.links.src] & relays[plan.links.dst]
    degree = np.bincount(plan.links.src[between], minlength=200)[relays]
    assert degree.min() >= 24
    assert degree.mean() < 60


def test_calls_join_two_people_at_their_own_nodes():
    plan = scenario.compile(make(duration=3000, nodes={"count": 60, "devices": 2.0}), 1)
    nodes, calls = plan.nodes, plan.calls
    peers = nodes.role == Role.PEER
    assert (np.diff(calls.start) >= 0).all()
    assert peers[calls.caller].all()
    assert peers[calls.callee_node].all()
    assert all(nodes.auras[node] == aura for node, aura in zip(calls.callee_node, calls.callee, strict=True))
    assert all(nodes.auras[a] != aura for a, aura in zip(calls.caller, calls.callee, strict=True))
    assert len({nodes.auras[i] for i in np.flatnonzero(peers)}) == 21
    assert set(calls.caller.tolist()) == set(np.flatnonzero(peers).tolist())


def test_drawn_calls_have_the_asked_rate_length_and_media():
    calls = scenario.compile(make(duration=4000, calls={"rate": 2, "duration": {"median": 50, "sigma": 0.5}}), 1).calls
    assert len(calls) == pytest.approx(8000, abs=4 * np.sqrt(8000))
    assert np.median(calls.duration) == pytest.approx(50, rel=0.05)
    assert np.log(calls.duration).std() == pytest.approx(0.5, rel=0.05)
    assert calls.media.count("audio") / len(calls) == pytest.approx(0.7, abs=0.02)
    assert calls.media.count("data") == 0


def test_listed_calls_stand_among_the_drawn_ones():
    listed = [{"at": 100, "caller": "@relay-000.aura", "callee": "@peer-001.aura", "media": "data", "duration": 9}]
    plan = scenario.compile(make(calls={"rate": 1, "listed": listed}), 1)
    at = plan.calls.media.index("data")
    assert (plan.calls.start[at], plan.calls.duration[at], plan.calls.callee[at]) == (100, 9, "@peer-001.aura")
    assert plan.nodes.names[plan.calls.caller[at]] == "relay-000"
    assert (np.diff(plan.calls.start) >= 0).all()


def test_a_scenario_without_calls_or_churn_has_none():
    plan = scenario.compile(make(calls={"rate": 0}), 1)
    assert (len(plan.calls), len(plan.faults)) == (0, 0)


def test_churning_nodes_alternate_and_are_down_as_long_as_asked():
    churn = {"enabled": True, "session_mean": 300, "downtime_mean": 100, "applies_to": "all"}
    plan = scenario.compile(make(duration=40_000, calls={"rate": 0}, churn=churn), 1)
    down = 0.0
    for node in range(len(plan.nodes)):
        mine = np.flatnonzero(plan.faults.node == node)
        kinds = [plan.faults.kind[i] for i in mine]
        assert kinds == (["down", "up"] * len(kinds))[: len(kinds)]
        edges = [*plan.faults.at[mine], 40_000][: 2 * ((len(mine) + 1) // 2)]
        down += sum(end - start for start, end in zip(edges[::2], edges[1::2], strict=True))
    assert down / (40_000 * len(plan.nodes)) == pytest.approx(0.25, abs=0.02)


def test_only_relaying_nodes_churn_unless_all_do_and_never_those_with_listed_faults():
    faults = [
        {"at": 50, "node": "relay-000"},
        {"at": 20, "kind": "down", "node": "peer-000"},
        {"at": 60, "kind": "up", "node": "peer-000"},
    ]
    plan = scenario.compile(make(churn={"enabled": True, "session_mean": 20}, faults=faults), 1)
    churned = {plan.nodes.names[i] for i in plan.faults.node} - {"relay-000", "peer-000"}
    assert churned
    assert not any(name.startswith("peer") for name in churned)
    assert (plan.faults.node == plan.nodes.names.index("relay-000")).sum() == 1
    assert (np.diff(plan.faults.at) >= 0).all()


def test_a_generated_underlay_follows_the_episode_unless_it_has_its_own_seed():
    def places(episode: int, **own: int) -> np.ndarray:
        source = {"generator": "waxman", "places": 12, **own}
        return scenario.compile(make(underlay={"topology": source}), episode).underlay.topology.latitude

    assert not np.array_equal(places(1), places(2))
    assert np.array_equal(places(1, seed=5), places(2, seed=5))


def test_an_underlay_too_large_for_all_pairs_is_refused():
    with pytest.raises(ConfigError, match="3815 places"):
        scenario.compile(make(underlay={"topology": "backbone/world"}), 1)


@settings(max_examples=25)
@given(
    count=st.integers(2, 40),
    relays=st.floats(0, 1),
    devices=st.floats(1, 3),
    seed=st.integers(-(2**70), 2**70),
    generator=st.sampled_from(["grid", "ring", "waxman", "geometric", "barabasi_albert"]),
)
def test_any_valid_scenario_compiles(count, relays, devices, seed, generator):
    text = {
        "nodes": {"count": count, "roles": {"relay": relays, "super_node": 0}, "devices": devices},
        "underlay": {"topology": {"generator": generator}},
        "calls": {"rate": 0},
        "churn": {"enabled": True},
    }
    plan = scenario.compile(Scenario.model_validate(text), seed)
    assert len(plan.nodes) == count
    assert plan.links.src.dtype == np.int32
    assert np.isfinite(plan.underlay.propagation).all()
