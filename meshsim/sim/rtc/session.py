"""Packet-level sessions between two ends: RTP and RTCP over links, on SimPy's clock, every event a record.

    spec = SPECS[MediaType.AUDIO_VIDEO]
    result = run_session(spec, Path.steady(link), seed=1, until=60.0)
    result.there.mos, result.back.video.freeze_share

Sessions may share links, which then queue the packets of all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.rtc.compound import TICK, Compound, compound
from meshsim.rtc.rtcp import (
    Message,
    Nack,
    Pli,
    ReceiverReport,
    ReportTimer,
    SenderReport,
    TransportFeedback,
    round_trip,
)
from meshsim.sim.environment import Environment, Record
from meshsim.sim.packets.draws import Draws
from meshsim.sim.rtc.control import Aimd, Fixed, RateControl
from meshsim.sim.rtc.link import Carrier, TimedLink
from meshsim.sim.rtc.packet import Kind, Packet
from meshsim.sim.rtc.receiver import Receiver
from meshsim.sim.rtc.result import SessionResult, direction
from meshsim.sim.rtc.sender import FILM, PACED, PUSH, SPEAK, Sender
from meshsim.sim.rtc.video import LEAST_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.links import LinkParameters
    from meshsim.sim.rtc.spec import SessionSpec

    Watch = Callable[[float, int, Packet], None]

ARRIVE, LOOK, REPORT, FEED = "rtc.arrive", "rtc.look", "rtc.report", "rtc.feed"
"""Kinds of records: a packet has crossed a link, an end looks for what is missing, reports are due, so is feedback."""

LOOKING = 0.020
"""Seconds between two looks for what is missing."""

ENDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The links between two ends.

    Attributes:
        there: From the caller to the callee, in order.
        back: From the callee to the caller.
    """

    there: tuple[TimedLink, ...]
    back: tuple[TimedLink, ...]

    @classmethod
    def steady(cls, there: LinkParameters, back: LinkParameters | None = None) -> Self:
        """One link each way that never changes, both alike by default."""
        return cls(there=(TimedLink.steady(there),), back=(TimedLink.steady(there if back is None else back),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A session on links that others may use too.

    Attributes:
        spec: What its ends send.
        there: Indices of the links from the caller to the callee, in order.
        back: Of those from the callee to the caller.
        start: Seconds.
        stop: Nothing new is sent from then on, seconds.
        control: Makes the rate control of each end, told the spec; by default `controls_for`.
    """

    spec: SessionSpec
    there: tuple[int, ...]
    back: tuple[int, ...]
    start: float = 0.0
    stop: float = math.inf
    control: Callable[[SessionSpec], RateControl] | None = None


def controls_for(spec: SessionSpec) -> RateControl:
    """What an end uses unless told otherwise: transfers grow and halve, all else keeps its rate."""
    start = spec.rate if spec.start_rate is None else spec.start_rate
    return Fixed(start) if spec.data is None else Aimd(start, LEAST_RATE, spec.rate)


def run_session(
    spec: SessionSpec,
    path: Path,
    *,
    seed: int = 1,
    until: float,
    control: Callable[[SessionSpec], RateControl] = controls_for,
    watch: Watch | None = None,
) -> SessionResult:
    """Lives one session through, from time 0.

    Args:
        spec: What both ends send.
        path: Links between them.
        seed: Root of all draws.
        until: Seconds.
        control: Makes the rate control of each end.
        watch: Told of every packet that arrives: when, at which way (0 there, 1 back), and the packet.

    >>> from meshsim.links import LinkParameters
    >>> from meshsim.mesh.media import MediaType
    >>> from meshsim.sim.rtc.spec import SPECS
    >>> link = LinkParameters(rate_bps=1e6, propagation=0.02)
    >>> result = run_session(SPECS[MediaType.AUDIO], Path.steady(link), until=10.0)
    >>> result.there.network_loss, round(result.there.audio.mouth_to_ear, 2)
    (0.0, 0.06)
    """
    there = tuple(range(len(path.there)))
    back = tuple(range(len(path.there), len(path.there) + len(path.back)))
    placed = Placed(spec=spec, there=there, back=back, control=control)
    return run_sessions((*path.there, *path.back), (placed,), seed=seed, until=until, watch=watch)[0]


def run_sessions(
    links: Sequence[TimedLink], placed: Sequence[Placed], *, seed: int = 1, until: float, watch: Watch | None = None
) -> list[SessionResult]:
    """Lives several sessions through on common links, from time 0.

    Args:
        links: All of them.
        placed: Sessions on them.
        seed: Root of all draws.
        until: Seconds.
        watch: Told of every packet that arrives: when, twice the session's number plus the way, and the packet.

    Raises:
        ConfigError: If `until` is not finite, or a session uses no link, or one that is not there, or begins too late.
    """
    return Sessions(links, placed, seed=seed, until=until, watch=watch).run()


class End:
    """One end of a session: what it sends on its own way, and what it hears on the other.

    Args:
        index: Of its way, among those of all sessions.
        sender: Its sending side.
        receiver: Its receiving side.
        draws: For its reports.
        bandwidth: Of the session, bits per second.
    """

    def __init__(self, index: int, sender: Sender, receiver: Receiver, draws: Draws, bandwidth: float) -> None:
        self.sender, self.receiver = sender, receiver
        self.timer = ReportTimer(bandwidth)
        self._draws, self._drawn = draws, 0
        self._name = f"{'caller' if index % ENDS == 0 else 'callee'}-{index // ENDS}@meshsim".encode()

    @property
    def ssrc(self) -> int:
        """Under which it asks and reports."""
        return self.sender.main.ssrc

    def draw(self) -> float:
        """The next draw for reports."""
        self._drawn += 1
        return self._draws.at(self._drawn - 1)

    def enclose(self, messages: Sequence[Message]) -> Packet:
        """A compound as a packet; feedback gets an empty report at its head."""
        first = () if isinstance(messages[0], SenderReport | ReceiverReport) else (ReceiverReport(self.ssrc, ()),)
        body = compound((*first, *messages), self._name)
        packet = Packet(Kind.RTCP, self.ssrc, 0, 0, len(body.data), body)
        self.timer.note(packet.size)
        return packet

    def hear(self, packet: Packet, now: float) -> None:
        """A packet from the other end came."""
        if packet.kind != Kind.RTCP:
            self.receiver.take(packet, now, self.sender.rtt)
            return
        self.timer.note(packet.size)
        heard: Compound = packet.body
        for message in heard.messages:
            self._read(message, now)

    def _read(self, message: Message, now: float) -> None:
        match message:
            case SenderReport() | ReceiverReport():
                if isinstance(message, SenderReport):
                    self.receiver.heard_report(message, now)
                rtts = [rtt for rtt in (round_trip(block, now) for block in message.blocks) if not math.isnan(rtt)]
                if rtts:
                    self.sender.reported(rtts[0])
            case Nack():
                self.sender.asked_again(message.source, message.missing, now)
            case Pli():
                self.sender.asked_for_key()
            case TransportFeedback():
                self.sender.fed_back(message, TICK, now)


class Sessions:
    """Sessions on the clock; arguments and errors as of `run_sessions`."""

    def __init__(
        self, links: Sequence[TimedLink], placed: Sequence[Placed], *, seed: int, until: float, watch: Watch | None
    ) -> None:
        _check(links, placed, until)
        self._placed, self._until, self._watch = placed, until, watch
        self._env = Environment()
        seeds = SeedTree(seed)
        self._links = [Carrier(link, seeds, index) for index, link in enumerate(links)]
        self._routes = [tuple(self._links[n] for n in way) for one in placed for way in (one.there, one.back)]
        self._handle()
        self._lost = [0] * len(self._routes)
        self._ends = [self._end(index, seeds) for index in range(ENDS * len(placed))]

    def _handle(self) -> None:
        env = self._env
        env.on(SPEAK, lambda index, n: self._ends[index].sender.speak(n, env.now))
        env.on(FILM, lambda index, n: self._ends[index].sender.film(n, env.now))
        env.on(PUSH, lambda index, _: self._ends[index].sender.push(env.now))
        env.on(PACED, lambda index, packet: self._ends[index].sender.paced(packet, env.now))
        env.on(ARRIVE, self._arrive)
        env.on(LOOK, self._look)
        env.on(REPORT, self._report)
        env.on(FEED, self._feed)

    def _end(self, index: int, seeds: SeedTree) -> End:
        one = self._placed[index // ENDS]
        make = controls_for if one.control is None else one.control
        sender = Sender(one.spec, index, one.start, one.stop, seeds, self._env, self._post, make(one.spec))
        draws = Draws(seeds.stream("rtc.report", index))
        end = End(index, sender, Receiver(one.spec, one.start), draws, ENDS * one.spec.rate)
        end.timer.start(one.start, end.draw())
        self._env.push(end.timer.due, Record(REPORT, index, None))
        if one.spec.video is not None:
            self._env.push(one.start + LOOKING, Record(LOOK, index, 1))
        if one.spec.feedback_period > 0.0:
            self._env.push(one.start + one.spec.feedback_period, Record(FEED, index, 1))
        return end

    def run(self) -> list[SessionResult]:
        """Lives them through."""
        self._env.run(until=self._until)
        return [self._result(number, one) for number, one in enumerate(self._placed)]

    def _result(self, number: int, one: Placed) -> SessionResult:
        end = min(self._until, one.stop)
        there, back = ENDS * number, ENDS * number + 1
        caller, callee = self._ends[there], self._ends[back]
        return SessionResult(
            seconds=end - one.start,
            there=direction(one.spec, caller.sender, callee.receiver, self._lost[there], one.start, end),
            back=direction(one.spec, callee.sender, caller.receiver, self._lost[back], one.start, end),
        )

    def _post(self, index: int, packet: Packet, now: float) -> None:
        """Offers a packet to the next link of its way."""
        arrival = self._routes[index][packet.hop].carry(packet.size, now)
        if arrival < math.inf:
            self._env.push(arrival, Record(ARRIVE, index, packet))
        elif packet.kind != Kind.RTCP:
            self._lost[index] += 1

    def _arrive(self, index: int, packet: Packet) -> None:
        now = self._env.now
        packet.hop += 1
        if packet.hop < len(self._routes[index]):
            self._post(index, packet, now)
            return
        if self._watch is not None:
            self._watch(now, index, packet)
        self._ends[index ^ 1].hear(packet, now)

    def _look(self, index: int, n: int) -> None:
        end, now = self._ends[index], self._env.now
        asked = end.receiver.tick(end.ssrc, now, end.sender.rtt)
        if asked:
            self._post(index, end.enclose(asked), now)
        one = self._placed[index // ENDS]
        self._again(index, LOOK, n, one.start + (n + 1) * LOOKING)

    def _feed(self, index: int, n: int) -> None:
        end, now = self._ends[index], self._env.now
        told = end.receiver.feedback(end.ssrc)
        if told:
            self._post(index, end.enclose(told), now)
        one = self._placed[index // ENDS]
        self._again(index, FEED, n, one.start + (n + 1) * one.spec.feedback_period)

    def _again(self, index: int, kind: str, n: int, at: float) -> None:
        if at < self._placed[index // ENDS].stop:
            self._env.push(at, Record(kind, index, n + 1))

    def _report(self, index: int, _: Any) -> None:
        end, now = self._ends[index], self._env.now
        if end.timer.expire(now, end.draw(), end.draw()):
            blocks = end.receiver.blocks(now)
            reports: list[Message] = list(end.sender.reports(blocks, now))
            self._post(index, end.enclose(reports or [ReceiverReport(end.ssrc, blocks)]), now)
        if end.timer.due < self._placed[index // ENDS].stop:
            self._env.push(end.timer.due, Record(REPORT, index, None))


def _check(links: Sequence[TimedLink], placed: Sequence[Placed], until: float) -> None:
    if not 0.0 < until < math.inf:
        raise ConfigError(f"out of range: {until}", key="until", allowed=["> 0 (seconds), finite"])
    for one in placed:
        if not one.there or not one.back or not {*one.there, *one.back} <= set(range(len(links))):
            raise ConfigError(f"ways {one.there} and {one.back} over {len(links)} links", key="placed")
        if not 0.0 <= one.start < min(until, one.stop):
            raise ConfigError(f"a session from {one.start} s to {one.stop} s in {until} s", key="placed.start")
