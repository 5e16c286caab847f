from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.sim import queues

ONE = np.ones((1, 1))
loads = st.floats(0.01, 3.0)


@given(loads, st.integers(1, 60))
def test_blocking_keeps_flow_in_balance(load: float, places: int) -> None:
    # A server that is busy with probability 1 - pi_0' serves what is let in: never more than one at a time.
    waiting = queues.mg1k(np.array([load]), ONE, ONE, np.array([places]))
    carried = load * (1.0 - waiting.blocking[0])
    assert 0.0 <= waiting.blocking[0] < 1.0
    assert carried <= min(load, 1.0) + 1e-9
    assert 0.0 <= waiting.mean[0] <= max(places - 1, 0) + 1e-9


@settings(max_examples=20)
@given(st.floats(0.01, 0.8))
def test_a_large_buffer_waits_as_pollaczek_and_khinchine_say(load: float) -> None:
    times, shares = np.array([[0.3, 1.7]]), np.array([[0.5, 0.5]])
    residual = (0.3**2 + 1.7**2) / 2.0 / 2.0
    waiting = queues.mg1k(np.array([load]), times, shares, np.array([120]))
    np.testing.assert_allclose(waiting.mean, queues.mg1_wait(load, residual), rtol=1e-4)
    assert waiting.blocking[0] < 1e-6


@given(loads, st.integers(2, 40))
def test_a_larger_buffer_blocks_less_and_waits_longer(load: float, places: int) -> None:
    small, large = (queues.mg1k(np.array([load]), ONE, ONE, np.array([k])) for k in (places, places + 1))
    assert large.blocking[0] <= small.blocking[0] + 1e-12
    assert large.mean[0] >= small.mean[0] - 1e-9


def test_nearly_exponential_service_blocks_as_in_mm1k() -> None:
    # Quantiles of the exponential distribution, at equal shares.
    grid = -np.log1p(-(np.arange(2000) + 0.5) / 2000.0)[np.newaxis]
    waiting = queues.mg1k(np.array([0.9]), grid / grid.mean(), np.full_like(grid, 1 / 2000.0), np.array([10]))
    np.testing.assert_allclose(waiting.blocking[0], 0.050814, rtol=2e-3)


def test_the_published_overload_is_met() -> None:
    # README of the GNNet data: K = 32 with the packet in service loses .10183 of what comes to one overloaded link.
    times, shares = np.array([[0.3, 1.7]]), np.array([[0.5, 0.5]])
    rates = np.linspace(1.0, 1.2, 201)
    lost = np.array([queues.mg1k(np.array([rate]), times, shares, np.array([32])).blocking[0] for rate in rates])
    rate = float(np.interp(0.10183, lost, rates))
    waiting = queues.mg1k(np.array([rate]), times, shares, np.array([32]))
    number = rate * (1.0 - waiting.blocking[0]) * (waiting.mean[0] + 1.0)
    busy = rate * (1.0 - waiting.blocking[0])
    np.testing.assert_allclose(number / busy, 25.540, atol=0.02)


def test_cobham_conserves_the_work_that_waits() -> None:
    loads_, residual = np.array([0.2, 0.3, 0.4]), 0.5
    busy = float(loads_.sum() * residual)
    waits = queues.priority_wait(loads_, np.array([0.0, 0.2, 0.5]), busy)
    whole = queues.mg1_wait(loads_.sum(), residual)
    np.testing.assert_allclose(loads_ @ waits, loads_.sum() * whole)
    assert (np.diff(waits) > 0.0).all()
