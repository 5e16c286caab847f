"""What is counted of a source and when reports are sent: held to transcriptions of RFC 3550."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.rtc.rtcp import Block, Reception, ReportTimer, SenderReport, ntp_time, report_interval, round_trip

units = st.floats(0.0, 1.0, exclude_max=True)


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 0.2), st.integers(0, 4800)), min_size=1, max_size=60),
    first=st.integers(0, 65535),
)
def test_jitter_is_that_of_appendix_a8_to_the_bit(steps, first) -> None:
    reception, now, stamp = Reception(48000), 10.0, 123456
    transit, jitter = None, 0.0
    for n, (wait, ticks) in enumerate(steps):
        now, stamp = now + wait, stamp + ticks
        reception.take((first + n) % 65536, stamp, now)
        # int transit = arrival - r->ts; d = transit - s->transit; s->jitter += (1./16.) * ((double)d - s->jitter);
        arrival = int(now * 48000)
        r = arrival - stamp
        if transit is not None:
            d = abs(r - transit)
            jitter += (1.0 / 16.0) * (float(d) - jitter)
        transit = r
    assert reception.jitter == jitter
    assert reception.block(1, now).jitter == int(jitter)


@given(lost=st.sets(st.integers(1, 98), max_size=60), first=st.integers(0, 65535))
def test_cumulative_loss_is_what_did_not_come_also_across_the_wrap_of_sequence_numbers(lost, first) -> None:
    reception = Reception(90000)
    for n in range(100):
        if n not in lost:
            reception.take((first + n) % 65536, 3000 * n, 0.03 * n)
    block = reception.block(7, 3.0)
    assert reception.expected == 100
    assert block.lost == len(lost)
    assert block.fraction == len(lost) * 256 // 100
    assert block.highest == first + 99


def test_fraction_lost_tells_of_the_time_since_the_last_report_only() -> None:
    reception = Reception(48000)
    for n in range(0, 100, 2):
        reception.take(n, 960 * n, 0.02 * n)
    assert reception.block(1, 2.0).fraction == 49 * 256 // 99
    for n in range(100, 200):
        reception.take(n, 960 * n, 0.02 * n)
    second = reception.block(1, 4.0)
    assert second.fraction == 256 // 101  # packet 99, missing at the end of the first hundred
    assert second.lost == 50


def test_a_duplicate_makes_the_cumulative_loss_negative_and_the_fraction_zero() -> None:
    reception = Reception(48000)
    for n in (5, 6, 6):
        reception.take(n, 960 * n, 0.02 * n)
    assert reception.block(1, 1.0)[1:3] == (0, -1)


@given(rtt=st.floats(0.0, 5.0), held=st.floats(0.0, 10.0), sent=st.floats(0.0, 1000.0))
def test_the_round_trip_comes_out_of_lsr_and_dlsr_to_a_few_65536ths_of_a_second(rtt, held, sent) -> None:
    reception = Reception(48000)
    reception.take(1, 0, sent)
    reception.heard_report(SenderReport(9, ntp_time(sent), 0, 1, 1, ()), sent + rtt / 2)
    block = reception.block(9, sent + rtt / 2 + held)
    assert round_trip(block, sent + rtt + held) == pytest.approx(rtt, abs=3 / 65536)


def test_without_a_sender_report_there_is_no_round_trip() -> None:
    assert math.isnan(round_trip(Block(1, 0, 0, 1, 0, 0, 0), 5.0))


def interval_of_the_rfc(members, senders, rtcp_bw, we_sent, avg_rtcp_size, initial, drand48):
    """RFC 3550, appendix A.7, line by line."""
    rtcp_min_time = 5.0
    rtcp_sender_bw_fraction = 0.25
    rtcp_rcvr_bw_fraction = 1 - rtcp_sender_bw_fraction
    compensation = 2.71828 - 1.5
    if initial:
        rtcp_min_time /= 2
    n = members
    if senders <= members * rtcp_sender_bw_fraction:
        if we_sent:
            rtcp_bw *= rtcp_sender_bw_fraction
            n = senders
        else:
            rtcp_bw *= rtcp_rcvr_bw_fraction
            n -= senders
    t = avg_rtcp_size * n / rtcp_bw
    t = max(t, rtcp_min_time) * (drand48 + 0.5)
    return t / compensation


@given(
    members=st.integers(2, 500),
    share=st.floats(0.0, 1.0),
    bandwidth=st.floats(10.0, 1e6),
    we_sent=st.booleans(),
    size=st.floats(50.0, 1500.0),
    initial=st.booleans(),
    u=units,
)
def test_the_report_interval_is_that_of_appendix_a7(members, share, bandwidth, we_sent, size, initial, u) -> None:
    senders = min(max(1, round(members * share)), members - (not we_sent))
    told = report_interval(members, senders, bandwidth, we_sent, size, initial, u)
    assert told == pytest.approx(interval_of_the_rfc(members, senders, bandwidth, we_sent, size, initial, u))


@given(bandwidth=st.floats(2e4, 1e8), size=st.floats(60.0, 1400.0), u=units, initial=st.booleans())
def test_intervals_lie_between_half_and_one_and_a_half_of_what_bandwidth_allows(bandwidth, size, u, initial) -> None:
    timer = ReportTimer(bandwidth, size=size, initial=initial)
    least = min(5.0, 360e3 / bandwidth) / (2.0 if initial else 1.0)
    fair = max(2.0 * size / (0.05 * bandwidth / 8.0), least)
    assert 0.5 * fair / 1.21828 * (1 - 1e-9) <= timer.interval(u) <= 1.5 * fair / 1.21828 * (1 + 1e-9)


@settings(max_examples=25)
@given(draws=st.lists(units, min_size=40, max_size=40))
def test_rtcp_stays_within_a_twentieth_of_the_bandwidth_however_the_timer_is_drawn(draws) -> None:
    timer, sent, size = ReportTimer(1e5, size=200.0), 0, 200.0
    timer.start(0.0, draws[0])
    for a, b in zip(draws[1::2], draws[2::2], strict=False):
        now = timer.due
        if timer.expire(now, a, b):
            sent += 1
            timer.note(size)
    # two ends, each of which may use half of it; an interval is never below its half over the compensation
    assert sent * size * 8.0 <= 0.05 * 1e5 / 2.0 * now * 2.0 * 1.21828 + 2 * 8.0 * size


def test_a_report_that_was_considered_too_early_is_put_off_and_not_sent() -> None:
    timer = ReportTimer(1e5)
    timer.start(0.0, 0.0)
    first = timer.due
    assert not timer.expire(first, 0.9, 0.5)
    assert timer.due > first
    assert timer.expire(timer.due, 0.9, 0.5)
