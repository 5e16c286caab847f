"""Measured links over third nodes bound what a pair has between it, where delays keep the triangle inequality."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import NodeId
from meshsim.mesh.view import LinkEntry, NetworkView, NodeEntry, Role, make_view
from meshsim.routing.graph import graph_of
from meshsim.routing.triangle import triangles


def plane(places: list[tuple[float, float]], *, jitter: float = 0.003, loss: float = 0.01) -> NetworkView:
    """All pairs but the first are measured: their delays are distances on a plane, in seconds."""
    nodes = [NodeEntry(id=NodeId(bytes([i + 1] * 32)), role=Role.RELAY) for i in range(len(places))]
    links = [
        LinkEntry(src=a, dst=b, delay=float(np.hypot(*np.subtract(places[a], places[b]))), jitter=jitter, loss=loss)
        for a, b in permutations(range(len(places)), 2)
        if {a, b} != {0, 1}
    ]
    return make_view(nodes=nodes, links=links)


PAIR = np.array([0], dtype=np.int32), np.array([1], dtype=np.int32)
SPOTS = st.tuples(st.floats(0, 0.1), st.floats(0, 0.1))


@given(st.lists(SPOTS, min_size=3, max_size=9))
def test_a_pairs_distance_lies_between_its_bounds(places: list[tuple[float, float]]) -> None:
    true = float(np.hypot(*np.subtract(places[0], places[1])))
    said = triangles(graph_of(plane(places)), *PAIR)
    assert said.below[0] - 1e-12 <= true <= said.above[0] + 1e-12


def test_jitter_and_loss_are_those_of_the_best_way_round() -> None:
    said = triangles(graph_of(plane([(0.0, 0.0), (0.1, 0.0), (0.05, 0.0), (0.05, 0.5)])), *PAIR)
    assert np.allclose([said.above[0], said.jitter[0], said.loss[0]], [0.1, 0.003 * 2**0.5, 0.0199])


def test_no_common_neighbour_or_none_measured_says_nothing() -> None:
    view = plane([(0.0, 0.0), (0.1, 0.0), (0.05, 0.0)])
    blind = replace(view, links=replace(view.links, observed=np.zeros(len(view.links), dtype=np.bool_)))
    for seen in (plane([(0.0, 0.0), (0.1, 0.0)]), blind):
        said = triangles(graph_of(seen), *PAIR)
        assert all(np.isnan(column[0]) for column in (said.above, said.below, said.jitter, said.loss))


def test_many_pairs_are_told_as_each_alone() -> None:
    places = [(float(x), float(y)) for x, y in np.random.default_rng(4).random((7, 2)) * 0.1]
    graph = graph_of(plane(places))
    src, dst = (np.array(ends, dtype=np.int32) for ends in zip(*permutations(range(7), 2), strict=True))
    together = triangles(graph, src, dst)
    for k in range(len(src)):
        alone = triangles(graph, src[k : k + 1], dst[k : k + 1])
        assert (together.above[k], together.below[k]) == (alone.above[0], alone.below[0])
