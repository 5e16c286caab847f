"""A node's media plane: what `OpenMedia` and `CloseMedia` mean on real links. Ends speak and hear, relays only pass on.

A route's label is the SSRC of its voice and the head of its data frames; the neighbour a packet comes from tells the
direction. `ends` and `passing` do what is to be done with RTP and RTCP.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.time import to_seconds
from meshsim.node.data import DataPlane
from meshsim.node.devices import NONE
from meshsim.node.ends import CallEnds
from meshsim.node.passing import Passages
from meshsim.node.rtcp import decode, is_rtcp
from meshsim.node.rtp import read_ssrc

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.effects import CloseMedia, MediaReport, OpenMedia
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.media import AicProfile
    from meshsim.mesh.seeds import Stream
    from meshsim.node.devices import Devices
    from meshsim.node.ends import End, Heard

DATA_PERIOD = 0.1
"""Seconds between probes of a talking end."""
DATA_BYTES = 1200
"""No probe is longer."""
LONGEST_ECHO = 60.0
"""Seconds; no echo is believed to have taken longer, or less than none."""
_LABEL_BYTES, _TIME_BYTES = 4, 8
_FRAME_BYTES = _LABEL_BYTES + 1 + _TIME_BYTES
_ASK, _ECHO = 0, 1


class MediaPlane:
    """All routes of all calls that touch this node.

    Args:
        send_media: Hands an RTP or RTCP packet to a neighbour; False if it cannot take it.
        send_data: Hands a data frame to a neighbour; False if it cannot take it.
        report: Tells the agent what an end received.
        count: Tells the agent how many RTP bytes of a route came to this end, or were passed on here.
        stream: Draws for packets dropped on purpose.
        group: Where the speaking and reporting tasks of an end live.
        aic: The codec profile of AIC here.
        devices: What ends of calls speak, show, hear and see with.

    Attributes:
        passing: Routes of others.
        data: What programs send each other over calls.
        unroutable: Packets and frames of no known route.
    """

    def __init__(
        self,
        *,
        send_media: Callable[[NodeId, bytes], bool],
        send_data: Callable[[NodeId, bytes], bool],
        report: Callable[[CallId, MediaReport], None],
        count: Callable[[CallId, int, int], None],
        stream: Stream,
        group: asyncio.TaskGroup,
        aic: AicProfile,
        devices: Devices = NONE,
    ) -> None:
        self.unroutable = 0
        self.passing = Passages(send_media, count, stream)
        self._ends = CallEnds(send=send_media, report=report, count=count, group=group, aic=aic, devices=devices)
        self.data = DataPlane(send_data, self.passing.onward)
        self._send_data = send_data
        self._group = group
        self._talks: dict[int, asyncio.Task[None]] = {}

    @property
    def heard(self) -> dict[CallId, Heard]:
        """Per call that ends here, or did lately, what was received."""
        return self._ends.heard

    @property
    def forwarded(self) -> int:
        """RTP packets passed on for others, on routes that are still open."""
        return self.passing.forwarded

    @property
    def spared(self) -> int:
        """Bytes of media that AIC kept off the wire, in calls of this node."""
        return self._ends.spared

    def spared_in(self, call: CallId) -> int | None:
        """The same of one call; None where AIC was never applied, or the call is forgotten."""
        return self._ends.spared_in(call)

    def open(self, effect: OpenMedia) -> None:
        """Lets media flow as the agent asks: end here, or pass both ways."""
        if effect.upstream is not None and effect.downstream is not None:
            self.passing.open(effect, effect.upstream, effect.downstream)
            return
        neighbour = effect.downstream or effect.upstream
        if neighbour is None:
            raise RemoteProtocolError("a route of one node carries nothing")
        self._ends.open(effect, neighbour)
        self.data.open(effect.call, effect.label, neighbour)
        self._talks[effect.label] = self._group.create_task(self._talk(effect.label, neighbour))

    def close(self, effect: CloseMedia) -> None:
        """Stops one route."""
        self.passing.close(effect.label)
        self.data.close(effect.label)
        self._close_end(effect.label)

    def receive(self, source: NodeId, packet: bytes) -> None:
        """An RTP or RTCP packet came from a neighbour.

        Raises:
            RemoteProtocolError: If it is neither.
        """
        if is_rtcp(packet):
            for message in decode(packet):
                if not self._ends.hear(source, message) and not self.passing.report(source, message):
                    self.unroutable += 1
            return
        ssrc = read_ssrc(packet)
        end = self._ends.find(source, ssrc)
        if end is not None:
            self._ends.receive(end, ssrc, packet)
        elif not self.passing.forward(source, ssrc, packet):
            self.unroutable += 1

    def receive_data(self, source: NodeId, frame: bytes) -> None:
        """A data frame came from a neighbour.

        Raises:
            RemoteProtocolError: If it is none, or the echo of nothing that was asked.
        """
        is_probe = len(frame) > _LABEL_BYTES and frame[_LABEL_BYTES] in (_ASK, _ECHO)
        if len(frame) < _FRAME_BYTES or (is_probe and len(frame) > DATA_BYTES):
            raise RemoteProtocolError(f"a data frame of {len(frame)} bytes")
        label = int.from_bytes(frame[:_LABEL_BYTES], "big")
        end, onward = self._ends.find(source, label), self.passing.onward(source, label)
        if end is not None:
            self.heard[end.call].signs += 1
        if not is_probe:
            self.unroutable += not self.data.receive(source, label, frame)
        elif end is not None:
            self._take_data(end, frame)
        elif onward is not None:
            self._send_data(onward, frame)
        else:
            self.unroutable += 1

    def is_open(self, call: CallId) -> bool:
        """Whether a route of `call` still ends here."""
        return any(end.call == call for end in self._ends.ends.values())

    def settle(self) -> list[CallId]:
        """Closes the routes that end here, so that `heard` is whole; the calls they belonged to."""
        calls = sorted({end.call for end in self._ends.ends.values()})
        for label in list(self._ends.ends):
            self.data.close(label)
            self._close_end(label)
        return calls

    def _close_end(self, label: int) -> None:
        if label in self._talks:
            self._talks.pop(label).cancel()
        self._ends.close(label)

    async def _talk(self, label: int, neighbour: NodeId) -> None:
        while True:
            stamp = time.monotonic_ns().to_bytes(_TIME_BYTES, "big")
            self._send_data(neighbour, label.to_bytes(_LABEL_BYTES, "big") + bytes([_ASK]) + stamp)
            await asyncio.sleep(DATA_PERIOD)

    def _take_data(self, end: End, frame: bytes) -> None:
        heard, kind = self.heard[end.call], frame[_LABEL_BYTES]
        if kind == _ASK:
            heard.data_received += 1
            self._send_data(end.neighbour, frame[:_LABEL_BYTES] + bytes([_ECHO]) + frame[_LABEL_BYTES + 1 :])
            return
        sent = int.from_bytes(frame[_LABEL_BYTES + 1 : _FRAME_BYTES], "big")
        took = to_seconds(time.monotonic_ns() - sent)
        if kind != _ECHO or not 0.0 <= took <= LONGEST_ECHO:
            raise RemoteProtocolError("a data frame that neither asks nor echoes what was asked")
        heard.data_rtts.append(took)
