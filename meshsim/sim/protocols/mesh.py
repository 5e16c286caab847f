"""All nodes of a routing protocol on the simulated clock: what they send takes as long as links truly do, or is lost.

A broadcast is a copy to every planned neighbour, whether it is there or not; each copy costs its bytes with the headers
of UDP and IPv4. What is sent loads the links, each period of drift with the mean of the one before. A node that comes
back starts anew, with empty tables.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import Role
from meshsim.routing.protocols import Broadcast, make
from meshsim.routing.protocols.packet import tally
from meshsim.sim.environment import Record
from meshsim.sim.wires import Wires

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshsim.routing.protocols import Effect, RoutingProtocol
    from meshsim.sim.environment import Environment
    from meshsim.sim.overhead import Overhead
    from meshsim.sim.world import World

START_SPREAD = 1.0
"""Seconds over which the nodes of a starting mesh begin."""


class ProtocolMesh:
    """The nodes of the protocol that a scenario asks for.

    Args:
        env: The clock.
        world: The truth.
        overhead: Where bytes are counted.

    Attributes:
        nodes: In index order.
        neighbours: Planned neighbours of each, sorted.
        forwards: Whether each carries data of others.
        cut: Links, as pairs of nodes, that nothing comes through: edges below them are cut.
    """

    def __init__(self, env: Environment, world: World, overhead: Overhead) -> None:
        self._env, self._world, self._overhead = env, world, overhead
        plan = world.plan
        self._protocol = plan.scenario.routing.protocol
        self._seeds = SeedTree(plan.seed)
        self._wires = Wires(world, self._seeds)
        count = len(plan.nodes)
        self.forwards = (plan.nodes.role != Role.PEER).tolist()
        self.neighbours: list[list[int]] = [[] for _ in range(count)]
        for a, b in zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True):
            self.neighbours[a].append(b)
        self._src, self._dst = plan.links.src, plan.links.dst
        self._laid = world.lay_links(self._src, self._dst)
        pairs = zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True)
        self._row = {pair: row for row, pair in enumerate(pairs)}
        self._said, self._settled = np.zeros(count), 0.0
        self._told: dict[tuple[int, int], int] = {}
        self.cut: set[tuple[int, int]] = set()
        self._epochs = [0] * count
        self._armed = [math.inf] * count
        spread = self._seeds.stream("protocol.start").uniform(0, count).tolist()
        self.nodes = [self._make(node, START_SPREAD * spread[node]) for node in range(count)]
        env.on("protocol.packet", self._deliver)
        env.on("protocol.wake", self._wake)

    def start(self) -> None:
        """Puts the first timers of all nodes into the queue."""
        for node in range(len(self.nodes)):
            self._arm(node)

    def _make(self, node: int, now: float) -> RoutingProtocol:
        stream = self._seeds.stream(f"protocol/{self._epochs[node]}", node)
        return make(self._protocol, node, stream=stream, forwards=self.forwards[node], now=now)

    # What happens -----------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """The world has drifted: until it does again, links carry what was sent over them since it last did."""
        now, seconds = self._env.now, self._env.now - self._settled
        rate = self._said[self._src]
        for (node, neighbour), size in self._told.items():
            rate[self._row[node, neighbour]] += size
        self._world.load_control(self._laid, 8 * rate / seconds)
        self._said[:], self._told, self._settled = 0.0, {}, now
        self.look()

    def look(self) -> None:
        """Looks up what links are like, and which are cut."""
        self._wires.settle()
        lost = self._world.hop_truth(self._laid).loss >= 1.0 if self._world.cuts else np.zeros(0)
        pairs = list(self._row)
        self.cut = {pairs[row] for row in np.flatnonzero(lost).tolist()}

    def lay(self) -> None:
        """Nodes hang on other places: links go other ways below."""
        self._laid = self._world.lay_links(self._src, self._dst)
        self._wires.relay()

    def relay(self) -> None:
        """Nodes hang on other places."""
        self._wires.relay()

    def restart(self, node: int) -> None:
        """A node is back, and knows nothing."""
        self._epochs[node] += 1
        self._armed[node] = math.inf
        self.nodes[node] = self._make(node, self._env.now)
        self._arm(node)

    def lose(self, node: int, neighbour: int) -> None:
        """Data that `node` passed to `neighbour` went into the void: keepalives of the call have told it."""
        if self._world.online[node]:
            self.nodes[node].link_down(neighbour, self._env.now)
            self._pump(node)

    def want(self, node: int, destination: int) -> None:
        """Data for `destination` wait at `node`."""
        self.nodes[node].want(destination, self._env.now)
        self._pump(node)

    def next_hop(self, node: int, destination: int) -> int | None:
        """Where data for `destination` go from `node`."""
        return self.nodes[node].next_hop(destination, self._env.now)

    # The four steps ---------------------------------------------------------------------------------------------------

    def _deliver(self, node: int, arg: tuple[int, bytes]) -> None:
        if self._world.online[node]:
            source, payload = arg
            self.nodes[node].receive(payload, source, self._env.now)
            self._pump(node)

    def _wake(self, node: int, epoch: int) -> None:
        if epoch != self._epochs[node] or self._env.now != self._armed[node]:
            return  # of an earlier life, or put off: there is another record
        self._armed[node] = math.inf
        if self._world.online[node]:
            self.nodes[node].handle_timer(self._env.now)
            self._pump(node)

    def _pump(self, node: int) -> None:
        for effect in self.nodes[node].effects():
            self._send(node, effect)
        self._arm(node)

    def _arm(self, node: int) -> None:
        at = self.nodes[node].wake_at()
        if at is not None and at < self._armed[node]:
            self._armed[node] = at = max(at, self._env.now)
            self._env.push(at, Record("protocol.wake", node, self._epochs[node]))

    def _send(self, node: int, effect: Effect) -> None:
        kinds, shares = self.nodes[node].kinds, tally(effect.payload)
        total = sum(size for _, size in shares)
        if isinstance(effect, Broadcast):
            to: Sequence[int] = self.neighbours[node]
            self._said[node] += total
        else:
            to = (effect.to,)
            self._told[node, effect.to] = self._told.get((node, effect.to), 0) + total
        for kind, size in shares:
            self._overhead.add(node, kinds[kind], size * len(to), len(to))
        self._copy(node, to, effect.payload)

    def _copy(self, node: int, to: Iterable[int], payload: bytes) -> None:
        now, arg = self._env.now, (node, payload)
        for neighbour in to:
            arrival = self._wires.arrival(node, neighbour, now, reliable=False)
            if arrival is not None:
                self._env.push(arrival, Record("protocol.packet", neighbour, arg))
