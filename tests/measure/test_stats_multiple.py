from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from meshsim.measure.stats import holm, holm_intervals, mean_interval, mean_p_value

p_values = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


@given(st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=20, unique=True), st.floats(-100.0, 100.0))
def test_a_means_p_value_is_students(x: list[float], expected: float) -> None:
    assert mean_p_value(x, expected) == pytest.approx(reference.ttest_1samp(x, expected).pvalue, abs=1e-6)


def test_constant_values_are_the_expected_ones_or_not() -> None:
    assert (mean_p_value([2.0, 2.0], 2.0), mean_p_value([2.0, 2.0], 2.1)) == (1.0, 0.0)
    assert np.isnan(mean_p_value([2.0], 2.0))


@given(st.floats(-1e6, 1e6), st.integers(2, 40))
def test_equal_values_have_that_mean_however_many_are_summed(value: float, n: int) -> None:
    assert mean_p_value([value] * n, value) == 1.0
    assert mean_interval([value] * n) == (value, value, value)
    assert np.isnan(mean_interval([value, np.nan])).all()


@given(p_values, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_step_by_step(p: list[float], level: float) -> None:
    order = np.argsort(p, kind="stable")
    rejected = np.zeros(len(p), dtype=bool)
    for step, index in enumerate(order):
        if p[index] * (len(p) - step) > level:
            break
        rejected[index] = True
    assert ((holm(p) <= level) == rejected).all()


@given(p_values)
def test_holm_lies_between_no_correction_and_bonferronis(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(np.array(p) * len(p), 1.0) + 1e-12).all()


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_an_expected_value_lies_inside_its_interval_exactly_where_holm_accepts_it(seed: int, tests: int) -> None:
    generator = np.random.default_rng(seed)
    shift = generator.choice([0.0, 0.5, 1.0, 3.0], tests)
    samples = [generator.normal(offset, 1.0, 10) for offset in shift]
    adjusted = holm([mean_p_value(sample, 0.0) for sample in samples])
    inside = [interval.low <= 0.0 <= interval.high for interval in holm_intervals(samples, np.zeros(tests), 0.95)]
    assert inside == (adjusted >= 0.05).tolist()


def test_all_truths_together_lie_inside_as_often_as_holms_intervals_say() -> None:
    generator = np.random.default_rng(31)
    together, alone = 0, 0
    for samples in generator.normal(0.0, 1.0, (1000, 10, 8)):
        together += all(found.low <= 0.0 <= found.high for found in holm_intervals(samples, np.zeros(10), 0.9))
        alone += all(found.low <= 0.0 <= found.high for found in map(mean_interval, samples))
    assert together / 1000 == pytest.approx(0.9, abs=0.03)
    assert alone < 0.7 * 1000


def test_as_many_truths_as_samples_are_needed() -> None:
    with pytest.raises(ValueError, match="1 samples and 2 expected"):
        holm_intervals([[1.0, 2.0]], [1.0, 2.0])
