from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.measure.stats import (
    Interval,
    batch_means,
    mean_interval,
    mser5,
    pairing,
    quantile_interval,
    replicate,
    stop_when,
    welch,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lindley(generator: np.random.Generator, runs: int, customers: int, rho: float) -> NDArray[np.float64]:
    """Waits of M/M/1 queues that start empty, mean service 1 (D. V. Lindley, 1952); shape (runs, customers)."""
    steps = generator.exponential(1.0, (runs, customers)) - generator.exponential(1.0 / rho, (runs, customers))
    walk = np.concatenate([np.zeros((runs, 1)), np.cumsum(steps, axis=1)[:, :-1]], axis=1)
    return walk - np.minimum.accumulate(walk, axis=1)


def share_covered(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@pytest.mark.parametrize("rho", [0.5, pytest.param(0.8, marks=pytest.mark.full)])
def test_95_percent_intervals_of_1000_queues_cover_theory_in_93_to_97_percent(rho: float) -> None:
    generator = np.random.default_rng(19)
    customers = round(4_000 / (1 - rho) ** 2)
    intervals = [
        batch_means(waits[mser5(waits) :]) for _ in range(100) for waits in lindley(generator, 10, customers, rho)
    ]
    assert 0.93 <= share_covered(intervals, rho / (1 - rho)) <= 0.97


def test_intervals_over_replications_cover_theory_too() -> None:
    generator = np.random.default_rng(23)
    means = np.array([waits[200:].mean() for _ in range(50) for waits in lindley(generator, 200, 1_000, 0.5)])
    assert share_covered([mean_interval(sample) for sample in means.reshape(1000, 10)], 1.0) == pytest.approx(
        0.95, abs=0.02
    )


def test_an_interval_that_takes_waits_for_independent_covers_far_too_seldom() -> None:
    waits = lindley(np.random.default_rng(3), 100, 4_000, 0.8)
    assert share_covered([mean_interval(run) for run in waits], 4.0) < 0.5


def naive_mser5(x: list[float]) -> int:
    y = np.asarray(x[: len(x) // 5 * 5]).reshape(-1, 5).mean(axis=1)
    error = [float(((y[d:] - y[d:].mean()) ** 2).sum()) / (len(y) - d) ** 2 for d in range(len(y) // 2 + 1)]
    return 5 * int(np.argmin(error))


@given(st.integers(0, 2**32 - 1), st.integers(5, 300))
def test_mser5_is_its_definition(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n) + 20.0 * np.exp(-np.arange(n) / 30.0)
    assert mser5(x) == naive_mser5(x.tolist())


def test_mser5_keeps_all_of_a_run_too_short_for_a_batch() -> None:
    assert mser5([1.0, 2.0]) == 0


def fill_up(generator: np.random.Generator, runs: int) -> NDArray[np.float64]:
    """Runs that rise from 0 to 1 with time constant 40."""
    return 1.0 - np.exp(-np.arange(1000) / 40.0) + generator.normal(0.0, 0.3, (runs, 1000))


def test_the_warm_up_of_a_slow_start_is_found_and_the_bias_goes_with_it() -> None:
    runs = fill_up(np.random.default_rng(2), 200)
    cuts = [mser5(run) for run in runs]
    assert 60 <= np.median(cuts) <= 250
    bias_left = np.mean([run[cut:].mean() - 1.0 for run, cut in zip(runs, cuts, strict=True)])
    assert abs(bias_left) < 0.2 * abs(runs.mean() - 1.0)
    cut = welch(runs, window=20)
    assert 80 <= cut <= 250
    assert abs(runs[:, cut:].mean() - 1.0) < 0.1 * abs(runs.mean() - 1.0)


def test_welch_does_not_take_an_overshoot_for_the_end_of_the_warm_up() -> None:
    t = np.arange(600)
    swing = 5.0 * np.exp(-t / 30.0) * np.cos(t / 10.0)
    assert welch(swing + np.random.default_rng(4).normal(0, 0.1, (30, 600)), window=2) > 60


def test_welch_finds_no_warm_up_in_a_stationary_run() -> None:
    assert welch(np.random.default_rng(4).normal(size=(50, 400)), window=10) < 50


@pytest.mark.parametrize("shape", [(400,), (3, 20)])
def test_welch_needs_runs_longer_than_its_windows(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="more than 22 values"):
        welch(np.zeros(shape))


def test_batch_means_of_independent_values_are_students_interval_of_the_batches() -> None:
    x = np.random.default_rng(1).normal(size=1003)
    assert batch_means(x, 20) == mean_interval(x[3:].reshape(20, 50).mean(axis=1))
    with pytest.raises(ValueError, match="make no 20 batches"):
        batch_means([1.0] * 19)
    with pytest.raises(ValueError, match="make no 0 batches"):
        batch_means([1.0] * 19, 0)


def test_a_sequence_of_runs_stops_once_its_interval_is_narrow_enough() -> None:
    values = np.random.default_rng(6).normal(10.0, 2.0, 500).tolist()
    done = replicate(values.__getitem__, relative=0.05)
    assert done.met
    assert done.interval == mean_interval(values[: len(done.values)])
    assert done.interval.high - done.interval.mean <= 0.05 / 1.05 * done.interval.mean
    assert not stop_when(done.values[:-1], relative=0.05)


def test_a_sequence_of_runs_ends_at_its_bounds() -> None:
    values = np.random.default_rng(6).normal(10.0, 2.0, 50).tolist()
    wide = replicate(values.__getitem__, width=0.01, at_most=30)
    assert (wide.met, len(wide.values)) == (False, 30)
    same = replicate(lambda seed: 4.0, width=0.1, relative=0.1, at_least=7)
    assert (same.met, len(same.values)) == (True, 7)


def test_a_relative_width_is_kept_of_the_true_mean() -> None:
    generator = np.random.default_rng(8)
    means = [replicate(lambda _: float(generator.exponential(1.0)), relative=0.2).interval.mean for _ in range(300)]
    assert np.mean(np.abs(np.array(means) - 1.0) <= 0.2) > 0.9


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.sampled_from([0.8, 0.95]))
def test_a_quantile_lies_between_two_of_the_values(n: int, q: float, confidence: float) -> None:
    found = quantile_interval(np.arange(n), q, confidence)
    assert found.mean == pytest.approx(q * (n - 1))
    for bound in (found.low, found.high):
        assert np.isnan(bound) or bound in range(n)
    assert not found.low > found.mean
    assert not found.high < found.mean - 1.0


def test_quantile_intervals_cover_the_truth_at_least_as_often_as_they_say() -> None:
    generator = np.random.default_rng(12)
    for q in (0.5, 0.9):
        intervals = [quantile_interval(generator.exponential(1.0, 200), q) for _ in range(1000)]
        assert 0.94 <= share_covered(intervals, float(-np.log1p(-q))) <= 0.985


def test_few_values_do_not_bound_a_far_quantile() -> None:
    found = quantile_interval(np.arange(10), 0.99)
    assert (np.isnan(found.high), np.isnan(found.low)) == (True, False)
    assert np.isnan(quantile_interval([], 0.5).mean)
    with pytest.raises(ValueError, match="no quantile 1"):
        quantile_interval([1.0], 1.0)


def test_pairing_gains_what_the_pairs_share() -> None:
    generator = np.random.default_rng(7)
    shared = generator.normal(0.0, 3.0, 4000)
    a, b = shared + generator.normal(0.2, 1.0, 4000), shared + generator.normal(0.0, 1.0, 4000)
    found = pairing(a, b)
    assert found.gain == pytest.approx((9 + 1 + 9 + 1) / 2, rel=0.1)
    assert found.difference.low < 0.2 < found.difference.high
    assert pairing(a, np.random.default_rng(9).normal(size=4000)).gain == pytest.approx(1.0, abs=0.1)
    assert pairing([2.0, 3.0], [1.0, 2.0]).gain == float("inf")
    assert np.isnan(pairing([2.0], [1.0]).gain)
