"""A node's media plane: what `OpenMedia` and `CloseMedia` mean on real links. Ends speak and hear, relays only pass on.

A route's label is the SSRC of its RTP and the head of its data frames; the neighbour a packet comes from tells the
direction. Sequence numbers and timestamps are the call's, whichever routes carry it: while it changes from one to
another it is spoken over both, and heard once.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from meshsim.agent.effects import MediaReport
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.time import to_seconds
from meshsim.node.rtp import Forwarder, read_ssrc, route_ssrc

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.effects import CloseMedia, OpenMedia
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.node.audio import AudioReport, AudioSink, AudioSource

REPORT_PERIOD = 1.0
"""Seconds between reports of an end, and counts of a relay, to its agent."""
DATA_PERIOD = 0.1
"""Seconds between data messages of a talking end."""
DATA_BYTES = 1200
"""No data frame is longer."""
CALLS_KEPT = 64
"""Calls that have ended here and whose reception is still known; the oldest go first."""
LONGEST_ECHO = 60.0
"""Seconds; no echo is believed to have taken longer, or less than none."""
_LABEL_BYTES, _TIME_BYTES = 4, 8
_FRAME_BYTES = _LABEL_BYTES + 1 + _TIME_BYTES
_ASK, _ECHO = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardSecond:
    """What one end of a route received in about a second.

    Attributes:
        at: Monotonic second at its end.
        label: Of the route.
        received: Audio packets that came.
        loss: Share of those that should have come and did not.
        delay: Mean one-way seconds of those that came; NaN where none did.
        jitter: RFC 3550, seconds.
        rtt: Of the last data message and its echo, seconds; NaN before the first.
    """

    at: float
    label: int
    received: int
    loss: float
    delay: float
    jitter: float
    rtt: float


@dataclass(slots=True, kw_only=True)
class Heard:
    """What one end of a call has received over all routes of the call.

    Attributes:
        voice: The ear: what came over all routes, each packet once.
        arrivals: Monotonic seconds of every audio packet that it heard.
        audio: What came over each route, by label; nobody listens to one alone.
        seconds: The same second by second.
        data_received: Data messages that came in.
        data_rtts: Seconds from a data message to its echo.
    """

    voice: AudioSink
    arrivals: list[float] = field(default_factory=list)
    audio: dict[int, AudioReport] = field(default_factory=dict)
    seconds: list[HeardSecond] = field(default_factory=list)
    data_received: int = 0
    data_rtts: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class _End:
    call: CallId
    neighbour: NodeId
    sink: AudioSink
    tasks: list[asyncio.Task[None]]
    seen: tuple[int, int] = (0, 0)
    delays: float = 0.0
    bytes: int = 0


@dataclass(slots=True, kw_only=True)
class _Speech:
    """What this end says in one call: one voice, over each of the routes that are open, by label."""

    source: AudioSource
    routes: dict[int, NodeId] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class _Passing:
    """A route that passes through: the share dropped on purpose, and when the agent was told what passed."""

    call: CallId
    drop: float
    told: float


class MediaPlane:
    """All routes of all calls that touch this node.

    Args:
        send_media: Hands an RTP packet to a neighbour; False if it cannot take it.
        send_data: Hands a data frame to a neighbour; False if it cannot take it.
        report: Tells the agent what an end received.
        count: Tells the agent how many RTP bytes of a route came to this end, or were passed on here.
        stream: Draws for packets dropped on purpose.
        group: Where the speaking and reporting tasks of an end live.

    Attributes:
        heard: Per call that ends here, or did lately.
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
    ) -> None:
        self.heard: dict[CallId, Heard] = {}
        self.unroutable = 0
        self._send_media = send_media
        self._send_data = send_data
        self._report = report
        self._count = count
        self._stream = stream
        self._group = group
        self._draws = 0
        self._forwarder: Forwarder[NodeId] = Forwarder(send_media)
        self._onward: dict[tuple[NodeId, int], NodeId] = {}
        self._passing: dict[int, _Passing] = {}
        self._ends: dict[int, _End] = {}
        self._speeches: dict[CallId, _Speech] = {}

    @property
    def forwarded(self) -> int:
        """RTP packets passed on for others, on routes that are still open."""
        return sum(hop.forwarded for hop in self._forwarder.hops.values())

    def open(self, effect: OpenMedia) -> None:
        """Lets media flow as the agent asks: end here, or pass both ways."""
        if effect.upstream is not None and effect.downstream is not None:
            self._passing[effect.label] = _Passing(call=effect.call, drop=effect.drop, told=time.monotonic())
            for source, out in ((effect.upstream, effect.downstream), (effect.downstream, effect.upstream)):
                self._forwarder.add(effect.label, source, out)
                self._onward[source, effect.label] = out
            return
        neighbour = effect.downstream or effect.upstream
        if neighbour is None:
            raise RemoteProtocolError("a route of one node carries nothing")
        self._open_end(effect.call, effect.label, neighbour)

    def close(self, effect: CloseMedia) -> None:
        """Stops one route."""
        self._forwarder.remove(effect.label)
        self._onward = {key: out for key, out in self._onward.items() if key[1] != effect.label}
        self._passing.pop(effect.label, None)
        self._close_end(effect.label)

    def receive(self, source: NodeId, packet: bytes) -> None:
        """An RTP packet came from a neighbour.

        Raises:
            RemoteProtocolError: If it is no RTP.
        """
        label = read_ssrc(packet)
        end = self._ends.get(label)
        if end is not None and end.neighbour == source:
            now = time.monotonic_ns()
            end.bytes += len(packet)
            heard = self.heard[end.call]
            if end.sink.receive(packet, now) and heard.voice.receive(packet, now):
                heard.arrivals.append(to_seconds(now))
        elif not self._swallows(label):
            if self._forwarder.forward(source, packet):
                self._tell_passed(label)
            else:
                self.unroutable += 1

    def receive_data(self, source: NodeId, frame: bytes) -> None:
        """A data frame came from a neighbour.

        Raises:
            RemoteProtocolError: If it is none, or the echo of nothing that was asked.
        """
        if not _FRAME_BYTES <= len(frame) <= DATA_BYTES:
            raise RemoteProtocolError(f"a data frame of {len(frame)} bytes")
        label = int.from_bytes(frame[:_LABEL_BYTES], "big")
        end = self._ends.get(label)
        if end is not None and end.neighbour == source:
            self._take_data(end, frame)
        elif (source, label) in self._onward:
            self._send_data(self._onward[source, label], frame)
        else:
            self.unroutable += 1

    def is_open(self, call: CallId) -> bool:
        """Whether a route of `call` still ends here."""
        return any(end.call == call for end in self._ends.values())

    def settle(self) -> list[CallId]:
        """Closes the routes that end here, so that `heard` is whole; the calls they belonged to."""
        calls = sorted({end.call for end in self._ends.values()})
        for label in list(self._ends):
            self._close_end(label)
        return calls

    def _swallows(self, label: int) -> bool:
        """Whether this packet is dropped on purpose: the misbehaviour of a gray or black hole."""
        passing = self._passing.get(label)
        if passing is None or passing.drop <= 0.0:
            return False
        self._draws += 1
        return self._stream.at(self._draws - 1) < passing.drop

    def _tell_passed(self, label: int) -> None:
        """Tells the agent what has passed, when it was not told for a while: packets are the clock of a relay."""
        passing, now = self._passing[label], time.monotonic()
        if now - passing.told >= REPORT_PERIOD:
            passing.told = now
            passed = sum(hop.bytes for (_, ssrc), hop in self._forwarder.hops.items() if ssrc == label)
            self._count(passing.call, label, passed)

    def _open_end(self, call: CallId, label: int, neighbour: NodeId) -> None:
        from meshsim.node.audio import AudioSink, AudioSource  # noqa: PLC0415 - a relay never loads a codec

        self._forget_oldest()
        heard = self.heard.setdefault(call, Heard(voice=AudioSink(None)))
        tasks = [self._group.create_task(self._talk(label, neighbour)), self._group.create_task(self._watch(label))]
        sink = AudioSink(label, decodes=False)
        self._ends[label] = _End(call=call, neighbour=neighbour, sink=sink, tasks=tasks)
        heard.audio[label] = sink.report()
        speech = self._speeches.setdefault(call, _Speech(source=AudioSource(label)))
        speech.routes[label] = neighbour
        if speech.task is None:
            speech.task = self._group.create_task(speech.source.play(partial(self._speak, speech)))

    def _speak(self, speech: _Speech, packet: bytes) -> None:
        for label, neighbour in speech.routes.items():
            self._send_media(neighbour, route_ssrc(packet, label))

    def _close_end(self, label: int) -> None:
        end = self._ends.pop(label, None)
        if end is None:
            return
        for task in end.tasks:
            task.cancel()
        self.heard[end.call].audio[label] = end.sink.report()
        speech = self._speeches[end.call]
        del speech.routes[label]
        if not speech.routes:
            del self._speeches[end.call]
            if speech.task is not None:
                speech.task.cancel()

    def _forget_oldest(self) -> None:
        live = {end.call for end in self._ends.values()}
        over = [call for call in self.heard if call not in live][:-CALLS_KEPT]
        for call in over:
            del self.heard[call]

    async def _talk(self, label: int, neighbour: NodeId) -> None:
        while True:
            stamp = time.monotonic_ns().to_bytes(_TIME_BYTES, "big")
            self._send_data(neighbour, label.to_bytes(_LABEL_BYTES, "big") + bytes([_ASK]) + stamp)
            await asyncio.sleep(DATA_PERIOD)

    def _take_data(self, end: _End, frame: bytes) -> None:
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

    async def _watch(self, label: int) -> None:
        """Reports to the agent what came in since the last report."""
        while True:
            await asyncio.sleep(REPORT_PERIOD)
            end = self._ends[label]
            heard, audio = self.heard[end.call], end.sink.report()
            expected, received = audio.expected - end.seen[0], audio.received - end.seen[1]
            end.seen = (audio.expected, audio.received)
            loss = min(1.0, max(0.0, 1.0 - received / expected)) if expected else 1.0
            self._count(end.call, label, end.bytes)
            rtt = heard.data_rtts[-1] if heard.data_rtts else float("nan")
            heard.seconds.append(_second(end, audio, label, received, loss, rtt))
            self._report(end.call, MediaReport(label=label, jitter=audio.jitter, loss=loss, rtt=rtt))


def _second(end: _End, audio: AudioReport, label: int, received: int, loss: float, rtt: float) -> HeardSecond:
    """What came in since the last report: the ear knows sums over all that it heard."""
    before, end.delays = end.delays, audio.delay_mean * audio.received if audio.received else 0.0
    delay = (end.delays - before) / received if received else float("nan")
    return HeardSecond(
        at=time.monotonic(), label=label, received=received, loss=loss, delay=delay, jitter=audio.jitter, rtt=rtt
    )
