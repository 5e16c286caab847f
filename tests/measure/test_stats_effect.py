from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from meshsim.measure.stats import cliffs_delta, effect, hedges_g, is_skewed

vectors = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=12)


def test_hedges_correction_takes_the_bias_of_few_pairs_away() -> None:
    values = np.random.default_rng(5).normal(0.7, 1.0, (20_000, 5))
    assert np.mean([hedges_g(sample) for sample in values]) == pytest.approx(0.7, abs=0.01)
    assert np.mean(values.mean(axis=1) / values.std(axis=1, ddof=1)) > 0.85


def test_hedges_correction_is_near_its_well_known_approximation() -> None:
    x = np.arange(21.0)
    assert hedges_g(x) == pytest.approx(x.mean() / x.std(ddof=1) * (1 - 3 / (4 * 20 - 1)), rel=1e-3)


def test_differences_without_spread_are_infinitely_large_or_none() -> None:
    assert (hedges_g([0.1] * 3), hedges_g([-0.1] * 3), hedges_g([0.0] * 3)) == (math.inf, -math.inf, 0.0)
    assert math.isnan(hedges_g([1.0, 2.0]))


@given(vectors, vectors)
def test_cliffs_delta_is_its_definition(a: list[float], b: list[float]) -> None:
    exact = np.mean([np.sign(x - y) for x in a for y in b])
    assert cliffs_delta(a, b) == pytest.approx(exact, abs=1e-12)
    assert cliffs_delta(a, b) == -cliffs_delta(b, a)


def test_nothing_has_no_effect_to_tell() -> None:
    assert math.isnan(cliffs_delta([], [1.0]))
    with pytest.raises(ValueError, match="equal shapes"):
        effect([1.0], [1.0, 2.0])


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_pairs_are_won_lost_or_tied(pairs: list[tuple[int, int]]) -> None:
    found = effect([float(a) for a, _ in pairs], [float(b) for _, b in pairs])
    assert found.above == sum(a > b for a, b in pairs)
    assert found.below == sum(a < b for a, b in pairs)
    assert found.pairs == len(pairs)


def test_leaning_values_are_told_from_straight_ones() -> None:
    generator = np.random.default_rng(11)
    straight = statistics.fmean([is_skewed(generator.normal(size=20)) for _ in range(1000)])
    leaning = statistics.fmean([is_skewed(generator.lognormal(0.0, 1.0, 20)) for _ in range(1000)])
    assert straight < 0.06
    assert leaning > 0.85
    x = generator.lognormal(0.0, 1.0, 20)
    assert is_skewed(x) == (abs(float(reference.skew(x, bias=False))) > 1.0239)
    assert not is_skewed([1.0, 1.0, 1.0])
    assert not is_skewed([1.0, 2.0])
