"""The paper has no table to reproduce: its properties are tested, and a graph worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, sybilrank
from meshsim.trust.network import Web
from meshsim.trust.sybilrank import SybilRank


def joined(pairs: list[tuple[int, int]], n: int, seeds: list[int]) -> Web:
    rater, node = np.array(sorted(pairs)).T
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[seeds] = True
    known = np.ones(n, dtype=np.bool_)
    return Web(rater, node, np.ones(len(rater)), np.zeros(len(rater)), chosen, known)


def test_trust_wanders_as_worked_by_hand() -> None:
    # A triangle 0-1-2 with a tail 2-3; degrees 2, 2, 3, 1. All trust begins at 0.
    web = joined([(0, 1), (1, 2), (0, 2), (2, 3)], 4, [0])
    one, two = np.array([0.0, 1 / 2, 1 / 2, 0.0]), np.array([1 / 4 + 1 / 6, 1 / 6, 1 / 4, 1 / 6])
    expected = (one + two) / 2.0 / np.array([2.0, 2.0, 3.0, 1.0]) * 8.0
    assert SybilRank().ranks(web, web.praise, 2) == pytest.approx(expected)


@settings(max_examples=30, deadline=None)
@given(extra=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_in_the_long_run_trust_is_in_proportion_to_degree(extra: list[tuple[int, int]]) -> None:
    """Section 4.2 of the paper: without early termination every node of a connected graph has the same rank."""
    pairs = {(a, b) for a, b in extra if a < b} | {(k, k + 1) for k in range(8)} | {(0, 2)}
    web = joined(sorted(pairs), 9, [3])
    assert SybilRank().ranks(web, web.praise, 1000) == pytest.approx(1.0, abs=1e-3)


def attacked(made_up: int, edges: int) -> tuple[list[float], list[float]]:
    """Scores of 60 honest nodes, and of made-up ones as tightly joined, with so many edges between the two."""
    model = sybilrank()
    rng = np.random.default_rng(3)
    parts = ((0, 60), (60, 60 + made_up))
    for low, high in parts:
        for rater in range(low, high):
            for node in rng.integers(low, high, 10).tolist():
                model.observe(node, call(node, rater))
    for k in range(edges):
        model.observe(60 + k % made_up, call(60 + k % made_up, int(rng.integers(0, 60))))
    for node in range(5):
        model.anchor(node)
    mean = model.table(60 + made_up, 0.0).mean
    return mean[:60].tolist(), mean[60:].tolist()


def call(node: int, rater: int) -> Evidence:
    return Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=0.0, raters=(rater,))


@pytest.mark.parametrize("made_up", [60, 600])
def test_made_up_nodes_behind_few_edges_rank_below_all_honest_ones(made_up: int) -> None:
    honest, sybils = attacked(made_up, edges=6)
    assert min(honest) > max(sybils)


def test_an_owner_and_its_relays_are_ranked_though_trust_swings_between_them() -> None:
    model = sybilrank()
    for node in range(6):
        model.observe(node, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=0.0, weight=30.0))
    assert model.table(6, 0.0).mean == pytest.approx(100.0 / 1.25, abs=5.0)
