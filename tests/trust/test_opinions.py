from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.trust import Beta, EventKind, Evidence, EvidenceColumns, Severity
from meshsim.trust.opinions import Edges, Opinions

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES = 5
weights = st.floats(0.0, 3.0)
told = st.lists(
    st.tuples(st.integers(-1, NODES - 1), st.integers(0, NODES - 1), weights, weights, st.floats(-50.0, 500.0)),
    max_size=30,
)


def one_by_one(rows: list[tuple[int, int, float, float, float]], half_life: float = 70.0) -> Opinions:
    opinions = Opinions(half_life)
    for row in rows:
        opinions.add(*row)
    return opinions


def add_many(opinions: Opinions, rows: list[tuple[int, int, float, float, float]]) -> None:
    whole: NDArray[np.float64] = np.array(rows).reshape(-1, 5)
    rater, node = (whole[:, k].astype(np.int64) for k in (0, 1))
    opinions.add_many(rater, node, whole[:, 2], whole[:, 3], whole[:, 4])


def same(one: Edges, other: Edges) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=40)
@given(rows=told, cut=st.integers(0, 30), now=st.floats(0.0, 900.0), looked=st.booleans())
def test_batches_and_questions_in_between_change_no_bit(
    rows: list[tuple[int, int, float, float, float]],
    cut: int,
    now: float,
    looked: bool,  # noqa: FBT001 - an example of hypothesis
) -> None:
    batched = Opinions(70.0)
    add_many(batched, rows[:cut])
    if looked:
        batched.edges(10.0)
    add_many(batched, rows[cut:])
    assert same(one_by_one(rows).edges(now), batched.edges(now))


@settings(max_examples=40)
@given(rows=told, now=st.floats(0.0, 900.0))
def test_each_pair_counts_as_a_decayed_beta_does(rows: list[tuple[int, int, float, float, float]], now: float) -> None:
    edges = one_by_one(rows).edges(now)
    for rater, node, good, bad in zip(*(column.tolist() for column in edges), strict=True):
        model = Beta(half_life=70.0)
        for r, n, g, b, t in rows:
            if (r, n) == (rater, node):
                for kind, weight in ((EventKind.SUCCESSFUL_CALL, g), (EventKind.CALL_DROPPED, b)):
                    if weight > 0.0:
                        model.observe(0, Evidence(kind=kind, node=0, t=t, weight=weight))
        assert good + bad == pytest.approx(model.score(0, now).evidence)


@settings(max_examples=40)
@given(rows=told)
def test_pairs_stand_once_in_order_and_nobody_rates_itself(rows: list[tuple[int, int, float, float, float]]) -> None:
    opinions = one_by_one(rows)
    edges = opinions.edges(500.0)
    pairs = list(zip(edges.rater.tolist(), edges.node.tolist(), strict=True))
    assert pairs == sorted({(r, n) for r, n, g, b, _ in rows if r != n and g + b > 0.0})
    assert opinions.size == len(pairs)


@settings(max_examples=40)
@given(rows=told, order=st.randoms())
def test_without_forgetting_whole_outcomes_count_in_any_order(
    rows: list[tuple[int, int, float, float, float]], order: object
) -> None:
    whole = [(r, n, float(round(g)), float(round(b)), t) for r, n, g, b, t in rows]
    shuffled = list(whole)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert same(one_by_one(whole, np.inf).edges(0.0), one_by_one(shuffled, np.inf).edges(0.0))


def test_opinions_halve_in_a_half_life_and_are_not_magnified_by_questions_about_the_past() -> None:
    opinions = one_by_one([(0, 1, 8.0, 4.0, 100.0)])
    assert opinions.edges(170.0).good == pytest.approx(4.0)
    assert opinions.edges(170.0).bad == pytest.approx(2.0)
    assert opinions.edges(0.0).good == pytest.approx(8.0)


