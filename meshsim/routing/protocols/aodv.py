"""AODV: routes on demand (RFC 3561).

- Who wants a destination floods a request (RREQ), in rings that grow (section 6.4); the destination, or a node with a
  fresh enough route, answers (RREP) along the way back (6.6). Both leave routes behind, ranked by the destination's
  sequence number and then by hops (6.2).
- Nodes on active routes say hello (6.9); a neighbour that is silent, or that the driver says is gone, takes its routes
  with it, and those who use them are told (RERR, 6.11), as precursor lists have them.
- A node that starts takes part only after DELETE_PERIOD (6.13), when nobody can still use it.

What the RFC leaves open is done so that no loop can form (van Glabbeek, Höfner, Portmann and Tan, "Sequence numbers do
not guarantee loop freedom", MSWiM 2013): a route that is lost or expires always gets a larger number than it ever was
valid with, whatever the RERR says; numbers of others are never forgotten (the RFC says when they may be); replies are
passed on with what the own table says. A node's own numbers begin at the clock, so that they outlive a restart.
Not here: local repair, gratuitous replies and blacklists, which the RFC leaves to the implementer. Data that pass
through a node are not seen by it: only who wants a route keeps it, those on the way let it expire, and it is looked for
anew.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols.base import PROTOCOLS, Dice, Effect, Outbox, Timers
from meshsim.routing.protocols.packet import SEQUENCES, Message, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshsim.mesh.seeds import Stream

RREQ, RREP, RERR, HELLO = 1, 2, 3, 4

_RREQ = struct.Struct(">BIIII")
_RREP = struct.Struct(">IIIB")
_RERR = struct.Struct(">II")
_HELLO = struct.Struct(">I")
_KNOWN = 1
_NUMBERS = 1 << 32
_TICKS = 16
"""Sequence numbers of a node's own that begin each second: more than lost routes use up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AodvConfig:
    """The parameters of section 10, in its names; seconds and hops.

    Attributes:
        active_route: For which a route holds that nobody uses (ACTIVE_ROUTE_TIMEOUT).
        hello: Between hellos (HELLO_INTERVAL).
        hello_loss: Hellos that may be lost (ALLOWED_HELLO_LOSS).
        traversal: For which a message takes one hop (NODE_TRAVERSAL_TIME).
        diameter: Hops from end to end at most (NET_DIAMETER).
        retries: Floods of the whole mesh after the first (RREQ_RETRIES).
        ring: Hops of the first flood (TTL_START).
        growth: Hops that each further flood goes farther (TTL_INCREMENT).
        widest: Hops after which the whole mesh is flooded (TTL_THRESHOLD).
        slack: Hops that a reply may take longer (TIMEOUT_BUFFER).
        requests: Requests that a node starts each second at most (RREQ_RATELIMIT).
    """

    active_route: float = 3.0
    hello: float = 1.0
    hello_loss: int = 2
    traversal: float = 0.04
    diameter: int = 35
    retries: int = 2
    ring: int = 1
    growth: int = 2
    widest: int = 7
    slack: int = 2
    requests: int = 10

    @property
    def delete(self) -> float:
        """DELETE_PERIOD: after which nobody can still use a route that was lost."""
        return 5.0 * max(self.active_route, self.hello)

    @property
    def own_route(self) -> float:
        """MY_ROUTE_TIMEOUT: for which a destination says that routes to it hold."""
        return 2.0 * self.active_route

    @property
    def flood(self) -> float:
        """PATH_DISCOVERY_TIME: for which the number of a flood is remembered."""
        return 4.0 * self.traversal * self.diameter

    def wait(self, ttl: int) -> float:
        """RING_TRAVERSAL_TIME: until a flood of `ttl` hops must have been answered."""
        return 2.0 * self.traversal * (ttl + self.slack)


@dataclass(slots=True)
class Entry:
    """A row of the routing table.

    Attributes:
        sequence: Of the destination; None where it is not known, which is so of neighbours only.
        hops: To it.
        neighbour: The next hop.
        until: Seconds until when it holds.
        valid: Whether data may take it.
        precursors: Neighbours that were told of it.
    """

    sequence: int | None
    hops: int
    neighbour: int
    until: float
    valid: bool = True
    precursors: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Search:
    """A destination that is looked for.

    Attributes:
        ttl: Of the last flood.
        floods: Of the whole mesh so far.
        due: When the next is sent, seconds.
    """

    ttl: int
    floods: int
    due: float


def _newer(a: int, b: int) -> bool:
    """Whether number `a` comes after `b`, over the wrap-around (section 6.1)."""
    return a != b and (a - b) % _NUMBERS < _NUMBERS // 2


