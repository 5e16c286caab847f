"""One end's receiving side: what came, what is missing and asked for, what is heard and seen, what is told back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.rtc.compound import TICK
from meshsim.rtc.nacks import Nacks
from meshsim.rtc.rtcp import Block, Message, Nack, Pli, Reception, SenderReport, TransportFeedback
from meshsim.sim.rtc.frames import Frames
from meshsim.sim.rtc.packet import AUDIO_CLOCK, VIDEO_CLOCK, Kind, Packet
from meshsim.sim.rtc.playout import Playout
from meshsim.sim.rtc.repair import Repairer

if TYPE_CHECKING:
    from meshsim.sim.rtc.spec import SessionSpec

MOST_BLOCKS = 31
"""Report blocks in one report (RFC 3550, section 6.4.1)."""

MOST_TOLD = 10_000
"""Packets that one feedback tells of: after a long outage the oldest are left out."""

_HALF = 1 << 16


class Receiver:
    """What one end receives.

    Args:
        spec: What the other end sends.
        start: When the session begins, seconds.

    Attributes:
        sources: What was counted of each source, by its SSRC.
        kinds: What each source sends.
        playout: Speech.
        frames: Video.
        counts: Packets that came, of each kind.
        received_bytes: Of RTP on the wire.
        repaired: Packets of media brought back in time: sent again, and restored.
        video_packets: Packets of video of use, repaired ones included.
        data_bytes: Of data, each piece counted once.
        data_wire: The same on the wire.
        data_done: When the last new piece came, seconds.
        skews: Delay of each frame shown less that of speech at the time, seconds.
        asked: Packets asked for by NACK.
        key_requests: Sent.
    """

    def __init__(self, spec: SessionSpec, start: float) -> None:
        self._spec, self._start = spec, start
        self.playout = Playout(redundant=spec.audio is not None and spec.audio.fec)
        self.frames = Frames(again=spec.nack)
        self.sources: dict[int, Reception] = {}
        self.kinds: dict[int, Kind] = {}
        self._nacks: dict[int, Nacks] = {}
        self._repairers: dict[int, Repairer[Packet]] = {}
        self._arrivals: dict[int, int] = {}
        self._told_up_to = 0
        self._feedbacks = 0
        self._pieces: set[int] = set()
        self._video = 0
        self._spans: dict[int, tuple[int, int]] = {}
        self.counts = dict.fromkeys(Kind, 0)
        self.received_bytes = 0
        self.repaired = {Kind.RTX: 0, Kind.FEC: 0}
        self.video_packets = 0
        self.data_bytes, self.data_wire, self.data_done = 0, 0, start
        self.skews: list[float] = []
        self.asked = self.key_requests = 0

    def take(self, packet: Packet, now: float, rtt: float) -> None:
        """An RTP packet came."""
        kind = packet.kind
        self.counts[kind] += 1
        self.received_bytes += packet.size
        reception = self.sources.get(packet.ssrc)
        if reception is None:
            speech = kind == Kind.AUDIO or (kind == Kind.FEC and packet.body[0].kind == Kind.AUDIO)
            reception = self.sources[packet.ssrc] = Reception(AUDIO_CLOCK if speech else VIDEO_CLOCK)
            self.kinds[packet.ssrc] = kind
        reception.take(packet.seq % _HALF, packet.timestamp, now)
        if packet.transport >= 0:
            self._arrivals[packet.transport] = int(now / TICK)
        if kind == Kind.DATA:
            self._piece(packet, now)
        elif kind == Kind.RTX:
            self._media(packet.body, now, rtt, by=Kind.RTX)
        elif kind == Kind.FEC:
            self._protected(packet.body, now, rtt)
        else:
            self._media(packet, now, rtt)

    def _media(self, packet: Packet, now: float, rtt: float, by: Kind | None = None) -> None:
        """A packet of speech or video came, sent again or restored if `by` says so."""
        if packet.kind == Kind.AUDIO:
            useful = self.playout.take(packet.body, now - self._start, first=packet.marker)
        else:
            if by is None:
                first, last = self._spans.get(packet.ssrc, (packet.seq, packet.seq))
                self._spans[packet.ssrc] = min(first, packet.seq), max(last, packet.seq)
            self._ask(packet, now, rtt)
            useful = self.frames.take(packet.body, packet.payload, now, rtt, repaired=by is not None)
            self.video_packets += useful
            self._compare(now, rtt)
        if by is not None:
            self.repaired[by] += useful
        if self._spec.fec:
            restored = self._repairers.setdefault(packet.ssrc, Repairer()).took(packet.seq)
            if restored is not None:
                self._media(restored, now, rtt, by=Kind.FEC)

    @property
    def video_expected(self) -> int:
        """Packets of video that should have come, by the last of each source; unlike RFC 3550's, over any outage."""
        return sum(last - first + 1 for first, last in self._spans.values())

    def _ask(self, packet: Packet, now: float, rtt: float) -> None:
        """Notes what is missing before a packet of video."""
        if self._spec.nack:
            nacks = self._nacks.setdefault(packet.ssrc, Nacks())
            nacks.take(packet.seq, now, self.frames.deadline(packet.body, now, rtt))

    def _protected(self, group: tuple[Packet, ...], now: float, rtt: float) -> None:
        """What protects a group came."""
        repairer = self._repairers.setdefault(group[0].ssrc, Repairer())
        restored = repairer.group({packet.seq: packet for packet in group})
        if restored is not None:
            self._media(restored, now, rtt, by=Kind.FEC)

    def _piece(self, packet: Packet, now: float) -> None:
        if packet.body not in self._pieces:
            self._pieces.add(packet.body)
            self.data_bytes += packet.payload
            self.data_wire += packet.size
            self.data_done = now

    def _compare(self, now: float, rtt: float) -> None:
        """Notes how far each frame that was shown lags behind speech, which waits for the picture."""
        if self._spec.audio is None:
            return
        self.playout.advance(now - self._start)
        if self._spec.lip_sync:
            self.playout.hold(self.frames.play_at(0.0, now, rtt))
        for captured, at in self.frames.shown[self._video :]:
            if self.playout.next > 0:
                self.skews.append(at - captured - self.playout.delay)
        self._video = len(self.frames.shown)

    # What is told back ------------------------------------------------------------------------------------------------

    def tick(self, name: int, now: float, rtt: float) -> list[Message]:
        """What is to be asked for now, in the name of source `name`: packets again, and a key frame."""
        asked: list[Message] = []
        if self._spec.video is not None and self.frames.tick(now, rtt):
            asked += self._ask_for_key(name)
        for ssrc, nacks in self._nacks.items():
            missing = nacks.due(now, rtt)
            if missing:
                self.frames.noticed(now)
                self.asked += len(missing)
                asked.append(Nack(name, ssrc, missing))
        return asked

    def _ask_for_key(self, name: int) -> list[Message]:
        """Asks for a key frame; what is missing before it is of no use any more."""
        for nacks in self._nacks.values():
            nacks.clear()
        video = [ssrc for ssrc, kind in self.kinds.items() if kind == Kind.VIDEO]
        self.key_requests += len(video) > 0
        return [Pli(name, ssrc) for ssrc in video[-1:]]

    def feedback(self, name: int) -> list[Message]:
        """What arrived since the last feedback, by transport-wide number; nothing if nothing did."""
        new = sorted(number for number in self._arrivals if number >= self._told_up_to)
        if not new:
            return []
        base, end = self._told_up_to, new[-1] + 1
        base = max(base, end - MOST_TOLD)
        ticks = tuple(self._arrivals.get(number, -1) for number in range(base, end))
        self._arrivals.clear()
        self._told_up_to = end
        source = next(iter(self.sources))
        self._feedbacks += 1
        return [TransportFeedback(name, source, self._feedbacks - 1, base, ticks)]

    def blocks(self, now: float) -> tuple[Block, ...]:
        """Report blocks of all sources heard."""
        heard = list(self.sources.items())[:MOST_BLOCKS]
        return tuple(reception.block(ssrc, now) for ssrc, reception in heard)

    def heard_report(self, report: SenderReport, now: float) -> None:
        """A sender report came."""
        if report.ssrc in self.sources:
            self.sources[report.ssrc].heard_report(report, now)
