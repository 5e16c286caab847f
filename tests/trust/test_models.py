"""The contract of every reputation model: a new one in the registry is tested here by being there."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import ConfigError
from meshsim.trust import EventKind, Evidence, ReputationModel, Severity, models

NODES = 5
LATER = 1000.0
GOOD = [kind for kind in EventKind if kind.value in {"successful_call", "helped_relay", "high_quality_stream"}]
TOLERANCE = 1e-4  # of the interval's bounds, on the scale 0..100

every_model = pytest.mark.parametrize("name", list(models))
evidences = st.lists(
    st.builds(
        Evidence,
        kind=st.sampled_from(EventKind),
        node=st.integers(0, NODES - 1),
        t=st.floats(0.0, LATER),
        weight=st.floats(0.0, 2.0),
        severity=st.sampled_from(Severity),
    ),
    max_size=20,
)


def fed(name: str, evidence: list[Evidence], **options: float) -> ReputationModel:
    model = models[name](**options)
    for item in evidence:
        model.observe(item.node, item)
    return model


@every_model
@settings(max_examples=50)
@given(evidence=evidences)
def test_scores_and_intervals_stay_within_0_and_100(name: str, evidence: list[Evidence]) -> None:
    table = fed(name, evidence).table(NODES + 2, LATER)
    mean, low, high, weight = (np.asarray(column) for column in table)
    assert all(column.shape == (NODES + 2,) and column.dtype == np.float64 for column in table)
    assert ((low >= 0.0) & (low <= high) & (high <= 100.0)).all()
    assert ((mean >= 0.0) & (mean <= 100.0) & (weight >= 0.0)).all()


@every_model
@settings(max_examples=50)
@given(evidence=evidences, node=st.integers(0, NODES - 1), kind=st.sampled_from(GOOD), t=st.floats(0.0, LATER))
def test_good_evidence_never_lowers(name: str, evidence: list[Evidence], node: int, kind: EventKind, t: float) -> None:
    model = fed(name, evidence)
    before = model.score(node, LATER)
    model.observe(node, Evidence(kind=kind, node=node, t=t))
    after = model.score(node, LATER)
    assert after.mean >= before.mean - 1e-9
    assert after.low >= before.low - TOLERANCE


@every_model
@settings(max_examples=50)
@given(evidence=evidences, node=st.integers(0, NODES - 1), severity=st.sampled_from(Severity))
def test_bad_evidence_never_raises(name: str, evidence: list[Evidence], node: int, severity: Severity) -> None:
    model = fed(name, evidence)
    before = model.score(node, LATER)
    model.observe(node, Evidence(kind=EventKind.CALL_DROPPED, node=node, t=LATER, severity=severity))
    after = model.score(node, LATER)
    assert after.mean <= before.mean + 1e-9
    assert after.high <= before.high + TOLERANCE


@every_model
@settings(max_examples=50)
@given(evidence=evidences, order=st.permutations(range(NODES)))
def test_relabelling_nodes_relabels_scores(name: str, evidence: list[Evidence], order: list[int]) -> None:
    plain = fed(name, evidence).table(NODES, LATER)
    relabelled = fed(name, [dataclasses.replace(item, node=order[item.node]) for item in evidence]).table(NODES, LATER)
    for one, other in zip(plain, relabelled, strict=True):
        np.testing.assert_allclose(one, other[order], rtol=1e-12)


@every_model
@settings(max_examples=50)
@given(evidence=evidences)
def test_forgetting_tends_to_the_prior(name: str, evidence: list[Evidence]) -> None:
    model = fed(name, evidence)
    if math.isinf(model.half_life):
        assert all((a == b).all() for a, b in zip(model.table(NODES, 1e12), model.table(NODES, LATER), strict=True))
    else:
        faded = model.table(NODES, LATER + 100.0 * model.half_life)
        for seen, prior in zip(faded, models[name]().table(NODES, 0.0), strict=True):
            np.testing.assert_allclose(seen, prior, atol=1e-9)


@every_model
@settings(max_examples=50)
@given(evidence=evidences)
def test_one_score_is_the_tables_row(name: str, evidence: list[Evidence]) -> None:
    model = fed(name, evidence)
    table = model.table(NODES + 1, LATER)
    for node in range(NODES + 1):
        score = model.score(node, LATER)
        row = [float(column[node]) for column in table]
        assert [score.mean, score.low, score.high, score.evidence] == pytest.approx(row, abs=1e-9)


@every_model
@settings(max_examples=50)
@given(evidence=evidences)
def test_a_model_is_plain_data(name: str, evidence: list[Evidence]) -> None:
    model = fed(name, evidence)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]  # noqa: S301 - our own
    model.observe(0, Evidence(kind=EventKind.CALL_DROPPED, node=0, t=LATER))
    for twin in twins:
        assert twin.score(0, LATER) == fed(name, evidence).score(0, LATER)


@every_model
def test_a_table_is_a_copy(name: str) -> None:
    model = fed(name, [Evidence(kind=EventKind.SUCCESSFUL_CALL, node=0, t=0.0)])
    before = model.score(0, 0.0)
    for column in model.table(1, 0.0):
        column[:] = -1.0
    assert model.score(0, 0.0) == before


def test_unknown_models_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="additive, beta"):
        models["betta"]


@every_model
def test_a_forgotten_node_is_a_stranger_and_nobody_else_is_touched(name: str) -> None:
    bad = [Evidence(kind=EventKind.CALL_DROPPED, node=node, t=0.0) for node in (0, 1)]
    model = fed(name, bad)
    before = model.score(0, LATER)
    model.forget(1)
    model.forget(99)
    assert model.score(0, LATER) == before
    assert model.score(1, LATER) == model.score(50, LATER)
