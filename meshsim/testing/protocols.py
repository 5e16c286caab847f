"""The contract of a routing protocol, as tests: subclass `ProtocolContract` and say how a node is made.

class TestMine(ProtocolContract):
    def make_node(self, address, stream, forwards, now):
        return Mine(address, stream=stream, forwards=forwards, now=now)
"""

from __future__ import annotations

import heapq
import math
import pickle
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import networkx as nx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshsim.mesh.seeds import SeedTree
from meshsim.routing.protocols import Broadcast
from meshsim.routing.protocols.packet import decode, wire_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from meshsim.mesh.seeds import Stream
    from meshsim.routing.protocols import Effect, RoutingProtocol

    Maker = Callable[[int, Stream, bool, float], RoutingProtocol]

_EXAMPLES = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.differing_executors])


@dataclass(slots=True)
class Wiring:
    """Nodes of a protocol on wires in memory, with a clock of its own: what contract tests drive.

    Attributes:
        make: Makes a node from address, stream, whether it forwards, and the time.
        links: Pairs of addresses; both ways.
        seed: Of all draws.
        stubs: Those that do not forward.
        delay: Seconds from one node to the next.
        loss: Probability that a copy is lost.
        now: Seconds.
        nodes: By address; those that run.
        sent: Copies that were sent, with what each cost in bytes.
        watch: Called after every event.
    """

    make: Maker
    links: Iterable[tuple[int, int]]
    seed: int = 1
    stubs: Collection[int] = ()
    delay: float = 0.01
    loss: float = 0.0
    now: float = 0.0
    nodes: dict[int, RoutingProtocol] = field(default_factory=dict)
    sent: list[tuple[int, int]] = field(default_factory=list)
    watch: Callable[[Wiring], None] | None = None
    _near: dict[int, set[int]] = field(default_factory=dict)
    _queue: list[tuple[float, int, int, int, bytes]] = field(default_factory=list)
    _lives: dict[int, int] = field(default_factory=dict)
    _drawn: int = 0

    def __post_init__(self) -> None:
        for a, b in self.links:
            self._near.setdefault(a, set()).add(b)
            self._near.setdefault(b, set()).add(a)
        for node in sorted(self._near):
            self.start(node)

    def start(self, node: int) -> None:
        """`node` starts, with empty tables."""
        life = self._lives[node] = self._lives.get(node, 0) + 1
        stream = SeedTree(self.seed).stream(f"protocol/{life}", node)
        self.nodes[node] = self.make(node, stream, node not in self.stubs, self.now)

    def stop(self, node: int) -> None:
        """`node` is gone without a word."""
        del self.nodes[node]

    def connect(self, a: int, b: int) -> None:
        """A link is there from now on."""
        self._near.setdefault(a, set()).add(b)
        self._near.setdefault(b, set()).add(a)

    def cut(self, a: int, b: int) -> None:
        """A link is gone without a word; what is under way on it is lost."""
        self._near[a].discard(b)
        self._near[b].discard(a)

    def neighbours(self, node: int) -> list[int]:
        """Those that hear `node`."""
        return sorted(self._near[node] & self.nodes.keys())

    def run(self, until: float) -> None:
        """Goes on to `until` seconds."""
        while True:
            wakes = [(at, node) for node, one in self.nodes.items() if (at := one.wake_at()) is not None]
            at, node = min(wakes, default=(math.inf, -1))
            if min(at, self._queue[0][0] if self._queue else math.inf) > until:
                break
            if self._queue and self._queue[0][0] <= at:
                self._deliver(*heapq.heappop(self._queue))
            else:
                self.now = max(at, self.now)
                self.nodes[node].handle_timer(self.now)
                self._send(node, self.nodes[node].effects())
            if self.watch is not None:
                self.watch(self)
        self.now = until

    def want(self, source: int, destination: int) -> None:
        """Data wait at `source`."""
        self.nodes[source].want(destination, self.now)
        self._send(source, self.nodes[source].effects())

    def walk(self, source: int, destination: int) -> tuple[int, ...]:
        """Nodes that next hops lead through, up to the destination, a dead end, or the first that comes again."""
        path = [source]
        while path[-1] != destination and path[-1] in self.nodes:
            further = self.nodes[path[-1]].next_hop(destination, self.now)
            if further is None:
                break
            path.append(further)
            if further in path[:-1]:
                break
        return tuple(path)

    def tell(self, node: int, source: int, payload: bytes) -> None:
        """A packet comes to `node` as if `source` had sent it."""
        self.nodes[node].receive(payload, source, self.now)
        self._send(node, self.nodes[node].effects())

    def _deliver(self, at: float, _: int, node: int, source: int, payload: bytes) -> None:
        self.now = max(at, self.now)
        if node in self.nodes and source in self._near[node]:
            self.tell(node, source, payload)

    def _send(self, node: int, effects: Iterable[Effect]) -> None:
        for effect in effects:
            for to in sorted(self._near[node]) if isinstance(effect, Broadcast) else [effect.to]:
                self.sent.append((node, wire_bytes(len(effect.payload))))
                self._drawn += 1
                if to in self._near[node] and self._draw() >= self.loss:
                    heapq.heappush(self._queue, (self.now + self.delay, self._drawn, to, node, effect.payload))

    def _draw(self) -> float:
        return SeedTree(self.seed).stream("wiring").at(self._drawn) if self.loss else 1.0


