"""What a decision costs is measured on the shipped scorer, beside torch."""

from __future__ import annotations

import pytest

from meshsim.lab.bench import route


@pytest.mark.full
def test_decisions_are_timed_and_both_engines_run_the_same_network() -> None:
    answer = route.run(quick=True)
    (decisions,), (engines,) = answer["tables"]["decisions"], answer["tables"]["engines"]
    assert decisions["nodes"] == engines["nodes"] == route.SIZES[0]
    assert 16 < decisions["paths"] <= route.PATHS
    assert 0 < decisions["head_p50_ms"] <= decisions["head_p95_ms"]
    assert decisions["head_p50_ms"] < decisions["decision_p50_ms"]
    assert engines["head_ratio"] == engines["head_torch_ms"] / engines["head_onnxruntime_ms"]
    goals = {goal["goal"]: goal for goal in answer["goals"]}
    assert {"head_p50_ms", "head_p95_ms", "onnxruntime_over_torch_head", "resident_megabytes"} <= set(goals)
    assert goals["artefact_megabytes"]["pass"]
