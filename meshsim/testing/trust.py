"""The contract of a reputation model, as tests: subclass `ReputationContract` and name the model in the registry.

class TestMine(ReputationContract):
    name = "mine"
    excused = {"good_never_lowers": "a score is a rank: one node's gain is another's loss"}
"""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from typing import TYPE_CHECKING, ClassVar
from unittest import SkipTest

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, EvidenceColumns, Severity, Status, make_model, observe_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.trust import ReputationModel, ReputationTable

NODES = 5
"""How many nodes there is evidence on, and that speak."""

LATER = 1000.0
"""Seconds from the first evidence to when scores are asked for."""

MANY = 40
"""Made-up raters."""

_HALF_LIFE = 700.0
_ROUNDING = 1e-9
_BOUNDS = 1e-4  # of an interval, on the scale 0..100
_STRANGER = 50.0  # the brief's start
_GOOD = [EventKind.SUCCESSFUL_CALL, EventKind.HELPED_RELAY, EventKind.HIGH_QUALITY_STREAM]

_nodes = st.integers(0, NODES - 1)
_times = st.floats(0.0, LATER)


def evidences(weights: st.SearchStrategy[float]) -> st.SearchStrategy[list[Evidence]]:
    """Lists of evidence on nodes 0 to NODES - 1, told by the owner, by one node or by two, who may be its subject."""
    one = st.builds(
        Evidence,
        kind=st.sampled_from(EventKind),
        node=_nodes,
        t=_times,
        weight=weights,
        severity=st.sampled_from(Severity),
        raters=st.lists(_nodes, max_size=2, unique=True).map(tuple),
    )
    return st.lists(one, max_size=16)


# One contract serves many subclasses; hypothesis would rather that each test had one class.
_EXAMPLES = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
_anchors = st.sets(_nodes, max_size=2)
_evidence = evidences(st.floats(0.0, 2.0))


