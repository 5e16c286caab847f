from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from meshsim.measure.stats import bca_interval, mean_interval, of_mean, of_quantile, of_ratio

samples = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


def skewed(seed: int, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.random.default_rng(seed).lognormal(0.0, 0.8, n)


@given(samples, st.integers(0, 2**32 - 1))
def test_statistics_of_weights_are_those_of_the_values_repeated(x: list[float], seed: int) -> None:
    weights = np.random.default_rng(seed).integers(0, 3, (4, len(x))).astype(np.float64)
    weights[:, 0] += 1.0
    below = np.arange(1.0, len(x) + 1)
    for row in weights:
        times = row.astype(np.int64)
        repeated = np.repeat(x, times)
        one = row[None, :]
        assert of_mean(x)(one)[0] == pytest.approx(repeated.mean(), abs=1e-9)
        assert of_quantile(x, 0.3)(one)[0] == pytest.approx(np.quantile(repeated, 0.3), abs=1e-9)
        assert of_ratio(x, below)(one)[0] == pytest.approx(repeated.sum() / np.repeat(below, times).sum(), abs=1e-9)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_the_plain_interval_is_scipys(statistic: Any) -> None:
    x = skewed(4, 25)
    ours = of_mean(x) if statistic is np.mean else of_quantile(x, 0.5)
    found = bca_interval(ours, 25, widened=False, resamples=20_000).interval
    theirs = reference.bootstrap(
        (x,), statistic, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def test_of_symmetric_values_the_widened_interval_is_students_and_the_plain_one_narrower() -> None:
    x = reference.norm.ppf((np.arange(10) + 0.5) / 10)
    exact = mean_interval(x)
    wide = bca_interval(of_mean(x), 10, resamples=50_000)
    plain = bca_interval(of_mean(x), 10, widened=False, resamples=50_000).interval
    assert (wide.interval.low, wide.interval.high) == pytest.approx((exact.low, exact.high), rel=0.05)
    assert plain.high - plain.low < 0.85 * (exact.high - exact.low)
    assert abs(wide.acceleration) < 1e-12


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-100, 100))
def test_the_interval_moves_and_stretches_with_the_values(seed: int, scale: float, shift: float) -> None:
    x = skewed(seed, 9)
    before, after = (bca_interval(of_mean(values), 9, resamples=400).interval for values in (x, shift + scale * x))
    assert after == pytest.approx([shift + scale * part for part in before], abs=1e-6)


def test_the_longer_tail_gets_the_longer_side() -> None:
    found = bca_interval(of_mean(skewed(2, 30)), 30)
    assert found.acceleration > 0.0
    assert found.interval.high - found.interval.mean > found.interval.mean - found.interval.low


def test_equal_input_gives_equal_bounds_and_another_seed_nearly_the_same() -> None:
    x = skewed(3, 12)
    first, again, other = (bca_interval(of_mean(x), 12, seed=seed).interval for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert other == pytest.approx(first, rel=0.15)


def test_a_ratio_of_sums_is_not_the_mean_of_ratios() -> None:
    poor, calls = np.array([1.0, 0.0, 30.0]), np.array([10.0, 10.0, 100.0])
    assert bca_interval(of_ratio(poor, calls), 3).interval.mean == pytest.approx(31 / 120)


def test_degenerate_samples_say_so() -> None:
    same = bca_interval(of_mean([0.1] * 7), 7)
    assert (same.note, same.interval.low, same.interval.high) == ("no spread", *[pytest.approx(0.1)] * 2)
    one = bca_interval(of_mean([4.0]), 1)
    assert (one.interval.mean, math.isnan(one.interval.low), one.note) == (4.0, True, "fewer than two values")
    assert math.isnan(bca_interval(of_mean([]), 0).interval.mean)
    none = bca_interval(of_ratio([1.0, 2.0], [0.0, 0.0]), 2)
    assert (math.isnan(none.interval.mean), none.note) == (True, "not defined")
    some = bca_interval(of_ratio([1.0, 2.0, 2.5], [0.0, 1.0, 2.0]), 3)
    assert "not defined on" in some.note
    few = bca_interval(of_mean([1.0, 2.0, 4.0]), 3)
    assert "beyond all resamples" in few.note
    assert few.interval.low >= 1.0


def test_one_value_far_out_bends_the_interval_to_an_end_of_the_resamples() -> None:
    x = np.array([0.0] * 29 + [1.0])
    found = bca_interval(of_mean(x), 30)
    assert 0.0 <= found.interval.low <= found.interval.mean < found.interval.high <= 1.0
    extreme = bca_interval(of_mean(x), 30, 0.99999)
    assert math.isfinite(extreme.interval.high)
    assert "beyond all resamples" in extreme.note


def test_impossible_statistics_are_refused() -> None:
    with pytest.raises(ValueError, match="no quantile 2"):
        of_quantile([1.0], 2)
    with pytest.raises(ValueError, match="equal shapes"):
        of_ratio([1.0], [1.0, 2.0])
