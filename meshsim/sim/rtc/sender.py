"""One end's sending side: sources, pacing, packets sent again, groups protected, the rate that feedback allows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.media import WIRE_OVERHEAD_BYTES
from meshsim.rtc.rtcp import SenderReport, ntp_time
from meshsim.sim.environment import Environment, Record
from meshsim.sim.rtc.opus import FRAME, Voice
from meshsim.sim.rtc.packet import AUDIO_CLOCK, DATA_BYTES, EXTENSION_BYTES, RTX_BYTES, VIDEO_CLOCK, Kind, Packet, Piece
from meshsim.sim.rtc.repair import KEPT, Groups
from meshsim.sim.rtc.video import LEAST_RATE, Camera, choose_layer, pieces
from meshsim.sim.rtc.wire import repair_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.mesh.seeds import SeedTree
    from meshsim.rtc.rtcp import Block, TransportFeedback
    from meshsim.sim.rtc.control import RateControl
    from meshsim.sim.rtc.spec import SessionSpec

SPEAK, FILM, PUSH, PACED = "rtc.speak", "rtc.film", "rtc.push", "rtc.paced"
"""Kinds of records: a frame of speech or of video is taken, data are due, a paced packet sets out."""

PACING = 2.5
"""By how much the pacer is faster than the target (libwebrtc)."""

LOST_AFTER = 1.0
"""Seconds over two round trips after which a piece of data that nobody told of counts as lost."""

IDLE = 0.05
"""Seconds until a transfer with nothing to send looks again."""

_STRIDE = 16


class Out(NamedTuple):
    """A packet that is on its way, as far as feedback is concerned.

    Attributes:
        sent: When it set out, seconds.
        size: Bytes on the wire.
        piece: Number of the piece of data in it, or -1.
    """

    sent: float
    size: int
    piece: int


class Source:
    """One source of RTP packets: its numbers, and what it sent.

    Args:
        ssrc: Its name.
        clock: Timestamp units per second.
        seq: First sequence number.
        offset: First timestamp.
    """

    def __init__(self, ssrc: int, clock: int, seq: int, offset: int) -> None:
        self.ssrc, self.clock, self.offset = ssrc, clock, offset
        self.seq = seq
        self.packets = self.octets = 0
        self.kept: dict[int, Packet] = {}

    def packet(self, kind: Kind, timestamp: int, payload: int, body: object, *, marker: bool = False) -> Packet:
        """The source's next packet."""
        packet = Packet(kind, self.ssrc, self.seq, timestamp, payload, body, marker=marker)
        self.seq += 1
        self.packets += 1
        self.octets += payload
        return packet

    def keep(self, packet: Packet) -> None:
        """Keeps a packet to be sent again."""
        self.kept[packet.seq % (1 << 16)] = packet
        if len(self.kept) > KEPT:
            del self.kept[next(iter(self.kept))]


