"""Backpressure: data go where the queue is shorter and the destination nearer.

After Tassiulas and Ephremides, "Stability properties of constrained queueing systems" (IEEE Trans. Automatic Control,
1992), with the bias of shortest paths of enhanced dynamic backpressure (Neely, Modiano and Rohrs, "Dynamic power
allocation and routing for time-varying wireless networks", IEEE JSAC 2005), and on shadow queues (Bui, Srikant and
Stolyar, "Novel architectures and algorithms for delay reduction in back-pressure scheduling and routing", INFOCOM
2009), so that it works for calls, whose packets nobody wants to let wait:

- Each second a node tells its neighbours, for each destination, how far it is and how long its queue is. The queues
  count shadow packets: the node's own flows (`want`) add some each second, and each second a link takes some to the
  neighbour of the largest weighted differential, which the node tells that neighbour too.
- The next hop is the neighbour with the largest (queue + bias here - queue - bias there) times the share of packets
  that come through to it; the bias is `weight` times the distance.
- Distances are ETX with a sequence number of the destination's, as in DSDV (Perkins and Bhagwat, SIGCOMM 1994).

Limits, to be honest: calls keep the path that they were set up on, while backpressure proper chooses anew for each
packet; a node knows of flows only while they are asked for; links are thought to carry `service` packets a second for
each destination, as nobody tells the protocol what they carry. Loops are part of the idea: packets may go round until
queues have filled.
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
from meshsim.routing.protocols.packet import PACKET_BYTES, SEQUENCES, Message, decode, is_newer
from meshsim.routing.protocols.sensing import Heard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.mesh.seeds import Stream

HELLO, QUEUES, SHADOW = 1, 2, 3

_HEARD = struct.Struct(">IB")
_QUEUE = struct.Struct(">IHHH")
_MOVED = struct.Struct(">IH")
_UNIT = 256
_FAR = 0xFFFF
_MOST_ROWS = PACKET_BYTES // _QUEUE.size - 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BackpressureConfig:
    """How often, and how much; seconds and shadow packets.

    Attributes:
        tick: Between looks at the queues, and hellos.
        every: Ticks after which all distances are told; those with queues are told at each.
        dead: Without a hello until a neighbour is given up.
        hold: For which a distance holds.
        flow: For which a flow goes on after it was asked for.
        arrivals: That a flow brings each second.
        service: That a link takes each second for one destination.
        weight: Of the bias: packets that one ETX of distance is worth.
        most: Longest queue; flows bring no more then.
    """

    tick: float = 1.0
    every: int = 5
    dead: float = 7.0
    hold: float = 25.0
    flow: float = 30.0
    arrivals: float = 5.0
    service: float = 20.0
    weight: float = 20.0
    most: int = 1000


class Told(NamedTuple):
    """What a neighbour has told of a destination.

    Attributes:
        sequence: Of the destination.
        distance: ETX in units of 1/256.
        queue: Shadow packets.
        until: Seconds until when it holds.
    """

    sequence: int
    distance: int
    queue: int
    until: float


def _rows(layout: struct.Struct, body: bytes, what: str) -> tuple[tuple[int, ...], ...]:
    if len(body) % layout.size:
        raise RemoteProtocolError(f"{what} of {len(body)} bytes")
    return tuple(layout.iter_unpack(body))


@lru_cache(maxsize=4096)
def read_heard(body: bytes) -> Mapping[int, float]:
    """Share of hellos that the sender receives, by neighbour.

    Raises:
        RemoteProtocolError: If the body is no hello's.
    """
    return {node: sensing.read_share(share) for node, share in _rows(_HEARD, body, "a hello")}


@lru_cache(maxsize=4096)
def read_queues(body: bytes) -> tuple[tuple[int, ...], ...]:
    """Destination, sequence number, distance and queue of each row.

    Raises:
        RemoteProtocolError: If the body is none of queues.
    """
    return _rows(_QUEUE, body, "queues")


def read_moved(body: bytes) -> Mapping[int, int]:
    """Shadow packets that come, by destination.

    Raises:
        RemoteProtocolError: If the body is no transfer's.
    """
    return {destination: packets for destination, packets in _rows(_MOVED, body, "a transfer")}  # noqa: C416 - typed


@PROTOCOLS.register("backpressure")
@dataclass(slots=True)
class Backpressure:
    """One node.

    Attributes:
        address: Its own.
        stream: Its draws.
        forwards: Whether others' data may pass through it: if not, it tells of itself alone.
        now: When it starts, seconds.
        config: How often, and how much.
        malformed: Packets that could not be read.
    """

    address: int
    stream: Stream
    forwards: bool = True
    now: float = 0.0
    config: BackpressureConfig = BackpressureConfig()
    malformed: int = 0
    _dice: Dice = field(init=False)
    _timers: Timers = field(init=False, default_factory=Timers)
    _outbox: Outbox = field(init=False, default_factory=Outbox)
    _hellos: int = field(init=False)
    _sequence: int = field(init=False)
    _heard: dict[int, Heard] = field(init=False, default_factory=dict)
    _told: dict[int, dict[int, Told]] = field(init=False, default_factory=dict)
    _near: dict[int, tuple[int, int]] = field(init=False, default_factory=dict)
    _queues: dict[int, float] = field(init=False, default_factory=dict)
    _flows: dict[int, float] = field(init=False, default_factory=dict)
    _shares: dict[int, float] = field(init=False, default_factory=dict)

    name: ClassVar[str] = "backpressure"
    kinds: ClassVar[Mapping[int, str]] = {HELLO: "hello", QUEUES: "queues", SHADOW: "shadow"}
    promises_loop_freedom: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._dice = Dice(self.stream)
        self._hellos = int(self._dice.draw() * SEQUENCES)
        self._sequence = int(self.now / self.config.tick) % SEQUENCES
        self._timers.set("tick", self.now + self.config.tick * self._dice.draw())

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
        if message.kind == HELLO:
            self._hear(message, source, now)
        elif message.kind == QUEUES:
            self._learn(message, source, now)
        elif message.kind == SHADOW:
            self._accept(read_moved(message.body))
        else:
            raise RemoteProtocolError(f"a message of kind {message.kind}")

    def handle_timer(self, now: float) -> None:
        """Says hello, moves shadow packets, and tells of the queues."""
        for _ in self._timers.due(now):
            self._hellos = (self._hellos + 1) % SEQUENCES
            self._say_hello(now)
            self._fill(now)
            self._drain(now)
            self._tell(now, everything=self._hellos % self.config.every == 0)
            self._timers.set("tick", now + self._dice.early(self.config.tick))

    def wake_at(self) -> float | None:
        """When `handle_timer` is next due."""
        return self._timers.first()

    def effects(self) -> list[Effect]:
        """What is to be sent, told once."""
        return self._outbox.drain()

    def link_up(self, neighbour: int, now: float) -> None:
        """Nothing: hellos come each second."""

    def link_down(self, neighbour: int, now: float) -> None:
        """Forgets a neighbour, and what it told."""
        self._heard.pop(neighbour, None)
        self._shares.pop(neighbour, None)
        for destination, told in self._told.items():
            if told.pop(neighbour, None) is not None:
                self._measure(destination, now)

    def want(self, destination: int, now: float) -> None:
        """A flow to `destination` goes on from here for a while."""
        if destination != self.address:
            self._flows[destination] = now + self.config.flow

    # Neighbours -------------------------------------------------------------------------------------------------------

    def _say_hello(self, now: float) -> None:
        for node in [node for node, heard in self._heard.items() if now - heard.at > self.config.dead]:
            self.link_down(node, now)
        forward = {node: heard.forward(self.config.tick, now) for node, heard in self._heard.items()}
        self._shares = {
            node: share * self._heard[node].reverse
            for node, share in forward.items()
            if self._heard[node].hears_us(now)
        }
        body = b"".join(_HEARD.pack(node, sensing.write_share(share)) for node, share in forward.items())
        self._outbox.say(Message(HELLO, self.address, self._hellos, self.config.dead, 1, 0, body))

    def _hear(self, message: Message, source: int, now: float) -> None:
        theirs = read_heard(message.body)
        heard = self._heard.get(source)
        if heard is None:
            self._heard[source] = heard = Heard(now, message.sequence)
        else:
            heard.hear(message.sequence, now)
        if self.address in theirs:
            heard.reverse, heard.until = theirs[self.address], now + self.config.dead

    # Distances --------------------------------------------------------------------------------------------------------

    def _learn(self, message: Message, source: int, now: float) -> None:
        until = now + min(message.validity, self.config.hold)
        for destination, sequence, distance, queue in read_queues(message.body):
            if destination == self.address:
                continue
            told = self._told.setdefault(destination, {})
            known = told.get(source)
            if known is not None and known.sequence == sequence:
                until = min(until, known.until)  # an old number does not live longer for being told again
            told[source] = Told(sequence, distance, queue, until)
            self._approach(destination, sequence, distance + self._cost(source))
            until = now + min(message.validity, self.config.hold)

    def _approach(self, destination: int, sequence: int, distance: int) -> None:
        """Takes a distance that is newer or less than the own; what has grown shows when all is told the next time."""
        near = self._near.get(destination)
        newer = near is None or is_newer(sequence, near[0])
        if distance < _FAR and (near is None or newer or (sequence == near[0] and distance < near[1])):
            self._near[destination] = sequence, distance

    def _measure(self, destination: int, now: float) -> None:
        """The own distance: the least over the neighbours with the newest sequence number."""
        told = [(n, one) for n, one in self._told[destination].items() if one.until > now and self._cost(n) < _FAR]
        newest: int | None = None
        for _, one in told:
            newest = one.sequence if newest is None or is_newer(one.sequence, newest) else newest
        if newest is None:
            self._near.pop(destination, None)
            return
        least = min(one.distance + self._cost(n) for n, one in told if one.sequence == newest)
        if least < _FAR:
            self._near[destination] = newest, least
        else:
            self._near.pop(destination, None)

    def _cost(self, neighbour: int) -> int:
        share = self._shares.get(neighbour, 0.0)
        return min(round(_UNIT / share), _FAR) if share > 0.0 else _FAR

    def _tell(self, now: float, *, everything: bool) -> None:
        if everything:
            self._sequence = (self._sequence + 1) % SEQUENCES
            for destination in list(self._told):
                self._measure(destination, now)
        rows = [_QUEUE.pack(self.address, self._sequence, 0, 0)] if everything else []
        for destination, (sequence, distance) in self._near.items() if self.forwards else ():
            queue = round(self._queues.get(destination, 0.0))
            if everything or queue:
                rows.append(_QUEUE.pack(destination, sequence, distance, queue))
        for at in range(0, len(rows), _MOST_ROWS):
            body = b"".join(rows[at : at + _MOST_ROWS])
            self._outbox.say(Message(QUEUES, self.address, 0, self.config.hold, 1, 0, body))

    # Queues -----------------------------------------------------------------------------------------------------------

    def _fill(self, now: float) -> None:
        """The own flows bring shadow packets."""
        self._flows = {destination: until for destination, until in self._flows.items() if until > now}
        for destination in self._flows:
            self._add(destination, self.config.arrivals * self.config.tick)

    def _add(self, destination: int, packets: float) -> None:
        self._queues[destination] = min(self._queues.get(destination, 0.0) + packets, float(self.config.most))

    def _accept(self, moved: Mapping[int, int]) -> None:
        """Takes what a neighbour has sent on; what has arrived, or cannot go on from here, is out of the mesh."""
        for destination, packets in moved.items():
            if destination != self.address and self.forwards and destination in self._near:
                self._add(destination, packets)

    def _drain(self, now: float) -> None:
        """Each link takes what goes to the neighbour of the largest differential, if it is more than nothing."""
        moved: dict[int, list[bytes]] = {}
        for destination, queue in list(self._queues.items()):
            best = self._best(destination, now)
            if best is not None and best[0] > 0.0:
                packets = min(math.floor(queue), int(self.config.service * self.config.tick))
                if packets:
                    moved.setdefault(best[1], []).append(_MOVED.pack(destination, packets))
                self._queues[destination] = queue - packets
            if self._queues[destination] < 1.0 and destination not in self._flows:
                del self._queues[destination]
        for neighbour, rows in moved.items():
            self._outbox.tell(neighbour, Message(SHADOW, self.address, 0, self.config.tick, 1, 0, b"".join(rows)))

    def _best(self, destination: int, now: float) -> tuple[float, int] | None:
        """The largest weighted differential, with bias, and the neighbour it is of."""
        near = self._near.get(destination)
        if near is None:
            return None
        here = self._queues.get(destination, 0.0) + self.config.weight * near[1] / _UNIT
        best: tuple[float, int] | None = None
        for neighbour, told in self._told[destination].items():
            share = self._shares.get(neighbour, 0.0)
            if told.until > now and share > 0.0 and (told.sequence == near[0] or told.distance < near[1]):
                there = told.queue + self.config.weight * told.distance / _UNIT
                found = (here - there) * share, neighbour
                best = found if best is None or found[0] > best[0] else best
        return best

    # What is asked ----------------------------------------------------------------------------------------------------

    def next_hop(self, destination: int, now: float) -> int | None:
        """The neighbour of the largest weighted differential."""
        best = self._best(destination, now)
        return None if best is None else best[1]

    def metric(self, destination: int, now: float) -> float:  # noqa: ARG002 - as every protocol is asked
        """Distance in ETX."""
        near = self._near.get(destination)
        return math.inf if near is None else near[1] / _UNIT
