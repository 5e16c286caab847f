"""Real Opus audio at the two ends of a call: a deterministic voice, and an ear that measures what arrives.

Only the ends of a call create a codec; a relay never imports this module.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from aiortc.codecs.base import Decoder, Encoder
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterFrame

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.media import VOICE_RATE
from meshsim.mesh.time import NANOSECONDS, to_nanoseconds, to_seconds
from meshsim.node.devices import FRAME_SAMPLES
from meshsim.node.rtp import OPUS_CLOCK_RATE, OPUS_PAYLOAD_TYPE, RtpPacket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from meshsim.node.devices import Microphone, Speaker

FRAME_SECONDS = 0.02
DELAYS_KEPT = 15_000
"""Of which quantiles are taken: a call may last for days."""

_AMPLITUDE = 8000.0
_SYLLABLES_PER_SECOND = 4.0
_KEPT_SAMPLES = OPUS_CLOCK_RATE
_SEQUENCE_SPAN = 1 << 16
_JITTER_GAIN = 1.0 / 16.0  # RFC 3550, A.8
_FULL_SCALE = 32768.0
_GAPS_KEPT = 64
_HEARD_KEPT = 500


def voice(first_sample: int, samples: int, frequency: float) -> NDArray[np.int16]:
    """A tone with the rhythm of speech: `samples` values of int16 at 48 kHz, a function of the sample's index only.

    Args:
        first_sample: Index of the first value.
        samples: How many.
        frequency: Of the tone, in hertz.
    """
    t = np.arange(first_sample, first_sample + samples, dtype=np.float64) / OPUS_CLOCK_RATE
    envelope = 0.6 + 0.4 * np.sin(2.0 * math.pi * _SYLLABLES_PER_SECOND * t)
    return (_AMPLITUDE * envelope * np.sin(2.0 * math.pi * frequency * t)).astype(np.int16)


class AudioSource:
    """Speaks: encodes the deterministic voice with Opus, one RTP packet per 20 ms.

    Args:
        ssrc: The flow's label.
        frequency: Of the voice's tone, in hertz.
        bit_rate: Asked of the encoder, in bits per second.
        microphone: Speaks instead of the deterministic voice.

    Attributes:
        packets: RTP packets so far.
        bytes: Of them.
        coded: Bytes of Opus in them.
        plain_coded: What the same frames would have had at `bit_rate`: coded twice where they are compressed.
    """

    def __init__(
        self,
        ssrc: int,
        *,
        frequency: float = 440.0,
        bit_rate: float = VOICE_RATE,
        microphone: Microphone | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.frequency = frequency
        self.packets = self.bytes = self.coded = self.plain_coded = 0
        self._sample = 0
        self._microphone = microphone
        self._bit_rate = bit_rate
        self._encoder = _encoder(bit_rate)
        self._plain: OpusEncoder | None = None
        self._payloads = self._encode()
        self._payload = next(self._payloads)

    @property
    def timestamp(self) -> int:
        """Of the media clock, at the frame that was sent last."""
        return max(0, self.packets - 1) * FRAME_SAMPLES

    def compress(self, bit_rate: float | None) -> None:
        """Codes at another rate from the frame after the next on; None: as at first."""
        self._encoder = _encoder(self._bit_rate if bit_rate is None else bit_rate)
        self._plain = None if bit_rate is None else _encoder(self._bit_rate)

    def next_packet(self, now: int) -> bytes:
        """The next RTP packet, marked as sent at `now` (monotonic nanoseconds)."""
        packet = RtpPacket(
            ssrc=self.ssrc,
            sequence=self.packets,
            timestamp=self.packets * FRAME_SAMPLES,
            sent=now,
            payload=self._payload,
        ).encode()
        self.packets += 1
        self.bytes += len(packet)
        return packet

    def prepare(self) -> None:
        """Encodes the next 20 ms: before they are due, so that the encoder's time is not counted as delay."""
        self._payload = next(self._payloads)

    async def play(self, send: Callable[[bytes], object], *, seconds: float = math.inf) -> None:
        """Sends a packet each 20 ms of the event loop's clock until `seconds` have passed or the task is cancelled."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        count = 0
        while count * FRAME_SECONDS < seconds:
            send(self.next_packet(time.monotonic_ns()))
            self.prepare()
            count += 1
            await asyncio.sleep(max(0.0, start + count * FRAME_SECONDS - loop.time()))

    def _encode(self) -> Iterator[bytes]:
        while True:
            if self._microphone is None:
                pcm = voice(self._sample, FRAME_SAMPLES, self.frequency)
            else:
                pcm = self._microphone(self._sample // FRAME_SAMPLES)
            frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = OPUS_CLOCK_RATE
            frame.pts = self._sample
            self._sample += FRAME_SAMPLES
            plain = self._plain
            sent = self._encoder.encode(frame)[0]
            self.coded += sum(map(len, sent))
            self.plain_coded += sum(map(len, sent if plain is None else plain.encode(frame)[0]))
            yield from sent


def _encoder(bit_rate: float) -> OpusEncoder:
    encoder = OpusEncoder()
    encoder.codec.bit_rate = int(bit_rate)
    encoder.codec.options = {"application": "voip", "vbr": "constrained"}  # a tone would get twice what was asked for
    return encoder


@dataclass(frozen=True, slots=True)
class Gap:
    """A silence between two packets, in monotonic nanoseconds."""

    start: int
    end: int

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return to_seconds(self.end - self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioReport:
    """What an ear heard.

    Attributes:
        received: Packets, without duplicates.
        expected: Packets between the first and the highest sequence number seen.
        lost: `expected - received`.
        loss: `lost / expected`, in [0, 1].
        duplicates: Packets that arrived again, or too late to tell: removed.
        doubled: Packets that reached the ear again all the same.
        jitter: Interarrival jitter in seconds (RFC 3550, A.8).
        delay_mean: One-way delay in seconds; NaN before the first packet.
        delay_sd: Its standard deviation, in seconds.
        delay_median: Its median over the last five minutes, in seconds.
        delay_p95: Its 95th percentile over the same, in seconds.
        longest_gap: The longest silence; both ends 0 before the second packet.
        gaps: Silences longer than the sink's `gap_seconds`, oldest first, at most 64.
        decoded: Frames the Opus decoder accepted.
        rms: Root mean square of the decoded samples, of full scale 1.
        frequency: Of the strongest tone in the last decoded second, in hertz.
    """

    received: int
    expected: int
    lost: int
    loss: float
    duplicates: int
    doubled: int
    jitter: float
    delay_mean: float
    delay_sd: float
    delay_median: float
    delay_p95: float
    longest_gap: Gap
    gaps: tuple[Gap, ...]
    decoded: int
    rms: float
    frequency: float


class AudioSink:
    """Hears: counts, times and decodes the packets of one flow.

    Args:
        ssrc: The flow's label; packets of other flows are refused. None hears one voice over whatever flows it comes.
        gap_seconds: Silences longer than this are listed.
        decodes: Whether it listens, and not only counts and times.
        speaker: Takes what it hears.
    """

    def __init__(
        self, ssrc: int | None, *, gap_seconds: float = 0.06, decodes: bool = True, speaker: Speaker | None = None
    ) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.duplicates = 0
        self.malformed = 0
        self._gap = to_nanoseconds(gap_seconds)
        self._base = -1
        self._highest = -1
        self._seen: collections.OrderedDict[int, None] = collections.OrderedDict()
        self._last_arrival = 0
        self._longest = Gap(0, 0)
        self._gaps: list[Gap] = []
        self._transit: float | None = None
        self._jitter = 0.0
        self._delays: collections.deque[float] = collections.deque(maxlen=DELAYS_KEPT)
        self._delay_sum = self._delay_squares = 0.0
        self._ear = _Ear(speaker) if decodes else _Deaf()

    def receive(self, data: bytes, now: int) -> bool:
        """Takes one RTP packet that arrived at `now`, monotonic nanoseconds.

        Returns:
            Whether it is one of this flow's, and new.
        """
        try:
            packet = RtpPacket.decode(data)
        except RemoteProtocolError:
            self.malformed += 1
            return False
        if self.ssrc not in (None, packet.ssrc) or packet.payload_type != OPUS_PAYLOAD_TYPE:
            self.malformed += 1
            return False
        if not self._is_new(packet.sequence):
            return False
        self._measure(packet, now)
        try:
            self._ear.hear(packet)
        except av.error.FFmpegError:
            self.malformed += 1
        return True

    def report(self, now: int | None = None) -> AudioReport:
        """What was heard so far; with `now`, a silence that still lasts counts as a gap."""
        gaps, longest = list(self._gaps), self._longest
        if now is not None and self.received:
            open_gap = Gap(self._last_arrival, now)
            gaps += [open_gap] if now - self._last_arrival > self._gap else []
            longest = max(longest, open_gap, key=lambda gap: gap.seconds)
        delays = np.array(self._delays or [math.nan])
        mean = self._delay_sum / self.received if self.received else math.nan
        expected = self._highest - self._base + 1 if self.received else 0
        lost = max(0, expected - self.received)
        return AudioReport(
            received=self.received,
            expected=expected,
            lost=lost,
            loss=lost / expected if expected else 0.0,
            duplicates=self.duplicates,
            doubled=self._ear.doubled,
            jitter=self._jitter,
            delay_mean=mean,
            delay_sd=math.sqrt(max(0.0, self._delay_squares / self.received - mean**2)) if self.received else math.nan,
            delay_median=float(np.median(delays)),
            delay_p95=float(np.quantile(delays, 0.95)),
            longest_gap=longest,
            gaps=tuple(gaps[-_GAPS_KEPT:]),
            decoded=self._ear.frames,
            rms=self._ear.rms(),
            frequency=self._ear.frequency(),
        )

    def _is_new(self, sequence: int) -> bool:
        extended = self._extend(sequence)
        if extended in self._seen or extended < self._base:
            self.duplicates += 1
            return False
        self._seen[extended] = None
        if len(self._seen) > _SEQUENCE_SPAN // 2:
            self._seen.popitem(last=False)
        self._highest = max(self._highest, extended)
        return True

    def _extend(self, sequence: int) -> int:
        """The sequence number without its wrap at 16 bits: the nearest to the highest seen."""
        if self._base < 0:
            self._base = self._highest = sequence
            return sequence
        step = (sequence - self._highest) % _SEQUENCE_SPAN
        return self._highest + (step if step < _SEQUENCE_SPAN // 2 else step - _SEQUENCE_SPAN)

    def _measure(self, packet: RtpPacket, now: int) -> None:
        self.received += 1
        delay = to_seconds(now - packet.sent)
        self._delays.append(delay)
        self._delay_sum += delay
        self._delay_squares += delay**2
        if self._last_arrival:
            self._note_gap(Gap(self._last_arrival, now))
        self._last_arrival = now
        transit = now / NANOSECONDS - packet.timestamp / OPUS_CLOCK_RATE
        if self._transit is not None:
            self._jitter += (abs(transit - self._transit) - self._jitter) * _JITTER_GAIN
        self._transit = transit

    def _note_gap(self, gap: Gap) -> None:
        if gap.end - gap.start > self._gap:
            self._gaps.append(gap)
            del self._gaps[:-_GAPS_KEPT]
        if gap.seconds > self._longest.seconds:
            self._longest = gap


class _Deaf:
    """An ear that does not listen."""

    frames = doubled = 0

    def hear(self, packet: RtpPacket) -> None:
        """Passes over it."""

    def rms(self) -> float:
        """Nothing was heard."""
        return 0.0

    def frequency(self) -> float:
        """Nothing was heard."""
        return 0.0


class _Ear(_Deaf):
    """Decodes frames and keeps the last second: the proof that what arrived is the voice that was sent."""

    def __init__(self, speaker: Speaker | None = None) -> None:
        self.frames = self.doubled = 0
        self._speaker = speaker
        self._heard: collections.deque[int] = collections.deque(maxlen=_HEARD_KEPT)
        self._decoder = OpusDecoder()
        self._energy = 0.0
        self._samples = 0
        self._last = np.zeros(0, dtype=np.float64)

    def hear(self, packet: RtpPacket) -> None:
        """Decodes one packet."""
        self.doubled += packet.timestamp in self._heard
        self._heard.append(packet.timestamp)
        for frame in self._decoder.decode(JitterFrame(data=packet.payload, timestamp=packet.timestamp)):
            heard = np.asarray(cast("av.AudioFrame", frame).to_ndarray().reshape(-1)[::2], dtype=np.int16)
            if self._speaker is not None:
                self._speaker(heard)
            left = heard.astype(np.float64) / _FULL_SCALE
            self.frames += 1
            self._energy += float(left @ left)
            self._samples += len(left)
            self._last = np.concatenate([self._last, left])[-_KEPT_SAMPLES:]

    def rms(self) -> float:
        """Root mean square of all decoded samples, of full scale 1."""
        return math.sqrt(self._energy / self._samples) if self._samples else 0.0

    def frequency(self) -> float:
        """Of the strongest tone in the last decoded second, in hertz; 0 before the first frame."""
        if not len(self._last):
            return 0.0
        spectrum = np.abs(np.fft.rfft(self._last * np.hanning(len(self._last))))
        return float(np.argmax(spectrum)) * OPUS_CLOCK_RATE / len(self._last)


def count_codecs() -> int:
    """How many encoder and decoder objects live in this process: 0 on a relay."""
    # By type: `isinstance` asks weak proxies for what they stand for, and that may be gone.
    return sum(issubclass(type(thing), (Encoder, Decoder)) for thing in gc.get_objects())
