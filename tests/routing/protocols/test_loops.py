"""No loop in a million random events, for protocols that promise it, and the same storm finds loops where there are."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import Aodv, Babel, Broadcast
from meshsim.routing.protocols.base import Dice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import Effect, RoutingProtocol

    Maker = Callable[..., RoutingProtocol]

LONGEST_DELAY = 0.8
"""Seconds: packets overtake each other."""


class Careless(Babel):
    """Babel without its feasibility condition."""

    def _is_feasible(self, destination: int, route: Any) -> bool:
        return destination >= 0 and route is not None


class Forgetful(Aodv):
    """AODV that loses routes without counting their numbers up."""

    def _invalidate(self, entry: Any, told: int | None) -> None:
        entry.valid = told is not None and False


class Hasty(Aodv):
    """AODV that takes part at once after a restart."""

    def _waits(self, now: float) -> bool:
        return now < 0.0


@dataclass(slots=True)
class Storm:
    """Nodes whose links come and go each second, with packets late, lost and out of order, and nodes that restart.

    After every event the next hops of the node that it happened to are followed, if any has changed: a new loop must
    go through it.

    Attributes:
        make: The protocol.
        seed: Of all draws.
        count: Nodes.
        now: Seconds.
        events: So far.
        restarts: So far.
        routes: Next hops that changed and were followed so far.
        loops: Those found, with destination and path.
    """

    make: Maker
    seed: int
    count: int = 8
    now: float = 0.0
    events: int = 0
    restarts: int = 0
    routes: int = 0
    loops: list[tuple[int, list[int]]] = field(default_factory=list)
    _nodes: list[RoutingProtocol] = field(default_factory=list)
    _hops: list[list[int | None]] = field(default_factory=list)
    _links: set[tuple[int, int]] = field(default_factory=set)
    _queue: list[tuple[float, int, int, int, bytes]] = field(default_factory=list)
    _armed: list[float] = field(default_factory=list)
    _loss: float = 0.0
    _pushed: int = 0
    _dice: Dice = field(init=False)

    def __post_init__(self) -> None:
        self._dice = Dice(SeedTree(self.seed).stream("storm"))
        for node in range(self.count):
            self._nodes.append(self._fresh(node))
            self._hops.append([None] * self.count)
            self._armed.append(float("inf"))
            self._send(node)
        for node in range(1, self.count):
            self._flip(node, self._drawn(node))
        self._push(1.0, _CHANCE, 0, b"")

    def run(self, events: int) -> None:
        """Goes on for so many events, or until the first loop."""
        end = self.events + events
        while self.events < end and not self.loops:
            self.now, _, kind, node, payload = heapq.heappop(self._queue)
            if kind == _CHANCE:
                node = self._happen()
            elif kind == _WAKE:
                if self.now != self._armed[node]:
                    continue
                self._armed[node] = float("inf")
                self._nodes[node].handle_timer(self.now)
            elif not self._linked(kind, node):
                continue
            else:
                self._nodes[node].receive(payload, kind, self.now)
            self._send(node)
            self._look(node)
            self.events += 1

    def _fresh(self, node: int) -> RoutingProtocol:
        stream: Stream = SeedTree(self.seed).stream(f"protocol/{self.restarts}", node)
        return self.make(node, stream=stream, forwards=node != 0, now=self.now)

    def _drawn(self, below: int) -> int:
        return int(self._dice.draw() * below)

    def _linked(self, a: int, b: int) -> bool:
        return (min(a, b), max(a, b)) in self._links

    def _happen(self) -> int:
        """One thing at random, each second a few; data flow towards somebody all the time."""
        self._push(self.now + 0.4 * self._dice.draw(), _CHANCE, 0, b"")
        node, other, chance = self._drawn(self.count), self._drawn(self.count), self._dice.draw()
        if chance < _FLIPS and node != other:
            self._flip(node, other)
        elif chance < _FLIPS + _RESTARTS:
            self.restarts += 1
            self._nodes[node], self._armed[node] = self._fresh(node), float("inf")
        elif chance < _FLIPS + _RESTARTS + _WEATHER:
            self._loss = 0.5 * self._dice.draw() ** 2
        elif node != other:
            self._nodes[node].want(other, self.now)
        return node

    def _flip(self, node: int, other: int) -> None:
        """A link comes or goes, with a word or without; there are about twice as many links as nodes."""
        if not self._linked(node, other):
            if len(self._links) < 2 * self.count:
                self._links.add((min(node, other), max(node, other)))
            return
        self._links.discard((min(node, other), max(node, other)))
        if self._dice.draw() < 1 / 2:
            self._nodes[node].link_down(other, self.now)

    def _push(self, at: float, kind: int, node: int, payload: bytes) -> None:
        self._pushed += 1
        heapq.heappush(self._queue, (at, self._pushed, kind, node, payload))

    def _send(self, node: int) -> None:
        effects: Iterable[Effect] = self._nodes[node].effects()
        for effect in effects:
            for to in range(self.count) if isinstance(effect, Broadcast) else (effect.to,):
                if self._linked(node, to) and self._dice.draw() >= self._loss:
                    self._push(self.now + LONGEST_DELAY * self._dice.draw() ** 3, node, to, effect.payload)
        at = self._nodes[node].wake_at()
        if at is not None and at != self._armed[node]:
            self._armed[node] = max(at, self.now)
            self._push(self._armed[node], _WAKE, node, b"")

    def _look(self, node: int) -> None:
        one, now, known = self._nodes[node], self.now, self._hops[node]
        for destination in range(self.count):
            hop = one.next_hop(destination, now)
            if hop != known[destination]:
                known[destination] = hop
                self.routes += 1
                self._follow(node, destination)

    def _follow(self, node: int, destination: int) -> None:
        path, at = [node], self._nodes[node].next_hop(destination, self.now)
        while at is not None and at != destination:
            if at in path:
                self.loops.append((destination, [*path, at]))
                return
            path.append(at)
            at = self._nodes[at].next_hop(destination, self.now)


_WAKE, _CHANCE = -1, -2
_FLIPS, _RESTARTS, _WEATHER = 0.3, 0.01, 0.05

PROMISING = pytest.mark.parametrize("make", [Babel, Aodv], ids=lambda make: make.name)


def weather(make: Maker, events: int, seeds: Iterable[int]) -> list[Storm]:
    storms = [Storm(make, seed, count=6 + seed % 7) for seed in seeds]
    for storm in storms:
        storm.run(events // len(storms))
    return storms


@PROMISING
def test_no_loop_in_twenty_thousand_random_events(make: Maker) -> None:
    storms = weather(make, 20_000, range(2))
    assert [storm.loops for storm in storms] == [[], []]
    assert all(storm.routes > 500 and storm.restarts > 1 for storm in storms)


@pytest.mark.full
@PROMISING
def test_no_loop_in_a_million_random_events(make: Maker) -> None:
    storms = weather(make, 1_000_000, range(100, 110))
    assert sum(storm.events for storm in storms) == 1_000_000
    assert [storm.loops for storm in storms] == [[]] * len(storms)


@pytest.mark.parametrize("make", [Careless, Forgetful])
def test_the_storm_finds_the_loops_of_a_planted_bug(make: Maker) -> None:
    assert any(storm.loops for storm in weather(make, 40_000, range(4)))


@pytest.mark.full
def test_the_storm_finds_the_loops_of_nodes_that_do_not_wait_after_a_restart() -> None:
    assert any(storm.loops for storm in weather(Hasty, 400_000, range(8)))
