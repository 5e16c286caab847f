"""Topologies: published ones as arrays, generated ones by seed, and who may train on which."""

from __future__ import annotations

import dataclasses
import string

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario import topologies
from meshsim.scenario.network import UnderlayConfig
from meshsim.scenario.topologies import GENERATORS, allowed_for, community, published
from meshsim.scenario.topologies.registry import data_folder
from meshsim.scenario.underlay import build_underlay

PUBLISHED = sorted(published.names())
SNDLIB_TRAIN = frozenset(
    """abilene atlanta dfn-bwin dfn-gwin di-yuan france geant giul39 india35 janos-us janos-us-ca newyork nobel-eu
    nobel-germany nobel-us norway pdh pioro40 polska sun zib54""".split()  # noqa: SIM905 - as the rule is written
)


def expected_use(name: str) -> str:
    """The rule of REFERENCE section 7, written a second time."""
    family, rest = name.split("/", 1)
    if family == "gabriel" or (family == "sndlib" and rest in SNDLIB_TRAIN):
        return "train"
    if family == "topozoo":
        letters = {"ABCEFGHIJK": "train", "MNOPQR": "validate"}
        return next((use for initials, use in letters.items() if rest[0] in initials), "evaluate")
    return "simulate" if family == "measured" else "evaluate"


def test_every_published_graph_has_the_use_that_the_rule_gives():
    assert len(PUBLISHED) > 700
    assert {name: allowed_for(name) for name in PUBLISHED} == {name: expected_use(name) for name in PUBLISHED}


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("topozoo/Digex", "evaluate"),
        ("topozoo/Layer42", "evaluate"),
        ("topozoo/Sprint", "evaluate"),
        ("sndlib/germany50", "evaluate"),
        ("sndlib/geant2", "evaluate"),
        ("backbone/world", "evaluate"),
        ("freifunk/aachen", "train"),
        ("freifunk/altdorf", "train"),
        ("freifunk/cologne-bonn-area", "train"),
        ("freifunk/munich", "validate"),
        ("freifunk/ulm", "validate"),
        ("freifunk/hamburg", "evaluate"),
        ("nycmesh/2025", "validate"),
        ("file/waxman", "evaluate"),
        ("generated/waxman", "train"),
        ("measured/wondernetwork", "simulate"),
        ("generated/", "evaluate"),
        ("gabriel/world", "evaluate"),
        ("", "evaluate"),
        ("topozoo/", "evaluate"),
        ("GEANT", "evaluate"),
    ],
)
def test_the_use_of_single_graphs(name, use):
    assert allowed_for(name) == use


@given(st.text(alphabet=string.ascii_letters + "/-0123456789", max_size=20))
def test_a_graph_of_no_list_is_for_evaluation(name):
    listed = name.split("/")[0] in {"gabriel", "sndlib", "topozoo", "freifunk", "nycmesh", "generated", "measured"}
    assert listed or allowed_for(name) == "evaluate"


@pytest.mark.parametrize("preset", scenario.presets())
def test_no_preset_uses_a_graph_kept_for_evaluation(preset):
    source = scenario.load(preset).underlay.topology  # a name, whether its data are on this machine or not
    name = source if isinstance(source, str) else scenario.load(preset).topology(0).name
    assert allowed_for(name) in {"train", "validate", "simulate"}


@pytest.mark.parametrize(
    "name",
    [
        "topozoo/HurricaneElectric",
        "topozoo/Packetexchange",
        "sndlib/zib54",
        "gabriel/25/3",
        "backbone/africa",
        "caida/2024-08/5384",
    ],
)
def test_a_published_graph_is_connected_sorted_and_symmetric(name):
    topology = topologies.load(name)
    pairs = np.stack([topology.src, topology.dst], axis=1)
    assert topology.name == name
    assert nx.is_strongly_connected(topology.to_networkx())
    assert (np.unique(pairs, axis=0) == pairs).all()
    assert {(int(a), int(b)) for a, b in pairs} == {(int(b), int(a)) for a, b in pairs}
    assert (topology.length >= 0).all()
    assert (np.abs(topology.latitude) <= 90).all()


def test_a_graph_on_a_plane_keeps_its_distances_in_kilometres():
    topology = topologies.load("gabriel/25/0")
    flat = np.hypot(
        np.diff(topology.latitude[np.stack([topology.src, topology.dst])], axis=0),
        np.diff(topology.longitude[np.stack([topology.src, topology.dst])], axis=0),
    )
    assert flat[0] * 111_194.9 == pytest.approx(topology.length, rel=1e-4)
    assert 1e3 < topology.length.max() < 1e6


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_a_generated_graph_is_connected_and_a_function_of_its_seed(name, seed):
    first, again = topologies.load(name, seed=seed), topologies.load(name, seed=seed)
    assert nx.is_strongly_connected(first.to_networkx())
    assert allowed_for(first.name) == "train"
    for field in ("latitude", "longitude", "src", "dst", "length"):
        assert np.array_equal(getattr(first, field), getattr(again, field))


def test_random_graphs_differ_between_seeds():
    for name in ("waxman", "geometric", "barabasi_albert"):
        assert not np.array_equal(topologies.load(name, seed=1).latitude, topologies.load(name, seed=2).latitude)


def test_a_sparse_graph_is_joined_by_bridges():
    apart = topologies.load("geometric", seed=3, places=40, radius=0.001)
    assert nx.is_strongly_connected(apart.to_networkx())
    assert len(apart.src) == 2 * 39