@st.composite
def meshes(draw: st.DrawFn, least: int = 3, most: int = 8) -> list[tuple[int, int]]:
    """Links of a connected mesh: a tree and some more."""
    count = draw(st.integers(least, most))
    links = {(draw(st.integers(0, node - 1)), node) for node in range(1, count)}
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    links |= {(min(pair), max(pair)) for pair in draw(st.lists(ends, max_size=count)) if pair[0] != pair[1]}
    return sorted(links)


class ProtocolContract:
    """What every protocol promises. `make_node` gives a fresh node.

    Attributes:
        settling: Seconds after which a small mesh without loss has converged, a silent neighbour noticed included.
    """

    settling: ClassVar[float] = 60.0

    def make_node(self, address: int, stream: Stream, forwards: bool, now: float) -> RoutingProtocol:  # noqa: FBT001
        """A node under test that starts at `now`."""
        said = f"{address}, {stream}, {forwards}, {now}"
        raise AssertionError(f"a contract test says how its nodes are made: override make_node for {said}")

    def _wiring(self, links: Iterable[tuple[int, int]], **options: Any) -> Wiring:
        return Wiring(self.make_node, links, **options)

    @given(links=meshes(), seed=st.integers(0, 99))
    @_EXAMPLES
    def test_all_reach_all_of_a_connected_mesh(self, links: list[tuple[int, int]], seed: int) -> None:
        """Next hops lead everywhere, over links that there are, at a finite cost."""
        wiring = self._wiring(links, seed=seed)
        self._settle(wiring)
        self._check_walks(wiring)

    @given(links=meshes(least=4), seed=st.integers(0, 99), data=st.data())
    @_EXAMPLES
    def test_tables_follow_a_node_that_vanishes_and_comes_back(
        self, links: list[tuple[int, int]], seed: int, data: st.DataObject
    ) -> None:
        """What the others can still reach they reach without it, and all of it when it is back with empty tables."""
        wiring = self._wiring(links, seed=seed)
        self._settle(wiring)
        gone = data.draw(st.sampled_from(sorted(wiring.nodes)))
        wiring.stop(gone)
        self._settle(wiring)
        self._check_walks(wiring)
        wiring.start(gone)
        self._settle(wiring)
        self._check_walks(wiring)

    @given(links=meshes(), seed=st.integers(0, 99), data=st.data())
    @_EXAMPLES
    def test_nothing_goes_through_a_node_that_does_not_forward(
        self, links: list[tuple[int, int]], seed: int, data: st.DataObject
    ) -> None:
        """Stubs are ends of paths only, and all that do not need them still reach each other."""
        nodes = sorted({node for link in links for node in link})
        stubs = frozenset(data.draw(st.sets(st.sampled_from(nodes), max_size=len(nodes) - 1)))
        wiring = self._wiring(links, seed=seed, stubs=stubs)
        self._settle(wiring)
        self._check_walks(wiring)

    @given(links=meshes(), seed=st.integers(0, 99))
    @_EXAMPLES
    def test_same_inputs_same_outputs(self, links: list[tuple[int, int]], seed: int) -> None:
        """Two meshes of the same making say the same, byte for byte, also when one was saved and read in between."""
        one, other = self._wiring(links, seed=seed, loss=0.1), self._wiring(links, seed=seed, loss=0.1)
        one.run(self.settling)
        other.run(self.settling / 2)
        other.nodes = pickle.loads(pickle.dumps(other.nodes))  # noqa: S301 - written a line before
        other.run(self.settling)
        assert one.sent == other.sent

    @given(links=meshes(), payload=st.binary(max_size=80), data=st.data())
    @_EXAMPLES
    def test_bad_bytes_are_counted_and_dropped(
        self, links: list[tuple[int, int]], payload: bytes, data: st.DataObject
    ) -> None:
        """Noise, and packets with bytes changed, neither raise nor stop the mesh from reaching everybody."""
        wiring = self._wiring(links)
        wiring.run(self.settling / 4)
        near = wiring.neighbours(0)[0]
        before = wiring.nodes[0].malformed
        wiring.tell(0, near, payload)
        assert wiring.nodes[0].malformed == before + (not _is_packet(payload))
        for packet in _packets_of(wiring, near):
            place = data.draw(st.integers(0, len(packet) - 1))
            wiring.tell(0, near, packet[:place] + bytes([data.draw(st.integers(0, 255))]) + packet[place + 1 :])
            wiring.tell(0, near, packet[:place])
        assert wiring.nodes[0].next_hop(0, wiring.now) is None

    @given(links=meshes(), seed=st.integers(0, 99))
    @_EXAMPLES
    def test_messages_are_named_and_paid_for(self, links: list[tuple[int, int]], seed: int) -> None:
        """Whatever is sent is a packet of kinds that have names, and every node that others know has sent some."""
        wiring = self._wiring(links, seed=seed)
        self._settle(wiring)
        assert {node for node, _ in wiring.sent} == wiring.nodes.keys()
        for node in wiring.nodes:
            for packet in _packets_of(wiring, node):
                assert {message.kind for message in decode(packet)} <= wiring.nodes[node].kinds.keys()

    @given(links=meshes(least=4), seed=st.integers(0, 99), data=st.data())
    @_EXAMPLES
    def test_no_loop_ever_where_that_is_promised(
        self, links: list[tuple[int, int]], seed: int, data: st.DataObject
    ) -> None:
        """Whatever is lost and whoever vanishes: who promises loop freedom has none after any single event."""
        wiring = self._wiring(links, seed=seed, loss=0.2)
        if not next(iter(wiring.nodes.values())).promises_loop_freedom:
            return
        wiring.watch = check_loops
        for step in range(4):
            self._settle(wiring)
            node = data.draw(st.sampled_from(sorted({node for link in links for node in link})), label=f"step {step}")
            (wiring.stop if node in wiring.nodes else wiring.start)(node)

    def _settle(self, wiring: Wiring) -> None:
        """Goes on until all has converged; whoever makes routes on demand is asked for all."""
        wiring.run(wiring.now + self.settling)
        for source in sorted(wiring.nodes):
            for destination in sorted(wiring.nodes):
                if source != destination and wiring.walk(source, destination)[-1] != destination:
                    wiring.want(source, destination)
        wiring.run(wiring.now + 1.0)

    def _check_walks(self, wiring: Wiring) -> None:
        reachable = _reachable(wiring)
        for source, node in wiring.nodes.items():
            for destination in wiring.nodes.keys() - {source}:
                path = wiring.walk(source, destination)
                if destination in reachable[source]:
                    assert path[-1] == destination, f"from {source} to {destination}: {path}"
                    assert 0.0 < node.metric(destination, wiring.now) < math.inf
                    assert all(b in wiring.neighbours(a) for a, b in pairwise(path))
                    assert not set(path[1:-1]) & set(wiring.stubs)


