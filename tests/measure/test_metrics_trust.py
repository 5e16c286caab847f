"""Metrics of reputation: held against who really misbehaved, each node by its last word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace, TraceWriter

if TYPE_CHECKING:
    from pathlib import Path

BEHAVIOURS = ["honest", "honest", "honest", "gray_hole", "black_hole"]


def nodes() -> dict[str, list[Any]]:
    n = len(BEHAVIOURS)
    return {
        "node": list(range(n)), "node_id": [bytes([i]) * 32 for i in range(n)], "name": [f"n{i}" for i in range(n)],
        "aura": [f"@n{i}.aura" for i in range(n)], "domain": [""] * n, "role": [2] * n, "nat": [0] * n,
        "latitude_degrees": [0.0] * n, "longitude_degrees": [0.0] * n, "aic": [False] * n, "capacity_bps": [1e6] * n,
        "max_calls": [4] * n, "behaviour": BEHAVIOURS, "strength": [0.0, 0.0, 0.0, 0.2, 1.0],
    }  # fmt: skip


@pytest.fixture
def judged(tmp_path: Path) -> Trace:
    with TraceWriter(tmp_path / "t", {}) as writer:
        writer.append("nodes", **nodes())
        rows = [
            (1, 2, "trusted", 80.0), (2, 3, "trusted", 75.0), (3, 3, "suspicious", 20.0), (4, 2, "new", 60.0),
            (5, 1, "banned", 5.0), (6, 4, "new", 40.0),
        ]  # fmt: skip
        for at, node, status, score in rows:
            writer.append(
                "trust", time_ns=[at], node=[node], observer=[-1], event=["call_dropped"], score=[score], low=[score],
                high=[score], status=[status],
            )  # fmt: skip
    return Trace(tmp_path / "t")


def test_each_node_counts_once_by_the_last_that_was_held_of_it(judged: Trace) -> None:
    assert METRICS["honest_score"].samples(judged).tolist() == [60.0, 5.0]
    assert METRICS["attacker_score"].samples(judged).tolist() == [20.0, 40.0]


def test_the_wronged_and_the_unmasked_are_shares_of_those_that_were_judged(judged: Trace) -> None:
    assert METRICS["wronged_rate"].value(judged) == 0.5
    assert METRICS["unmasked_rate"].value(judged) == 0.5


def test_only_relayed_calls_can_go_over_an_attacker_and_ends_do_not_count(tmp_path: Path) -> None:
    paths = [[0, 1], [0, 2, 1], [0, 3, 1], [0, 2, 4, 1], [3, 2, 4], [3, 4], []]
    with TraceWriter(tmp_path / "t", {}) as writer:
        writer.append("nodes", **nodes())
        n = len(paths)
        columns: dict[str, list[Any]] = {
            "call": list(range(n)), "start_ns": [0] * n, "end_ns": [1] * n, "caller": [0] * n, "callee": [1] * n,
            "media": ["audio"] * n, "policy": ["direct"] * n, "path": paths, "final_path": paths,
            "ai_score": [0.0] * n, "confidence": [0.0] * n, "predicted_rtt_seconds": [0.1] * n,
            "outcome": ["completed"] * n, "reason": [""] * n, "failovers": [0] * n, "rtt_seconds": [0.1] * n,
            "jitter_seconds": [0.0] * n, "loss": [0.0] * n, "mos": [4.0] * n, "poor": [False] * n,
            "ring_seconds": [0.0] * n, "resolve_seconds": [0.0] * n, "borders": [-1] * n, "rate_share": [1.0] * n,
            "aic": [False] * n, "saved_bytes": [0.0] * n,
        }  # fmt: skip
        writer.append("calls", **columns)
    assert METRICS["attacker_relay_rate"].samples(Trace(tmp_path / "t")).tolist() == [0.0, 1.0, 1.0, 0.0]
