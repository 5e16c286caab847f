"""Metrics: one value per call, NaN for nothing, units declared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.measure.metrics import METRICS
from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace, TraceWriter

if TYPE_CHECKING:
    from pathlib import Path


def call(**changes: Any) -> dict[str, list[Any]]:
    row = {
        "call": 0, "start_ns": 0, "end_ns": 1, "caller": 0, "callee": 1, "media": "audio", "policy": "direct",
        "path": [0, 2, 1], "final_path": [0, 2, 1], "ai_score": math.nan, "confidence": math.nan,
        "predicted_rtt_seconds": 0.1, "outcome": "completed", "reason": "", "failovers": 0, "rtt_seconds": 0.2,
        "jitter_seconds": 0.003, "loss": 0.001, "mos": 4.0, "poor": False, "ring_seconds": math.nan,
        "resolve_seconds": math.nan, "borders": -1, "rate_share": 1.0, "aic": False, "saved_bytes": 0.0,
    }  # fmt: skip
    return {name: [value] for name, value in (row | changes).items()}


def trace(folder: Path, *calls: dict[str, list[Any]]) -> Trace:
    with TraceWriter(folder, {}) as writer:
        for one in calls:
            writer.append("calls", **one)
    return Trace(folder)


@pytest.mark.parametrize("name", list(METRICS))
def test_an_empty_trace_has_no_value(name: str, tmp_path: Path) -> None:
    assert math.isnan(METRICS[name].value(trace(tmp_path / "t")))


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_declares_unit_and_meaning(name: str) -> None:
    assert METRICS[name].unit
    assert METRICS[name].text


def test_a_failed_call_is_poor_and_has_no_mos(tmp_path: Path) -> None:
    failed = call(outcome="failed", mos=math.nan, poor=True, path=[])
    both = trace(tmp_path / "t", call(), failed)
    assert METRICS["poor_call_rate"].value(both) == 0.5
    assert METRICS["failed_call_rate"].value(both) == 0.5
    assert METRICS["mos"].value(both) == 4.0


def test_a_running_call_does_not_count(tmp_path: Path) -> None:
    both = trace(tmp_path / "t", call(), call(outcome="running", poor=True, mos=1.0))
    assert METRICS["poor_call_rate"].value(both) == 0.0
    assert METRICS["mos"].value(both) == 4.0


def test_a_path_with_a_node_between_is_relayed(tmp_path: Path) -> None:
    both = trace(tmp_path / "t", call(), call(path=[0, 1]), call(path=[], outcome="failed"))
    assert METRICS["relayed_call_rate"].value(both) == 0.5


def test_calls_that_people_or_policy_ended_are_no_failures_of_routing(tmp_path: Path) -> None:
    aside = [call(outcome=outcome, mos=math.nan, path=[]) for outcome in ASIDE]
    both = trace(tmp_path / "t", call(), call(outcome="failed", mos=math.nan, poor=True, path=[]), *aside)
    assert METRICS["failed_call_rate"].value(both) == 0.5
    assert METRICS["poor_call_rate"].value(both) == 0.5
    assert METRICS["refused_call_rate"].value(both) == 1 / 7


def test_only_calls_that_rang_can_have_been_answered(tmp_path: Path) -> None:
    rang = [
        call(ring_seconds=3.0),
        call(ring_seconds=5.0, outcome="failed"),
        call(ring_seconds=30.0, outcome="unanswered"),
    ]
    both = trace(tmp_path / "t", call(), *rang, call(ring_seconds=9.0, outcome="running"), call(outcome="refused"))
    assert METRICS["answer_rate"].value(both) == pytest.approx(2 / 3)
    assert METRICS["ring_seconds"].value(both) == pytest.approx(38 / 3)


def test_borders_count_where_a_route_leads_to_another_domain(tmp_path: Path) -> None:
    both = trace(tmp_path / "t", call(), call(borders=0), call(borders=2), call(borders=1, outcome="running"))
    assert METRICS["border_call_rate"].value(both) == 0.5


def test_resolution_is_averaged_over_calls_that_waited_for_it(tmp_path: Path) -> None:
    both = trace(tmp_path / "t", call(), call(resolve_seconds=0.1), call(resolve_seconds=0.3, outcome="refused"))
    assert METRICS["resolve_seconds"].value(both) == pytest.approx(0.2)
