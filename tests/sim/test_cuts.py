"""Edges that are cut: nothing passes, calls find a way around, what was saved or forked goes on in step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.mesh.media import MediaType, demand
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint
from meshsim.sim.fork import fork
from meshsim.sim.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.scenario import Plan

# a ring: cut between 0 and 1, its places still reach each other the other way round, by a relay
RING = {
    "duration": 120.0,
    "warmup": 0,
    "underlay": {
        "topology": {"generator": "ring", "places": 6, "spacing": "300 km"},
        "routing_inflation": 0,
        "drift": {"volatility": 0, "congestion": {"rate_per_edge_per_hour": 0}},
    },
    "nodes": {
        "count": 5,
        "scatter": 0,
        "roles": {"relay": 3, "super_node": 0},
        "named": [
            {"name": "alice", "at": 0, "nat": "open"},
            {"name": "bob", "at": 1, "nat": "open"},
            {"name": "near", "at": 2, "role": "relay"},
            {"name": "far", "at": 3, "role": "relay"},
            {"name": "back", "at": 4, "role": "relay"},
        ],
    },
    "calls": {"rate": 0, "listed": [{"at": 10, "caller": "@alice.aura", "callee": "@bob.aura", "duration": 80}]},
    "routing": {"policy": "shortest", "candidates": 16, "fallbacks": 8},
}


def plan(**more: object) -> Plan:
    return compile_plan(Scenario.model_validate({**RING, **more}), 1)


def edge(found: Plan, a: int, b: int) -> int:
    topology = found.underlay.topology
    return int(np.flatnonzero((topology.src == a) & (topology.dst == b))[0])


def cut(episode, a: int, b: int, at: float, until: float = 1e6) -> None:
    """Plans a cut of one edge, both ways."""
    for e in (edge(episode.plan, a, b), edge(episode.plan, b, a)):
        episode.env.schedule_record(at, "edge_down", e)
        if until < episode.plan.scenario.duration:
            episode.env.schedule_record(until, "edge_up", e)


def test_nothing_passes_a_cut_edge_and_all_passes_when_it_is_mended():
    world = World(plan())
    audio = demand(MediaType.AUDIO)
    paths = [(0, 1), (0, 4, 1), (0, 4, 3, 1)]
    before, links = world.path_truth(paths, audio), world.link_truth([0, 1, 0], [1, 0, 4])
    assert before.connected.all()
    number = edge(world.plan, 0, 1)
    world.cuts.change(number, cut=True)
    after, cut_links = world.path_truth(paths, audio), world.link_truth([0, 1, 0], [1, 0, 4])
    assert not after.connected[0]
    assert cut_links.loss[0] == 1.0
    assert cut_links.loss[1:].tolist() == links.loss[1:].tolist()
    # the relay at 4 reaches 1 by 5 and 0, or by 3 and 2: equally long, so what matters is that those who cross it fall
    crosses = [any(number in world.plan.underlay.route(*hop) for hop in ((0, 4), (4, 1))), None]
    assert after.connected[1] == (not crosses[0])
    world.cuts.change(number, cut=False)
    assert world.path_truth(paths, audio).connected.all()
    assert world.link_truth([0, 1, 0], [1, 0, 4]).loss.tolist() == links.loss.tolist()


def test_only_flows_over_the_cut_are_told():
    world = World(plan())
    audio = demand(MediaType.AUDIO)
    direct, other = world.open_flow((0, 1), audio), world.open_flow((2, 3), audio)
    assert world.cut_flows() == set()
    world.cuts.change(edge(world.plan, 0, 1), cut=True)
    assert world.cut_flows() == {direct}
    world.close_flow(direct)
    world.cuts.change(edge(world.plan, 2, 3), cut=True)
    assert world.cut_flows() == {other}


@pytest.mark.parametrize("mode", ["modelled", pytest.param("agents", marks=pytest.mark.full)])
def test_a_call_over_a_cut_edge_goes_on_around_it(mode, tmp_path):
    episode = begin(plan(control={"mode": mode, "probe_period": 2, "digest_period": 4}), tmp_path / "run")
    cut(episode, 0, 1, at=40)
    episode.finish()
    calls = Trace(tmp_path / "run").columns("calls")
    (first,), (last,) = calls["path"], calls["final_path"]
    assert first == [0, 1]
    assert len(last) > 2
    assert calls["outcome"] == ["completed"]
    assert calls["failovers"].tolist() == [1]
    events = Trace(tmp_path / "run").columns("events")
    assert [k for k in events["kind"] if k.startswith("edge")] == ["edge_down", "edge_down"]


def test_a_direct_call_without_fallbacks_looks_for_another_path_when_its_edge_is_cut(tmp_path):
    # of seven places the relay's is reached from 0 and from 1 without crossing the edge between them
    seven = {**RING["underlay"], "topology": {"generator": "ring", "places": 7, "spacing": "300 km"}}
    people = RING["nodes"]["named"]
    nodes = {**RING["nodes"], "count": 3, "roles": {"relay": 1, "super_node": 0}, "named": [*people[:2], people[4]]}
    made = plan(underlay=seven, nodes=nodes, routing={"policy": "direct", "candidates": 16, "fallbacks": 0})
    episode = begin(made, tmp_path / "run")
    cut(episode, 0, 1, at=40)
    episode.finish()
    calls = Trace(tmp_path / "run").columns("calls")
    assert (calls["path"], calls["final_path"], calls["outcome"]) == ([[0, 1]], [[0, 2, 1]], ["completed"])


def test_a_call_whose_place_is_cut_off_drops(tmp_path):
    episode = begin(plan(), tmp_path / "run")
    for neighbour in (1, 5):
        cut(episode, 0, neighbour, at=40)
    episode.finish()
    calls = Trace(tmp_path / "run").columns("calls")
    assert calls["outcome"] == ["dropped"]
    assert 40 < calls["end_ns"][0] / 1e9 < 70


BUSY = {
    "nodes": {**RING["nodes"], "count": 12},
    "calls": {"rate": 0.5, "duration": {"median": 30}},
    "outages": [{"at": 30, "centre": 2, "radius": "400 km", "nodes": 0.5, "recovery": "40 s"}],
}


def moves(folder: Path) -> list[tuple[int, str, int, str]]:
    events = Trace(folder).columns("events")
    rows = zip(events["time_ns"].tolist(), events["kind"], events["node"].tolist(), events["detail"], strict=True)
    return [row for row in rows if row[1] in ("down", "up", "edge_down", "edge_up")]


def test_a_fork_may_change_what_fails_later_and_what_is_down_comes_back_when_it_would_have(tmp_path):
    episode = begin(plan(**BUSY), tmp_path / "warm")
    episode.advance(45.0)
    checkpoint(episode)
    episode.finish()
    fork(tmp_path / "warm", tmp_path / "same").finish()
    assert moves(tmp_path / "same") == moves(tmp_path / "warm")
    fork(tmp_path / "warm", tmp_path / "calm", ["outages=[]"]).finish()
    assert moves(tmp_path / "calm") == moves(tmp_path / "warm")
    later = "{at: 100, centre: 5, radius: 100 km, recovery: 1 h}"
    fork(tmp_path / "warm", tmp_path / "worse", [f"outages=[{later}]"]).finish()
    worse = moves(tmp_path / "worse")
    assert [row for row in worse if row[0] < 100e9] == moves(tmp_path / "warm")[
        : len([r for r in worse if r[0] < 100e9])
    ]
    assert {row[1] for row in worse if row[0] == 100e9} >= {"edge_down"}


def test_everything_that_a_region_takes_is_back_in_the_end(tmp_path):
    made = plan(**BUSY, duration=600.0)
    episode = begin(made, tmp_path / "run")
    episode.advance(31.0)
    assert episode.world.cuts
    assert not episode.world.online.all()
    episode.advance(599.0)
    assert not episode.world.cuts
    assert episode.world.online.all()
    assert not episode.world.cuts.cut.any()
