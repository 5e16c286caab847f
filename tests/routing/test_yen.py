"""Yen's paths are those of networkx, and of the search that finds candidates."""

from __future__ import annotations

from itertools import islice, pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.ids import NodeId
from meshsim.mesh.view import LinkEntry, NetworkView, NodeEntry, make_view
from meshsim.routing.candidates import k_shortest
from meshsim.routing.yen import yen
from meshsim.testing.strategies import network_views


def view_of(nodes: int, edges: list[tuple[int, int, float]], fresh: list[tuple[int, int, float]] | None = None):
    entries = [NodeEntry(id=NodeId(bytes([i] * 32))) for i in range(nodes)]
    links, better = ([LinkEntry(src=a, dst=b, delay=d) for a, b, d in given] for given in (edges, fresh or []))
    return make_view(entries, links, fresh=better)


def drawn(seed: int, *, whole: bool) -> tuple[int, list[tuple[int, int, float]]]:
    """A random graph; with whole delays many paths are as long as others."""
    draw = np.random.default_rng(seed)
    nodes = int(draw.integers(3, 14))
    there = draw.random((nodes, nodes)) < draw.choice([0.2, 0.4, 0.8])
    pairs = [(a, b) for a, b in np.argwhere(there).tolist() if a != b]
    delays = draw.integers(1, 5, len(pairs)).astype(float) if whole else draw.uniform(0.001, 0.3, len(pairs))
    return nodes, [(a, b, delay) for (a, b), delay in zip(pairs, delays.tolist(), strict=True)]


def by_networkx(nodes: int, edges: list[tuple[int, int, float]], k: int) -> list[tuple[int, ...]]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(nodes))
    graph.add_weighted_edges_from(edges)
    try:
        return [tuple(path) for path in islice(nx.shortest_simple_paths(graph, 0, 1, weight="weight"), k)]
    except nx.NetworkXNoPath:
        return []


def test_yen_finds_what_networkx_finds_on_a_thousand_graphs() -> None:
    graphs, connected, paths = set(), 0, 0
    for seed in range(1000):
        whole = seed % 2 == 1
        nodes, edges = drawn(seed, whole=whole)
        k = 1 + seed // 2 % 12
        found, expected = yen(view_of(nodes, edges), 0, 1, k), by_networkx(nodes, edges, k)
        delay = {(a, b): d for a, b, d in edges}
        lengths = [[sum(delay[hop] for hop in pairwise(path)) for path in which] for which in (found, expected)]
        assert lengths[0] == pytest.approx(lengths[1])
        assert len(set(found)) == len(found)
        assert all(len(set(path)) == len(path) for path in found)
        assert whole or list(found) == expected
        graphs.add((nodes, *edges))
        connected += bool(found)
        paths += len(found)
    # a few of the smallest graphs come twice
    assert len(graphs) >= 900
    assert connected >= 700
    assert paths >= 3000


@given(view=network_views(least=3, most=9), k=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_search_for_candidates_finds_the_same_when_hops_are_unlimited(view: NetworkView, k: int) -> None:
    relay = view.nodes.role > 0
    searched = list(k_shortest(view, 0, 1, k + 1, max(len(view.nodes), 4), relay))[1:]
    assert [path for path in yen(view, 0, 1, k + 1, relay) if path != (0, 1)][:k] == searched


def test_fresh_links_replace_shared_ones_and_unknown_delays_are_not_used() -> None:
    edges = [(0, 2, 0.01), (2, 1, 0.01), (0, 1, 0.05)]
    assert yen(view_of(3, edges), 0, 1, 5) == ((0, 2, 1), (0, 1))
    assert yen(view_of(3, edges, [(0, 2, 0.2)]), 0, 1, 5) == ((0, 1), (0, 2, 1))
    assert yen(view_of(3, edges, [(0, 2, float("nan"))]), 0, 1, 5) == ((0, 1),)
    assert yen(view_of(3, [(0, 2, float("inf")), *edges[1:]]), 0, 1, 5) == ((0, 1),)


def test_nodes_that_may_not_relay_are_avoided_and_no_path_is_no_error() -> None:
    view = view_of(3, [(0, 2, 0.01), (2, 1, 0.01)])
    assert yen(view, 0, 1, 5, np.array([True, True, False])) == ()
    assert yen(view, 1, 0, 5) == ()
    assert yen(view, 0, 1, 0) == ()
    with pytest.raises(ValueError, match="two ends"):
        yen(view, 1, 1, 5)