def check_loops(wiring: Wiring) -> None:
    """Next hops of all nodes to all destinations form no loop now.

    Raises:
        AssertionError: With the loop.
    """
    for destination in wiring.nodes:
        for source in wiring.nodes:
            path = wiring.walk(source, destination)
            assert len(set(path)) == len(path), f"a loop on the way to {destination}: {path}"


def _reachable(wiring: Wiring) -> dict[int, set[int]]:
    """For each node, those that it reaches through nodes that forward."""
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(wiring.nodes)
    graph.add_edges_from((a, b) for a in wiring.nodes for b in wiring.neighbours(a))
    found = {}
    for node in wiring.nodes:
        inner = graph.subgraph([n for n in graph if n == node or n not in wiring.stubs])
        core = nx.node_connected_component(inner, node)
        found[node] = core | {b for a in core for b in graph[a]} - {node}
    return found


def _is_packet(payload: bytes) -> bool:
    """Whether the outer form is sound; what stands in it may still be none."""
    try:
        return not decode(payload)
    except Exception:  # noqa: BLE001 - whatever it says, it is none
        return False


def _packets_of(wiring: Wiring, node: int) -> list[bytes]:
    """What `node` says when its next timers are due."""
    one: RoutingProtocol = pickle.loads(pickle.dumps(wiring.nodes[node]))  # noqa: S301 - written in this line
    packets = []
    for _ in range(4):
        at = one.wake_at()
        if at is not None:
            one.handle_timer(max(at, wiring.now))
            packets += [effect.payload for effect in one.effects()]
    return packets
