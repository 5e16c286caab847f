from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.sim import flow

loads = st.floats(0.0, 20.0)
services = st.floats(1e-6, 0.05)
buffers = st.floats(1e-3, 0.5)
packets = st.floats(0.0, 1.0)
"""Media packets are short beside bursts: their service time as a share of a burst's."""


@given(loads, loads, loads, st.booleans(), services, buffers, packets)
def test_more_load_never_helps(a, b, other, media, service, buffer, packet):
    pairs = [(other, load) if media else (load, other) for load in (min(a, b), max(a, b))]
    low, high = (flow.queueing(*pair, service, buffer, packet * service) for pair in pairs)
    assert low.wait <= high.wait * (1 + 1e-9) + 1e-15
    assert low.blocked <= high.blocked + 1e-9


@given(loads, loads, services, buffers)
def test_more_bursts_never_steady_the_wait(a, b, service, buffer):
    low, high = (flow.queueing(load, 0.0, service, buffer).variance for load in (min(a, b), max(a, b)))
    assert low <= high * (1 + 1e-7) + 1e-18


@given(loads, loads, services, buffers, packets, st.floats(0.0, 1.0))
def test_waits_fit_the_buffer_and_losses_are_probabilities(bursts, media, service, buffer, packet, base):
    queue = flow.queueing(bursts, media, service, buffer, packet * service)
    lost = flow.loss(base, queue.blocked)
    assert 0.0 <= queue.wait <= buffer * (1 + 1e-12)
    assert 0.0 <= queue.variance <= buffer**2
    assert base - 1e-12 <= lost <= 1.0
    assert queue.blocked >= 1.0 - 1.0 / max(bursts + media, 1.0) - 1e-12


def test_bursts_alone_are_m_m_1():
    rho = np.array([0.5, 0.8, 0.9, 0.95])
    queue = flow.queueing(rho, 0.0, 1.0, 1e9)
    np.testing.assert_allclose(queue.wait, rho / (1 - rho))
    np.testing.assert_allclose(queue.variance, rho * (2 - rho) / (1 - rho) ** 2)
    assert (queue.blocked == 0).all()


def test_packets_alone_are_m_d_1():
    rho = np.array([0.5, 0.8, 0.9])
    queue = flow.queueing(0.0, rho, 1.0, 1e9, 0.01)
    np.testing.assert_allclose(queue.wait, 0.01 * rho / (2 * (1 - rho)))
    np.testing.assert_allclose(queue.variance, 0.01**2 * (rho / (3 * (1 - rho)) + rho**2 / (4 * (1 - rho) ** 2)))


def test_a_mixture_is_that_of_pollaczek_and_khinchine():
    bursts, media, service, packet = 0.4, 0.3, 0.002, 0.0001
    moments = [bursts * service, media * packet / 2]
    expected = sum(moments) / (1 - bursts - media)
    np.testing.assert_allclose(flow.queueing(bursts, media, service, 1e6, packet).wait, expected)


def lindley(bursts: float, service: float, buffer: float, size: int = 400_000) -> tuple[float, float, float]:
    """Mean and variance of the waits let in, and the share that is not, of one simulated queue."""
    rng = np.random.default_rng(7)
    gaps, works = rng.exponential(service / bursts, size), rng.exponential(service, size)
    waits, work = np.empty(size), 0.0
    for n in range(size):
        work = max(work - gaps[n], 0.0)
        waits[n] = work
        work += works[n] if work <= buffer else 0.0
    inside = waits[waits <= buffer]
    return float(inside.mean()), float(inside.var()), 1.0 - len(inside) / size


@pytest.mark.parametrize("bursts", [0.8, 1.0, 1.3])
def test_a_bounded_wait_is_what_a_simulated_queue_shows(bursts):
    mean, variance, blocked = lindley(bursts, 1.0, 8.0)
    queue = flow.queueing(bursts, 0.0, 1.0, 8.0)
    assert queue.wait == pytest.approx(mean, rel=0.02)
    assert queue.blocked == pytest.approx(blocked, rel=0.03)
    if bursts <= 1.0:  # beyond it the variance is held
        assert queue.variance == pytest.approx(variance, rel=0.02)


def test_a_bounded_wait_is_that_of_integrating_the_density():
    bursts, media, service, buffer = 0.5, 0.3, 1.0, 6.0
    slowed = bursts / (1 - media)
    x = (np.arange(400_000) + 0.5) * buffer / 400_000
    density = slowed * np.exp(-(1 - slowed) * x) * buffer / len(x)
    within, beyond = density.sum(), bursts * np.exp(-(1 - slowed) * buffer)
    mean = (density * x).sum() / (1 + within)
    queue = flow.queueing(bursts, media, service, buffer)
    np.testing.assert_allclose(queue.wait, mean, rtol=1e-8)
    np.testing.assert_allclose(queue.variance, (density * x**2).sum() / (1 + within) - mean**2, rtol=1e-8)
    np.testing.assert_allclose(queue.blocked, beyond / (1 + within + beyond), rtol=1e-8)


def test_a_buffer_of_a_thousand_bursts_loses_the_fluid_share():
    np.testing.assert_allclose(flow.queueing([1.25, 0.05], [0.0, 1.2], 1.0, 1e3).blocked, 1 - 1 / 1.25, atol=1e-6)
    np.testing.assert_allclose(flow.queueing(0.45, 0.8, 1.0, 1e3).blocked, 1 - 1 / 1.25, atol=1e-6)


def test_small_and_large_tilts_join_smoothly():
    rho = 1.0 + np.linspace(-2.0, 2.0, 4001) * flow.SMALL / 50.0
    queue = flow.queueing(rho, 0.0, 0.02, 1.0)
    for values in (queue.wait, queue.blocked):
        steps = np.diff(values)
        assert np.abs(np.diff(steps)).max() < 1e-3 * steps.min()
