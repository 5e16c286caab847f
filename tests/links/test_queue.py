from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import admits, clear, compiled, fifo, fifo_packets, fifo_time

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


times = st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.1, 2.0)), max_size=80)


def by_ring(packets: list[tuple[float, float]], limit: int, step=fifo_packets) -> list[tuple[float, bool]]:
    """(departure, dropped) of packets given as (gap, service), by the ring of departures of the second of two links."""
    ring, now, free_at, cursor, seen = np.full(3 + limit, -math.inf), 0.0, -math.inf, 0, []
    for gap, service in packets:
        now += gap
        departure, cursor, dropped = step(now, service, free_at, ring, 3, limit, cursor)
        free_at = free_at if dropped else departure
        seen.append((float(departure), bool(dropped)))
    assert (ring[:3] == -math.inf).all()
    return seen


def by_counting(packets: list[tuple[float, float]], limit: int) -> list[tuple[float, bool]]:
    """The same by looking at every packet that is there."""
    there: list[float] = []
    now, seen = 0.0, []
    for gap, service in packets:
        now += gap
        there = [departure for departure in there if departure > now]
        if len(there) >= limit:
            seen.append((math.inf, True))
        else:
            there.append(max([now, *there]) + service)
            seen.append((there[-1], False))
    return seen


@given(times, st.integers(1, 6))
def test_a_ring_of_departures_drops_exactly_when_the_queue_is_full(
    packets: list[tuple[float, float]], limit: int
) -> None:
    assert by_ring(packets, limit) == by_counting(packets, limit)


@given(times, st.integers(1, 6))
def test_cleared_and_admitted_packets_are_those_of_the_ring(packets: list[tuple[float, float]], limit: int) -> None:
    departures, sizes = np.zeros((2, 2 + limit))
    now, free_at, head, count, held, seen = 0.0, -math.inf, 0, 0, 0.0, []
    for gap, service in packets:
        now += gap
        head, count, held = clear(now, departures, sizes, 2, limit, head, count, held)
        if not admits(count, held, max(0.0, free_at - now), 100.0, 0, 100.0 * limit, math.inf):
            seen.append((math.inf, True))
            continue
        free_at = max(now, free_at) + service
        place = 2 + (head + count) % limit
        departures[place], sizes[place] = free_at, 100.0
        count, held = count + 1, held + 100.0
        seen.append((free_at, False))
    assert seen == by_ring(packets, limit)


@given(gaps, st.floats(0.0, 0.1))
def test_no_packet_waits_longer_than_a_limit_in_time(packets: list[tuple[float, int]], limit: float) -> None:
    now, free_at = 0.0, -math.inf
    for gap, size in packets:
        now += gap
        departure, free_at, dropped = fifo_time(now, size, RATE, free_at, limit)
        assert dropped == (departure == math.inf) == (free_at - now > limit and departure != free_at)
        assert dropped or departure - now - size * 8 / RATE <= limit + 1e-12


@given(times)
def test_without_need_of_a_limit_all_fifos_agree(packets: list[tuple[float, float]]) -> None:
    now, free_at, timed = 0.0, -math.inf, []
    for gap, service in packets:
        now += gap
        departure, free_at, _ = fifo_time(now, service, 8.0, free_at, math.inf)
        timed.append((departure, False))
    assert timed == by_ring(packets, 80)


def test_each_limit_of_a_queue_is_a_limit_by_itself() -> None:
    assert admits(3, 300.0, 1.0, 100.0, 0, math.inf, math.inf)
    assert admits(3, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(4, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(3, 300.1, 1.0, 100.0, 4, 400.0, 1.0)
    assert not admits(3, 300.0, 1.1, 100.0, 4, 400.0, 1.0)


def test_compiled_queues_are_the_plain_ones() -> None:
    packets = np.random.default_rng(12).random((500, 2)).tolist()
    assert by_ring(packets, 4, compiled(fifo_packets, numba.njit)) == by_ring(packets, 4)
    ring = (np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 40.0]))
    assert (
        compiled(clear, numba.njit)(2.5, *ring, 0, 3, 0, 3, 70.0) == clear(2.5, *ring, 0, 3, 0, 3, 70.0) == (2, 1, 40)
    )
    assert compiled(clear, numba.njit)(3.0, *ring, 0, 3, 0, 3, 70.0) == (0, 0, 0.0)
    assert compiled(fifo_time, numba.njit)(0.0, 9.0, 1e3, 1.0, 1.0) == fifo_time(0.0, 9.0, 1e3, 1.0, 1.0)
    assert compiled(admits, numba.njit)(3, 300.0, 1.0, 100.0, 4, 400.0, 1.0)
