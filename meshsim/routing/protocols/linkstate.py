"""Link state routing: every node tells all others its links, and all compute shortest paths (after OSPF, RFC 2328).

- Hellos find neighbours and measure links (`sensing`); a neighbour is dead after the dead interval (RFC 2328, 9.5).
- Each node's links are an advertisement with a sequence number and a lifetime, told anew when it changes much, at
  most every few seconds, and when it is old (12.4). A node that has started anew outdoes what is left of it (13.4).
- Floods go out at once and then at most every `pace`, unacknowledged; what is lost shows in the hash of the database
  that hellos carry (as in DNCP, RFC 7787), and is then asked for by a summary of all sequence numbers (as IS-IS does,
  ISO 10589, complete sequence numbers).
- Shortest paths are computed after the delays of RFC 8405: at once when all was quiet, seldom when much happens.
- A link counts if both its ends tell of it (16.1); no path goes through nodes that do not forward (as RFC 6987 has it).
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import sensing
from meshsim.routing.protocols.base import PROTOCOLS, Dice, Effect, Outbox, Timers
from meshsim.routing.protocols.packet import SEQUENCES, Message, decode, is_newer
from meshsim.routing.protocols.sensing import Heard, first_hops

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.mesh.seeds import Stream

HELLO, ADVERTISEMENT, SUMMARY = 1, 2, 3

_HELLO = struct.Struct(">II")
_HEARD = struct.Struct(">IBII")
_FLAGS = struct.Struct(">B")
_LINK = struct.Struct(">IH")
_KNOWN = struct.Struct(">IH")
_DEAREST = 0xFFFF
_FAR = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStateConfig:
    """How often, and how patient; all in seconds but for `change`.

    Attributes:
        hello: Between hellos.
        dead: Without a hello until a neighbour is given up.
        spacing: Between two advertisements of a node at least.
        refresh: Between two at most.
        lifetime: For which an advertisement holds.
        change: Relative change of a cost that is worth an advertisement.
        pace: Between floods at least.
        spf_initial: From the first change to the computation (RFC 8405, 3).
        spf_short: From further changes, while they may be of one event.
        spf_long: After that.
        spf_learn: For which changes may be of one event.
        holddown: Without a change until all is quiet again.
        cost: Of a link: its delay times ETX, or ETX alone.
    """

    hello: float = 2.0
    dead: float = 7.0
    spacing: float = 5.0
    refresh: float = 300.0
    lifetime: float = 900.0
    change: float = 0.25
    pace: float = 0.5
    spf_initial: float = 0.05
    spf_short: float = 0.2
    spf_long: float = 5.0
    spf_learn: float = 0.5
    holddown: float = 10.0
    cost: Literal["delay", "etx"] = "delay"


class Advertisement(NamedTuple):
    """What one node says of its links.

    Attributes:
        sequence: Grows with each.
        expires: When it is void, seconds of the own clock.
        body: As written.
    """

    sequence: int
    expires: float
    body: bytes


class HelloBody(NamedTuple):
    """What a hello says: the sender's clock and database, and for each it hears share, clock and seconds since."""

    stamp: int
    digest: int
    heard: Mapping[int, tuple[float, int, float]]


@lru_cache(maxsize=4096)
def read_hello(body: bytes) -> HelloBody:
    """The body of a hello.

    Raises:
        RemoteProtocolError: If it is none.
    """
    if len(body) < _HELLO.size or (len(body) - _HELLO.size) % _HEARD.size:
        raise RemoteProtocolError(f"a hello of {len(body)} bytes")
    stamp, digest = _HELLO.unpack_from(body)
    rows = _HEARD.iter_unpack(body[_HELLO.size :])
    return HelloBody(
        stamp,
        digest,
        {node: (sensing.read_share(share), then, held * sensing.TICK) for node, share, then, held in rows},
    )


@lru_cache(maxsize=4096)
def read_links(body: bytes) -> tuple[bool, Mapping[int, float]]:
    """Whether the origin of an advertisement forwards, and the cost of its links.

    Raises:
        RemoteProtocolError: If the body is none, or a cost is nothing.
    """
    if not body or (len(body) - _FLAGS.size) % _LINK.size:
        raise RemoteProtocolError(f"an advertisement of {len(body)} bytes")
    links = {node: float(cost) for node, cost in _LINK.iter_unpack(body[_FLAGS.size :])}
    if 0.0 in links.values():
        raise RemoteProtocolError("a link that costs nothing")
    return bool(body[0]), links


