"""Metrics of control messages and tables: each node counts once, what has not converged does not count."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace, TraceWriter

if TYPE_CHECKING:
    from pathlib import Path


def trace(folder: Path, table: str, **columns: list[Any]) -> Trace:
    with TraceWriter(folder, {}) as writer:
        writer.append(table, **columns)
    return Trace(folder)


def test_control_bytes_are_per_node_over_all_kinds_and_periods(tmp_path: Path) -> None:
    told = trace(
        tmp_path / "t",
        "control",
        time_ns=[60, 60, 60, 60, 90, 90],
        seconds=[60.0, 60.0, 60.0, 60.0, 30.0, 30.0],
        node=[0, 0, 1, 1, 0, 1],
        kind=["hello", "flood", "hello", "flood", "hello", "hello"],
        messages=[1, 1, 1, 0, 1, 0],
        bytes=[500, 300, 90, 0, 100, 0],
    )
    assert METRICS["control_bytes_per_node_second"].samples(told).tolist() == [10.0, 1.0]


def test_changes_that_have_not_converged_have_no_time(tmp_path: Path) -> None:
    told = trace(
        tmp_path / "t", "convergence", time_ns=[0, 5, 9], kind=["start", "down", "up"], node=[-1, 3, 3],
        seconds=[4.0, 2.0, math.nan],
    )  # fmt: skip
    assert METRICS["convergence_seconds"].value(told) == 3.0


def test_shares_are_of_walks_and_looks_without_any_tell_nothing(tmp_path: Path) -> None:
    told = trace(
        tmp_path / "t", "routing", time_ns=[1, 2, 3], walks=[10, 0, 20], reached=[9, 0, 20], loops=[1, 0, 0],
        flaps=[0, 0, 5],
    )  # fmt: skip
    assert METRICS["loop_rate"].value(told) == pytest.approx(0.05)
    assert METRICS["unreached_rate"].value(told) == pytest.approx(0.05)
    assert METRICS["flap_rate"].value(told) == pytest.approx(0.125)
