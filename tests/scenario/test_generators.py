"""Generators of networkx by name, and the hierarchical one: what they promise, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import topologies
from meshsim.scenario.topologies import library

NUMBERS = {"n": 12, "m": 4, "k": 4, "d": 4, "r": 2, "h": 3, "l": 3, "N": 20, "m1": 2, "m2": 3, "s": 4, "v": 4, "i": 50}
NUMBERS |= {"num_cliques": 3, "clique_size": 4, "theta": 10}
SHARES = {"p": 0.4, "q": 0.3, "p1": 0.4, "p2": 0.4, "p_in": 0.7, "p_out": 0.1, "radius": 0.4, "alpha": 0.5}
GIVEN = {**NUMBERS, **SHARES, "triad_name": "030C"}
OWN = {
    "LFR_benchmark_graph": {"n": 250, "tau1": 3, "tau2": 1.5, "mu": 0.1, "average_degree": 5, "min_community": 20},
    "binomial_tree": {"n": 4},
    "chordal_cycle_graph": {"p": 13},
    "dorogovtsev_goltsev_mendes_graph": {"n": 3},
    "empty_graph": {"n": 7},
    "geometric_soft_configuration_graph": {"beta": 1.5, "n": 20, "gamma": 2.7, "mean_degree": 4},
    "hnm_harary_graph": {"n": 12, "m": 20},
    "hypercube_graph": {"n": 4},
    "kneser_graph": {"n": 5, "k": 2},
    "margulis_gabber_galil_graph": {"n": 4},
    "mycielski_graph": {"n": 4},
    "navigable_small_world_graph": {"n": 4},
    "paley_graph": {"p": 13},
    "random_cograph": {"n": 4},
    "sudoku_graph": {"n": 2},
}
TOO_SMALL = ("null_graph", "trivial_graph")


def parameters(name: str) -> dict[str, float | str]:
    return OWN.get(name) or {key: GIVEN[key] for key, needed in library.takes(name).items() if needed}


@pytest.mark.parametrize("name", [name for name in library.offered() if name not in TOO_SMALL])
def test_every_generator_of_networkx_makes_a_connected_underlay_by_seed(name: str) -> None:
    first, again = (topologies.load("networkx", 3, name=name, **parameters(name)) for _ in range(2))
    assert nx.is_strongly_connected(first.to_networkx())
    assert first.name == f"generated/networkx/{name}"
    assert topologies.allowed_for(first.name) == "train"
    assert np.array_equal(first.latitude, again.latitude)
    assert np.array_equal(first.src, again.src)
    assert np.array_equal(first.length, again.length)
    assert (first.src != first.dst).all()
    assert {*zip(first.src, first.dst, strict=True)} == {*zip(first.dst, first.src, strict=True)}


@pytest.mark.parametrize("name", TOO_SMALL)
def test_a_graph_of_no_two_places_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="places"):
        topologies.load("networkx", name=name)


def test_more_than_a_hundred_generators_are_offered() -> None:
    assert len(library.offered()) > 100
    assert {"random_regular_graph", "waxman_graph", "scale_free_graph"} <= set(library.offered())


def test_the_links_are_those_of_networkx_and_random_ones_follow_the_seed() -> None:
    drawn = topologies.load("networkx", name="random_regular_graph", d=4, n=50)
    assert (np.bincount(drawn.src) == 4).all()
    other = topologies.load("networkx", seed=1, name="random_regular_graph", d=4, n=50)
    assert not np.array_equal(drawn.dst, other.dst)
    cycle = topologies.load("networkx", name="cycle_graph", n=9)
    assert nx.is_isomorphic(cycle.to_networkx().to_undirected(), nx.cycle_graph(9))


def test_positions_that_the_generator_gives_are_kept_and_fill_the_extent() -> None:
    laid = topologies.load("networkx", name="random_geometric_graph", n=40, radius=0.4, extent=1e6)
    degrees = np.ptp(laid.latitude), np.ptp(laid.longitude)
    assert max(degrees) * 111_194.9 == pytest.approx(1e6, rel=1e-3)
    assert laid.length.max() <= 0.4 * 1e6 * 1.3


@pytest.mark.parametrize("layout", library.LAYOUTS)
def test_a_layout_changes_lengths_alone(layout: str) -> None:
    spring = topologies.load("networkx", name="grid_2d_graph", m=5, n=5)
    laid = topologies.load("networkx", name="grid_2d_graph", m=5, n=5, layout=layout)
    assert np.array_equal(spring.dst, laid.dst)
    assert np.array_equal(spring.length, laid.length) == (layout == "spring")
    assert np.isfinite(laid.length).all()


def test_joined_places_lie_nearer_to_each_other_than_any_two_do() -> None:
    for layout in ("spring", "spectral"):
        laid = topologies.load("networkx", name="grid_2d_graph", m=6, n=6, layout=layout)
        apart = np.hypot(*(axis[:, None] - axis for axis in (laid.latitude, laid.longitude))) * 111_194.9
        assert laid.length.mean() < 0.6 * apart[apart > 0].mean()


@pytest.mark.parametrize(
    ("given", "key", "near"),
    [
        ({"name": "random_regulr_graph"}, "name", "random_regular_graph"),
        ({"name": "random_regular_graph", "d": 3, "nn": 8}, "nn", "n"),
        ({"name": "path_graph", "n": [3]}, "n", None),
        ({"name": "path_graph", "n": float("inf")}, "n", None),
        ({"name": "path_graph", "n": 10**9}, "n", None),
        ({"name": "path_graph"}, None, None),
        ({"name": "path_graph", "n": 4, "layout": "sprung"}, "layout", "spring"),
        ({"name": "random_regular_graph", "d": 3, "n": 7}, None, None),
        ({"name": "hypercube_graph", "n": 1000}, None, None),
        ({"name": "balanced_tree", "r": 9, "h": 900}, None, None),
        ({"name": "kneser_graph", "n": 1000, "k": 500}, None, None),
        ({"name": "balanced_tree", "r": "x", "h": 2}, None, None),
        ({"name": "duplication_divergence_graph", "n": 9, "p": 0.0}, "p", None),
        ({"name": "grid_graph"}, "name", "grid_2d_graph"),
        ({"name": "configuration_model"}, "name", None),
    ],
)
def test_what_networkx_does_not_take_is_refused_by_name(given: dict, key: str | None, near: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        topologies.load("networkx", **given)
    assert caught.value.key == key
    assert caught.value.allowed
    assert near is None or caught.value.nearest == near


VALUES = st.one_of(st.integers(-5, 60), st.floats(-2, 3), st.booleans(), st.text(max_size=4), st.none())


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["barabasi_albert_graph", "gnm_random_graph", "watts_strogatz_graph", "waxman_graph"]),
       st.dictionaries(st.sampled_from(["n", "m", "k", "p", "alpha", "beta", "x"]), VALUES, max_size=4))  # fmt: skip
def test_whatever_the_parameters_there_is_a_topology_or_one_named_error(name: str, given: dict) -> None:
    try:
        drawn = topologies.load("networkx", name=name, **given)
    except ConfigError:
        return
    assert nx.is_strongly_connected(drawn.to_networkx())


def test_a_scenario_names_a_generator_with_its_parameters_and_errors_have_lines(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "underlay:\n  topology:\n    generator: networkx\n    name: random_regular_graph\n    d: 3\n    n: 20\n"
    )
    plan = scenario.compile(scenario.load(path), seed=2)
    assert len(plan.underlay.topology) == 20
    assert np.array_equal(
        plan.underlay.topology.dst, scenario.compile(scenario.load(path), seed=2).underlay.topology.dst
    )
    short = scenario.load(path, ["underlay.topology={generator: networkx/petersen_graph}"])
    assert short.topology(1).name == "generated/networkx/petersen_graph"
    path.write_text(path.read_text().replace("n: 20", "n: 21"))
    with pytest.raises(ConfigError, match="must be even") as caught:
        scenario.load(path)
    assert caught.value.line in (2, 3)
    path.write_text(path.read_text().replace("n: 21", "m: 20"))
    with pytest.raises(ConfigError, match="no parameter 'm'") as caught:
        scenario.load(path)
    assert (caught.value.line, caught.value.key) == (6, "underlay.topology.m")


def test_a_hierarchy_has_three_tiers_and_lower_ones_are_shorter() -> None:
    tiers = topologies.load("hierarchical", seed=4, cores=4, regions=3, places=5)
    tier = np.array([name.split("-")[0] for name in tiers.names])
    count = {name: int((tier == name).sum()) for name in ("core", "region", "place")}
    assert count == {"core": 4, "region": 12, "place": 60}
    ends = {tuple(sorted((tier[a], tier[b]))) for a, b in zip(tiers.src, tiers.dst, strict=True)}
    assert ends == {("core", "core"), ("core", "region"), ("place", "region")}
    up = [int(((tiers.src == i) & (tier[tiers.dst] == "core")).sum()) for i in np.flatnonzero(tier == "region")]
    assert up == [2] * 12
    assert tiers.length[tier[tiers.src] == "place"].mean() < 0.3 * tiers.length[tier[tiers.src] == "core"].mean()


def test_two_cores_make_a_hierarchy_too() -> None:
    small = topologies.load("hierarchical", cores=2, regions=1, places=1)
    assert len(small) == 6
    assert nx.is_strongly_connected(small.to_networkx())