def _exactly(layout: struct.Struct, body: bytes, what: str) -> tuple[int, ...]:
    if len(body) != layout.size:
        raise RemoteProtocolError(f"{what} of {len(body)} bytes")
    return layout.unpack(body)


def read_error(body: bytes) -> dict[int, int]:
    """Destinations that cannot be reached, and their sequence numbers.

    Raises:
        RemoteProtocolError: If the body is no RERR's.
    """
    if not body or len(body) % _RERR.size:
        raise RemoteProtocolError(f"a route error of {len(body)} bytes")
    return dict(_RERR.iter_unpack(body))


@PROTOCOLS.register("aodv")
@dataclass(slots=True)
class Aodv:
    """One node.

    Attributes:
        address: Its own.
        stream: Its draws.
        forwards: Whether it passes on anything of others.
        now: When it starts, seconds.
        config: Its parameters.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: AodvConfig = AodvConfig()
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _sequence: int = field(init=False)
    _messages: int = field(init=False)
    _floods: int = field(init=False)
    _table: dict[int, Entry] = field(init=False, default_factory=dict)
    _heard: dict[int, float] = field(init=False, default_factory=dict)
    _seen: dict[tuple[int, int], float] = field(init=False, default_factory=dict)
    _searches: dict[int, Search] = field(init=False, default_factory=dict)
    _started: list[float] = field(init=False, default_factory=list)
    _active: float = field(init=False, default=-math.inf)

    name: ClassVar[str] = "aodv"
    kinds: ClassVar[Mapping[int, str]] = {RREQ: "rreq", RREP: "rrep", RERR: "rerr", HELLO: "hello"}
    promises_loop_freedom: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        self._sequence = int(_TICKS * self.now) % _NUMBERS
        self._messages, self._floods = (int(self._dice.draw() * SEQUENCES) for _ in range(2))
        self._timers.set("hello", self.now + self.config.delete)

    # What comes in ----------------------------------------------------------------------------------------------------

    def receive(self, payload: bytes, source: int, now: float) -> None:
        """Takes a packet; what cannot be read is counted and dropped, and so is all while the node waits."""
        try:
            for message in decode(payload):
                self._take(message, source, now)
        except RemoteProtocolError:
            self.malformed += 1

    def _take(self, message: Message, source: int, now: float) -> None:
        readers = {RREQ: self._request, RREP: self._reply, RERR: self._error, HELLO: self._hello}
        if message.kind not in readers:
            raise RemoteProtocolError(f"a message of kind {message.kind}")
        if source == self.address:
            raise RemoteProtocolError("a message of its own")
        readers[message.kind](message, source, now)

    def _waits(self, now: float) -> bool:
        return now < self.now + self.config.delete

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for name in self._timers.due(now):
            if name == "hello":
                self._say_hello(now)
            else:
                self._search_on(now)

    def wake_at(self) -> float | None:
        """When `handle_timer` is next due."""
        return self._timers.first()

    def effects(self) -> list[Effect]:
        """What is to be sent, told once."""
        return self._outbox.drain()

    def link_up(self, neighbour: int, now: float) -> None:
        """Nothing: neighbours matter when a route leads over them."""

    def link_down(self, neighbour: int, now: float) -> None:
        """All routes over a neighbour are lost, and those who use them are told (section 6.11, case i)."""
        self._heard.pop(neighbour, None)
        self._lose({d for d, entry in self._table.items() if entry.valid and entry.neighbour == neighbour}, {}, now)

    def want(self, destination: int, now: float) -> None:
        """Keeps the route that is in use, or looks for one."""
        entry = self._entry(destination, now)
        if entry is not None and entry.valid:
            entry.until = max(entry.until, now + self.config.active_route)
            self._active = max(self._active, now + self.config.active_route)
        elif destination != self.address and destination not in self._searches:
            self._searches[destination] = Search(0, 0, max(now, self.now + self.config.delete))
            self._timers.sooner("search", self._searches[destination].due)
            self._search_on(now)

    # Neighbours -------------------------------------------------------------------------------------------------------

    def _message(self, kind: int, body: bytes, holds: float, ttl: int = 1) -> Message:
        self._messages = (self._messages + 1) % SEQUENCES
        return Message(kind, self.address, self._messages, holds, ttl, 0, body)

    def _say_hello(self, now: float) -> None:
        """Says hello if it is on an active route, and looks who is silent."""
        patience = self.config.hello * self.config.hello_loss
        for neighbour in [n for n, at in self._heard.items() if now - at > patience]:
            self.link_down(neighbour, now)
        for destination in self._table:
            self._entry(destination, now)
        self._seen = {flood: until for flood, until in self._seen.items() if until > now}
        if self._active >= now:
            self._outbox.say(self._message(HELLO, _HELLO.pack(self._sequence), patience))
        self._timers.set("hello", now + self._dice.early(self.config.hello))

    def _hello(self, message: Message, source: int, now: float) -> None:
        (sequence,) = _exactly(_HELLO, message.body, "a hello")
        if not self._waits(now):
            self._heard[source] = now
            self._update(source, sequence, 1, source, now + self.config.hello * self.config.hello_loss, now)

    def _meet(self, source: int, now: float) -> None:
        """Whoever sent anything is a neighbour, whatever its sequence number."""
        self._heard[source] = now
        until = now + self.config.active_route
        entry = self._entry(source, now)
        if entry is None:
            self._table[source] = Entry(None, 1, source, until)
        elif entry.valid and entry.hops == 1:
            entry.until = max(entry.until, until)
        else:
            entry.hops, entry.neighbour, entry.until, entry.valid = 1, source, until, True

    # The table --------------------------------------------------------------------------------------------------------

    def _entry(self, destination: int, now: float) -> Entry | None:
        """The row of a destination; one that has expired is not valid any more (section 6.1)."""
        entry = self._table.get(destination)
        if entry is not None and entry.valid and entry.until < now:
            self._invalidate(entry, entry.sequence)
        return entry

    def _invalidate(self, entry: Entry, told: int | None) -> None:
        """Nobody may take this node's older routes for newer than those it will have."""
        entry.valid = False
        if entry.sequence is not None:
            own = (entry.sequence + 1) % _NUMBERS
            entry.sequence = told if told is not None and _newer(told, own) else own

    def _update(self, destination: int, sequence: int, hops: int, neighbour: int, until: float, now: float) -> None:
        """Takes a route that is newer, or as new and better than none or than the known one (section 6.2)."""
        entry = self._entry(destination, now)
        if destination == self.address:
            return
        if entry is None:
            self._table[destination] = Entry(sequence, hops, neighbour, until)
        elif self._is_better(entry, sequence, hops):
            entry.sequence, entry.hops, entry.neighbour, entry.valid = sequence, hops, neighbour, True
            entry.until = until
        elif entry.valid and (entry.sequence, entry.hops, entry.neighbour) == (sequence, hops, neighbour):
            entry.until = max(entry.until, until)

    @staticmethod
    def _is_better(entry: Entry, sequence: int, hops: int) -> bool:
        if entry.sequence is None or _newer(sequence, entry.sequence):
            return True
        return sequence == entry.sequence and (not entry.valid or hops < entry.hops)

    # Requests ---------------------------------------------------------------------------------------------------------

    def _search_on(self, now: float) -> None:
        """Sends the floods that are due, each wider than the last (section 6.4), within the limit of rate (6.3)."""
        for destination, search in list(self._searches.items()):
            entry = self._entry(destination, now)
            if entry is not None and entry.valid:
                del self._searches[destination]
            elif search.due <= now:
                self._flood(destination, search, now)
        if self._searches:
            self._timers.sooner("search", min(search.due for search in self._searches.values()))

    def _flood(self, destination: int, search: Search, now: float) -> None:
        # the sum that `due` is, so that a search which waits for it finds room when it comes
        self._started = [at for at in self._started if at + 1.0 > now]
        if len(self._started) >= self.config.requests:
            search.due = self._started[0] + 1.0
            return
        if search.floods > self.config.retries:
            del self._searches[destination]
            return
        self._started.append(now)
        self._widen(search, now)
        self._sequence = (self._sequence + 1) % _NUMBERS
        self._floods = (self._floods + 1) % _NUMBERS
        self._seen[self.address, self._floods] = now + self.config.flood
        entry = self._table.get(destination)
        known = entry is not None and entry.sequence is not None
        number = entry.sequence if entry is not None and entry.sequence is not None else 0
        body = _RREQ.pack(known * _KNOWN, self._floods, destination, number, self._sequence)
        self._outbox.say(self._message(RREQ, body, self.config.flood, search.ttl))

    def _widen(self, search: Search, now: float) -> None:
        if search.ttl >= self.config.widest:
            search.ttl = self.config.diameter
            search.due = now + self.config.wait(self.config.diameter) * 2**search.floods
            search.floods += 1
        else:
            search.ttl = min(search.ttl + self.config.growth, self.config.widest) if search.ttl else self.config.ring
            search.due = now + self.config.wait(search.ttl)

    def _request(self, message: Message, source: int, now: float) -> None:
        """Learns the way back; answers, or floods on (section 6.5)."""
        flags, flood, destination, wanted, sequence = _exactly(_RREQ, message.body, "a request")
        if self._waits(now) or message.origin == self.address or (message.origin, flood) in self._seen:
            return
        self._seen[message.origin, flood] = now + self.config.flood
        self._meet(source, now)
        hops = message.hops + 1
        until = now + max(self.config.flood - 2 * hops * self.config.traversal, self.config.active_route)
        self._update(message.origin, sequence, hops, source, until, now)
        if destination == self.address:
            if flags & _KNOWN and _newer(wanted, self._sequence):
                self._sequence = wanted
            self._send_reply(message.origin, destination, self._sequence, 0, now + self.config.own_route, now)
            return
        entry = self._entry(destination, now)
        if not self.forwards:
            return
        if entry is not None and self._is_fresh(entry, flags, wanted) and entry.neighbour != source:
            entry.precursors.add(source)
            self._answer(message.origin, destination, now)
        elif message.ttl > 1:
            if entry is not None and entry.sequence is not None and _newer(entry.sequence, wanted):
                flags, wanted = flags | _KNOWN, entry.sequence
            body = _RREQ.pack(flags, flood, destination, wanted, sequence)
            self._outbox.say(message.forwarded()._replace(body=body))

    @staticmethod
    def _is_fresh(entry: Entry, flags: int, wanted: int) -> bool:
        if not entry.valid or entry.sequence is None:
            return False
        return not flags & _KNOWN or not _newer(wanted, entry.sequence)

    # Replies ----------------------------------------------------------------------------------------------------------

    def _answer(self, origin: int, destination: int, now: float) -> None:
        """Tells the way to `origin` what the own table has of `destination`."""
        entry, back = self._table[destination], self._table.get(origin)
        if entry.sequence is not None and back is not None:
            back.precursors.add(entry.neighbour)
            self._send_reply(origin, destination, entry.sequence, entry.hops, entry.until, now)

    def _send_reply(self, origin: int, destination: int, sequence: int, hops: int, until: float, now: float) -> None:
        back = self._entry(origin, now)
        if back is not None and back.valid:
            back.until = max(back.until, now + self.config.active_route)
            self._active = max(self._active, until)
            body = _RREP.pack(destination, sequence, origin, min(hops, 255))
            self._outbox.tell(back.neighbour, self._message(RREP, body, until - now))

    def _reply(self, message: Message, source: int, now: float) -> None:
        """Learns the route, and passes it on if it is what its table has now (section 6.7)."""
        destination, sequence, origin, hops = _exactly(_RREP, message.body, "a reply")
        if self._waits(now) or destination == self.address:
            return
        self._meet(source, now)
        until = now + min(message.validity, self.config.own_route)
        self._update(destination, sequence, hops + 1, source, until, now)
        if origin == self.address:
            self._active = max(self._active, until)
            self._search_on(now)
            return
        entry, back = self._entry(destination, now), self._entry(origin, now)
        if self.forwards and entry is not None and entry.valid and back is not None and back.valid:
            entry.precursors.add(back.neighbour)
            self._answer(origin, destination, now)

    # Errors -----------------------------------------------------------------------------------------------------------

    def _error(self, message: Message, source: int, now: float) -> None:
        """Loses the routes that lead over who tells it (section 6.11, case iii)."""
        told = read_error(message.body)
        if self._waits(now):
            return
        over = {d for d in told if d in self._table and self._table[d].neighbour == source and self._table[d].valid}
        self._lose(over, told, now)

    def _lose(self, destinations: Iterable[int], told: Mapping[int, int], now: float) -> None:
        rows, users = [], set()
        for destination in sorted(destinations):
            entry = self._table[destination]
            self._invalidate(entry, told.get(destination))
            if entry.precursors:
                users |= entry.precursors
                rows.append(_RERR.pack(destination, entry.sequence or 0))
            entry.precursors = set()
        if not rows or self._waits(now):
            return
        error = self._message(RERR, b"".join(rows), self.config.delete)
        if len(users) == 1:
            self._outbox.tell(users.pop(), error)
        else:
            self._outbox.say(error)

    # What is asked ----------------------------------------------------------------------------------------------------

    def next_hop(self, destination: int, now: float) -> int | None:
        """The next hop of a route that holds."""
        entry = self._table.get(destination)
        return entry.neighbour if entry is not None and entry.valid and entry.until >= now else None

    def metric(self, destination: int, now: float) -> float:
        """Hops of a route that holds."""
        entry = self._table.get(destination)
        return float(entry.hops) if entry is not None and entry.valid and entry.until >= now else math.inf
