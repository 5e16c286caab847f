from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sim import flow

loads = st.floats(0.0, 50.0)
services = st.floats(1e-6, 0.05)
buffers = st.floats(1e-3, 0.5)


@given(loads, loads, services, buffers, st.floats(0.0, 1.0))
def test_more_load_never_helps(a, b, service, buffer, base):
    low, high = min(a, b), max(a, b)
    assert flow.waiting(low, service, buffer) <= flow.waiting(high, service, buffer)
    assert flow.variation(low, service, buffer) <= flow.variation(high, service, buffer) + 1e-15
    assert flow.loss(base, low, service, buffer) <= flow.loss(base, high, service, buffer) + 1e-9


@given(loads, services, buffers, st.floats(0.0, 1.0))
def test_waits_are_nonnegative_and_losses_are_probabilities(rho, service, buffer, base):
    assert 0.0 <= flow.waiting(rho, service, buffer) <= buffer
    assert 0.0 <= flow.variation(rho, service, buffer) <= buffer
    assert 0.0 <= flow.loss(base, rho, service, buffer) <= 1.0
    assert flow.loss(base, rho, service, buffer) >= base - 1e-12


def test_waiting_and_its_variation_are_those_of_m_m_1():
    rho = np.array([0.5, 0.8, 0.9, 0.95])
    np.testing.assert_allclose(flow.waiting(rho, 1.0, 1e9), rho / (1 - rho))
    rng = np.random.default_rng(5)
    busy = rng.random(400_000) < 0.8  # the wait is 0 or exponential with mean 1 / (1 - rho)
    wait = np.where(busy, rng.exponential(1 / 0.2, busy.size), 0.0)
    np.testing.assert_allclose(flow.variation(0.8, 1.0, 1e9), wait.std(), rtol=0.01)


def test_blocking_matches_m_m_1_k_and_the_fluid_limit():
    states = 0.9 ** np.arange(11)
    np.testing.assert_allclose(flow.blocking(0.9, 10), states[-1] / states.sum())
    np.testing.assert_allclose(flow.blocking(1.0, 9), 0.1)
    np.testing.assert_allclose(flow.blocking(1.25, 500), 1 - 1 / 1.25)
    assert flow.blocking(1.0 + 1e-7, 50) >= flow.blocking(1.0 - 1e-7, 50)
