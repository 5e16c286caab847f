from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, Severity, events_from_outcome

outcomes = st.fixed_dictionaries(
    {
        "completed": st.booleans(),
        "mos": st.floats(1.0, 4.5),
        "poor": st.booleans(),
        "relayed": st.booleans(),
        "connected": st.booleans(),
    }
)


def of_kind(kind: EventKind, **fields: object) -> Evidence:
    return Evidence(**({"kind": kind, "node": 0, "t": 0.0} | fields))  # type: ignore[arg-type]


@given(outcomes)
def test_a_call_gives_exactly_one_event_with_an_outcome(outcome: dict[str, object]) -> None:
    kinds = events_from_outcome(**outcome)  # type: ignore[arg-type]
    counted = [of_kind(kind).outcome for kind in kinds if of_kind(kind).outcome is not None]
    assert counted == [outcome["connected"] and outcome["completed"] and not outcome["poor"]]


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        ({"completed": True, "mos": 3.9, "poor": False}, ["successful_call", "helped_relay"]),
        ({"completed": True, "mos": 4.0, "poor": False}, ["successful_call", "helped_relay", "high_quality_stream"]),
        ({"completed": True, "mos": 3.9, "poor": False, "relayed": False}, ["successful_call"]),
        ({"completed": True, "mos": 2.0, "poor": True}, ["poor_quality"]),
        ({"completed": False, "mos": 2.0, "poor": True}, ["call_dropped"]),
        ({"completed": False, "mos": 1.0, "poor": True, "connected": False}, ["connection_timeout"]),
    ],
)
def test_outcomes_become_the_briefs_events(outcome: dict[str, object], kinds: list[str]) -> None:
    assert [kind.value for kind in events_from_outcome(**outcome)] == kinds  # type: ignore[arg-type]


def test_what_is_no_outcome_of_a_call_says_nothing_of_one() -> None:
    assert of_kind(EventKind.VERIFIED_IDENTITY).outcome is None
    assert of_kind(EventKind.SECURITY_VIOLATION).outcome is False


def test_an_explicit_outcome_overrides_the_kinds_own() -> None:
    assert of_kind(EventKind.HELPED_RELAY, success=True).outcome is True
    assert of_kind(EventKind.SUCCESSFUL_CALL, success=False).outcome is False


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_is_a_finite_number_from_zero(weight: float) -> None:
    with pytest.raises(ValueError, match=f"evidence cannot have weight {weight}"):
        of_kind(EventKind.SUCCESSFUL_CALL, weight=weight)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1e9])
def test_evidence_may_weigh_nothing_little_or_much(weight: float) -> None:
    assert of_kind(EventKind.SUCCESSFUL_CALL, weight=weight).weight == weight


@pytest.mark.parametrize("grade", [-0.1, 1.1, float("nan")])
def test_a_grade_is_from_zero_to_one(grade: float) -> None:
    with pytest.raises(ValueError, match=f"a grade is from 0 to 1, not {grade}"):
        of_kind(EventKind.SUCCESSFUL_CALL, grade=grade)
    for bound in (0.0, 1.0):
        assert of_kind(EventKind.SUCCESSFUL_CALL, grade=bound).grade == bound


def test_evidence_is_plain_data() -> None:
    evidence = of_kind(EventKind.CALL_DROPPED, severity=Severity.CRITICAL)
    assert pickle.loads(pickle.dumps(evidence)) == copy.deepcopy(evidence) == evidence  # noqa: S301 - our own