class Sender:
    """What one end sends.

    Args:
        spec: What.
        index: Names its streams of draws and its records.
        start: When the session begins, seconds.
        stop: When it sends nothing new any more.
        seeds: Root of the draws.
        env: The clock.
        post: Puts a packet on its way.
        control: Makes a rate of feedback.

    Attributes:
        target: Bits per second on the wire.
        rtt: By RTCP, seconds.
        rtts: All that were told.
        frames: Numbers of the frames of speech that were sent.
        pictures: Frames of video that were sent.
        counts: Packets sent, of each kind.
        sent_bytes: Of RTP on the wire.
        targets: When the target changed and to what, (seconds, bits per second).
        layers: Layer of each frame of video.
    """

    def __init__(
        self,
        spec: SessionSpec,
        index: int,
        start: float,
        stop: float,
        seeds: SeedTree,
        env: Environment,
        post: Callable[[int, Packet, float], None],
        control: RateControl,
    ) -> None:
        self._spec, self._index, self._start, self._stop = spec, index, start, stop
        self._env, self._post, self._control = env, post, control
        self._voice = None if spec.audio is None else Voice(spec.audio, seeds, index)
        self._camera = None if spec.video is None else Camera(spec.video, seeds, index)
        self.sources = _sources(spec, seeds, index)
        self._groups: dict[int, Groups] = {}
        self._paced_until = start
        self._transport = 0
        self._out: dict[int, Out] = {}
        self._layer, self._key_wanted, self._pieces = 0, False, 0
        self._again: deque[int] = deque()
        self._arrived_pieces: set[int] = set()
        self.target = spec.rate if spec.start_rate is None else spec.start_rate
        self.rtt = 0.1
        self.rtts: list[float] = []
        self.frames: list[int] = []
        self.pictures = 0
        self.counts = dict.fromkeys(Kind, 0)
        self.sent_bytes = 0
        self.targets: list[tuple[float, float]] = [(start, self.target)]
        self.layers: list[int] = []
        self._begin()

    @property
    def main(self) -> Source:
        """The source that reports in the end's name."""
        return next(iter(self.sources.values()))

    def _begin(self) -> None:
        env, start = self._env, self._start
        if self._voice is not None:
            env.push(start + FRAME, Record(SPEAK, self._index, 0))
        if self._camera is not None:
            env.push(start, Record(FILM, self._index, 0))
        if self._spec.data is not None:
            env.push(start, Record(PUSH, self._index, None))

    # Sources ----------------------------------------------------------------------------------------------------------

    def speak(self, n: int, now: float) -> None:
        """Frame n of speech has been taken."""
        assert self._voice is not None  # noqa: S101 - narrows the type for mypy
        spoken = self._voice.frame(n)
        if spoken is not None:
            source = self.sources[Kind.AUDIO, 0]
            stamp = source.offset + round(n * FRAME * AUDIO_CLOCK)
            packet = source.packet(Kind.AUDIO, stamp, spoken.payload, n, marker=spoken.first)
            self.frames.append(n)
            self._send(packet, now)
            self._protect(packet, (Kind.AUDIO, 0), now)
        following = self._start + (n + 2) * FRAME
        if following < self._stop:
            self._env.push(following, Record(SPEAK, self._index, n + 1))

    def film(self, n: int, now: float) -> None:
        """Frame n of video is taken."""
        assert self._camera is not None  # noqa: S101 - narrows the type for mypy
        video = self._spec.video
        assert video is not None  # noqa: S101 - as above
        spare = max((self.target - self._spec.audio_rate) / self._spec.video_cost, LEAST_RATE)
        if video.layers:
            layer, before = choose_layer(video.layers, spare, self._layer), self._layer
            self._layer, rate = layer, video.layers[layer]
            self._key_wanted |= layer != before
        else:
            rate = min(spare, video.bitrate)
        size, key = self._camera.frame(n, rate, key=self._key_wanted)
        self._key_wanted = False
        self._cut(n, size, now, key=key)
        self.pictures += 1
        self.layers.append(self._layer)
        following = self._start + (n + 1) / video.fps
        if following < self._stop:
            self._env.push(following, Record(FILM, self._index, n + 1))

    def _cut(self, n: int, size: int, now: float, *, key: bool) -> None:
        """Sends a frame in packets."""
        name = Kind.VIDEO, self._layer
        source, parts = self.sources[name], pieces(size)
        stamp = source.offset + round((now - self._start) * VIDEO_CLOCK)
        for part, payload in enumerate(parts):
            piece = Piece(n, part, len(parts), key, now)
            packet = source.packet(Kind.VIDEO, stamp, payload, piece, marker=part + 1 == len(parts))
            source.keep(packet)
            self._pace(packet, now)
            self._protect(packet, name, now)

    def push(self, now: float) -> None:
        """The next piece of data may be sent."""
        data = self._spec.data
        assert data is not None  # noqa: S101 - narrows the type for mypy
        self._give_up(now)
        payload = data.piece - WIRE_OVERHEAD_BYTES
        more = self._pieces * (payload - DATA_BYTES) < data.size
        if now >= self._stop:
            return
        if not self._again and not more:
            self._env.push(now + IDLE, Record(PUSH, self._index, None))
            return
        if self._again:
            piece = self._again.popleft()
        else:
            piece, self._pieces = self._pieces, self._pieces + 1
        source = self.sources[Kind.DATA, 0]
        stamp = source.offset + round((now - self._start) * VIDEO_CLOCK)
        packet = source.packet(Kind.DATA, stamp, payload, piece)
        self._send(packet, now)
        rate = min(data.rate, max(self.target, LEAST_RATE))
        self._env.push(now + 8.0 * packet.size / rate, Record(PUSH, self._index, None))

    # On the way -------------------------------------------------------------------------------------------------------

    def _pace(self, packet: Packet, now: float) -> None:
        """Sends a packet when those before it have had their time."""
        size = packet.size + (EXTENSION_BYTES if self._spec.extended else 0)
        at = max(now, self._paced_until)
        self._paced_until = at + 8.0 * size / (PACING * max(self.target, LEAST_RATE))
        if at > now:
            self._env.push(at, Record(PACED, self._index, packet))
        else:
            self._send(packet, now)

    def paced(self, packet: Packet, now: float) -> None:
        """A packet's time has come."""
        self._send(packet, now)

    def _send(self, packet: Packet, now: float) -> None:
        if self._spec.extended:
            packet.number(self._transport)
            piece = packet.body if packet.kind == Kind.DATA else -1
            self._out[self._transport] = Out(now, packet.size, piece)
            self._transport += 1
        packet.sent = now
        self.counts[packet.kind] += 1
        self.sent_bytes += packet.size
        self._post(self._index, packet, now)

    def _protect(self, packet: Packet, name: tuple[Kind, int], now: float) -> None:
        """Adds a packet to its source's group, and sends what protects the group once it is whole."""
        if not self._spec.fec:
            return
        group = self._groups.setdefault(packet.ssrc, Groups(self._spec.fec)).add(packet)
        if group:
            kind, layer = name
            source = self.sources[Kind.FEC, layer + (1 if kind == Kind.VIDEO else 0)]
            size = repair_size(group, extended=self._spec.extended)
            repair = source.packet(Kind.FEC, packet.timestamp, size, group)
            if kind == Kind.AUDIO:
                self._send(repair, now)
            else:
                self._pace(repair, now)

    # What the other end says ------------------------------------------------------------------------------------------

    def asked_again(self, ssrc: int, missing: tuple[int, ...], now: float) -> None:
        """The other end lacks packets of video: they are sent again as far as they are kept (RFC 4588)."""
        for (kind, layer), source in self.sources.items():
            if kind == Kind.VIDEO and source.ssrc == ssrc:
                for seq in missing:
                    packet = source.kept.get(seq % (1 << 16))
                    if packet is not None:
                        repair = self.sources[Kind.RTX, layer]
                        again = repair.packet(
                            Kind.RTX, packet.timestamp, packet.payload + RTX_BYTES, packet, marker=packet.marker
                        )
                        self._pace(again, now)

    def asked_for_key(self) -> None:
        """The other end's picture is broken."""
        self._key_wanted = True

    def reported(self, rtt: float) -> None:
        """A report told of a round trip."""
        self.rtt = rtt
        self.rtts.append(rtt)

    def fed_back(self, feedback: TransportFeedback, tick: float, now: float) -> None:
        """Transport-wide feedback: what arrived when; `tick` is in seconds."""
        rows = []
        for number, at in enumerate(feedback.ticks, feedback.base):
            out = self._out.pop(number, None)
            if out is not None:
                rows.append((out.sent, at * tick if at >= 0 else np.nan, out.size))
                self._settle(out, arrived=at >= 0)
        if not rows:
            return
        sent, arrived, size = np.array(rows, dtype=np.float64).T
        target = float(self._control.feedback(sent, arrived, size, now, self.rtt))
        if target != self.target:
            self.target = target
            self.targets.append((now, target))

    def _settle(self, out: Out, *, arrived: bool) -> None:
        """A piece of data has arrived, or is sent again."""
        if out.piece >= 0 and arrived:
            self._arrived_pieces.add(out.piece)
        elif out.piece >= 0 and out.piece not in self._arrived_pieces:
            self._again.append(out.piece)

    def _give_up(self, now: float) -> None:
        """Pieces of which nobody told count as lost."""
        while self._out:
            number = next(iter(self._out))
            if self._out[number].sent > now - LOST_AFTER - 2.0 * self.rtt:
                return
            self._settle(self._out.pop(number), arrived=False)

    def reports(self, blocks: tuple[Block, ...], now: float) -> list[SenderReport]:
        """A sender report of each source that reports; the first brings the blocks."""
        told = []
        for (kind, _), source in self.sources.items():
            if kind in (Kind.AUDIO, Kind.VIDEO, Kind.DATA) and source.packets:
                stamp = source.offset + round((now - self._start) * source.clock)
                told.append(SenderReport(source.ssrc, ntp_time(now), stamp, source.packets, source.octets, blocks))
                blocks = ()
        return told


