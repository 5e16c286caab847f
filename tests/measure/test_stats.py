from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from meshsim.measure.stats import (
    Interval,
    bootstrap_interval,
    mean_interval,
    paired_difference,
    proportion_interval,
)
from meshsim.mesh.errors import MissingExtra

vectors = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


def coverage(intervals: list[Interval], truth: float) -> float:
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@given(vectors, st.sampled_from([0.9, 0.95, 0.99]))
def test_a_mean_has_students_interval(x: list[float], confidence: float) -> None:
    found = mean_interval(x, confidence)
    half = reference.t.ppf(0.5 + confidence / 2, len(x) - 1) * reference.sem(x)
    assert found.mean == pytest.approx(np.mean(x))
    assert found.high - found.low == pytest.approx(2 * half, abs=1e-6)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(5)
    means = [mean_interval(generator.normal(3.0, 2.0, 8), 0.9) for _ in range(2000)]
    rates = [proportion_interval(int(generator.binomial(500, 0.3)), 500, 0.9) for _ in range(2000)]
    samples = generator.normal(3.0, 2.0, (300, 40))
    bootstrapped = [bootstrap_interval(x, np.mean, generator, 0.9, resamples=100) for x in samples]
    assert coverage(means, 3.0) == pytest.approx(0.9, abs=0.02)
    assert coverage(rates, 0.3) == pytest.approx(0.9, abs=0.02)
    assert coverage(bootstrapped, 3.0) == pytest.approx(0.9, abs=0.06)


@given(vectors)
def test_a_paired_difference_is_the_mean_of_differences(x: list[float]) -> None:
    other = x[::-1]
    assert paired_difference(x, other) == mean_interval(np.subtract(x, other))


@given(vectors)
def test_swapping_the_pair_mirrors_the_interval(x: list[float]) -> None:
    one, other = paired_difference(x, x[::-1]), paired_difference(x[::-1], x)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-6)


def test_repeating_dependent_pairs_does_not_sharpen_a_clustered_interval() -> None:
    generator = np.random.default_rng(2)
    difference = generator.normal(0.5, 1.0, 20)
    once = mean_interval(difference)
    repeated = np.repeat(difference, 10)
    clustered = paired_difference(repeated, np.zeros(200), cluster=np.repeat(np.arange(20), 10))
    naive = paired_difference(repeated, np.zeros(200))
    assert clustered == pytest.approx(once)
    assert naive.high - naive.low < 0.5 * (clustered.high - clustered.low)


def test_clusters_may_be_named_by_text() -> None:
    clustered = paired_difference([1.0, 3.0, 5.0], [0.0, 0.0, 0.0], cluster=["a", "b", "c"])
    assert clustered == mean_interval([1.0, 3.0, 5.0])


def test_the_bootstrap_interval_of_a_mean_is_close_to_students_and_seeded() -> None:
    x = np.random.default_rng(3).normal(10.0, 1.0, 200)
    found = bootstrap_interval(x, np.mean, np.random.default_rng(4))
    exact = mean_interval(x)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.03)
    assert found == bootstrap_interval(x, np.mean, np.random.default_rng(4))


@given(st.integers(1, 500), st.data())
def test_a_rate_has_wilsons_interval(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    found = proportion_interval(successes, n)
    exact = reference.binomtest(successes, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0


def test_too_few_data_have_no_bounds_and_none_have_no_mean() -> None:
    single = mean_interval([4.0])
    assert (single.mean, math.isnan(single.low), single.excludes_zero) == (4.0, True, False)
    empty = [mean_interval([]), proportion_interval(0, 0), bootstrap_interval([], np.mean, np.random.default_rng(1))]
    assert all(math.isnan(value) for interval in empty for value in interval)
    assert math.isnan(paired_difference([1.0, 2.0], [0.0, 0.0], cluster=[7, 7]).low)


def test_an_interval_prints_for_people() -> None:
    assert str(Interval(1.0, 0.51, 1.49)) == "1 [0.51, 1.49]"


@pytest.mark.parametrize(
    ("interval", "excluded"), [((2, 1, 3), True), ((-2, -3, -1), True), ((0.5, -1, 2), False), ((1, 0, 2), False)]
)
def test_an_interval_says_whether_it_excludes_zero(interval: tuple[float, float, float], excluded: bool) -> None:  # noqa: FBT001 - a table's column
    assert Interval(*interval).excludes_zero is excluded


@pytest.mark.parametrize(("successes", "n"), [(-1, 4), (5, 4), (0, -1)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        proportion_interval(successes, n)


def test_pairs_and_clusters_need_equal_shapes() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        paired_difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="cluster"):
        paired_difference([1.0, 2.0], [1.0, 3.0], cluster=[1])
    with pytest.raises(ValueError, match="vector"):
        mean_interval([[1.0, 2.0]])


def test_without_scipy_the_message_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtra, match=r"meshsim\[sim\]"):
        mean_interval([1.0, 2.0])
