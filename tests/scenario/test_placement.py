"""Where nodes are: the shares that a placement promises, the way to the place, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Role
from meshsim.scenario import overlay, topologies
from meshsim.scenario.topologies import measured, registry
from meshsim.scenario.topologies.placement import Placement, nearest_places, spots

HAS_DATA = pytest.mark.skipif(registry.data_folder() is None, reason="MESHSIM_DATA_DIR is not set")
WORLD = "underlay.topology=measured/wondernetwork"


def plan(*overrides: str, seed: int = 1) -> scenario.Plan:
    return scenario.compile(scenario.change(scenario.Scenario(), ["calls.rate=0", *overrides]), seed)


def test_places_alike_is_what_was_always_drawn() -> None:
    plain, said = plan(), plan("nodes.placement.peers=places", "nodes.placement.relays=places")
    assert np.array_equal(plain.nodes.router, said.nodes.router)
    assert np.array_equal(plain.nodes.longitude, said.nodes.longitude)
    everywhere = spots(Placement(), plain.underlay.topology, "peer")
    count = len(plain.underlay.topology)
    for u in np.random.default_rng(1).random(500):
        assert everywhere.pick(u) == int(u * count)


@HAS_DATA
def test_peers_by_population_follow_the_inhabitants_of_the_cities() -> None:
    nodes = plan(WORLD, "nodes.count=2000", "nodes.placement.peers=population").nodes
    topology = topologies.load("measured/wondernetwork")
    known, _, inhabitants = measured.cities()
    peers = nodes.router[nodes.role == Role.PEER]
    order = np.argsort(inhabitants)
    for some in (order[-1:], order[-20:], order[:60]):
        expected = inhabitants[some].sum() / inhabitants.sum()
        there = np.isin(peers, [topology.names.index(known[i]) for i in some]).mean()
        assert there == pytest.approx(expected, abs=4 * np.sqrt(expected / len(peers)))
    relays = nodes.router[nodes.role == Role.RELAY]
    small = [topology.names.index(known[i]) for i in order[:60]]
    assert np.isin(relays, small).mean() > 0.15


@HAS_DATA
def test_peers_of_bitnodes_are_where_its_nodes_were_and_pay_for_the_way_to_their_place() -> None:
    options = (WORLD, "nodes.count=1500", "nodes.access.peer.spread=0")
    drawn = plan(*options, "nodes.placement.peers=bitnodes_2022").nodes
    topology = topologies.load("measured/wondernetwork")
    peers = drawn.role == Role.PEER
    at = np.stack([drawn.latitude[peers], drawn.longitude[peers]], axis=1)
    router, metres = nearest_places(topology, at)
    assert np.array_equal(router, drawn.router[peers])
    assert drawn.access_delay[peers] == pytest.approx(0.008 + metres * geo.RTT_PER_METRE / 2)
    america = (at[:, 1] < -30).mean()  # of the 6,985 nodes with an address, 34 % were west of 30 degrees west
    assert 0.2 < america < 0.5
    plain = plan(*options).nodes
    relays = plain.role == Role.RELAY
    assert np.array_equal(plain.access_delay[relays], drawn.access_delay[relays])
    assert np.array_equal(plain.router[relays], drawn.router[relays])
    assert np.array_equal(plain.access_up, drawn.access_up)


@HAS_DATA
def test_population_counts_cities_for_the_nearest_place_of_any_map() -> None:
    backbone = topologies.load("topozoo/HurricaneElectric")
    peers = spots(Placement(peers="population"), backbone, "peer")
    share = np.diff([0.0, *peers.bound])
    assert share.sum() == pytest.approx(1.0)
    assert share.max() > 2 / len(backbone)


def test_tiers_put_super_nodes_at_cores_relays_in_regions_and_peers_below() -> None:
    options = ("underlay.topology={generator: hierarchical}", "nodes.roles.edge=5")
    drawn = plan(*options, "nodes.placement={peers: tiers, relays: tiers}")
    tier = np.array([drawn.underlay.topology.names[i].split("-")[0] for i in drawn.nodes.router])
    wanted = {Role.SUPER_NODE: "core", Role.RELAY: "region", Role.EDGE: "region", Role.PEER: "place"}
    assert {Role(r): {*tier[drawn.nodes.role == r]} for r in wanted} == {r: {t} for r, t in wanted.items()}


def test_tiers_of_a_map_without_tiers_and_unknown_placements_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no tiers") as caught:
        plan("nodes.placement.relays=tiers")
    assert caught.value.key == "nodes.placement"
    with pytest.raises(ConfigError) as unknown:
        plan("nodes.placement.peers=populaton")
    assert unknown.value.nearest == "population"


def test_without_data_a_placement_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="MESHSIM_DATA_DIR is not set"):
        plan("nodes.placement.peers=population")


def test_a_node_said_to_be_at_a_place_stays_there() -> None:
    said = "nodes.named=[{name: zoe, at: 5}]"
    options = ("underlay.topology={generator: hierarchical}", "nodes.placement.peers=tiers", said)
    assert plan(*options).nodes.router[0] == 5


@given(st.lists(st.sampled_from([0.1, 0.2, 0.2, 0.5, float("inf")]), min_size=1, max_size=30), st.integers(0, 35))
def test_the_lowest_are_those_of_a_stable_order(values: list[float], count: int) -> None:
    found = overlay._lowest(np.array(values), count)
    assert sorted(found.tolist()) == sorted(np.argsort(values, kind="stable")[:count].tolist())


@HAS_DATA
@pytest.mark.full
def test_ten_thousand_nodes_over_measured_latency_compile_with_every_link() -> None:
    placed = "nodes.placement={peers: bitnodes_2022, relays: population}"
    drawn = plan(WORLD, placed, "nodes.count=10000", "calls.rate=20", "duration=5 min")
    assert len(drawn.nodes) == 10_000
    assert 10 * len(drawn.nodes) < len(drawn.links) < 30 * len(drawn.nodes)
    assert len(drawn.calls) == pytest.approx(6000, rel=0.1)