class ReputationContract:
    """What every reputation model promises, unless it is excused from a claim for a reason, which is then printed.

    Attributes:
        name: Of the model in the registry.
        excused: Reasons by claim, the test's name without `test_`.
    """

    name: ClassVar[str]
    excused: ClassVar[Mapping[str, str]] = {}

    def make_model(self, *, half_life: float = _HALF_LIFE) -> ReputationModel:
        """A fresh model; `half_life` is in seconds."""
        return make_model(self.name, half_life=half_life)

    def _fed(
        self, evidence: Sequence[Evidence], anchors: set[int] | None = None, *, half_life: float = _HALF_LIFE
    ) -> ReputationModel:
        model = self.make_model(half_life=half_life)
        for node in sorted(anchors or ()):
            model.anchor(node)
        for item in evidence:
            model.observe(item.node, item)
        return model

    def _claim(self, name: str) -> None:
        if name in self.excused:
            raise SkipTest(f"{self.name}: {self.excused[name]}")

    @given(evidence=_evidence, anchors=_anchors)
    @_EXAMPLES
    def test_scores_and_intervals_are_bounded(self, evidence: list[Evidence], anchors: set[int]) -> None:
        """Every column has a row for each node asked for; 0 <= low <= mean <= high <= 100."""
        mean, low, high, weight = self._fed(evidence, anchors).table(NODES + 2, LATER)
        assert all(column.shape == (NODES + 2,) for column in (mean, low, high, weight))
        assert all(column.dtype == np.float64 for column in (mean, low, high, weight))
        assert ((low >= 0.0) & (low <= mean) & (mean <= high) & (high <= 100.0) & (weight >= 0.0)).all()  # noqa: PLR2004

    @given(
        evidence=_evidence,
        anchors=_anchors,
        good=st.builds(Evidence, kind=st.sampled_from(_GOOD), node=_nodes, t=_times),
    )
    @_EXAMPLES
    def test_good_never_lowers(self, evidence: list[Evidence], anchors: set[int], good: Evidence) -> None:
        """What the owner sees a node do well never lowers that node's score."""
        self._claim("good_never_lowers")
        model = self._fed(evidence, anchors)
        before = model.score(good.node, LATER)
        model.observe(good.node, good)
        after = model.score(good.node, LATER)
        assert after.mean >= before.mean - _ROUNDING
        assert after.low >= before.low - _BOUNDS

    @given(evidence=_evidence, anchors=_anchors, node=_nodes, severity=st.sampled_from(Severity))
    @_EXAMPLES
    def test_bad_never_raises(self, evidence: list[Evidence], anchors: set[int], node: int, severity: Severity) -> None:
        """What the owner sees a node do badly never raises that node's score."""
        self._claim("bad_never_raises")
        model = self._fed(evidence, anchors)
        before = model.score(node, LATER)
        model.observe(node, Evidence(kind=EventKind.CALL_DROPPED, node=node, t=LATER, severity=severity))
        after = model.score(node, LATER)
        assert after.mean <= before.mean + _ROUNDING
        assert after.high <= before.high + _BOUNDS

    @given(evidence=_evidence, anchors=_anchors, order=st.permutations(range(NODES)))
    @_EXAMPLES
    def test_relabelling_nodes_relabels_scores(
        self, evidence: list[Evidence], anchors: set[int], order: list[int]
    ) -> None:
        """Numbers are not names."""
        named = [
            dataclasses.replace(item, node=order[item.node], raters=tuple(order[rater] for rater in item.raters))
            for item in evidence
        ]
        plain = self._fed(evidence, anchors).table(NODES, LATER)
        other = self._fed(named, {order[node] for node in anchors}).table(NODES, LATER)
        _assert_close(plain, [column[order] for column in other])

    @given(evidence=evidences(st.sampled_from([0.5, 1.0, 2.0])), anchors=_anchors, data=st.data())
    @_EXAMPLES
    def test_without_forgetting_order_is_no_matter(
        self, evidence: list[Evidence], anchors: set[int], data: st.DataObject
    ) -> None:
        """The same evidence gives the same scores, in whatever order it comes."""
        self._claim("without_forgetting_order_is_no_matter")
        shuffled = data.draw(st.permutations(evidence))
        one, other = (self._fed(items, anchors, half_life=math.inf) for items in (evidence, shuffled))
        _assert_close(one.table(NODES, LATER), other.table(NODES, LATER))

    @given(evidence=_evidence, anchors=_anchors)
    @_EXAMPLES
    def test_forgetting_tends_to_the_prior(self, evidence: list[Evidence], anchors: set[int]) -> None:
        """After many half-lives it is as if nothing had been seen; a model without forgetting stays as it is."""
        model = self._fed(evidence, anchors)
        if math.isinf(model.half_life):
            _assert_close(model.table(NODES, 1e12), model.table(NODES, LATER))
        else:
            fresh = self._fed([], anchors).table(NODES, LATER)
            _assert_close(model.table(NODES, LATER + 100.0 * model.half_life), fresh, atol=1e-6)

    @given(evidence=_evidence, anchors=_anchors, asked=st.integers(0, 16))
    @_EXAMPLES
    def test_replaying_evidence_gives_the_same_bits(
        self, evidence: list[Evidence], anchors: set[int], asked: int
    ) -> None:
        """A model is a fold over its evidence: neither questions in between nor the past of the process matter."""
        plain = self._fed(evidence, anchors)
        looked = self._fed(evidence[:asked], anchors)
        looked.table(NODES, LATER / 2.0)
        for item in evidence[asked:]:
            looked.observe(item.node, item)
        assert _same(plain.table(NODES, LATER), looked.table(NODES, LATER))

    @given(evidence=_evidence, anchors=_anchors)
    @_EXAMPLES
    def test_many_at_once_count_as_each_by_itself(self, evidence: list[Evidence], anchors: set[int]) -> None:
        """`observe_many` is `observe`, faster."""
        many, each = self._fed([], anchors), self._fed([], anchors)
        columns = columns_of(evidence)
        many.observe_many(columns)
        observe_each(each, columns)
        assert _same(many.table(NODES, LATER), each.table(NODES, LATER))

    @given(evidence=_evidence, anchors=_anchors)
    @_EXAMPLES
    def test_one_score_is_the_tables_row(self, evidence: list[Evidence], anchors: set[int]) -> None:
        """Asked for one node or for all, a model says the same."""
        model = self._fed(evidence, anchors)
        table = model.table(NODES + 1, LATER)
        for node in range(NODES + 1):
            score = model.score(node, LATER)
            row = [float(column[node]) for column in table]
            assert np.allclose([score.mean, score.low, score.high, score.evidence], row, rtol=0.0, atol=_ROUNDING)

    @given(evidence=_evidence, anchors=_anchors)
    @_EXAMPLES
    def test_a_model_is_plain_data(self, evidence: list[Evidence], anchors: set[int]) -> None:
        """A copy, made by copying or by pickling, says the same, and is not moved by what its original sees."""
        model = self._fed(evidence, anchors)
        before = model.table(NODES, LATER)
        twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]  # noqa: S301 - our own
        model.observe(0, Evidence(kind=EventKind.CALL_DROPPED, node=0, t=LATER))
        assert all(_same(before, twin.table(NODES, LATER)) for twin in twins)

    @given(evidence=_evidence, node=_nodes)
    @_EXAMPLES
    def test_a_forgotten_node_is_a_stranger_and_nobody_else_is_touched(
        self, evidence: list[Evidence], node: int
    ) -> None:
        """An index may come to stand for another; scores of the others rest on what the owner saw of them."""
        seen = [dataclasses.replace(item, raters=()) for item in evidence]
        model = self._fed(seen)
        model.forget(node)
        model.forget(NODES + 50)
        assert model.score(node, LATER) == model.score(NODES + 20, LATER)
        others = self._fed([item for item in seen if item.node != node])
        _assert_close(model.table(NODES, LATER), others.table(NODES, LATER))

    def test_a_stranger_is_new_and_scores_50(self) -> None:
        """Nobody starts with a bad name, nor with a good one."""
        score = self.make_model().score(3, LATER)
        assert abs(score.mean - _STRANGER) < _ROUNDING
        assert score.status is Status.NEW
        assert score.evidence == 0.0

    def test_a_table_is_a_copy(self) -> None:
        """Who is handed a table may write into it."""
        model = self._fed([Evidence(kind=EventKind.SUCCESSFUL_CALL, node=0, t=0.0)])
        before = model.score(0, 0.0)
        for column in model.table(1, 0.0):
            column[:] = -1.0
        assert model.score(0, 0.0) == before

    @given(evidence=_evidence, anchors=_anchors, node=_nodes)
    @_EXAMPLES
    def test_what_a_node_says_of_itself_weighs_nothing(
        self, evidence: list[Evidence], anchors: set[int], node: int
    ) -> None:
        """Praise of oneself changes no score."""
        self._claim("what_a_node_says_of_itself_weighs_nothing")
        model = self._fed(evidence, anchors)
        before = model.table(NODES, LATER)
        model.observe(node, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=LATER, weight=50.0, raters=(node,)))
        _assert_close(before, model.table(NODES, LATER))

    def test_raters_nobody_trusts_raise_nobody(self) -> None:
        """However many there are, and though they praise each other, they make no node more than a stranger."""
        self._claim("raters_nobody_trusts_raise_nobody")
        model = self.make_model()
        for rater in (0, 1):
            model.anchor(rater)
            model.observe(1 - rater, _call(1 - rater, rater))
        for k in range(MANY):
            model.observe(2, _call(2, NODES + k))
            model.observe(NODES + k, _call(NODES + k, NODES + (k + 1) % MANY))
        for node in (2, NODES):
            assert model.score(node, LATER).mean <= _STRANGER + _ROUNDING
            assert model.score(node, LATER).status is Status.NEW


def columns_of(evidence: Sequence[Evidence]) -> EvidenceColumns:
    """The outcomes among pieces of evidence, as columns."""
    told = [item for item in evidence if item.outcome is not None]
    ends = [(*item.raters, -1, -1)[:2] for item in told]
    return EvidenceColumns(
        node=np.array([item.node for item in told], dtype=np.int64),
        rater=np.array([pair[0] for pair in ends], dtype=np.int64),
        partner=np.array([pair[1] for pair in ends], dtype=np.int64),
        good=np.array([item.weight if item.outcome else 0.0 for item in told]),
        bad=np.array([0.0 if item.outcome else item.weight for item in told]),
        t=np.array([item.t for item in told]),
    )


def _call(node: int, rater: int) -> Evidence:
    return Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=LATER, weight=30.0, raters=(rater,))


def _same(one: ReputationTable, other: ReputationTable) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _assert_close(
    one: Iterable[NDArray[np.float64]], other: Iterable[NDArray[np.float64]], atol: float = _ROUNDING
) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=atol)
