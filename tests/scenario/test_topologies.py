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
from meshsim.scenario.topologies import GENERATORS, allowed_for
from meshsim.scenario.underlay import build_underlay

PUBLISHED = [name for name in topologies.names() if "/" in name]
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
        ("nycmesh/nycmesh_2025", "validate"),
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
    assert allowed_for(scenario.load(preset).topology(0).name) in {"train", "validate", "simulate"}


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
