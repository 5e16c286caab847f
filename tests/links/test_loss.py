from __future__ import annotations

import math
from collections.abc import Callable

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import bernoulli, compiled, gilbert_elliott, gilbert_for, stationary_loss

DRAWS = 1_000_000
probability = st.floats(0.0, 1.0)


@pytest.fixture(scope="module")
def lost_packets() -> Callable[..., np.ndarray]:
    channel = compiled(gilbert_elliott, numba.njit)

    @numba.njit
    def run(u: np.ndarray, v: np.ndarray, p: float, r: float, good_loss: float, bad_loss: float) -> np.ndarray:
        bad = False
        lost = np.empty(len(u), np.bool_)
        for i in range(len(u)):
            bad, lost[i] = channel(bad, u[i], v[i], p, r, good_loss, bad_loss)
        return lost

    def of(seed: int, *parameters: float) -> np.ndarray:
        generator = np.random.default_rng(seed)
        return np.asarray(run(generator.random(DRAWS), generator.random(DRAWS), *parameters))

    return of


def bursts(lost: np.ndarray) -> np.ndarray:
    edges = np.diff(np.concatenate([[0], lost.astype(np.int8), [0]]))
    return np.asarray(np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1))


@pytest.mark.parametrize(("p", "r", "good_loss", "bad_loss"), [(0.01, 0.2, 0.0, 0.7), (0.05, 0.3, 0.001, 1.0)])
def test_long_run_loss_of_a_gilbert_elliott_channel_is_the_stationary_one(
    lost_packets: Callable[..., np.ndarray], p: float, r: float, good_loss: float, bad_loss: float
) -> None:
    batches = lost_packets(5, p, r, good_loss, bad_loss).reshape(100, -1).mean(axis=1)
    half = 2.626 * batches.std(ddof=1) / math.sqrt(len(batches))  # Student's 99 % with 99 degrees of freedom
    assert batches.mean() == pytest.approx(stationary_loss(p, r, good_loss, bad_loss), abs=half)


@pytest.mark.parametrize(("loss", "burst"), [(0.05, 5.0), (0.2, 2.0)])
def test_a_gilbert_channel_has_the_loss_and_the_burst_length_it_was_made_for(
    lost_packets: Callable[..., np.ndarray], loss: float, burst: float
) -> None:
    lost = lost_packets(7, *gilbert_for(loss, burst), 0.0, 1.0)
    lengths = bursts(lost)
    half = 2.576 * lengths.std(ddof=1) / math.sqrt(len(lengths))
    assert lengths.mean() == pytest.approx(burst, abs=half)
    assert lost.mean() == pytest.approx(loss, rel=0.05)


def test_losses_of_a_gilbert_channel_are_correlated_as_its_chain_is(lost_packets: Callable[..., np.ndarray]) -> None:
    p, r = gilbert_for(0.2, 4.0)
    lost = lost_packets(8, p, r, 0.0, 1.0).astype(float)
    for lag in (1, 3, 6):
        found = np.corrcoef(lost[:-lag], lost[lag:])[0, 1]
        assert found == pytest.approx((1.0 - p - r) ** lag, abs=0.01)


def test_burst_one_means_independent_losses(lost_packets: Callable[..., np.ndarray]) -> None:
    lost = lost_packets(9, *gilbert_for(0.2, 1.0), 0.0, 1.0)
    after_a_loss = lost[1:][lost[:-1]].mean()
    assert after_a_loss == pytest.approx(0.2, abs=0.005)


@given(st.floats(0.0, 0.999), st.floats(1.0, 100.0))
def test_gilbert_parameters_are_probabilities_with_the_asked_loss(loss: float, burst: float) -> None:
    p, r = gilbert_for(loss, burst)
    assert 0.0 <= p <= 1.0
    assert 0.0 < r <= 1.0
    assert stationary_loss(p, r, 0.0, 1.0) == pytest.approx(loss)


def test_a_channel_made_to_lose_everything_does() -> None:
    p, r = gilbert_for(1.0, 4.0)
    assert stationary_loss(p, r, 0.0, 1.0) == 1.0
    assert gilbert_elliott(False, 0.999, 0.999, p, r, 0.0, 1.0) == (True, True)


@given(probability, probability, probability, probability)
def test_stationary_loss_lies_between_the_losses_of_the_two_states(
    p: float, r: float, one: float, other: float
) -> None:
    if p + r > 1e-12:  # below, products of subnormal numbers vanish
        low, high = sorted((one, other))
        assert low - 1e-9 <= stationary_loss(p, r, one, other) <= high + 1e-9


@given(st.floats(0.0, 1.0, exclude_max=True), probability)
def test_bernoulli_loses_exactly_the_draws_below_the_probability(u: float, probability: float) -> None:
    assert bernoulli(u, probability) == (u < probability)
    assert not bernoulli(u, 0.0)
    assert bernoulli(u, 1.0)