def _sources(spec: SessionSpec, seeds: SeedTree, index: int) -> dict[tuple[Kind, int], Source]:
    """The sources of an end by kind and layer; FEC 0 protects audio, FEC n + 1 layer n of video."""
    layers = 0 if spec.video is None else max(len(spec.video.layers), 1)
    names = [(Kind.AUDIO, 0)] if spec.audio is not None else []
    names += [(Kind.VIDEO, layer) for layer in range(layers)]
    names += [(Kind.DATA, 0)] if spec.data is not None else []
    names += [(Kind.RTX, layer) for layer in range(layers) if spec.nack]
    names += [(Kind.FEC, n) for n in range(layers + 1) if spec.fec and (n or spec.audio is not None)]
    draws = seeds.stream("rtc.ssrc", index).uniform(0, 1 + 2 * len(names))
    # ends differ in the low bits of this byte, sources in the last one
    base = (int(draws[0] * (1 << 20)) << 4 | index % _STRIDE) << 8
    sources = {}
    for n, name in enumerate(names):
        clock = AUDIO_CLOCK if name in ((Kind.AUDIO, 0), (Kind.FEC, 0)) else VIDEO_CLOCK
        seq, offset = int(draws[1 + 2 * n] * (1 << 16)), int(draws[2 + 2 * n] * (1 << 32))
        sources[name] = Source(base + n + 1, clock, seq, offset)
    return sources