def test_an_old_opinion_that_comes_late_counts_as_little_as_if_it_had_come_in_time() -> None:
    late, early = [(0, 1, 1.0, 0.0, 700.0), (0, 1, 1.0, 0.0, 0.0)], [(0, 1, 1.0, 0.0, 0.0), (0, 1, 1.0, 0.0, 700.0)]
    assert same(one_by_one(late).edges(800.0), one_by_one(early).edges(800.0))
    assert one_by_one(late).edges(700.0).good == pytest.approx(1.0 + 2.0**-10)


def test_forgetting_a_node_drops_what_was_said_of_it_and_what_it_said() -> None:
    opinions = one_by_one([(0, 1, 1.0, 0.0, 0.0), (1, 2, 1.0, 0.0, 0.0), (0, 2, 1.0, 0.0, 0.0)])
    opinions.forget(1)
    opinions.forget(77)
    edges = opinions.edges(0.0)
    assert (edges.rater.tolist(), edges.node.tolist()) == ([0], [2])


def test_revisions_grow_with_all_that_is_told_or_forgotten() -> None:
    opinions = Opinions(70.0)
    seen = [opinions.revision]
    for _ in range(3):
        opinions.add(0, 1, 1.0, 0.0, 0.0)
        seen.append(opinions.revision)
    opinions.edges(0.0)
    assert opinions.revision == seen[-1]
    add_many(opinions, [(0, 1, 1.0, 0.0, 0.0)])
    seen.append(opinions.revision)
    opinions.forget(1)
    seen.append(opinions.revision)
    assert seen == sorted(set(seen))


@settings(max_examples=50)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, NODES - 1), st.integers(-1, 2), st.integers(-1, 2), weights, weights, st.floats(0.0, 99.0)
        ),
        max_size=20,
    )
)
def test_columns_are_heard_as_evidence_is(rows: list[tuple[int, int, int, float, float, float]]) -> None:
    whole = np.array(rows).reshape(-1, 6)
    node, rater, partner = (whole[:, k].astype(np.int64) for k in range(3))
    many, each = Opinions(70.0), Opinions(70.0)
    many.hear_many(EvidenceColumns(node, rater, partner, whole[:, 3], whole[:, 4], whole[:, 5]))
    for who, one, other, good, bad, t in rows:
        raters = tuple(end for end in (one, other) if end >= 0)
        for kind, weight in ((EventKind.SUCCESSFUL_CALL, good), (EventKind.CALL_DROPPED, bad)):
            each.hear(who, Evidence(kind=kind, node=who, t=t, weight=weight, raters=raters))
    assert same(many.edges(100.0), each.edges(100.0))


def test_both_ends_share_one_outcome_and_the_owner_speaks_alone() -> None:
    opinions = Opinions(70.0)
    opinions.hear(0, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=0, t=0.0, raters=(1, 2)))
    opinions.hear(0, Evidence(kind=EventKind.CALL_DROPPED, node=0, t=0.0, severity=Severity.CRITICAL))
    opinions.hear(0, Evidence(kind=EventKind.HELPED_RELAY, node=0, t=0.0, raters=(3,)))  # says nothing of an outcome
    edges = opinions.edges(0.0)
    assert edges.rater.tolist() == [-1, 1, 2]
    assert edges.good.tolist() == [0.0, 0.5, 0.5]
    assert edges.bad.tolist() == [2.0, 0.0, 0.0]


def test_many_told_one_by_one_are_merged_and_saved_as_plain_data() -> None:
    opinions = Opinions(70.0)
    for k in range(10_000):
        opinions.add(k % 7, 7 + k % 11, 1.0, 0.0, float(k))
    twin = pickle.loads(pickle.dumps(opinions))  # noqa: S301 - our own
    opinions.add(0, 1, 1.0, 0.0, 0.0)
    assert twin.size == 77
    assert opinions.size == 78


def test_a_half_life_is_above_zero() -> None:
    with pytest.raises(ValueError, match="half_life=0"):
        Opinions(0.0)
