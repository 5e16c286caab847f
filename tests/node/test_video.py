"""VP8 at the ends of a call: numbered pictures, shown in order or not at all."""

from __future__ import annotations

import math
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.node.repair import PATIENCE
from meshsim.node.rtp import VP8_PAYLOAD_TYPE, RtpPacket
from meshsim.node.video import (
    FRAMES_PER_SECOND,
    LEAST_RATE,
    TICKS,
    WHOLE_EVERY,
    VideoSink,
    VideoSource,
    picture,
    read_number,
)

SECOND = 1_000_000_000
PERIOD = SECOND // FRAMES_PER_SECOND
WAY = 40_000_000


def pictures(source: VideoSource, number: int) -> list[list[bytes]]:
    """The packets of the next pictures."""
    shown = []
    for _ in range(number):
        shown.append(source.next_packets(source.pictures * PERIOD))
        source.prepare()
    return shown


def see(sink: VideoSink, packets: list[bytes], late: int = 0) -> list[bool]:
    """Each packet comes 40 ms after it was sent, and `late` nanoseconds."""
    return [sink.receive(packet, RtpPacket.decode(packet).sent + WAY + late) for packet in packets]


@given(st.integers(0, 2**16 - 1))
def test_a_picture_says_its_number(number: int) -> None:
    assert read_number(picture(number)) == number


@pytest.mark.parametrize("rate", [250_000, 500_000, 1_000_000])
def test_all_pictures_are_shown_and_the_encoder_spends_what_it_was_given(rate: int) -> None:
    source, sink = VideoSource(7, bit_rate=rate), VideoSink()
    for packets in pictures(source, 90):
        assert all(see(sink, packets))
    report = sink.report()
    assert (report.expected, report.shown, report.frozen, report.wrong, report.whole, report.asked) == (
        90,
        90,
        0,
        0,
        1,
        0,
    )
    assert [report.delay_median, report.delay_p99] == pytest.approx([0.04, 0.04])
    assert 8 * source.coded * FRAMES_PER_SECOND / source.pictures == pytest.approx(rate, rel=0.2)


def test_a_packet_that_comes_late_delays_pictures_and_loses_none() -> None:
    source, sink = VideoSource(7), VideoSink()
    shown = pictures(source, 12)
    held = shown[4].pop()
    for packets in shown[:7]:
        see(sink, packets)
    assert sink.report().shown == 4
    see(sink, [held], late=3 * PERIOD)
    assert sink.report().shown == 7
    for packets in shown[7:]:
        see(sink, packets)
    report = sink.report()
    assert (report.expected, report.shown, report.wrong, report.asked) == (12, 12, 0, 0)
    assert report.longest_freeze == pytest.approx(4 * PERIOD / SECOND)


def test_a_packet_that_never_comes_freezes_the_picture_until_a_whole_one_is_there() -> None:
    asked: list[int] = []
    source = VideoSource(7)
    sink = VideoSink(lambda: asked.append(source.pictures))
    for number in range(60):
        (packets,) = pictures(source, 1)
        if number == 10:
            packets = packets[:-1]
        before = len(asked)
        see(sink, packets)
        if len(asked) > before:
            source.make_whole(source.pictures * PERIOD / SECOND)
    report = sink.report()
    assert report.wrong == 0
    assert (report.whole, report.expected) == (2, 60)
    frozen = report.expected - report.shown
    assert PATIENCE <= frozen / FRAMES_PER_SECOND < PATIENCE + 0.3
    assert asked[0] - 10 >= PATIENCE * FRAMES_PER_SECOND - 1


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_packets_of_a_picture_may_come_in_any_order_and_twice(data: st.DataObject) -> None:
    source, sink = VideoSource(7, bit_rate=1_000_000), VideoSink()
    for packets in pictures(source, 6):
        mixed = data.draw(st.permutations(packets + packets[::2]))
        assert sum(see(sink, mixed)) == len(packets)
    report = sink.report()
    assert (report.shown, report.wrong) == (6, 0)


