from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from meshsim.links import JITTERS, compiled, jitter_delay, lost_in_trace
from meshsim.links.gamma import gamma, log_gamma
from meshsim.links.normal import normal_quantile

unit = st.floats(0.0, 1.0, exclude_max=True)
TRACE = [9.0, 0.01, 0.02, 0.0]
EDGES = [1e-300, 1e-12, 1e-6, 1e-3, 0.075, 0.5, 0.925, 1.0 - 1e-9, 1.0 - 2.0**-53]
DRAWS = [*np.random.default_rng(1).random(300).tolist(), *EDGES]


def delay(kind: str, u: float, n: int = 0, scale: float = 0.01, shape: float = 2.5) -> float:
    return jitter_delay(JITTERS.index(kind), u, n, scale, shape, TRACE, 1, 3)


@given(st.sampled_from(JITTERS), unit, unit)
def test_jitter_is_never_negative_and_grows_with_its_draw(kind: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0.0 <= delay(kind, low) <= delay(kind, high) * (1.0 + 1e-9)


@pytest.mark.parametrize(
    ("kind", "mean"),
    [
        ("none", 0.0),
        ("exponential", 0.01 * (1.0 - math.exp(-10.0))),
        ("normal", 0.01 / math.sqrt(2.0 * math.pi)),
        ("uniform", 0.005),
        ("pareto", 0.01 / 1.5),
        ("gamma", 0.025),
        ("trace", 0.01),
    ],
)
def test_mean_jitter_is_that_of_its_distribution(kind: str, mean: float) -> None:
    draws = (np.arange(10_000) + 0.5) / 10_000  # the midpoint rule over the quantile function
    assert np.mean([delay(kind, u, n) for n, u in enumerate(draws.tolist())]) == pytest.approx(mean, rel=0.01)


def test_normal_quantiles_are_those_of_scipy() -> None:
    assert [normal_quantile(u) for u in DRAWS] == pytest.approx(special.ndtri(DRAWS).tolist(), rel=1e-13, abs=1e-15)
    assert normal_quantile(0.0) == -math.inf


@pytest.mark.parametrize("shape", [0.001, 0.05, 0.5, 1.0, 2.5, 30.0, 200.0, 1e4])
def test_gamma_quantiles_are_those_of_scipy(shape: float) -> None:
    draws = DRAWS[: -len(EDGES)][:60] + EDGES[1:]
    expected = special.gammaincinv(shape, draws).tolist()
    assert [gamma(u, shape, 1.0) for u in draws] == pytest.approx(expected, rel=1e-9, abs=1e-290)
    assert gamma(0.0, shape, 1.0) == 0.0


def test_the_logarithm_of_gamma_is_that_of_the_library() -> None:
    points = np.geomspace(1e-3, 1e4, 200).tolist()
    assert [log_gamma(x) for x in points] == pytest.approx([math.lgamma(x) for x in points], rel=1e-13, abs=1e-13)


def test_a_trace_starts_anew_when_it_is_used_up() -> None:
    assert [delay("trace", 0.5, n) for n in range(5)] == [0.01, 0.02, 0.0, 0.01, 0.02]
    assert [lost_in_trace(n, TRACE, 1, 3) for n in range(4)] == [True, True, False, True]


def test_compiled_jitter_is_the_plain_one_bit_for_bit() -> None:
    fast, trace = compiled(jitter_delay, numba.njit), np.array(TRACE)
    for kind in range(len(JITTERS)):
        for n, u in enumerate(DRAWS[:100]):
            assert fast(kind, u, n, 0.01, 2.5, trace, 1, 3) == jitter_delay(kind, u, n, 0.01, 2.5, TRACE, 1, 3)
