from __future__ import annotations

import asyncio
import math
import time

import numpy as np
import pytest

from meshsim.node.audio import FRAME_SAMPLES, AudioSink, AudioSource, count_codecs, voice
from meshsim.node.rtp import OPUS_CLOCK_RATE, RtpPacket

MS = 1_000_000
FRAME = 20 * MS


def speak(source: AudioSource, count: int) -> list[bytes]:
    """Packets sent exactly every 20 ms, the first at 1 s."""
    packets = []
    for number in range(count):
        packets.append(source.next_packet(1000 * MS + number * FRAME))
        source.prepare()
    return packets


def sent(data: bytes) -> int:
    return RtpPacket.decode(data).sent


def hear(sink: AudioSink, packets: list[bytes], delay: int = 30 * MS) -> None:
    for data in packets:
        sink.receive(data, sent(data) + delay)


def test_the_voice_is_a_function_of_its_index() -> None:
    whole = voice(0, 3 * FRAME_SAMPLES, 440.0)
    parts = [voice(start, FRAME_SAMPLES, 440.0) for start in range(0, 3 * FRAME_SAMPLES, FRAME_SAMPLES)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert np.abs(whole).max() > 1000


@pytest.mark.parametrize("frequency", [300.0, 440.0, 1000.0])
def test_what_is_heard_is_the_tone_that_was_spoken(frequency: float) -> None:
    source, sink = AudioSource(7, frequency=frequency), AudioSink(7)
    hear(sink, speak(source, 60))
    report = sink.report()
    assert report.frequency == pytest.approx(frequency, abs=2.0)
    assert report.decoded == report.received == 60
    assert 0.05 < report.rms < 0.3


def test_a_perfect_wire_has_no_loss_no_jitter_and_its_delay() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    hear(sink, speak(source, 50))
    report = sink.report()
    assert (report.received, report.expected, report.lost, report.duplicates) == (50, 50, 0, 0)
    assert report.jitter == pytest.approx(0.0, abs=1e-6)
    assert report.delay_mean == pytest.approx(0.03)
    assert report.delay_p95 == pytest.approx(0.03)
    assert report.longest_gap.seconds == pytest.approx(0.02)
    assert report.gaps == ()


def test_a_scripted_loss_is_counted_exactly_and_listed_as_a_gap() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    packets = speak(source, 50)
    hear(sink, packets[:20] + packets[25:])
    report = sink.report()
    assert (report.received, report.expected, report.lost) == (45, 50, 5)
    assert report.loss == pytest.approx(0.1)
    (gap,) = report.gaps
    assert gap == report.longest_gap
    assert gap.seconds == pytest.approx(0.12)
    assert gap.start == sent(packets[19]) + 30 * MS


def test_jitter_is_that_of_rfc_3550() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    jitter, previous = 0.0, None
    for number, data in enumerate(speak(source, 40)):
        delay = (30 + 5 * (number % 2)) * MS
        sink.receive(data, sent(data) + delay)
        if previous is not None:
            jitter += (abs(delay - previous) / 1e9 - jitter) / 16
        previous = delay
    assert sink.report().jitter == pytest.approx(jitter, rel=1e-6)


def test_duplicates_and_late_packets_count_once() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    packets = speak(source, 10)
    hear(sink, [*packets[:4], packets[2], packets[5], packets[4], packets[4], *packets[6:]])
    report = sink.report()
    assert (report.received, report.expected, report.lost, report.duplicates) == (10, 10, 0, 2)


def test_sequence_numbers_may_wrap() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    source.packets = (1 << 16) - 5
    hear(sink, speak(source, 10))
    report = sink.report()
    assert (report.received, report.expected, report.lost) == (10, 10, 0)


def test_a_silence_that_lasts_is_a_gap_at_the_time_of_the_report() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    packets = speak(source, 5)
    hear(sink, packets)
    now = sent(packets[-1]) + 30 * MS + 500 * MS
    assert sink.report(now).longest_gap.seconds == pytest.approx(0.5)
    assert len(sink.report(now).gaps) == 1
    assert sink.report().gaps == ()


def test_foreign_and_malformed_packets_are_refused() -> None:
    sink = AudioSink(7)
    stranger = RtpPacket(ssrc=8, sequence=0, timestamp=0, sent=0, payload=b"x").encode()
    assert not sink.receive(stranger, 0)
    assert not sink.receive(b"noise", 0)
    assert sink.malformed == 2
    assert sink.report().received == 0


def test_a_sink_that_heard_nothing_says_so() -> None:
    report = AudioSink(7).report(now=1)
    assert (report.received, report.expected, report.loss, report.rms, report.frequency) == (0, 0, 0.0, 0.0, 0.0)
    assert math.isnan(report.delay_mean)


async def test_playing_keeps_the_pace_of_real_time() -> None:
    source, sink = AudioSource(7), AudioSink(7)
    started = time.monotonic()
    await source.play(lambda data: sink.receive(data, time.monotonic_ns()), seconds=0.2)
    assert time.monotonic() - started > 0.15
    assert sink.report().received == source.packets == 10
    assert sink.report().delay_median < 0.02


async def test_playing_ends_when_its_task_is_cancelled() -> None:
    source = AudioSource(7)
    spoken = asyncio.Event()
    task = asyncio.create_task(source.play(lambda _: spoken.set()))
    await spoken.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.packets >= 1


@pytest.mark.full
def test_codecs_are_counted_while_they_live() -> None:
    before = count_codecs()
    ends = (AudioSource(1), AudioSink(1))
    assert count_codecs() == before + 2
    assert OPUS_CLOCK_RATE * 0.02 == FRAME_SAMPLES
    del ends
