"""OLSR (RFC 3626) with link quality: hellos to two hops, floods through multipoint relays, cheapest paths by ETX.

- Hellos list neighbours by link code with the share of hellos received and told (sections 6 and 7; the shares are what
  olsrd's link quality extension carries, and what RFC 7779 defines for OLSRv2).
- Every node chooses relays that cover all its strict two-hop neighbours (section 8.3.1) and floods go on only through
  nodes that the one they come from has chosen (section 3.4.1).
- Chosen nodes tell all whom they were chosen by, in topology control messages (section 9). Tuples expire with the
  validity that messages carry (section 3.3.2); a node of willingness never is no relay (section 18.8).
- Routes follow from all that at once (section 10), here with costs; they are computed when somebody asks.

Links need no interfaces apart: all links of a node are tunnels of one. As each is an interface of its own in the sense
of section 3.4.1, a message heard from another first is still passed on when it comes from one that chose us.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import sensing
from meshsim.routing.protocols.base import PROTOCOLS, Dice, Effect, Outbox, Timers
from meshsim.routing.protocols.packet import SEQUENCES, Message, decode, is_newer, read_time, write_time
from meshsim.routing.protocols.sensing import Heard, first_hops

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshsim.mesh.seeds import Stream

HELLO, TOPOLOGY = 1, 2
NEVER, DEFAULT, ALWAYS = 0, 3, 7
"""Willingness (RFC 3626, section 18.8)."""

_HEAD = struct.Struct(">HBB")
_GROUP = struct.Struct(">BBH")
_ENTRY = struct.Struct(">IBB")
_ANSWER = struct.Struct(">HH")
_ASYMMETRIC, _SYMMETRIC, _CHOSEN = 1, 6, 10
"""Link codes (section 6.1.1): neighbour type in bits 2 and 3, link type in bits 0 and 1."""
_FAR = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class OlsrConfig:
    """Periods of RFC 3626, section 18.2, in seconds.

    Attributes:
        hello: Between hellos.
        hold: For which a neighbour is believed after a hello.
        topology: Between topology control messages.
        topology_hold: For which they hold.
        spacing: Between two such messages of a node at least.
        duplicate_hold: For which a flooded message is remembered.
        jitter: Most by which a flooded message waits, so that several go in one packet.
        redundancy: 0 tells of those that chose the node, 2 of all neighbours (section 15.1).
    """

    hello: float = 2.0
    hold: float = 6.0
    topology: float = 5.0
    topology_hold: float = 15.0
    spacing: float = 1.0
    duplicate_hold: float = 30.0
    jitter: float = 0.5
    redundancy: int = 0


class HelloBody(NamedTuple):
    """What a hello says.

    Attributes:
        interval: Seconds between the sender's hellos.
        willingness: To relay, 0 to 7.
        reverse: Share of the sender's receipt of each node's hellos.
        symmetric: Neighbours on links that work both ways, with their ETX.
        chosen: Those that the sender has chosen as relays.
    """

    interval: float
    willingness: int
    reverse: Mapping[int, float]
    symmetric: Mapping[int, float]
    chosen: frozenset[int]


def _shares(rows: Iterable[tuple[int, int, int]]) -> dict[int, float]:
    """ETX by node from entries."""
    return {node: sensing.etx(sensing.read_share(lq), sensing.read_share(nlq)) for node, lq, nlq in rows}


@lru_cache(maxsize=4096)
def read_hello(body: bytes) -> HelloBody:
    """The body of a hello.

    Raises:
        RemoteProtocolError: If it is none.
    """
    if len(body) < _HEAD.size:
        raise RemoteProtocolError(f"a hello of {len(body)} bytes")
    _, interval, willingness = _HEAD.unpack_from(body)
    groups = dict(_groups(body))
    if willingness > ALWAYS or not groups.keys() <= {_ASYMMETRIC, _SYMMETRIC, _CHOSEN}:
        raise RemoteProtocolError("a hello of an unknown willingness or link code")
    return HelloBody(
        interval=read_time(interval),
        willingness=willingness,
        reverse={node: sensing.read_share(lq) for rows in groups.values() for node, lq, _ in rows},
        symmetric=_shares([row for code in (_SYMMETRIC, _CHOSEN) for row in groups.get(code, ())]),
        chosen=frozenset(node for node, _, _ in groups.get(_CHOSEN, ())),
    )


def _groups(body: bytes) -> Iterable[tuple[int, list[tuple[int, int, int]]]]:
    """The link code and entries of each group of a hello."""
    at = _HEAD.size
    while at < len(body):
        if at + _GROUP.size > len(body):
            raise RemoteProtocolError("a group without a header")
        code, _, size = _GROUP.unpack_from(body, at)
        if not _GROUP.size <= size <= len(body) - at or (size - _GROUP.size) % _ENTRY.size:
            raise RemoteProtocolError(f"a group of {size} bytes with {len(body) - at} left")
        yield code, list(_ENTRY.iter_unpack(body[at + _GROUP.size : at + size]))
        at += size


@lru_cache(maxsize=4096)
def read_topology(body: bytes) -> tuple[int, Mapping[int, float]]:
    """Sequence number of what is told, and ETX of the links told.

    Raises:
        RemoteProtocolError: If the body is none.
    """
    if len(body) < _ANSWER.size or (len(body) - _ANSWER.size) % _ENTRY.size:
        raise RemoteProtocolError(f"a topology control of {len(body)} bytes")
    number, _ = _ANSWER.unpack_from(body)
    return number, _shares(_ENTRY.iter_unpack(body[_ANSWER.size :]))


def choose_relays(
    reached: Mapping[int, frozenset[int]], willingness: Mapping[int, int], two_hop: frozenset[int]
) -> frozenset[int]:
    """Neighbours that together reach all of `two_hop` that any of them reaches (RFC 3626, section 8.3.1).

    Args:
        reached: The neighbours of each symmetric neighbour.
        willingness: Of each; those of willingness never are not chosen.
        two_hop: Strict two-hop neighbours.

    >>> sorted(choose_relays({1: frozenset({4, 5}), 2: frozenset({5}), 3: frozenset({6})}, {1: 3, 2: 3, 3: 3},
    ...                      frozenset({4, 5, 6})))
    [1, 3]
    """
    covers = {node: around & two_hop for node, around in reached.items() if willingness[node] != NEVER}
    chosen = {node for node in covers if willingness[node] == ALWAYS}
    only: dict[int, list[int]] = {}
    for node, around in covers.items():
        for far in around:
            only.setdefault(far, []).append(node)
    chosen |= {nodes[0] for nodes in only.values() if len(nodes) == 1}
    left = set(only).difference(*(covers[node] for node in chosen))
    while left:
        # by willingness, then how many more are reached, then how many at all; of equals the lowest address
        best = min(
            (node for node in covers if covers[node] & left),
            key=lambda node: (-willingness[node], -len(covers[node] & left), -len(reached[node]), node),
        )
        chosen.add(best)
        left -= covers[best]
    return frozenset(chosen)


@dataclass(slots=True)
class _Neighbour:
    """A neighbour's last hello, and until when it had chosen us.

    Attributes:
        hello: As read.
        expires: Until when it holds, seconds.
        chose_us: Whether we relay for it.
    """

    hello: HelloBody
    expires: float
    chose_us: bool


@PROTOCOLS.register("olsr")
@dataclass(slots=True)
class Olsr:
    """One node.

    Attributes:
        address: Its own.
        stream: Its draws.
        forwards: Whether others' data and floods may pass through it: willingness default, or never.
        now: When it starts, seconds.
        config: Periods.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: OlsrConfig = OlsrConfig()
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _heard: dict[int, Heard] = field(init=False, default_factory=dict)
    _near: dict[int, _Neighbour] = field(init=False, default_factory=dict)
    _topology: dict[int, tuple[int, float, Mapping[int, float]]] = field(init=False, default_factory=dict)
    _seen: dict[tuple[int, int, int], tuple[float, bool]] = field(init=False, default_factory=dict)
    _forgets_at: float = field(init=False, default=0.0)
    _to_forward: list[Message] = field(init=False, default_factory=list)
    _relays: frozenset[int] = field(init=False, default=frozenset())
    _told: frozenset[int] = field(init=False, default=frozenset())
    _told_at: float = field(init=False, default=-math.inf)
    _tells_until: float = field(init=False, default=-math.inf)
    _numbers: dict[str, int] = field(init=False)
    _table: dict[int, tuple[float, int]] | None = field(init=False, default=None)

    name: ClassVar[str] = "olsr"
    kinds: ClassVar[Mapping[int, str]] = {HELLO: "hello", TOPOLOGY: "topology_control"}
    promises_loop_freedom: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        names = ("hello", "message", "answer")
        self._numbers = {name: int(self._dice.draw() * SEQUENCES) for name in names}
        self._timers.set("hello", self.now + self.config.hello * self._dice.draw() / 4)
        self._timers.set("topology", self.now + self.config.topology * (1 + self._dice.draw()) / 2)

    @property
    def relays(self) -> frozenset[int]:
        """The multipoint relays that the last hello named."""
        return self._relays

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
        elif message.origin != self.address and self._is_symmetric(source, now):
            # messages of unknown kinds are passed on all the same (section 3.4)
            self._consider(message, source, now)

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for name in self._timers.due(now):
            if name == "hello":
                self._say_hello(now)
            elif name == "topology":
                self._tell(now)
            else:
                self._pass_on()

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
        """Gives a neighbour up (section 13)."""
        if self._heard.pop(neighbour, None) is not None:
            gone = self._near.pop(neighbour, None)
            self._table = None
            if gone is not None and gone.chose_us:
                self._tell_soon(now)

    def want(self, destination: int, now: float) -> None:
        """Nothing: all routes are known ahead."""

    # Neighbours -------------------------------------------------------------------------------------------------------

    def _is_symmetric(self, node: int, now: float) -> bool:
        heard = self._heard.get(node)
        return heard is not None and heard.hears_us(now)

    def _next_number(self, name: str) -> int:
        self._numbers[name] = (self._numbers[name] + 1) % SEQUENCES
        return self._numbers[name]

    def _say_hello(self, now: float) -> None:
        self._expire(now)
        self._relays = self._choose(now)
        groups: dict[int, list[bytes]] = {}
        for node in self._heard:
            code = _ASYMMETRIC if not self._is_symmetric(node, now) else _SYMMETRIC
            groups.setdefault(_CHOSEN if node in self._relays else code, []).append(self._entry(node, now))
        willingness = DEFAULT if self.forwards else NEVER
        body = [_HEAD.pack(0, write_time(self.config.hello), willingness)]
        for code, entries in groups.items():
            body += [_GROUP.pack(code, 0, _GROUP.size + _ENTRY.size * len(entries)), *entries]
        number = self._next_number("hello")
        self._outbox.say(Message(HELLO, self.address, number, self.config.hold, 1, 0, b"".join(body)))
        self._timers.set("hello", now + self._dice.early(self.config.hello))

    def _entry(self, node: int, now: float) -> bytes:
        heard = self._heard[node]
        near = self._near.get(node)
        forward = heard.forward(near.hello.interval if near else self.config.hello, now)
        return _ENTRY.pack(node, sensing.write_share(forward), sensing.write_share(heard.reverse))

    def _hear(self, message: Message, source: int, now: float) -> None:
        if message.origin != source or source == self.address:
            raise RemoteProtocolError("a hello that was passed on")
        hello = read_hello(message.body)
        heard = self._heard.get(source)
        if heard is None:
            heard = self._heard[source] = Heard(now, message.sequence)
        else:
            heard.hear(message.sequence, now)
        mine = hello.reverse.get(self.address)
        heard.until, heard.reverse = (-math.inf, 0.0) if mine is None else (now + message.validity, mine)
        before = self._near.get(source)
        chose_us = self.address in hello.chosen
        self._near[source] = _Neighbour(hello, now + message.validity, chose_us)
        self._table = None
        if chose_us != (before is not None and before.chose_us):
            self._tell_soon(now)

    def _expire(self, now: float) -> None:
        for node in [node for node in self._heard if node not in self._near or self._near[node].expires < now]:
            self.link_down(node, now)
        for origin in [origin for origin, (_, expires, _) in self._topology.items() if expires < now]:
            del self._topology[origin]
            self._table = None
        if now >= self._forgets_at:
            self._forgets_at = now + self.config.duplicate_hold / 3
            for key in [key for key, (expires, _) in self._seen.items() if expires < now]:
                del self._seen[key]

    def _choose(self, now: float) -> frozenset[int]:
        """Multipoint relays, from what neighbours say of theirs."""
        symmetric = {node: near.hello for node, near in self._near.items() if self._is_symmetric(node, now)}
        reached = {node: frozenset(hello.symmetric) for node, hello in symmetric.items()}
        willing = (around for node, around in reached.items() if symmetric[node].willingness != NEVER)
        two_hop = frozenset().union(*willing) - reached.keys() - {self.address}
        return choose_relays(reached, {node: hello.willingness for node, hello in symmetric.items()}, two_hop)

    # Topology ---------------------------------------------------------------------------------------------------------

    def _tell_soon(self, now: float) -> None:
        self._timers.sooner("topology", max(now, self._told_at + self.config.spacing))

    def _tell(self, now: float) -> None:
        """Tells all whom we relay for; when that is nobody any more, for a while that it is nobody (section 9.3)."""
        self._timers.set("topology", now + self._dice.early(self.config.topology))
        told = frozenset(node for node, near in self._near.items() if self._is_told(near) and node in self._heard)
        if told:
            self._tells_until = now + self.config.topology_hold
        if now > self._tells_until or not self.forwards:
            return
        number = self._numbers["answer"] if told == self._told else self._next_number("answer")
        self._told, self._told_at = told, now
        body = _ANSWER.pack(number, 0) + b"".join(self._entry(node, now) for node in sorted(told))
        sequence = self._next_number("message")
        self._outbox.say(Message(TOPOLOGY, self.address, sequence, self.config.topology_hold, _FAR, 0, body))

    def _is_told(self, near: _Neighbour) -> bool:
        return near.chose_us or (self.config.redundancy > 1 and self.address in near.hello.symmetric)

    def _consider(self, message: Message, source: int, now: float) -> None:
        """Processes a flooded message once, and passes it on once, for those that chose us (section 3.4)."""
        key = message.kind, message.origin, message.sequence
        known = self._seen.get(key)
        if known is None and message.kind == TOPOLOGY:
            self._learn(message, now)
        passed = known is not None and known[1]
        near = self._near.get(source)
        passes = not passed and self.forwards and message.ttl > 1 and near is not None and near.chose_us
        self._seen[key] = now + self.config.duplicate_hold, passed or passes
        if passes:
            self._to_forward.append(message.forwarded())
            self._timers.sooner("forward", now + self.config.jitter * self._dice.draw())

    def _pass_on(self) -> None:
        for message in self._to_forward:
            self._outbox.say(message)
        self._to_forward = []

    def _learn(self, message: Message, now: float) -> None:
        number, links = read_topology(message.body)
        known = self._topology.get(message.origin)
        if known is not None and known[1] >= now and is_newer(known[0], number):
            return
        self._topology[message.origin] = number, now + message.validity, links
        self._table = None

    # Routes -----------------------------------------------------------------------------------------------------------

    def _routes(self, now: float) -> dict[int, tuple[float, int]]:
        if self._table is None:
            links: dict[int, dict[int, float]] = {origin: dict(told) for origin, (_, _, told) in self._topology.items()}
            relays = set(links)
            mine: dict[int, float] = {}
            for node, near in self._near.items():
                if self._is_symmetric(node, now):
                    heard = self._heard[node]
                    mine[node] = sensing.etx(heard.forward(near.hello.interval, now), heard.reverse)
                    if near.hello.willingness != NEVER:
                        relays.add(node)
                        links.setdefault(node, {}).update(near.hello.symmetric)
            links[self.address] = mine
            self._table = first_hops(self.address, links, relays)
        return self._table

    def next_hop(self, destination: int, now: float) -> int | None:
        """The neighbour on the cheapest path."""
        route = self._routes(now).get(destination)
        return None if route is None else route[1]

    def metric(self, destination: int, now: float) -> float:
        """ETX of the cheapest path."""
        route = self._routes(now).get(destination)
        return math.inf if route is None else route[0]
