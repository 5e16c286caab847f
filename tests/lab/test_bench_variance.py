from __future__ import annotations

import numpy as np
import pytest

from meshsim.lab.bench.variance import METRIC, compared, run


def seeds(values: np.ndarray, constant: float) -> list[dict[str, float]]:
    return [{METRIC: float(value), "failed_call_rate": constant} for value in values]


def test_a_row_tells_how_many_times_lower_the_paired_variance_is() -> None:
    generator = np.random.default_rng(4)
    shared = generator.normal(0.0, 2.0, 500)
    one, other = shared + generator.normal(1.0, 1.0, 500), shared + generator.normal(0.0, 1.0, 500)
    (row,) = compared(seeds(one, 0.0), seeds(other, 0.0))
    assert (row["metric"], row["goal"], row["seeds"]) == (METRIC, True, 500)
    assert row["gain"] == pytest.approx(5.0, rel=0.15)
    assert row["low"] < 1.0 < row["high"]


def test_metrics_that_never_vary_have_no_row() -> None:
    assert not compared(seeds(np.zeros(3), 1.0), seeds(np.zeros(3), 2.0))


@pytest.mark.full
def test_the_benchmark_lives_every_seed_under_both_policies() -> None:
    answer = run(quick=True)
    assert [goal["goal"] for goal in answer["goals"]] == ["paired_variance_ratio"]
    assert {row["seeds"] for row in answer["tables"]["paired"]} == {4}
    assert METRIC in {row["metric"] for row in answer["tables"]["paired"]}
