"""What a routing protocol is: a stateful node without IO that talks to its neighbours and keeps a table of next hops.

Payloads and the time go in, effects come out; a driver (the simulator's `sim.protocols`) delivers what is broadcast to
the neighbours, late or never, and pays for the bytes. All protocols are known by name in `PROTOCOLS`; a new one is one
file here and one line in `meshsim.routing.protocols`, held to `meshsim.testing.ProtocolContract`.

    node = make("olsr", 7, stream=seeds.stream("protocol", 7))
    for effect in node.effects(): ...          # Broadcast to all neighbours, Unicast to one
    node.handle_timer(now)                     # not before node.wake_at()
    node.receive(payload, source, now)
    node.next_hop(destination, now)            # a neighbour, or None

Rules for those who write one:

- Addresses are whole numbers below 2**32 (in the simulator, rows of the nodes); they are all a node knows of others.
- Links are found and measured by the protocol's own messages, for which it pays: nobody tells it of neighbours. A
  driver that learns by its own means that a neighbour is gone or there says so (`link_down`, `link_up`).
- State is plain and can be pickled; draws come from the stream handed in; the same inputs give the same outputs.
- Bad bytes are counted in `malformed` and dropped; no input of others raises.
- `forwards` false means that nobody's data or floods may pass through the node (as with OLSR's willingness never).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from meshsim.mesh.errors import LocalProtocolError
from meshsim.mesh.registry import Registry
from meshsim.routing.protocols.packet import Message, bundle

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream
    from meshsim.routing.features import Features, Scores

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Broadcast:
    """A packet to every neighbour, unreliable: each copy costs its bytes and may be lost.

    Attributes:
        payload: The packet.
    """

    payload: bytes


@dataclass(frozen=True, slots=True)
class Unicast:
    """A packet to one neighbour, unreliable.

    Attributes:
        to: Its address.
        payload: The packet.
    """

    to: int
    payload: bytes


Effect: TypeAlias = Broadcast | Unicast


class RoutingProtocol(Protocol):
    """One node of a routing protocol."""

    @property
    def name(self) -> str:
        """As in `PROTOCOLS`."""
        ...

    @property
    def kinds(self) -> Mapping[int, str]:
        """Names of its kinds of messages, for those who count bytes."""
        ...

    @property
    def promises_loop_freedom(self) -> bool:
        """Whether next hops never form a loop, not even while tables converge."""
        ...

    @property
    def malformed(self) -> int:
        """Packets and messages that were dropped because they could not be read."""
        ...

    def receive(self, payload: bytes, source: int, now: float) -> None:
        """A packet from the neighbour `source` has come."""
        ...

    def handle_timer(self, now: float) -> None:
        """It is `wake_at()`, or later."""
        ...

    def wake_at(self) -> float | None:
        """When `handle_timer` is to be called next, seconds; None for never."""
        ...

    def effects(self) -> list[Effect]:
        """What is to be sent now, told once."""
        ...

    def link_up(self, neighbour: int, now: float) -> None:
        """The driver has seen that `neighbour` is there; a hint."""
        ...

    def link_down(self, neighbour: int, now: float) -> None:
        """The driver has seen that `neighbour` is gone; a hint that need not wait for missed hellos."""
        ...

    def want(self, destination: int, now: float) -> None:
        """Data for `destination` are to be sent, or still flow: routes on demand are looked for, or kept."""
        ...

    def next_hop(self, destination: int, now: float) -> int | None:
        """The neighbour that data for `destination` go to now; None without a route."""
        ...

    def metric(self, destination: int, now: float) -> float:
        """Cost of the route to `destination` in the protocol's own measure; infinite without one."""
        ...


PROTOCOLS: Registry[Callable[..., RoutingProtocol]] = Registry("routing protocol")
"""Factories of nodes by the protocol's name; `make` calls them."""


def make(
    name: str, address: int, *, stream: Stream, forwards: bool = True, now: float = 0.0, **options: Any
) -> RoutingProtocol:
    """A node of the protocol `name` that starts at `now` with empty tables.

    Args:
        name: One of `PROTOCOLS`.
        address: Its own.
        stream: Its draws: jitter of timers, and where its sequence numbers begin.
        forwards: Whether others' data may pass through it.
        now: Seconds.
        options: Of the protocol.

    Raises:
        ConfigError: If the name is unknown.
    """
    return PROTOCOLS[name](address, stream=stream, forwards=forwards, now=now, **options)


@dataclass(frozen=True, slots=True)
class Tables:
    """The policy of a mesh whose routes are read off a protocol's tables: it has a name and ranks nothing.

    Attributes:
        name: Of the protocol, as it stands in traces.
    """

    name: str

    def score(self, features: Features) -> Scores:
        """Never asked.

        Raises:
            LocalProtocolError: Always.
        """
        raise LocalProtocolError(f"{self.name} is a protocol: it has next hops and scores no {len(features)} paths")


# Parts that protocols are made of -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Dice:
    """Draws of a stream, one after the other."""

    stream: Stream
    _drawn: int = 0
    _block: list[float] = field(default_factory=list)

    def draw(self) -> float:
        """The next draw, in [0, 1)."""
        place = self._drawn % _BLOCK
        if place == 0:
            self._block = self.stream.uniform(self._drawn, _BLOCK).tolist()
        self._drawn += 1
        return self._block[place]

    def early(self, period: float, share: float = 0.25) -> float:
        """`period` shortened by up to `share` of it, so that nodes do not fall into step (RFC 3626, section 18.2)."""
        return period * (1.0 - share * self.draw())


@dataclass(slots=True)
class Timers:
    """Named instants."""

    _at: dict[str, float] = field(default_factory=dict)

    def set(self, name: str, at: float) -> None:
        """`name` is due at `at` seconds, and no more when it was."""
        self._at[name] = at

    def sooner(self, name: str, at: float) -> None:
        """`name` is due at `at` seconds, unless it is due before."""
        if at < self._at.get(name, float("inf")):
            self._at[name] = at

    def has(self, name: str) -> bool:
        """Whether `name` is to come."""
        return name in self._at

    def due(self, now: float) -> list[str]:
        """The names that are due, in order of time; they are set no more."""
        found = sorted((at, name) for name, at in self._at.items() if at <= now)
        for _, name in found:
            del self._at[name]
        return [name for _, name in found]

    def first(self) -> float | None:
        """The next instant; None when there is none."""
        return min(self._at.values()) if self._at else None


@dataclass(slots=True)
class Outbox:
    """Messages to be sent, put together into packets when they are fetched."""

    _said: list[Message] = field(default_factory=list)
    _told: dict[int, list[Message]] = field(default_factory=dict)

    def say(self, message: Message) -> None:
        """To every neighbour."""
        self._said.append(message)

    def tell(self, neighbour: int, message: Message) -> None:
        """To one neighbour."""
        self._told.setdefault(neighbour, []).append(message)

    def drain(self) -> list[Effect]:
        """All of it as effects; the outbox is empty then."""
        if not self._said and not self._told:
            return []
        effects: list[Effect] = [Broadcast(packet) for packet in bundle(self._said)]
        effects += [Unicast(to, packet) for to, messages in self._told.items() for packet in bundle(messages)]
        self._said, self._told = [], {}
        return effects
