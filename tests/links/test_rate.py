from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import carried_bits, compiled, transmit

Trace = tuple[np.ndarray, np.ndarray, np.ndarray]


def trace(spans: list[tuple[float, float]]) -> Trace:
    """(times, values, carried) of spans (seconds, bits per second), behind another link's trace of three instants."""
    times = np.concatenate([[0.0], np.cumsum([span for span, _ in spans])])
    values = np.array([rate for _, rate in spans] + [0.0])
    pad = np.array([7.0, 8.0, 9.0])
    carried = carried_bits(times, values)
    return np.concatenate([pad, times]), np.concatenate([pad, values]), np.concatenate([pad, carried])


def send(start: float, bits: float, of: Trace, step=transmit) -> float:
    return float(step(start, bits, *of, 3, len(of[0]) - 3))


def carried_between(start: float, end: float, of: Trace) -> float:
    """Bits that the trace carries between two instants, by integration span by span."""
    times, values, total = of[0][3:], of[1][3:], 0.0
    period = times[-1]
    for turn in range(int(start // period), int(end // period) + 1):
        low, high = turn * period + times[:-1], turn * period + times[1:]
        total += float((values[:-1] * np.clip(np.minimum(high, end) - np.maximum(low, start), 0.0, None)).sum())
    return total


spans = st.lists(st.tuples(st.floats(0.1, 3.0), st.sampled_from([0.0, 10.0, 250.0, 1000.0])), min_size=1, max_size=8)
starts, amounts = st.floats(0.0, 30.0), st.floats(0.1, 20_000.0)


@given(spans, starts, amounts)
def test_a_packet_leaves_when_the_trace_has_carried_its_bits(
    rates: list[tuple[float, float]], start: float, bits: float
) -> None:
    of = trace(rates)
    departure = send(start, bits, of)
    if all(rate == 0.0 for _, rate in rates):
        assert departure == math.inf
    else:
        assert carried_between(start, departure, of) == pytest.approx(bits, rel=1e-6, abs=1e-4)
        assert carried_between(start, departure - 1e-6, of) < bits + 1e-6  # and no later, not after a dead stretch


@given(spans, starts, amounts, amounts)
def test_two_packets_leave_when_one_of_their_joint_size_would(
    rates: list[tuple[float, float]], start: float, one: float, other: float
) -> None:
    of = trace([*rates, (1.0, 500.0)])
    assert send(send(start, one, of), other, of) == pytest.approx(send(start, one + other, of), abs=1e-6)


@given(spans, starts, amounts, st.floats(0.0, 5.0))
def test_more_bits_or_a_later_start_never_leave_earlier(
    rates: list[tuple[float, float]], start: float, bits: float, later: float
) -> None:
    of = trace([*rates, (1.0, 500.0)])
    assert send(start, bits, of) <= send(start, bits + later, of) + 1e-9
    assert start <= send(start, bits, of) <= send(start + later, bits, of) + 1e-9


def test_nothing_to_send_leaves_at_once() -> None:
    assert send(1.5, 0.0, trace([(1.0, 0.0)])) == 1.5


def test_a_constant_trace_is_a_constant_rate() -> None:
    of = trace([(0.5, 1e6), (0.25, 1e6)])
    assert [send(start, 12_000.0, of) for start in (0.0, 0.499, 7.4)] == pytest.approx([0.012, 0.511, 7.412])


@pytest.mark.parametrize("dead", ["first", "last"])
def test_a_last_bit_on_the_border_of_a_period_leaves_in_no_dead_stretch_whatever_rounds(dead: str) -> None:
    live, pause = (1 / 3, 1e6 / 3), (1 / 3, 0.0)
    of = trace([pause, live] if dead == "first" else [live, pause])
    times, values, carried = (column[3:].tolist() for column in of)
    period, full = times[-1], carried[-1]
    for turn in range(3000):
        for size in (full, 5.0 * full, full * (1.0 + 3e-16), full * (1.0 - 3e-16)):
            departure = transmit(turn * period, size, times, values, carried, 0, 3)
            assert carried_between(turn * period, departure, of) == pytest.approx(size, rel=1e-6)


def test_compiled_transmission_is_the_plain_one() -> None:
    generator = np.random.default_rng(3)
    of = trace(list(zip(generator.uniform(0.05, 0.2, 50), generator.choice([0.0, 1e4, 1e6], 50), strict=True)))
    fast = compiled(transmit, numba.njit)
    for start, bits in generator.uniform(0.0, (60.0, 1e7), (300, 2)).tolist():
        assert send(start, bits, of, fast) == send(start, bits, of)