@lru_cache(maxsize=4096)
def read_summary(body: bytes) -> Mapping[int, int]:
    """Sequence numbers by origin.

    Raises:
        RemoteProtocolError: If the body is no summary.
    """
    if len(body) % _KNOWN.size:
        raise RemoteProtocolError(f"a summary of {len(body)} bytes")
    return dict(_KNOWN.iter_unpack(body))


@lru_cache(maxsize=65536)
def _hash(origin: int, sequence: int) -> int:
    return zlib.crc32(_KNOWN.pack(origin, sequence))


@PROTOCOLS.register("linkstate")
@dataclass(slots=True)
class LinkState:
    """One node.

    Attributes:
        address: Its own.
        stream: Its draws.
        forwards: Whether others' data and floods may pass through it.
        now: When it starts, seconds.
        config: How often, and how patient.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: LinkStateConfig = LinkStateConfig()
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _heard: dict[int, Heard] = field(init=False, default_factory=dict)
    _differs: dict[int, int] = field(init=False, default_factory=dict)
    _database: dict[int, Advertisement] = field(init=False, default_factory=dict)
    _digest: int = field(init=False, default=0)
    _to_flood: dict[int, None] = field(init=False, default_factory=dict)
    _flooded: float = field(init=False, default=-math.inf)
    _told: dict[int, int] = field(init=False, default_factory=dict)
    _told_at: float = field(init=False, default=-math.inf)
    _learn_until: float = field(init=False, default=-math.inf)
    _quiet_at: float = field(init=False, default=-math.inf)
    _snapshot: dict[int, Advertisement] = field(init=False, default_factory=dict)
    _table: dict[int, tuple[float, int]] | None = field(init=False, default_factory=dict)
    _hellos: int = field(init=False)
    _first: int = field(init=False)

    name: ClassVar[str] = "linkstate"
    kinds: ClassVar[Mapping[int, str]] = {HELLO: "hello", ADVERTISEMENT: "advertisement", SUMMARY: "summary"}
    promises_loop_freedom: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        self._hellos = int(self._dice.draw() * SEQUENCES)
        # anywhere, so that two lives do not say different things under one number
        self._first = int(self._dice.draw() * SEQUENCES)
        self._timers.set("hello", self.now + self.config.hello * self._dice.draw() / 4)

    # What comes in ----------------------------------------------------------------------------------------------------

    def receive(self, payload: bytes, source: int, now: float) -> None:
        """Takes a packet; what cannot be read is counted and dropped."""
        try:
            for message in decode(payload):
                self._take(message, source, now)
        except RemoteProtocolError:
            self.malformed += 1

    def _take(self, message: Message, source: int, now: float) -> None:
        if message.kind == HELLO:
            self._hear(message, source, now)
        elif message.kind == ADVERTISEMENT:
            self._learn(message, now)
        elif message.kind == SUMMARY:
            self._compare(message, source, now)
        else:
            raise RemoteProtocolError(f"a message of kind {message.kind}")

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for name in self._timers.due(now):
            match name:
                case "hello":
                    self._say_hello(now)
                case "flood":
                    self._flood(now)
                case "tell":
                    self._tell(now)
                case _:
                    self._snapshot, self._table = dict(self._database), None

    def wake_at(self) -> float | None:
        """When `handle_timer` is next due."""
        return self._timers.first()

    def effects(self) -> list[Effect]:
        """What is to be sent, told once."""
        return self._outbox.drain()

    def link_up(self, neighbour: int, now: float) -> None:
        """Says hello at once to a neighbour that nothing was heard of."""
        if neighbour not in self._heard:
            self._timers.sooner("hello", now)

    def link_down(self, neighbour: int, now: float) -> None:
        """Gives a neighbour up."""
        if neighbour in self._heard:
            del self._heard[neighbour]
            self._differs.pop(neighbour, None)
            self._tell_soon(now)

    def want(self, destination: int, now: float) -> None:
        """Nothing: all routes are known ahead."""

    # Neighbours -------------------------------------------------------------------------------------------------------

    def _say_hello(self, now: float) -> None:
        self._bury(now)
        self._hellos = (self._hellos + 1) % SEQUENCES
        rows = [
            _HEARD.pack(
                node,
                sensing.write_share(heard.forward(self.config.hello, now)),
                heard.stamp,
                min(round((now - heard.at) / sensing.TICK), sensing.STAMPS - 1),
            )
            for node, heard in self._heard.items()
        ]
        body = _HELLO.pack(sensing.stamp(now), self._digest) + b"".join(rows)
        self._outbox.say(Message(HELLO, self.address, self._hellos, self.config.dead, 1, 0, body))
        self._timers.set("hello", now + self._dice.early(self.config.hello))
        self._consider(now)

    def _bury(self, now: float) -> None:
        """Lets go of neighbours that are silent and advertisements that are void."""
        for node in [node for node, heard in self._heard.items() if now - heard.at > self.config.dead]:
            self.link_down(node, now)
        for origin in [origin for origin, one in self._database.items() if one.expires < now]:
            self._digest ^= _hash(origin, self._database.pop(origin).sequence)
            self._changed(now)

    def _hear(self, message: Message, source: int, now: float) -> None:
        hello = read_hello(message.body)
        if message.origin != source or source == self.address:
            raise RemoteProtocolError("a hello that was passed on")
        heard = self._heard.get(source)
        if heard is None:
            heard = self._heard[source] = Heard(now, message.sequence)
        else:
            heard.hear(message.sequence, now)
        heard.stamp = hello.stamp
        mine = hello.heard.get(self.address)
        known = heard.hears_us(now)
        if mine is not None:
            heard.reverse, then, held = mine
            heard.until = now + self.config.dead
            heard.measure(max(sensing.since(now, then) - held, 0.0))
            if not known:
                self._meet(source, now)
        elif known:  # it has started anew
            heard.until = -math.inf
            self._tell_soon(now)
        self._check(source, hello.digest)

    def _meet(self, neighbour: int, now: float) -> None:
        """A link works both ways from now on: it is told of, and what the other knows is asked for."""
        self._tell_soon(now)
        self._summarise(neighbour)

    def _check(self, neighbour: int, digest: int) -> None:
        """Asks a neighbour that knows something else, and has not caught up within three hellos."""
        if digest == self._digest:
            self._differs.pop(neighbour, None)
            return
        self._differs[neighbour] = self._differs.get(neighbour, 0) + 1
        if self._differs[neighbour] >= _PATIENCE:
            self._summarise(neighbour)

    def _summarise(self, neighbour: int) -> None:
        self._differs[neighbour] = 0
        body = b"".join(_KNOWN.pack(origin, one.sequence) for origin, one in self._database.items())
        self._outbox.tell(neighbour, Message(SUMMARY, self.address, 0, self.config.dead, 1, 0, body))

    def _compare(self, message: Message, source: int, now: float) -> None:
        """Sends a neighbour what it does not know or knows in an older version."""
        theirs = read_summary(message.body)
        for origin, one in self._database.items():
            # its own too: after a start anew it must outdo what is left of its earlier life (section 13.4)
            if origin not in theirs or is_newer(one.sequence, theirs[origin]):
                self._outbox.tell(source, self._written(origin, now))

    # Advertisements ---------------------------------------------------------------------------------------------------

    def _costs(self, now: float) -> dict[int, int]:
        """What the links that work both ways cost now, as written."""
        unit = 1e-4 if self.config.cost == "delay" else 1 / 256
        costs = {}
        for node, heard in self._heard.items():
            sent = sensing.etx(heard.forward(self.config.hello, now), heard.reverse)
            if heard.hears_us(now) and math.isfinite(sent):
                delay = heard.rtt / 2 if self.config.cost == "delay" else 1.0
                costs[node] = min(max(round(sent * delay / unit), 1), _DEAREST)
        return costs

    def _consider(self, now: float) -> None:
        """Tells of links anew if they have changed much or what was told is old."""
        costs = self._costs(now)
        recent = now - self._told_at < self.config.refresh or not (costs or self._told)
        if not (recent and _alike(costs, self._told, self.config.change)):
            self._tell_soon(now)

    def _tell_soon(self, now: float) -> None:
        # the first time, a hello period brings the other neighbours
        first = math.isinf(self._told_at)
        self._timers.sooner("tell", now + self.config.hello if first else max(now, self._told_at + self.config.spacing))

    def _tell(self, now: float) -> None:
        self._told, self._told_at = self._costs(now), now
        links = b"".join(_LINK.pack(node, cost) for node, cost in self._told.items())
        before = self._database.get(self.address)
        sequence = (self._first if before is None else before.sequence + 1) % SEQUENCES
        body = _FLAGS.pack(self.forwards) + links
        self._keep(self.address, Advertisement(sequence, now + self.config.lifetime, body), now)

    def _learn(self, message: Message, now: float) -> None:
        """Keeps an advertisement that is newer than the known one, and passes it on."""
        read_links(message.body)
        known = self._database.get(message.origin)
        if known is not None and not is_newer(message.sequence, known.sequence):
            return
        if message.origin == self.address:  # of an earlier life
            self._database[self.address] = Advertisement(message.sequence, now, message.body)
            self._digest ^= _hash(self.address, message.sequence)
            if known is not None:
                self._digest ^= _hash(self.address, known.sequence)
            self._tell(now)
            return
        lifetime = min(message.validity, self.config.lifetime)
        self._keep(message.origin, Advertisement(message.sequence, now + lifetime, message.body), now)

    def _keep(self, origin: int, new: Advertisement, now: float) -> None:
        old = self._database.get(origin)
        if old is not None:
            self._digest ^= _hash(origin, old.sequence)
        self._digest ^= _hash(origin, new.sequence)
        self._database[origin] = new
        if old is None or old.body != new.body:
            self._changed(now)
        if self.forwards or origin == self.address:
            self._to_flood[origin] = None
            self._timers.sooner("flood", max(now, self._flooded + self.config.pace))

    def _flood(self, now: float) -> None:
        for origin in self._to_flood:
            if origin in self._database:
                self._outbox.say(self._written(origin, now))
        self._to_flood, self._flooded = {}, now

    def _written(self, origin: int, now: float) -> Message:
        one = self._database[origin]
        return Message(ADVERTISEMENT, origin, one.sequence, one.expires - now, _FAR, 0, one.body)

    # Paths ------------------------------------------------------------------------------------------------------------

    def _changed(self, now: float) -> None:
        """Computes paths after a while (RFC 8405, section 5)."""
        if now >= self._quiet_at:
            delay, self._learn_until = self.config.spf_initial, now + self.config.spf_learn
        else:
            delay = self.config.spf_short if now < self._learn_until else self.config.spf_long
        self._quiet_at = now + self.config.holddown
        if not self._timers.has("spf"):
            self._timers.set("spf", now + delay)

    def _routes(self) -> dict[int, tuple[float, int]]:
        """The table as of the last computation, which is put off until somebody asks."""
        if self._table is None:
            told = {origin: read_links(one.body) for origin, one in self._snapshot.items()}
            links = {
                origin: {to: cost for to, cost in known.items() if to in told and origin in told[to][1]}
                for origin, (_, known) in told.items()
            }
            relays = {origin for origin, (forwards, _) in told.items() if forwards}
            self._table, self._snapshot = first_hops(self.address, links, relays), {}
        return self._table

    def next_hop(self, destination: int, now: float) -> int | None:  # noqa: ARG002 - as every protocol is asked
        """The neighbour on the cheapest path."""
        route = self._routes().get(destination)
        return None if route is None else route[1]

    def metric(self, destination: int, now: float) -> float:  # noqa: ARG002 - as every protocol is asked
        """Cost of the cheapest path: units of 0.1 ms, or of ETX / 256."""
        route = self._routes().get(destination)
        return math.inf if route is None else route[0]


def _alike(costs: Mapping[int, int], told: Mapping[int, int], change: float) -> bool:
    """Whether the same links cost about what was told; a unit is rounding."""
    return costs.keys() == told.keys() and all(abs(costs[n] - cost) <= change * cost + 1 for n, cost in told.items())


_PATIENCE = 3
"""Hellos with another database until a neighbour is asked."""
