"""B.A.T.M.A.N. IV: nobody knows paths, everybody knows which neighbour brings the best news of each node.

After draft-openmesh-b-a-t-m-a-n-00 and, where it went on from there, the documentation of batman-adv ("BATMAN IV",
with its transmit quality, TQ):

- Each node floods originator messages (OGMs) with a sequence number and a TQ, at first 255. Who hears one multiplies
  the TQ with that of the link, and passes it on, less the hop penalty, if it came by the best neighbour.
- The TQ of a link is the share of own OGMs that the neighbour echoes over the share of its OGMs that come through, in
  windows of 64 sequence numbers, times a penalty for links over which little comes.
- The TQ of a neighbour towards an originator is the mean over its last five; each OGM that others bring first ages it.
- A sequence number far out of the window is taken for a restart, but at most every 30 s.

Loops while tables converge are possible, and not looked for.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols.base import PROTOCOLS, Dice, Effect, Outbox, Timers
from meshsim.routing.protocols.packet import SEQUENCES, Message, decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.mesh.seeds import Stream

OGM = 1
DIRECT, NOT_BEST = 1, 2
"""Flags: the OGM was heard from its originator itself; it was not heard by way of the best neighbour."""

TQ_MOST = 255
WINDOW = 64
"""Sequence numbers that the quality of a link is counted over (TQ_LOCAL_WINDOW_SIZE)."""

RECENT = 5
"""OGMs that the quality of a neighbour is the mean of (TQ_GLOBAL_WINDOW_SIZE)."""

EXPECTED = 1 << 16
"""Sequence numbers that may be missed before it is taken for a restart (EXPECTED_SEQNO_RANGE)."""

_BODY = struct.Struct(">BBII")
_NUMBERS = 1 << 32
_FULL = (1 << WINDOW) - 1
_TTL = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BatmanConfig:
    """How often, and how patient; seconds but for the penalty.

    Attributes:
        interval: Between OGMs (orig_interval).
        purge: Without OGMs until an originator or a neighbour is forgotten (PURGE_TIMEOUT).
        protection: Between two restarts that are believed (RESET_PROTECTION_MS).
        aggregation: For which OGMs wait for others to go with (MAX_AGGREGATION_MS).
        hop_penalty: Of 255, what each hop costs.
    """

    interval: float = 1.0
    purge: float = 200.0
    protection: float = 30.0
    aggregation: float = 0.1
    hop_penalty: int = 30


class News(NamedTuple):
    """The body of an OGM.

    Attributes:
        tq: Quality of the path so far, 0 to 255.
        flags: `DIRECT` and `NOT_BEST`.
        previous: Who had passed it to who sent it.
        sequence: Of the originator.
    """

    tq: int
    flags: int
    previous: int
    sequence: int


@lru_cache(maxsize=16384)
def read_news(body: bytes) -> News:
    """The body of an OGM.

    Raises:
        RemoteProtocolError: If it is none.
    """
    if len(body) != _BODY.size:
        raise RemoteProtocolError(f"an OGM of {len(body)} bytes")
    return News(*_BODY.unpack(body))


def _ahead(a: int, b: int) -> int:
    """How far number `a` is ahead of `b`, over the wrap-around."""
    return (a - b + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2


@dataclass(slots=True)
class Window:
    """Which of the last 64 sequence numbers have come.

    Attributes:
        last: The newest.
        bits: Bit i tells of the number i before it.
    """

    last: int
    bits: int = 1

    def mark(self, sequence: int) -> bool:
        """Takes a number in; whether it is new."""
        ahead = _ahead(sequence, self.last)
        if ahead > 0:
            self.last = sequence
            self.bits = ((self.bits << ahead) | 1) & _FULL if ahead < WINDOW else 1
            return True
        bit = 1 << -ahead
        new = -ahead < WINDOW and not self.bits & bit
        if new:
            self.bits |= bit
        return new

    def count(self) -> int:
        """Numbers that have come."""
        return self.bits.bit_count()


@dataclass(slots=True)
class Link:
    """What is known of a neighbour.

    Attributes:
        at: When it was last heard, seconds.
        heard: Its own OGMs that came straight from it.
        echoed: Own OGMs that it passed on.
    """

    at: float
    heard: Window
    echoed: Window | None = None

    def quality(self, own: int) -> int:
        """The local TQ, 0 to 255.

        Args:
            own: The own sequence number now, so that echoes that are missing count.
        """
        received = self.heard.count()
        if self.echoed is None:
            return 0
        missing = max(_ahead(own, self.echoed.last) - 1, 0)  # the last may be on its way
        echoes = ((self.echoed.bits << missing) & _FULL).bit_count() if missing < WINDOW else 0
        share = TQ_MOST * min(echoes, received) // received
        return share * penalty_of_asymmetry(received) // TQ_MOST


def penalty_of_asymmetry(received: int) -> int:
    """Of 255, what is left of the quality of a link over which `received` of 64 OGMs come.

    >>> penalty_of_asymmetry(64), penalty_of_asymmetry(32), penalty_of_asymmetry(4)
    (255, 224, 45)
    """
    lost = WINDOW - received
    return TQ_MOST - TQ_MOST * lost**3 // WINDOW**3


@dataclass(slots=True)
class Originator:
    """What is known of a node that OGMs come from.

    Attributes:
        at: When one came last, seconds.
        last: Its newest sequence number.
        reset: When it last was taken for restarted.
        ranks: By neighbour, the TQs of the last OGMs; those that others brought first are zeros.
        seen: By neighbour, the newest sequence number that it brought.
        best: The next hop.
    """

    at: float
    last: int
    reset: float
    ranks: dict[int, list[int]] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)
    best: int | None = None

    def quality(self, neighbour: int | None) -> int:
        """The mean of those OGMs that a neighbour brought among the last five, 0 to 255."""
        tqs = [tq for tq in self.ranks.get(neighbour, ()) if tq] if neighbour is not None else []
        return sum(tqs) // len(tqs) if tqs else 0

    def rank(self, neighbour: int, tq: int, *, first: bool) -> None:
        """Takes the TQ that a neighbour brought into account; if it was the `first`, the others are a step behind."""
        self.ranks.setdefault(neighbour, [0] * RECENT)
        for other, tqs in self.ranks.items():
            if other == neighbour or first:
                del tqs[0]
                tqs.append(tq if other == neighbour else 0)
        if self.quality(neighbour) > self.quality(self.best):
            self.best = neighbour

    def forget(self, neighbour: int) -> None:
        """A neighbour is gone."""
        self.ranks.pop(neighbour, None)
        self.seen.pop(neighbour, None)
        if self.best == neighbour:
            best = max(self.ranks, key=self.quality, default=None)
            self.best = best if self.quality(best) else None


@PROTOCOLS.register("batman")
@dataclass(slots=True)
class Batman:
    """One node.

    Attributes:
        address: Its own.
        stream: Its draws.
        forwards: Whether it passes on OGMs for others; if not, it echoes those of its neighbours and no more.
        now: When it starts, seconds.
        config: How often, and how patient.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: BatmanConfig = BatmanConfig()
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _sequence: int = field(init=False)
    _links: dict[int, Link] = field(init=False, default_factory=dict)
    _known: dict[int, Originator] = field(init=False, default_factory=dict)
    _waiting: list[Message] = field(init=False, default_factory=list)

    name: ClassVar[str] = "batman"
    kinds: ClassVar[Mapping[int, str]] = {OGM: "ogm"}
    promises_loop_freedom: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        self._sequence = int(self._dice.draw() * _NUMBERS)
        self._timers.set("ogm", self.now + self.config.interval * self._dice.draw())

    # What comes in ----------------------------------------------------------------------------------------------------

    def receive(self, payload: bytes, source: int, now: float) -> None:
        """Takes a packet; what cannot be read is counted and dropped."""
        try:
            for message in decode(payload):
                if message.kind != OGM:
                    self.malformed += 1
                elif source != self.address:
                    self._take(message, read_news(message.body), source, now)
        except RemoteProtocolError:
            self.malformed += 1

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for name in self._timers.due(now):
            if name == "ogm":
                self._originate(now)
            else:
                for message in self._waiting:
                    self._outbox.say(message)
                self._waiting = []

    def wake_at(self) -> float | None:
        """When `handle_timer` is next due."""
        return self._timers.first()

    def effects(self) -> list[Effect]:
        """What is to be sent, told once."""
        return self._outbox.drain()

    def link_up(self, neighbour: int, now: float) -> None:
        """Nothing: OGMs come by themselves, each second."""

    def link_down(self, neighbour: int, now: float) -> None:  # noqa: ARG002 - as every protocol is told
        """Forgets what a neighbour has brought; the next best takes its place."""
        self._links.pop(neighbour, None)
        for one in self._known.values():
            one.forget(neighbour)

    def want(self, destination: int, now: float) -> None:
        """Nothing: all routes are known ahead."""

    # OGMs -------------------------------------------------------------------------------------------------------------

    def _originate(self, now: float) -> None:
        self._purge(now)
        self._sequence = (self._sequence + 1) % _NUMBERS
        body = _BODY.pack(TQ_MOST, 0, self.address, self._sequence)
        validity = self.config.purge
        self._outbox.say(Message(OGM, self.address, self._sequence % SEQUENCES, validity, _TTL, 0, body))
        self._timers.set("ogm", now + self._dice.early(self.config.interval))

    def _purge(self, now: float) -> None:
        bar = now - self.config.purge
        for neighbour in [neighbour for neighbour, link in self._links.items() if link.at < bar]:
            self.link_down(neighbour, now)
        for origin in [origin for origin, one in self._known.items() if one.at < bar]:
            del self._known[origin]

    def _take(self, message: Message, news: News, source: int, now: float) -> None:
        if message.origin == self.address:
            self._echo(news, source)
            return
        if news.tq == 0 or news.flags & NOT_BEST or (news.previous == self.address and message.origin != source):
            return
        direct = message.origin == source
        if direct:
            self._hear(source, news.sequence, now)
        link = self._links.get(source)
        one = self._originator(message.origin, news.sequence, now)
        if link is None or one is None or one.seen.get(source) == news.sequence:
            return
        tq = news.tq * link.quality(self._sequence) // TQ_MOST
        ahead = _ahead(news.sequence, one.last)
        one.seen[source] = news.sequence
        if ahead < 0:
            return
        if tq:
            one.rank(source, tq, first=ahead > 0)
            one.last, one.at = news.sequence, now
        self._pass_on(message, news, source, tq, best=one.best == source, now=now)

    def _echo(self, news: News, source: int) -> None:
        """A neighbour has passed on what it heard straight from here."""
        link = self._links.get(source)
        if link is None or not news.flags & DIRECT or not 0 <= _ahead(self._sequence, news.sequence) < WINDOW:
            return
        if link.echoed is None:
            link.echoed = Window(news.sequence)
        else:
            link.echoed.mark(news.sequence)

    def _hear(self, source: int, sequence: int, now: float) -> None:
        link = self._links.get(source)
        if link is None:
            self._links[source] = Link(now, Window(sequence))
            return
        link.at = now
        if -WINDOW < _ahead(sequence, link.heard.last) < EXPECTED:
            link.heard.mark(sequence)
        else:
            link.heard, link.echoed = Window(sequence), None

    def _originator(self, origin: int, sequence: int, now: float) -> Originator | None:
        """What is known of an originator; None if its number is out of all windows and a restart is not believed."""
        one = self._known.get(origin)
        if one is None:
            one = self._known[origin] = Originator(now, (sequence - 1) % _NUMBERS, -math.inf)
        elif not -WINDOW < _ahead(sequence, one.last) < EXPECTED:
            if now - one.reset < self.config.protection:
                return None
            one.reset, one.last = now, (sequence - 1) % _NUMBERS
            one.seen = {}
        return one

    def _pass_on(self, message: Message, news: News, source: int, tq: int, *, best: bool, now: float) -> None:
        """Floods what the best neighbour brought, and echoes what neighbours say of themselves."""
        direct = message.origin == source
        if message.ttl <= 1 or not (direct or (best and tq and self.forwards)):
            return
        flags = DIRECT * direct | NOT_BEST * (not best or not tq or not self.forwards)
        left = max(tq, 1) * (TQ_MOST - self.config.hop_penalty) // TQ_MOST
        body = _BODY.pack(max(left, 1), flags, source, news.sequence)
        self._waiting.append(message.forwarded()._replace(body=body))
        if not self._timers.has("forward"):
            self._timers.set("forward", now + self.config.aggregation * self._dice.draw())

    # What is asked ----------------------------------------------------------------------------------------------------

    def next_hop(self, destination: int, now: float) -> int | None:  # noqa: ARG002 - as every protocol is asked
        """The neighbour that brings the best news of `destination`."""
        one = self._known.get(destination)
        return None if one is None else one.best

    def metric(self, destination: int, now: float) -> float:  # noqa: ARG002 - as every protocol is asked
        """255 over the TQ of the best neighbour."""
        one = self._known.get(destination)
        tq = 0 if one is None else one.quality(one.best)
        return TQ_MOST / tq if tq else math.inf
