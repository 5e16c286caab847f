"""Babel: distance vectors without loops (RFC 8966).

- Hellos with sequence numbers find neighbours, IHUs tell them what comes through; the cost of a link is that of
  appendix A.2.2, and links that are long have the penalty of RFC 9616, as overlays are tunnels.
- Each node announces itself with a sequence number of its own; the others take a route only if it is feasible: newer,
  or nearer than the nearest they ever announced themselves (sections 2.4, 3.5.1). Whoever has only infeasible routes
  asks the origin for a new sequence number (2.5, 3.8.2); requests travel along routes (3.8.1.2).
- Updates come with all routes periodically and with those that changed much at once (3.7); routes that were lost are
  retracted, more than once, and held as unreachable until they would have expired (3.5.4).

What keeps the promise of no loops when nodes restart, who then have forgotten how near they once were: sequence numbers
begin at the clock (in place of storage), every message tells the session, so that neighbours drop what they have of an
earlier one, and a node that starts takes only direct routes until everybody must have noticed (`quiet`).

The address of a node is its router-id too, and messages are framed as all protocols here frame theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.routing.protocols import babelwire as wire
from meshsim.routing.protocols import sensing
from meshsim.routing.protocols.babelwire import BabelConfig, Chosen, Distance, Route, Sought
from meshsim.routing.protocols.base import PROTOCOLS, Dice, Effect, Outbox, Timers
from meshsim.routing.protocols.packet import SEQUENCES, Message, decode, is_newer
from meshsim.routing.protocols.sensing import Heard

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshsim.mesh.seeds import Stream


@PROTOCOLS.register("babel")
@dataclass(slots=True)
class Babel:
    """One node.

    Attributes:
        address: Its own, and its router-id.
        stream: Its draws.
        forwards: Whether others' data may pass through it: if not, it announces itself alone.
        now: When it starts, seconds.
        config: How often, and how patient.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: BabelConfig = field(default_factory=BabelConfig)
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _session: int = field(init=False)
    _sequence: int = field(init=False)
    _hellos: int = field(init=False, default=0)
    _heard: dict[int, Heard] = field(init=False, default_factory=dict)
    _sessions: dict[int, int] = field(init=False, default_factory=dict)
    _costs: dict[int, int] = field(init=False, default_factory=dict)
    _routes: dict[int, dict[int, Route]] = field(init=False, default_factory=dict)
    _nearest: dict[int, Distance] = field(init=False, default_factory=dict)
    _chosen: dict[int, Chosen] = field(init=False, default_factory=dict)
    _told: dict[int, int] = field(init=False, default_factory=dict)
    _to_tell: dict[int, int] = field(init=False, default_factory=dict)
    _triggered: float = field(init=False, default=-math.inf)
    _sought: dict[int, Sought] = field(init=False, default_factory=dict)

    name: ClassVar[str] = "babel"
    kinds: ClassVar[Mapping[int, str]] = {
        wire.HELLO: "hello",
        wire.IHU: "ihu",
        wire.UPDATE: "update",
        wire.REQUEST: "seqno request",
        wire.DUMP: "route request",
    }
    promises_loop_freedom: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        self._session = int(self.now) % SEQUENCES
        self._sequence = self._clock(self.now)
        self._timers.set("hello", self.now + self.config.hello * self._dice.draw() / 4)
        self._timers.set("update", self.now + self.config.update * self._dice.draw())
        self._timers.set("awake", self.now + self.config.quiet)

    @staticmethod
    def _clock(now: float) -> int:
        """The newest sequence number that a node may have at `now`: they grow slower than time."""
        return int(_TICKS * now) % SEQUENCES

    # What comes in ----------------------------------------------------------------------------------------------------

    def receive(self, payload: bytes, source: int, now: float) -> None:
        """Takes a packet; what cannot be read is counted and dropped."""
        try:
            for message in decode(payload):
                self._take(message, source, now)
        except RemoteProtocolError:
            self.malformed += 1

    def _take(self, message: Message, source: int, now: float) -> None:
        if message.origin != source or source == self.address:
            raise RemoteProtocolError("a message that was passed on")
        if message.kind == wire.HELLO:
            self._hear(message, source, now)
        elif message.kind == wire.IHU:
            self._acknowledge(source, wire.read_ihu(message.body), now)
        elif message.kind == wire.UPDATE:
            self._learn(message, source, now)
        elif message.kind == wire.REQUEST:
            self._asked(message, source, now)
        elif message.kind == wire.DUMP:
            self._dump(source, now)
        else:
            raise RemoteProtocolError(f"a message of kind {message.kind}")

    def handle_timer(self, now: float) -> None:
        """Does what is due."""
        for name in self._timers.due(now):
            match name:
                case "hello":
                    self._say_hello(now)
                case "update":
                    self._update_all(now)
                case "trigger":
                    self._trigger(now)
                case "resend":
                    self._resend(now)
                case _:
                    self._choose_all(now)

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
        """Flushes a neighbour with its routes."""
        if self._heard.pop(neighbour, None) is not None:
            self._costs.pop(neighbour, None)
            self._forget_routes(neighbour, now)

    def want(self, destination: int, now: float) -> None:
        """Asks for a destination whose routes are all infeasible."""
        if destination not in self._chosen and destination in self._nearest:
            self._starve(destination, now)

    # Neighbours -------------------------------------------------------------------------------------------------------

    def _message(self, kind: int, body: bytes, holds: float, ttl: int = 1) -> Message:
        return Message(kind, self.address, self._session, holds, ttl, 0, body)

    def _say_hello(self, now: float) -> None:
        self._expire(now)
        self._hellos = (self._hellos + 1) % SEQUENCES
        body = wire.HELLO_BODY.pack(self._session, sensing.stamp(now))
        holds = self.config.hold * self.config.hello
        self._outbox.say(self._message(wire.HELLO, body, holds)._replace(sequence=self._hellos))
        rows = [
            wire.IHU_ROW.pack(
                node,
                wire.reception_cost(heard, self.config, now),
                heard.stamp,
                min(round((now - heard.at) / sensing.TICK), _LONGEST),
            )
            for node, heard in self._heard.items()
        ]
        if rows:
            self._outbox.say(self._message(wire.IHU, b"".join(rows), holds))
        self._timers.set("hello", now + self._dice.early(self.config.hello))
        self._measure(now)

    def _hear(self, message: Message, source: int, now: float) -> None:
        session, clock = wire.read_hello(message.body)
        if not self._is_of_now(source, session, now):
            return
        heard = self._heard.get(source)
        if heard is None:
            heard = self._heard[source] = Heard(now, message.sequence)
            self._timers.sooner("hello", now + self._dice.draw() * self.config.pace)
        else:
            heard.hear(message.sequence, now)
        heard.stamp = clock

    def _is_of_now(self, source: int, session: int, now: float) -> bool:
        """Whether a message is of a neighbour's present session; a new one flushes what is of the earlier."""
        known = self._sessions[source] if source in self._heard else session
        if is_newer(session, known):
            self.link_down(source, now)
        self._sessions[source] = known if is_newer(known, session) else session
        return not is_newer(known, session)

    def _acknowledge(self, source: int, theirs: Mapping[int, tuple[int, int, float]], now: float) -> None:
        heard, mine = self._heard.get(source), theirs.get(self.address)
        if heard is None or mine is None:
            return
        cost, then, held = mine
        known = heard.hears_us(now)
        heard.reverse = wire.UNIT / cost if cost < wire.INFINITE else 0.0
        heard.until = now + self.config.hold * self.config.hello
        if then:
            heard.measure(max(sensing.since(now, then) - held, 0.0))
        if not known:
            self._outbox.tell(source, self._message(wire.DUMP, b"", self.config.update))
            self._measure(now)
            self._dump(source, now)

    def _expire(self, now: float) -> None:
        """Lets go of neighbours that are silent, routes that are void, and distances that no one can still heed."""
        patience = self.config.hold * self.config.hello
        for node in [node for node, heard in self._heard.items() if now - heard.at > patience]:
            self.link_down(node, now)
        for destination, ways in list(self._routes.items()):
            for neighbour in [n for n, route in ways.items() if route.expires < now]:
                # a route that expires is as one retracted, and is held for as long again (section 3.5.4)
                self._void(ways, neighbour, now)
                self._choose(destination, now)
            if not ways:
                del self._routes[destination]
        for destination in [d for d, one in self._nearest.items() if now - one.at > self.config.sources]:
            if destination not in self._chosen:
                del self._nearest[destination]

    def _void(self, ways: dict[int, Route], neighbour: int, now: float) -> None:
        route = ways.pop(neighbour)
        if route.metric < wire.INFINITE:
            ways[neighbour] = Route(route.sequence, wire.INFINITE, now + self.config.hold * self.config.update)

    def _forget_routes(self, neighbour: int, now: float) -> None:
        for destination, ways in list(self._routes.items()):
            if ways.pop(neighbour, None) is not None:
                self._choose(destination, now)

    def _measure(self, now: float) -> None:
        """Takes what links cost now; routes follow."""
        costs = {node: wire.link_cost(heard, self.config, now) for node, heard in self._heard.items()}
        if costs != self._costs:
            self._costs = costs
            self._choose_all(now)

    # Routes -----------------------------------------------------------------------------------------------------------

    def _learn(self, message: Message, source: int, now: float) -> None:
        routes = wire.read_update(message.body)
        if source not in self._heard or not self._is_of_now(source, message.sequence, now):
            return
        expires = now + min(message.validity, self.config.hold * self.config.update)
        for destination, sequence, metric in routes:
            if destination == self.address:
                continue
            ways = self._routes.setdefault(destination, {})
            if metric < wire.INFINITE:
                ways[source] = Route(sequence, metric, expires)
            elif source in ways:
                self._void(ways, source, now)
            if self._matters(destination, source):
                self._choose(destination, now)
            self._complain(destination, source, now)
        self._answer(now)

    def _matters(self, destination: int, source: int) -> bool:
        """Whether what `source` has announced may change the choice; most of what comes only says the same again."""
        chosen, route = self._chosen.get(destination), self._routes[destination].get(source)
        if chosen is None or route is None:
            return True
        full = self._full(source, route)
        if chosen.neighbour == source:
            return (full, route.sequence) != (chosen.metric, chosen.sequence)
        return full < chosen.metric * (1.0 - self.config.hysteresis) and self._is_feasible(destination, route)

    def _is_feasible(self, destination: int, route: Route) -> bool:
        nearest = self._nearest.get(destination)
        return nearest is None or nearest.admits(route.sequence, route.metric)

    def _full(self, neighbour: int, route: Route) -> int:
        full = route.metric + self._costs.get(neighbour, wire.INFINITE)
        return min(wire.INFINITE, full)

    def _choose_all(self, now: float) -> None:
        for destination in list(self._routes):
            self._choose(destination, now)

    def _choose(self, destination: int, now: float) -> None:
        """Takes the best of the routes that are feasible (section 3.6); says so if it differs much from what was."""
        before, new = self._chosen.get(destination), self._best(destination, now)
        if new is None:
            self._chosen.pop(destination, None)
        else:
            self._chosen[destination] = new
        if not self._tells(now):
            return
        if new is None and before is not None:
            self._to_tell[destination] = _RETRACTIONS
            self._timers.sooner("trigger", now)
            self._starve(destination, now)
        elif new is not None and (before is None or self._differs(destination, new)):
            self._to_tell[destination] = max(self._to_tell.get(destination, 0), 1)
            self._timers.sooner("trigger", max(now, self._triggered + self.config.pace))

    def _best(self, destination: int, now: float) -> Chosen | None:
        best, rank = None, math.inf
        kept, bonus = self._chosen.get(destination), 1.0 - self.config.hysteresis
        anyone = self._tells(now)
        for neighbour, route in self._routes.get(destination, {}).items():
            full = self._full(neighbour, route)
            own = full * bonus if kept is not None and kept.neighbour == neighbour else full
            takes = full < wire.INFINITE and own < rank and (anyone or neighbour == destination)
            if takes and self._is_feasible(destination, route):
                best, rank = Chosen(neighbour, route.sequence, full), own
        return best

    def _tells(self, now: float) -> bool:
        """Whether nobody can still hold a route of an earlier life."""
        return now >= self.now + self.config.quiet

    def _differs(self, destination: int, new: Chosen) -> bool:
        told = self._told.get(destination, wire.INFINITE)
        return abs(new.metric - told) > self.config.change * told

    # Updates ----------------------------------------------------------------------------------------------------------

    def _announced(self, destination: int, now: float) -> bytes:
        """A route as it is announced now; the feasibility distance is kept before (section 3.7.3)."""
        if destination == self.address:
            return wire.ROUTE_ROW.pack(destination, self._sequence, 0)
        chosen = self._chosen.get(destination)
        if chosen is None:
            nearest = self._nearest.get(destination)
            self._told[destination] = wire.INFINITE
            return wire.ROUTE_ROW.pack(destination, 0 if nearest is None else nearest.sequence, wire.INFINITE)
        nearest = self._nearest.get(destination)
        if nearest is None or nearest.admits(chosen.sequence, chosen.metric):
            self._nearest[destination] = Distance(chosen.sequence, chosen.metric, now)
        else:
            self._nearest[destination] = nearest._replace(at=now)
        self._told[destination] = chosen.metric
        return wire.ROUTE_ROW.pack(destination, chosen.sequence, chosen.metric)

    def _updates(self, destinations: Iterable[int], now: float) -> Iterable[Message]:
        rows = [self._announced(destination, now) for destination in destinations]
        for at in range(0, len(rows), wire.MOST_ROUTES):
            body = b"".join(rows[at : at + wire.MOST_ROUTES])
            yield self._message(wire.UPDATE, body, self.config.hold * self.config.update)

    def _known(self, now: float) -> list[int]:
        """What is announced of: oneself, and of a node that forwards all it reaches."""
        return [self.address, *(self._chosen if self.forwards and self._tells(now) else ())]

    def _update_all(self, now: float) -> None:
        if (self._clock(now) - self._sequence) % SEQUENCES > _TICKS * _STALE:
            self._sequence = self._clock(now)  # or a restart, hours later, would seem to go back
        for message in self._updates(self._known(now), now):
            self._outbox.say(message)
        self._timers.set("update", now + self._dice.early(self.config.update))

    def _dump(self, neighbour: int, now: float) -> None:
        for message in self._updates(self._known(now), now):
            self._outbox.tell(neighbour, message)

    def _trigger(self, now: float) -> None:
        destinations = [d for d in self._to_tell if self.forwards or d == self.address]
        for message in self._updates(destinations, now):
            self._outbox.say(message)
        self._to_tell = {d: left - 1 for d, left in self._to_tell.items() if left > 1}
        self._triggered = now
        if self._to_tell:
            self._timers.sooner("trigger", now + self.config.resend)

    # Requests for sequence numbers ------------------------------------------------------------------------------------

    def _starve(self, destination: int, now: float) -> None:
        """Asks all for a newer route where only infeasible ones are left, or none (section 3.8.2.1)."""
        nearest = self._nearest.get(destination)
        if nearest is not None:
            self._seek(destination, (nearest.sequence + 1) % SEQUENCES, now)

    def _complain(self, destination: int, neighbour: int, now: float) -> None:
        """Asks a neighbour whose route would be better if it were feasible (section 3.8.2.2)."""
        route, nearest = self._routes[destination].get(neighbour), self._nearest.get(destination)
        if route is None or nearest is None or self._is_feasible(destination, route):
            return
        chosen = self._chosen.get(destination)
        bar = wire.INFINITE if chosen is None else chosen.metric * (1.0 - self.config.hysteresis)
        if self._full(neighbour, route) < bar:
            self._seek(destination, (nearest.sequence + 1) % SEQUENCES, now, to=neighbour)

    def _seek(self, destination: int, sequence: int, now: float, *, to: int | None = None, ttl: int = wire.FAR) -> None:
        known = self._sought.get(destination)
        if known is not None and not is_newer(sequence, known.sequence):
            return
        askers = [] if known is None else known.askers
        self._sought[destination] = Sought(sequence, self.config.tries - 1, askers, now)
        self._ask(destination, sequence, to, ttl)
        self._timers.sooner("resend", now + self.config.resend)

    def _ask(self, destination: int, sequence: int, to: int | None, ttl: int) -> None:
        message = self._message(wire.REQUEST, wire.REQUEST_BODY.pack(destination, sequence), self.config.resend, ttl)
        if to is None:
            self._outbox.say(message)
        else:
            self._outbox.tell(to, message)

    def _resend(self, now: float) -> None:
        for destination, sought in list(self._sought.items()):
            if now - sought.at < self.config.resend * _DUE:
                continue
            if sought.tries:
                sought.tries, sought.at = sought.tries - 1, now
                self._ask(destination, sought.sequence, None, wire.FAR)
            else:
                del self._sought[destination]
        if self._sought:
            self._timers.sooner("resend", now + self.config.resend)

    def _asked(self, message: Message, source: int, now: float) -> None:
        """Answers a request, or passes it on along the route (section 3.8.1.2)."""
        destination, sequence = wire.read_request(message.body)
        if source not in self._heard or not self._is_of_now(source, message.sequence, now):
            return
        if destination == self.address:
            self._renew(sequence, source, now)
            return
        chosen = self._chosen.get(destination)
        if not self.forwards or not self._tells(now):
            return
        if chosen is not None and not is_newer(sequence, chosen.sequence):
            self._tell_one(source, destination, now)
        elif message.ttl > 1:
            self._pass_on(destination, sequence, source, message.ttl - 1, now)

    def _renew(self, sequence: int, asker: int, now: float) -> None:
        if is_newer(sequence, self._sequence) and is_newer(self._clock(now), self._sequence):
            self._sequence = (self._sequence + 1) % SEQUENCES
            self._to_tell[self.address] = 1
            self._timers.sooner("trigger", max(now, self._triggered + self.config.pace))
        self._tell_one(asker, self.address, now)

    def _pass_on(self, destination: int, sequence: int, source: int, ttl: int, now: float) -> None:
        ways = self._routes.get(destination, {})
        ranked = sorted((self._full(n, route), n) for n, route in ways.items() if n != source)
        if ranked and ranked[0][0] < wire.INFINITE:
            chosen = self._chosen.get(destination)
            to = ranked[0][1] if chosen is None or chosen.neighbour == source else chosen.neighbour
            self._seek(destination, sequence, now, to=to, ttl=ttl)
            sought = self._sought.get(destination)
            if sought is not None and source not in sought.askers:
                sought.askers.append(source)

    def _answer(self, now: float) -> None:
        """Those who have asked for what has come now are told."""
        for destination, sought in list(self._sought.items()):
            chosen = self._chosen.get(destination)
            if chosen is not None and not is_newer(sought.sequence, chosen.sequence):
                del self._sought[destination]
                for asker in sought.askers:
                    self._tell_one(asker, destination, now)

    def _tell_one(self, neighbour: int, destination: int, now: float) -> None:
        for message in self._updates([destination], now):
            self._outbox.tell(neighbour, message)

    # What is asked ----------------------------------------------------------------------------------------------------

    def next_hop(self, destination: int, now: float) -> int | None:  # noqa: ARG002 - as every protocol is asked
        """The neighbour of the chosen route."""
        chosen = self._chosen.get(destination)
        return None if chosen is None else chosen.neighbour

    def metric(self, destination: int, now: float) -> float:  # noqa: ARG002 - as every protocol is asked
        """Cost of the chosen route in units of 1/256 ETX, penalties included."""
        chosen = self._chosen.get(destination)
        return math.inf if chosen is None else float(chosen.metric)


_TICKS = 4
"""Sequence numbers that a node may use each second: far more than are asked for, and 65,536 last for hours."""

_STALE = 1800.0
"""Seconds that a node's own sequence number may lag behind the clock."""

_RETRACTIONS = 2
"""Times that a retraction is sent (section 3.7.2)."""

_DUE = 0.9
_LONGEST = sensing.STAMPS - 1
