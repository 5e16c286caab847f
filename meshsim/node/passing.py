"""Routes of others that pass through a node: what comes from one side goes out at the other, and no codec looks at it.

Voice is passed on as it comes. Video is mended at each hop: a relay asks the neighbour before it for what is lost on
the way to it, and sends again to the neighbour after it what is lost on the way from it: nobody waits for the ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.mesh.media import MediaType
from meshsim.node.repair import Kept, VideoHop
from meshsim.node.rtp import Forwarder, read_place, video_ssrc
from meshsim.rtc.compound import encode
from meshsim.rtc.rtcp import Nack, ReceiverReport, Remb, SenderReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from meshsim.agent.effects import OpenMedia
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.rtc.rtcp import Message

COUNT_PERIOD = 1.0
"""Seconds between counts of what passed that are told to the agent."""


@dataclass(slots=True, kw_only=True)
class _Passage:
    """One route: the share dropped on purpose, when the agent was told what passed, its video by where it is from."""

    call: CallId
    label: int
    drop: float
    told: float
    videos: dict[NodeId, tuple[VideoHop, Kept]] = field(default_factory=dict)


class Passages:
    """All routes that pass through this node.

    Args:
        send: Hands an RTP or RTCP packet to a neighbour; False if it cannot take it.
        count: Tells the agent how many RTP bytes of a route were passed on.
        stream: Draws for packets dropped on purpose.
    """

    def __init__(
        self, send: Callable[[NodeId, bytes], bool], count: Callable[[CallId, int, int], None], stream: Stream
    ) -> None:
        self._send = send
        self._count = count
        self._stream = stream
        self._draws = 0
        self._forwarder: Forwarder[NodeId] = Forwarder(send)
        self._passages: dict[int, _Passage] = {}

    @property
    def forwarded(self) -> int:
        """RTP packets passed on, on routes that are still open; none is counted twice."""
        return sum(hop.forwarded for hop in self._forwarder.hops.values())

    @property
    def resent(self) -> int:
        """RTP packets sent again because the next node asked for them."""
        return sum(kept.resent for _, kept in self._videos())

    @property
    def recovered(self) -> int:
        """RTP packets that were lost on the way here and came after all."""
        return sum(hop.flow.recovered for hop, _ in self._videos())

    def open(self, effect: OpenMedia, upstream: NodeId, downstream: NodeId) -> None:
        """Lets a route pass, both ways."""
        passage = self._passages.get(effect.label)
        if passage is None:
            passage = _Passage(call=effect.call, label=effect.label, drop=effect.drop, told=time.monotonic())
        has_video = effect.media is MediaType.AUDIO_VIDEO
        ssrcs = (effect.label, video_ssrc(effect.label)) if has_video else (effect.label,)
        for ssrc in ssrcs:
            self._passages[ssrc] = passage
            for source, out in ((upstream, downstream), (downstream, upstream)):
                self._forwarder.add(ssrc, source, out)
        for source in (upstream, downstream) if has_video else ():
            if source not in passage.videos:
                passage.videos[source] = (self._hop(ssrcs[-1], source), Kept())

    def close(self, label: int) -> None:
        """Lets a route pass no more."""
        for ssrc in (label, video_ssrc(label)):
            self._forwarder.remove(ssrc)
            passage = self._passages.get(ssrc)
            if passage is not None and passage.label == label:
                del self._passages[ssrc]
                for hop, _ in passage.videos.values():
                    hop.close()

    def onward(self, source: NodeId, label: int) -> NodeId | None:
        """Where what comes from `source` on a route goes; None where no such route passes."""
        hop = self._forwarder.hops.get((source, label))
        return None if hop is None else hop.out

    def forward(self, source: NodeId, ssrc: int, packet: bytes) -> bool:
        """Passes an RTP packet on, or drops it on purpose; False if it is on no route, or nobody could take it.

        Raises:
            RemoteProtocolError: If it is none of this mesh's.
        """
        passage = self._passages.get(ssrc)
        if passage is None:
            return False
        video = passage.videos.get(source) if ssrc != passage.label else None
        if video is not None and not video[0].receive(packet, time.monotonic()):
            return True
        if self._swallows(passage):
            return True
        if video is not None:
            video[1].keep(read_place(packet)[0], packet)
        if not self._forwarder.forward(source, packet):
            return False
        self._tell_passed(passage)
        return True

    def report(self, source: NodeId, message: Message) -> bool:
        """Answers a request for packets, passes on whatever else RTCP says; False if it is about no route."""
        ssrc = _about(message)
        passage, out = self._passages.get(ssrc), self.onward(source, ssrc)
        if passage is None or out is None:
            return False
        video = passage.videos.get(out)
        if isinstance(message, Nack):
            if video is not None:
                self._resend(passage, video[1], source, message.missing)
            return True
        if isinstance(message, Remb) and video is not None:
            message = message._replace(rate=min(message.rate, int(video[0].flow.rate)))
        return self._send(out, encode(message))

    def _videos(self) -> Iterator[tuple[VideoHop, Kept]]:
        for ssrc, passage in self._passages.items():
            if ssrc == passage.label:
                yield from passage.videos.values()

    def _hop(self, ssrc: int, source: NodeId) -> VideoHop:
        return VideoHop(ssrc, lambda request: self._send(source, request))

    def _resend(self, passage: _Passage, kept: Kept, to: NodeId, missing: tuple[int, ...]) -> None:
        for sequence in missing:
            packet = kept.again(sequence)
            if packet is not None and not self._swallows(passage):
                self._send(to, packet)

    def _swallows(self, passage: _Passage) -> bool:
        """Whether this packet is dropped on purpose: the misbehaviour of a gray or black hole."""
        if passage.drop <= 0.0:
            return False
        self._draws += 1
        return self._stream.at(self._draws - 1) < passage.drop

    def _tell_passed(self, passage: _Passage) -> None:
        """Tells the agent what has passed, when it was not told for a while: packets are the clock of a relay."""
        now = time.monotonic()
        if now - passage.told >= COUNT_PERIOD:
            passage.told = now
            ssrcs = (passage.label, video_ssrc(passage.label))
            passed = sum(hop.bytes for (_, ssrc), hop in self._forwarder.hops.items() if ssrc in ssrcs)
            self._count(passage.call, passage.label, passed)


def _about(message: Message) -> int:
    """The flow that a message of RTCP is about; -1 for none."""
    match message:
        case SenderReport(ssrc):
            return ssrc
        case ReceiverReport(_, (block, *_)):
            return int(block.ssrc)
        case Remb(_, _, (source, *_)):
            return int(source)
        case ReceiverReport() | Remb():
            return -1
        case _:
            return message.source
