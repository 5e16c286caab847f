"""Whether the tables of a protocol lead anywhere: next hops are followed between online forwarding nodes, each second.

A change of topology (the start, a node that vanishes or is back, edges below that are cut or mended) has converged at
the first look at which every walk reaches its destination, between all nodes that the links between online forwarding
nodes connect. Also counted: walks that loop, and next hops that differ from the last look's (flaps). Of more than
`MOST` forwarding nodes, as many drawn ones are the destinations.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.environment import LATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshsim.sim.environment import Environment
    from meshsim.sim.protocols.mesh import ProtocolMesh
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World

PERIOD = 1.0
"""Seconds between looks."""

MOST = 32
"""Destinations that are looked at."""

_LOOP, _LOST = -1, -2


class Convergence:
    """Looks at the tables of a mesh.

    Args:
        env: The clock.
        world: The truth.
        mesh: The nodes.
        recorder: Where it is written.
    """

    def __init__(self, env: Environment, world: World, mesh: ProtocolMesh, recorder: Recorder) -> None:
        self._env, self._world, self._mesh, self._recorder = env, world, mesh, recorder
        forwarding = np.flatnonzero(mesh.forwards)
        drawn = SeedTree(world.plan.seed).stream("protocol.look").uniform(0, len(forwarding))
        self._nodes: list[int] = forwarding.tolist()
        self._destinations: list[int] = sorted(forwarding[np.argsort(drawn, kind="stable")[:MOST]].tolist())
        self._last: dict[int, dict[int, int | None]] = {}
        self._waiting: list[tuple[float, str, int]] = [(0.0, "start", -1)]
        env.on("protocol.look", self._look)

    def start(self) -> None:
        """Puts the first look into the queue."""
        self._env.schedule_record(PERIOD, "protocol.look", 1, priority=LATE)

    def changed(self, kind: str, node: int = -1) -> None:
        """The topology has changed, at `node` or below; of nodes only those that forward matter."""
        if node < 0 or self._mesh.forwards[node]:
            self._waiting.append((self._env.now, kind, node))

    def close(self) -> None:
        """Writes the changes that have not converged by the end."""
        for at, kind, node in self._waiting:
            self._recorder.convergence(at, kind, node, math.nan)
        self._waiting = []

    def _look(self, step: int, _: Any) -> None:
        self._env.schedule_record((step + 1) * PERIOD, "protocol.look", step + 1, priority=LATE)
        online = [node for node in self._nodes if self._world.online[node]]
        area = self._areas(online)
        walks = reached = loops = flaps = 0
        for destination in self._destinations:
            if not self._world.online[destination]:
                self._last.pop(destination, None)
                continue
            hops = {node: self._mesh.next_hop(node, destination) for node in online if node != destination}
            for gone in [node for node, hop in hops.items() if (node, hop) in self._mesh.cut]:
                hops[gone] = None
            flaps += _differences(self._last.get(destination, {}), hops)
            self._last[destination] = hops
            ends = _ends(hops, destination)
            wanted = [node for node in hops if area[node] == area[destination]]
            walks += len(wanted)
            reached += sum(ends[node] == destination for node in wanted)
            loops += sum(ends[node] == _LOOP for node in wanted)
        self._recorder.routing(self._env.now, walks, reached, loops, flaps)
        if walks and reached == walks:
            for at, kind, node in self._waiting:
                self._recorder.convergence(at, kind, node, self._env.now - at)
            self._waiting = []

    def _areas(self, online: list[int]) -> dict[int, int]:
        """The lowest node that each is connected with, over links between online forwarding nodes."""
        there, area = set(online), {}
        for root in online:
            ahead = [] if root in area else [root]
            while ahead:
                node = ahead.pop()
                if node not in area:
                    area[node] = root
                    ahead += [n for n in self._mesh.neighbours[node] if n in there and (node, n) not in self._mesh.cut]
        return area


def _differences(before: Mapping[int, int | None], now: Mapping[int, int | None]) -> int:
    """Next hops that are others than before; routes that came or went are none."""
    both = ((before.get(node), hop) for node, hop in now.items())
    return sum(old is not None and new is not None and old != new for old, new in both)


def _ends(hops: Mapping[int, int | None], destination: int) -> dict[int, int]:
    """Where the walk from each node ends: at `destination`, in a loop, or lost at a node that is gone or knows none."""
    ends = {destination: destination}
    for source in hops:
        path: dict[int, None] = {}
        node: int | None = source
        while node is not None and node not in ends and node not in path:
            path[node] = None
            node = hops.get(node)
        end = _LOST if node is None else ends.get(node, _LOOP)
        ends.update(dict.fromkeys(path, end))
    return ends
