from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import admits, compiled, fifo

RATE = 1e6
gaps = st.lists(st.tuples(st.floats(0.0, 0.1), st.integers(1, 1500)), min_size=1, max_size=60)


def offer(packets: list[tuple[float, int]], limit: float, rate: float = RATE) -> list[tuple[float, int, float, bool]]:
    """(arrival, size, departure, dropped) of packets given as (gap, size)."""
    now, free_at, seen = 0.0, -math.inf, []
    for gap, size in packets:
        now += gap
        departure, free_at, dropped = fifo(now, size, rate, free_at, limit)
        seen.append((now, size, departure, dropped))
    return seen


@given(gaps, st.floats(0.0, 20_000.0))
def test_every_packet_either_leaves_or_is_dropped_and_served_bytes_fit_the_busy_time(
    packets: list[tuple[float, int]], limit: float
) -> None:
    seen = offer(packets, limit)
    assert all(math.isinf(departure) == dropped for _, _, departure, dropped in seen)
    served = [row for row in seen if not row[3]]
    if served:
        busy = served[-1][2] - served[0][0]
        assert sum(size for _, size, _, _ in served) * 8 / RATE <= busy + 1e-9


@given(gaps, st.floats(0.0, 20_000.0))
def test_packets_leave_in_order_and_never_before_their_own_transmission(
    packets: list[tuple[float, int]], limit: float
) -> None:
    served = [row for row in offer(packets, limit) if not row[3]]
    departures = [departure for _, _, departure, _ in served]
    assert departures == sorted(departures)
    assert all(departure >= arrival + size * 8 / RATE for arrival, size, departure, _ in served)


@given(gaps, st.integers(1500, 20_000))
def test_what_waits_never_exceeds_the_limit(packets: list[tuple[float, int]], limit: int) -> None:
    for arrival, _, departure, dropped in offer(packets, limit):
        assert dropped or (departure - arrival) * RATE / 8 <= limit + 1e-6


@given(gaps, st.integers(0, 59), st.integers(1, 1500))
def test_more_load_never_helps(packets: list[tuple[float, int]], place: int, size: int) -> None:
    place = min(place, len(packets))
    calm = offer(packets, math.inf)
    busy = offer([*packets[:place], (0.0, size), *packets[place:]], math.inf)
    del busy[place]
    assert all(more[2] >= less[2] - 1e-12 for less, more in zip(calm, busy, strict=True))


def test_a_packet_larger_than_the_queue_never_passes() -> None:
    assert fifo(0.0, 1500.0, RATE, -math.inf, 1499.0)[2]


def test_mean_wait_of_constant_packets_in_poisson_arrivals_is_that_of_m_d_1() -> None:
    generator = np.random.default_rng(11)
    gaps = generator.exponential(1.0 / 0.5, 200_000)  # service takes 1 s: rho = 0.5
    now, free_at, waits = 0.0, -math.inf, []
    for gap in gaps.tolist():
        now += gap
        departure, free_at, _ = fifo(now, 125.0, 1000.0, free_at, math.inf)
        waits.append(departure - now - 1.0)
    batches = np.reshape(waits[10_000:], (19, 10_000)).mean(axis=1)
    half = 2.878 * batches.std(ddof=1) / math.sqrt(len(batches))  # Student's 99 % with 18 degrees of freedom
    assert batches.mean() == pytest.approx(0.5, abs=half)
    assert half < 0.02


def test_each_limit_of_a_queue_is_a_limit_by_itself() -> None:
    assert admits(3, 300.0, 1.0, 100.0, 0, math.inf, math.inf)
    assert admits(3, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(4, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(3, 300.1, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(3, 300.0, 1.1, 100.0, 4, 400.0, 1.0)


def test_compiled_queues_are_the_plain_ones() -> None:
    fast, packets = compiled(fifo, numba.njit), np.random.default_rng(12).random((500, 2))
    free_at = [-math.inf, -math.inf]
    for arrival, size in zip(np.cumsum(packets[:, 0] * 0.01).tolist(), (1500.0 * packets[:, 1]).tolist(), strict=True):
        done = [step(arrival, size, RATE, free, 4000.0) for step, free in zip((fifo, fast), free_at, strict=True)]
        assert done[0] == done[1]
        free_at = [one[1] for one in done]
    assert compiled(admits, numba.njit)(3, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
    assert not compiled(admits, numba.njit)(4, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
