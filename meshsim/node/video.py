"""Real VP8 video at the two ends of a call: a deterministic picture that says which it is, and an eye that reads it.

Only the ends of a call create a codec; a relay never imports this module. Pictures are shown in the order in which they
were sent. One that lacks a packet waits for it to be sent again; when that takes too long, those that build on it are
worth nothing, and the eye asks for a whole one.
"""

from __future__ import annotations

import asyncio
import collections
import math
import time
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from aiortc.codecs.vpx import Vp8Decoder, Vp8Encoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.time import to_seconds
from meshsim.node.devices import HEIGHT, WIDTH
from meshsim.node.repair import PATIENCE, SEQUENCES
from meshsim.node.rtp import VIDEO_CLOCK_RATE, VP8_PAYLOAD_TYPE, RtpPacket, stamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meshsim.node.devices import Camera, Screen

FRAMES_PER_SECOND = 15
TICKS = VIDEO_CLOCK_RATE // FRAMES_PER_SECOND
"""Units of the media clock from one picture to the next."""
LEAST_RATE = 50_000
"""Bits per second: below that libvpx makes nothing of these pictures."""
PACE, BURST = 2.5, 3
"""Times the rate at which packets leave, and how many at once."""
WORTH_IT = 1.25
"""A rate that is higher by less is not taken up."""
GRACE = 0.12
"""Seconds for which a whole picture waits for those before it, while they may be mended."""
WHOLE_EVERY = 0.5
"""Seconds between whole pictures that were asked for, at least."""
BITS, _BLOCK = 16, 20
"""A picture's number is written on it, above and below: one block of so many pixels for each bit."""
_DARK, _BRIGHT = 40, 210
_WAITING = 128
"""Pictures under way at most; the oldest go first."""
DELAYS_KEPT = 4500
"""Of which quantiles are taken: five minutes."""
LARGEST = 1920 * 1088
"""Pixels: a larger picture is not decoded."""


@cache
def _texture() -> NDArray[np.float64]:
    """Detail twice as wide as a picture, so that the encoder finds something to spend its bits on."""
    grain = np.arange(2 * WIDTH * HEIGHT, dtype=np.uint64)
    mixed = (grain * np.uint64(2654435761) >> np.uint64(7)) % np.uint64(18)
    return np.asarray(mixed, dtype=np.float64).reshape(HEIGHT, 2 * WIDTH)