def test_generators_make_the_shapes_that_they_promise():
    grid = topologies.load("grid", rows=3, columns=4, spacing=1e5)
    ring = topologies.load("ring", places=6, spacing=1e5)
    assert (len(grid), len(grid.src)) == (12, 2 * 17)
    assert (np.bincount(ring.src) == 2).all()
    assert ring.length == pytest.approx(np.full(12, 1e5))
    assert len(topologies.load("barabasi_albert", places=20, attachments=3).src) == 2 * (3 + 16 * 3)


@pytest.mark.parametrize(
    ("name", "parameters", "near"),
    [("sndlib/gent", {}, "sndlib/geant"), ("waxmen", {}, "{generator: waxman}"), ("ring", {"place": 3}, "places")],
)
def test_an_unknown_name_or_parameter_is_told_with_the_nearest(name, parameters, near):
    with pytest.raises(ConfigError) as caught:
        topologies.load(name, **parameters)
    assert caught.value.nearest == near
    assert caught.value.allowed


def test_a_published_graph_takes_no_parameters():
    with pytest.raises(ConfigError, match="takes no parameters: places"):
        topologies.load("sndlib/geant", places=3)


def test_what_a_topology_says_of_its_edges_takes_the_place_of_what_is_drawn():
    ring = topologies.load("ring", places=4)
    config = UnderlayConfig(loss=0.01, capacity=5e6)
    drawn = build_underlay(config, ring, SeedTree(3))
    rate, loss = np.full(8, np.nan), np.full(8, np.nan)
    rate[2], loss[5] = 1e6, 0.25
    said = build_underlay(config, dataclasses.replace(ring, rate=rate, loss=loss), SeedTree(3))
    assert (said.capacity[2], said.loss[5]) == (1e6, 0.25)
    assert np.array_equal(np.delete(said.capacity, 2), np.delete(drawn.capacity, 2))
    assert np.array_equal(np.delete(said.loss, 5), np.delete(drawn.loss, 5))


@pytest.mark.parametrize(("hop_cost", "neighbours_meet"), [(200e3, False), (1e9, True)])
def test_routes_go_around_edges_that_are_known_to_lose_unless_hops_cost_more(hop_cost, neighbours_meet):
    ring = topologies.load("ring", places=5)
    edge = int(np.flatnonzero((ring.src == 0) & (ring.dst == 1))[0])
    loss = np.zeros(10)
    loss[edge] = 1.0
    config = UnderlayConfig(hop_cost=hop_cost, routing_inflation=0.0)
    underlay = build_underlay(config, dataclasses.replace(ring, loss=loss), SeedTree(3))
    route = underlay.route_edge[underlay.route_indptr[1] : underlay.route_indptr[2]]
    assert (route.tolist() == [edge]) == neighbours_meet


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.full)])
def test_every_published_graph_can_be_loaded(step):
    assert len(PUBLISHED) == 707
    for name in PUBLISHED[::step]:
        topology = topologies.load(name)
        assert len(topology) > 1, name
        assert np.isfinite([*topology.latitude, *topology.longitude, *topology.length]).all(), name


# Community meshes -----------------------------------------------------------------------------------------------------


def test_community_meshes_are_listed_even_without_their_data_and_the_error_says_how(monkeypatch):
    monkeypatch.delenv("MESHSIM_DATA_DIR", raising=False)
    assert {*community.NAMES} <= {*topologies.names()}
    with pytest.raises(ConfigError, match="MESHSIM_DATA_DIR is not set") as caught:
        topologies.load("freifunk/ulm")
    assert "set MESHSIM_DATA_DIR to the folder" in str(caught.value)


@pytest.fixture
def data() -> None:
    if data_folder() is None:
        pytest.skip("MESHSIM_DATA_DIR is not set")


LARGEST = {"aachen": 1268, "altdorf": 662, "berlin": 516, "bielefeld": 230, "cologne-bonn-area": 282, "munich": 227}
LARGEST |= {"stuttgart": 75, "ulm": 213, "2025": 936}
"""Places of the largest part, as the READMEs say: with nodes that are offline and links of no known quality."""


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("name", community.NAMES)
def test_a_community_mesh_is_one_part_as_large_as_its_readme_says_of_links_that_can_be(name):
    read = topologies.read(name)
    topology = read.topology
    assert topology.name == name
    assert allowed_for(name) in {"train", "validate"}
    assert nx.is_strongly_connected(topology.to_networkx())
    assert 0.9 < len(topology) / LARGEST[name.partition("/")[2]] <= 1.0
    assert read.notes
    for values, most in ((topology.loss, 1.0), (topology.delay, 0.1), (topology.rate, 1e9)):
        assert values is None or (np.nanmin(values, initial=0.0) >= 0.0 and np.nanmax(values, initial=0.0) <= most)


@pytest.mark.usefixtures("data")
def test_the_link_table_of_the_data_folder_says_how_fast_radios_are():
    quality, rate = community.radio_rates()
    assert quality == [0.19, 0.59, 0.89, 0.94, 1.0]
    assert rate == [1e6, 13e6, 39e6, 52e6, 65e6]
    stuttgart = topologies.load("freifunk/stuttgart")
    assert stuttgart.rate is not None
    assert np.nanmax(stuttgart.rate) <= community.repeated(1.0, 65e6, 0.0).rate


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_repeats_trade_loss_for_rate_and_delay(share):
    link = community.repeated(share, 39e6, 300.0)
    assert link.loss == pytest.approx((1 - share) ** 7)
    assert link.delay >= 1e-6
    assert link.rate <= community.repeated(1.0, 39e6, 300.0).rate


def test_a_60_ghz_link_too_long_for_it_is_one_of_5_ghz():
    near, far = community.millimetre(300.0), community.millimetre(3000.0)
    assert near.rate > 0.9e9
    assert far == community.rooftop(3000.0)
    assert far.rate < 54e6
