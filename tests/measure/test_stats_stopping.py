from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.measure.stats import enough, fixed_width, mean_interval, seeds_needed, stop_when


def test_a_sequence_is_not_enough_before_its_first_stage_and_the_confirming_runs() -> None:
    flat = [1.0] * 30
    assert next(n for n in range(30) if enough(flat[:n], 0.1)) == 12
    assert next(n for n in range(30) if enough(flat[:n], 0.1, at_least=4, confirm=0)) == 4


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0), st.integers(0, 5))
def test_enough_needs_the_width_with_and_without_the_last_runs(seed: int, width: float, confirm: int) -> None:
    x = np.random.default_rng(seed).normal(size=20)
    both = stop_when(x, width=width) and stop_when(x[: 20 - confirm], width=width)
    assert enough(x, width, confirm=confirm) is both


def test_what_is_told_is_as_wide_as_was_asked_or_as_wide_as_it_is() -> None:
    x = np.random.default_rng(1).normal(size=15)
    found = mean_interval(x)
    assert fixed_width(x, 5.0) == pytest.approx((found.mean, found.mean - 5.0, found.mean + 5.0))
    assert fixed_width(x, 0.001) == pytest.approx(found)
    assert np.isnan(fixed_width([1.0], 0.1).low)


def test_as_many_seeds_are_foretold_as_are_then_used() -> None:
    generator = np.random.default_rng(7)
    used = []
    for _ in range(200):
        x = generator.normal(0.0, 1.0, 200)
        used.append(next(n for n in range(2, 200) if enough(x[:n], 0.3)))
    assert seeds_needed(reference_sample(), 0.3) == pytest.approx(np.mean(used), rel=0.1)


def reference_sample() -> list[float]:
    """Two values with standard deviation one."""
    return [0.0, float(np.sqrt(2.0))]


@given(st.floats(0.05, 5.0), st.floats(0.8, 0.99))
def test_the_number_foretold_is_the_least_that_keeps_the_width(width: float, confidence: float) -> None:
    n = seeds_needed(reference_sample(), width, confidence=confidence, at_least=2, confirm=0)

    def half(runs: int) -> float:
        x = np.tile([-1.0, 1.0], runs)[:runs]
        x = x - x.mean()
        return mean_interval(x / x.std(ddof=1), confidence).high

    assert half(n) <= width * (1 + 1e-9)
    assert n == 2 or half(n - 1) > width * (1 - 1e-9)


def test_without_spread_or_width_nothing_can_be_foretold() -> None:
    with pytest.raises(ValueError, match="1 values"):
        seeds_needed([1.0], 0.1)
    with pytest.raises(ValueError, match="half-width 0"):
        seeds_needed([1.0, 2.0], 0.0)