def picture(number: int) -> NDArray[np.uint8]:
    """The luminance of picture `number`, uint8 of (192, 320): moving grating and grain, its number above and below."""
    x, y = np.arange(WIDTH), np.arange(HEIGHT)[:, None]
    luma = 110 + 40 * np.sin(2 * math.pi * (x + 4 * number) / 64) + 20 * np.sin(2 * math.pi * (y + number) / 48)
    shift = 3 * number % WIDTH
    shown = np.asarray(luma + _texture()[:, shift : shift + WIDTH], dtype=np.uint8)
    for bit in range(BITS):
        shown[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = _BRIGHT if number >> bit & 1 else _DARK
    shown[-_BLOCK:] = shown[:_BLOCK]
    return shown


def colourless(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A whole picture of the luminance `luma`: planar YUV 4:2:0, uint8 of (288, 320)."""
    return np.vstack([luma, np.full((HEIGHT // 2, WIDTH), 128, dtype=np.uint8)])


def read_number(luma: NDArray[np.uint8]) -> int:
    """The number that is written on a decoded picture, whatever coding has made of it.

    >>> read_number(picture(12345))
    12345
    """
    inner = slice(_BLOCK // 4, 3 * _BLOCK // 4)
    blocks = luma[inner, : BITS * _BLOCK].reshape(_BLOCK // 2, BITS, _BLOCK)[:, :, inner].mean(axis=(0, 2))
    return int(sum(1 << bit for bit, bright in enumerate(blocks > (_DARK + _BRIGHT) / 2) if bright))


class _Encoder(Vp8Encoder):
    """aiortc's, which asks libvpx for no less than 250 kbit/s, with another floor."""

    def __init__(self, bit_rate: float) -> None:
        super().__init__()
        self._bit_rate = 0
        self.target_bitrate = int(bit_rate)

    @property
    def target_bitrate(self) -> int:
        """Bits per second."""
        return self._bit_rate

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        # of its own floor aiortc makes the size of the rate control's buffer
        Vp8Encoder.target_bitrate.fset(self, bitrate)  # type: ignore[attr-defined]
        self._bit_rate = max(LEAST_RATE, bitrate)


class VideoSource:
    """Shows: encodes the deterministic picture with VP8, one each fifteenth of a second.

    Args:
        ssrc: The flow's label.
        bit_rate: Asked of the encoder, in bits per second; libvpx takes at least `LEAST_RATE`.
        camera: Shows instead of the deterministic picture.

    Attributes:
        pictures: Shown so far.
        packets: RTP packets of them.
        bytes: Of those packets.
        whole: Pictures coded whole (key frames).
        coded: Bytes of VP8.
        plain_coded: What the same pictures would have had at `plain_rate`: coded twice while that is compared.
        plain_rate: Bits per second; what the way is thought to take.
    """

    def __init__(self, ssrc: int, *, bit_rate: float = 300_000, camera: Camera | None = None) -> None:
        self.ssrc = ssrc
        self._camera = camera
        self.pictures = self.packets = self.bytes = self.whole = self.coded = self.plain_coded = 0
        self.plain_rate = bit_rate
        self._encoder = _Encoder(bit_rate)
        self._plain: _Encoder | None = None
        self._wants_whole = True
        self._made_whole = -math.inf
        self._payloads = self._encode()

    @property
    def bit_rate(self) -> int:
        """Asked of the encoder, in bits per second."""
        return self._encoder.target_bitrate

    @property
    def timestamp(self) -> int:
        """Of the media clock, at the picture that was sent last."""
        return max(0, self.pictures - 1) * TICKS

    def compare(self, *, on: bool) -> None:
        """Counts, or stops counting, what the pictures would have had at `plain_rate`."""
        self._plain = _Encoder(self.plain_rate) if on else None
        self._wants_whole = self._wants_whole or on  # both begin with a whole picture

    def make_whole(self, now: float) -> None:
        """The picture after the next is coded by itself, for somebody has lost the thread; not oftener than needed.

        Args:
            now: Seconds.
        """
        if now - self._made_whole >= WHOLE_EVERY:
            self._wants_whole, self._made_whole = True, now

    def adapt(self, bit_rate: float) -> None:
        """Codes at about so many bits per second from now on, at once where it is less.

        The encoder begins anew with every change, with a whole picture: more is worth that only where it is much more.
        """
        if not 1.0 <= bit_rate / self.bit_rate < WORTH_IT:
            self._encoder.target_bitrate = int(bit_rate)

    def next_packets(self, now: int) -> list[bytes]:
        """The RTP packets of the next picture, marked as sent at `now` (monotonic nanoseconds)."""
        packets = [
            RtpPacket(
                ssrc=self.ssrc, sequence=self.packets + place, timestamp=self.pictures * TICKS, sent=now,
                payload=payload, payload_type=VP8_PAYLOAD_TYPE, marker=place == len(self._payloads) - 1,
            ).encode()
            for place, payload in enumerate(self._payloads)
        ]  # fmt: skip
        self.pictures += 1
        self.packets += len(packets)
        self.bytes += sum(map(len, packets))
        return packets

    def prepare(self) -> None:
        """Encodes the next picture: before it is due, so that the encoder's time is not counted as delay."""
        self._payloads = self._encode()

    async def play(self, send: Callable[[bytes], object], *, seconds: float = math.inf) -> None:
        """Sends a picture each fifteenth of a second until `seconds` have passed or the task is cancelled.

        Packets leave no faster than `PACE` times the rate: a whole picture at once would fill a narrow way's queue.
        """
        loop = asyncio.get_running_loop()
        start, count, free = loop.time(), 0, 0.0
        while count < seconds * FRAMES_PER_SECOND:
            packets = self.next_packets(time.monotonic_ns())
            for number, packet in enumerate(packets):
                if number % BURST == 0 and free > loop.time():
                    await asyncio.sleep(free - loop.time())
                send(stamp(packet, time.monotonic_ns()))
                free = max(free, loop.time()) + 8 * len(packet) / (PACE * max(self.bit_rate, self.plain_rate))
            self.prepare()
            count += 1
            await asyncio.sleep(max(0.0, start + count / FRAMES_PER_SECOND - loop.time()))

    def _encode(self) -> list[bytes]:
        frame = self._frame()
        payloads, _ = self._encoder.encode(frame, force_keyframe=self._wants_whole)
        self.coded += sum(map(len, payloads))
        plain = payloads
        if self._plain is not None:
            self._plain.target_bitrate = int(self.plain_rate)
            plain, _ = self._plain.encode(self._frame(), force_keyframe=self._wants_whole)
        self.plain_coded += sum(map(len, plain))
        self.whole += self._wants_whole
        self._wants_whole = False
        return payloads

    def _frame(self) -> av.VideoFrame:
        number, camera = self.pictures, self._camera
        pixels = colourless(picture(number % (1 << BITS))) if camera is None else camera(number)
        frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        frame.pts, frame.time_base = self.pictures * TICKS, Fraction(1, VIDEO_CLOCK_RATE)
        return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoReport:
    """What an eye saw.

    Attributes:
        received: Packets, each once.
        expected: Pictures from the first that was shown to the last.
        shown: Of them, those that were decoded and shown.
        frozen: Share of them that were not, in [0, 1].
        wrong: Pictures that showed another number than theirs.
        whole: Those coded by themselves.
        asked: How often a whole picture was asked for.
        delay_median: Seconds from the sending of a picture to its being whole here, over the last five minutes; NaN
            before the first.
        delay_p95: 95th percentile of it.
        delay_p99: 99th percentile of it.
        longest_freeze: Longest time between two pictures shown, seconds.
    """

    received: int
    expected: int
    shown: int
    frozen: float
    wrong: int
    whole: int
    asked: int
    delay_median: float
    delay_p95: float
    delay_p99: float
    longest_freeze: float


@dataclass(slots=True)
class _Picture:
    """One picture on its way: its payloads by sequence number, its first and last where they are known."""

    since: float
    sent: int
    timestamp: int
    payloads: dict[int, bytes] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is missing."""
        return self.first is not None and self.last is not None and len(self.payloads) == self.last - self.first + 1

    def data(self) -> bytes:
        """What the decoder takes."""
        return b"".join(self.payloads[number] for number in sorted(self.payloads))

    @property
    def is_whole(self) -> bool:
        """Whether it is complete and can be decoded by itself: its first bit says so (RFC 6386, section 9.1)."""
        return self.is_complete and self.first is not None and not self.payloads[self.first][0] & 1


class VideoSink:
    """Sees: puts the packets of one flow together to pictures, shows those in order, and reads their numbers.

    Args:
        ask: Called when a whole picture is needed to go on.
        screen: Takes what it sees; whether that says its number is then not looked at.

    Attributes:
        malformed: Packets and pictures that no eye can read.
    """

    def __init__(self, ask: Callable[[], object] = lambda: None, screen: Screen | None = None) -> None:
        self.malformed = 0
        self._ask = ask
        self._screen = screen
        self._decoder = Vp8Decoder()
        self._pictures: dict[int, _Picture] = {}
        self._next: int | None = None
        self._highest = -1
        self._since_asked = -1.0
        self._first_shown = self._last_shown = -1
        self._shown_at = math.nan
        self._received = self._shown = self._wrong = self._whole = self._asked = 0
        self._longest = 0.0
        self._delays: collections.deque[float] = collections.deque(maxlen=DELAYS_KEPT)

    def receive(self, data: bytes, now: int) -> bool:
        """Takes one RTP packet that arrived at `now`, monotonic nanoseconds.

        Returns:
            Whether it is one of this flow's, and still of use.
        """
        try:
            packet = RtpPacket.decode(data)
            descriptor, payload = VpxPayloadDescriptor.parse(packet.payload)
        except (RemoteProtocolError, ValueError):
            packet, payload = None, b""
        if packet is None or packet.payload_type != VP8_PAYLOAD_TYPE or not payload:
            self.malformed += 1
            return False
        number = self._extend(packet.sequence)
        if self._next is not None and number < self._next:
            return False
        shown = self._pictures.get(packet.timestamp)
        if shown is None:
            shown = self._pictures[packet.timestamp] = _Picture(to_seconds(now), packet.sent, packet.timestamp)
        if number in shown.payloads:
            return False
        shown.sent = min(shown.sent, packet.sent)
        shown.payloads[number] = payload
        if descriptor.partition_start and descriptor.partition_id == 0:
            shown.first = number
        if packet.marker:
            shown.last = number
        self._received += 1
        self._show(to_seconds(now))
        return True

    def report(self) -> VideoReport:
        """What was seen so far."""
        expected = (self._last_shown - self._first_shown) // TICKS + 1 if self._shown else 0
        delays = np.array(self._delays or [math.nan])
        return VideoReport(
            received=self._received,
            expected=expected,
            shown=self._shown,
            frozen=1.0 - self._shown / expected if expected else 0.0,
            wrong=self._wrong,
            whole=self._whole,
            asked=self._asked,
            delay_median=float(np.median(delays)),
            delay_p95=float(np.quantile(delays, 0.95)),
            delay_p99=float(np.quantile(delays, 0.99)),
            longest_freeze=self._longest,
        )

    def _extend(self, sequence: int) -> int:
        """The sequence number without its wrap at 16 bits: the nearest to the highest seen."""
        if self._highest < 0:
            self._highest = sequence + SEQUENCES
            return self._highest
        step = (sequence - self._highest) % SEQUENCES
        number = self._highest + (step if step < SEQUENCES // 2 else step - SEQUENCES)
        self._highest = max(self._highest, number)
        return number

    def _show(self, now: float) -> None:
        """Shows what is whole and next; goes on from a whole picture; asks for one where waiting is over."""
        while True:
            ready = next((p for p in self._pictures.values() if p.first == self._next and p.is_complete), None)
            if ready is None:
                ready = next((p for p in self._pictures.values() if p.is_whole and self._may_skip_to(p, now)), None)
            if ready is None:
                break
            self._see(ready, now)
        over = len(self._pictures) > _WAITING
        if over or any(now - waiting.since > PATIENCE for waiting in self._pictures.values()):
            for stamp in [s for s, waiting in self._pictures.items() if over or now - waiting.since > PATIENCE]:
                del self._pictures[stamp]
            self._next = None
        if self._since_asked < 0.0:
            self._since_asked = now  # the first picture is whole: it only takes its time
        if self._next is None and now - self._since_asked > PATIENCE / 2:
            self._since_asked = now
            self._asked += 1
            self._ask()

    def _may_skip_to(self, whole: _Picture, now: float) -> bool:
        """Whether those before a whole picture are not waited for: for a moment they are, for they may be mended."""
        return self._next is None or now - whole.since > GRACE

    def _see(self, ready: _Picture, now: float) -> None:
        """Decodes one picture; those before it will not be shown any more."""
        assert ready.last is not None  # noqa: S101 - it is complete
        self._next = ready.last + 1
        self._pictures = {
            stamp: waiting for stamp, waiting in self._pictures.items() if min(waiting.payloads) > ready.last
        }
        self._whole += ready.is_whole
        data = ready.data()
        try:
            coded = JitterFrame(data=data, timestamp=ready.timestamp)
            frames = self._decoder.decode(coded) if _may_decode(data) else []
        except av.error.FFmpegError:
            frames = []
        if not frames:
            self.malformed += 1
            self._next = None
            return
        for frame in frames:
            pixels = np.asarray(cast("av.VideoFrame", frame).to_ndarray(), dtype=np.uint8)
            if self._screen is not None:
                self._screen(pixels)
            else:
                self._wrong += not _says(pixels, ready.timestamp // TICKS)
        if not self._shown:
            self._first_shown = ready.timestamp
        else:
            self._longest = max(self._longest, now - self._shown_at)
        self._shown += 1
        self._last_shown, self._shown_at = ready.timestamp, now
        self._delays.append(now - to_seconds(ready.sent))


def _may_decode(data: bytes) -> bool:
    """Whether a picture is not larger than anybody needs: a whole one says its size (RFC 6386, section 9.1)."""
    if not data or data[0] & 1:
        return True
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
    return width * height <= LARGEST


def _says(pixels: NDArray[np.uint8], number: int) -> bool:
    """Whether it is the deterministic picture of that number; coarse coding now and then spoils one of the places."""
    luma = pixels[:HEIGHT]
    return luma.shape == (HEIGHT, WIDTH) and number % (1 << BITS) in (read_number(luma), read_number(luma[-_BLOCK:]))