def test_who_comes_in_the_middle_waits_for_a_whole_picture() -> None:
    asked: list[None] = []
    source, sink = VideoSource(7), VideoSink(lambda: asked.append(None))
    shown = pictures(source, 30)
    for packets in shown[5:20]:
        see(sink, packets)
    assert sink.report().shown == 0
    assert asked
    source.make_whole(10.0)
    for packets in pictures(source, 5):
        see(sink, packets)
    assert sink.report().shown == 4  # the next one was coded before it was asked for
    assert sink.report().wrong == 0


def test_a_whole_picture_is_not_waited_with_for_those_before_it() -> None:
    source, sink = VideoSource(7), VideoSink()
    shown = pictures(source, 10)
    source.make_whole(10.0)
    shown += pictures(source, 5)
    for number, packets in enumerate(shown):
        if not 6 <= number <= 9:
            see(sink, packets)
    report = sink.report()
    assert (report.shown, report.wrong, report.asked) == (6 + 4, 0, 0)
    assert report.expected == 15


def test_whole_pictures_are_not_made_oftener_than_needed() -> None:
    source = VideoSource(7)
    whole = source.whole
    for tenth in range(20):
        source.make_whole(100.0 + tenth / 10)
        source.prepare()
    assert source.whole - whole == math.ceil(2.0 / WHOLE_EVERY)


def test_the_rate_follows_what_it_is_told_and_stays_within_what_the_encoder_takes() -> None:
    source = VideoSource(7, bit_rate=1_000_000)
    pictures(source, 30)
    source.adapt(300_000)
    pictures(source, 15)
    before = source.coded
    pictures(source, 45)
    assert 8 * (source.coded - before) / 3 == pytest.approx(300_000, rel=0.15)
    source.adapt(1000)
    assert source.bit_rate == LEAST_RATE


def test_what_is_spared_is_counted_against_the_same_pictures_coded_plainly() -> None:
    source = VideoSource(7, bit_rate=250_000)
    source.plain_rate = 1_000_000
    source.compare(on=True)
    plain, coded = source.plain_coded, source.coded
    pictures(source, 60)
    assert 1 - (source.coded - coded) / (source.plain_coded - plain) == pytest.approx(0.75, abs=0.05)
    source.compare(on=False)
    spared = source.plain_coded - source.coded
    pictures(source, 5)
    assert source.plain_coded - source.coded == spared


def wrapped(payload: bytes, sequence: int, stamp: int, *, marker: bool = True) -> bytes:
    return RtpPacket(
        ssrc=7, sequence=sequence, timestamp=stamp, sent=0, payload=payload, payload_type=VP8_PAYLOAD_TYPE,
        marker=marker,
    ).encode()  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 2**16 - 1), st.booleans()), max_size=12))
def test_no_bytes_that_a_peer_may_send_harm_the_eye(packets) -> None:
    source, sink = VideoSource(7), VideoSink()
    see(sink, pictures(source, 1)[0])
    numbers = count(1)
    for payload, sequence, marker in packets:
        sink.receive(payload, 0)
        if payload:
            sink.receive(wrapped(payload, sequence, next(numbers) * TICKS, marker=marker), SECOND)
            sink.receive(wrapped(b"\x10" + payload, sequence, next(numbers) * TICKS), SECOND)
    assert sink.report().shown >= 1


def test_pictures_cut_short_are_counted_and_the_next_whole_one_goes_on() -> None:
    source, sink = VideoSource(7), VideoSink()
    see(sink, pictures(source, 1)[0])
    broken = wrapped(b"\x10\x00garbage", source.packets, source.pictures * TICKS)
    sink.receive(broken, 2 * WAY)
    source.make_whole(10.0)
    source.prepare()
    source.packets += 1
    for packets in pictures(source, 5):
        see(sink, packets)
    report = sink.report()
    assert report.shown >= 5
    assert report.wrong == 0


def test_a_picture_larger_than_anybody_needs_is_not_decoded() -> None:
    source, sink = VideoSource(7), VideoSink()
    see(sink, pictures(source, 1)[0])
    side = (16_000).to_bytes(2, "little")
    header = b"\x10\x02\x00" + b"\x9d\x01\x2a" + side + side
    sink.receive(wrapped(b"\x10" + header + bytes(60), source.packets, source.pictures * TICKS), 2 * WAY)
    assert (sink.malformed, sink.report().shown) == (1, 1)
