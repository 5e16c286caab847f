"""Workload W1: a grid of links, one flow from each node, every packet's instant drawn beforehand."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.sim.kernel.network import Network

SIZE = 1250.0
"""Bytes of a packet on the wire."""
RATE = 1e7
"""Bits per second of a link."""
PROPAGATION = 1e-3
"""Seconds."""
SERVICE = SIZE * 8.0 / RATE
"""Seconds that a link sends one packet for."""
DRAIN = 10.0
"""Seconds after the last packet sets out at which all have arrived."""

ROUTES_SEED, TIMES_SEED = 1, 2
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One sample path for every engine.

    Attributes:
        links: How many links there are.
        routes: The links of each flow, in order.
        times: For each flow the instants at which its packets set out, seconds, ascending.
    """

    links: int
    routes: list[list[int]]
    times: list[NDArray[np.float64]]

    @property
    def hops(self) -> int:
        """Packet-hops from the first packet's start to the last one's arrival."""
        return sum(len(route) * len(times) for route, times in zip(self.routes, self.times, strict=True))

    @property
    def packets(self) -> int:
        """Packets of all flows."""
        return sum(len(times) for times in self.times)

    @property
    def until(self) -> float:
        """An instant at which every packet has arrived, seconds."""
        return max(float(times[-1]) for times in self.times if len(times)) + DRAIN

    def merged(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """All packets in order of time: instants and flows, both of shape (packets,)."""
        times = np.concatenate(self.times)
        flows = np.repeat(np.arange(len(self.times)), [len(each) for each in self.times])
        order = np.argsort(times, kind="stable")
        return times[order], flows[order]

    def network(self) -> Network:
        """The same as meshsim's own engines want it."""
        from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Sizes  # noqa: PLC0415 - the bare engines need none of it

        link = PacketLink(rate_bps=RATE, propagation=PROPAGATION)
        sizes = Sizes(kind="fixed", mean=SIZE)
        flows = (
            PacketFlow(route=tuple(route), arrivals=Arrivals(kind="times", times=times), sizes=sizes)
            for route, times in zip(self.routes, self.times, strict=True)
        )
        return Network(links=(link,) * self.links, flows=tuple(flows))


def make(side: int = 20, rate: float = 50.0, seconds: float = 4.0) -> Workload:
    """The workload on a grid.

    Args:
        side: Nodes along each side.
        rate: Packets per second of each flow.
        seconds: How long flows send.
    """
    numbers = _number_links(side)
    return Workload(links=len(numbers), routes=_routes(side, numbers), times=_times(side * side, rate, seconds))


def _number_links(side: int) -> dict[tuple[int, int], int]:
    """Directed links between neighbours, numbered node by node: right, down, left, up."""
    numbers: dict[tuple[int, int], int] = {}
    for node in range(side * side):
        row, column = divmod(node, side)
        for down, right in _STEPS:
            if 0 <= row + down < side and 0 <= column + right < side:
                numbers[node, node + down * side + right] = len(numbers)
    return numbers


def _routes(side: int, numbers: dict[tuple[int, int], int]) -> list[list[int]]:
    rng = np.random.default_rng(ROUTES_SEED)
    routes = []
    for source in range(side * side):
        target = int(rng.integers(side * side - 1))
        nodes = _walk(source, target + (target >= source), side)
        routes.append([numbers[pair] for pair in itertools.pairwise(nodes)])
    return routes


def _walk(source: int, target: int, side: int) -> list[int]:
    """Nodes from `source` to `target`: along the row, then along the column."""
    nodes = [source]
    for stride, distance in ((1, target % side - source % side), (side, target // side - source // side)):
        step = stride if distance > 0 else -stride
        nodes += [nodes[-1] + step * (n + 1) for n in range(abs(distance))]
    return nodes


def _times(flows: int, rate: float, seconds: float) -> list[NDArray[np.float64]]:
    """A Poisson process on [0, seconds) for each flow: a Poisson number of uniform instants, sorted."""
    rng = np.random.default_rng(TIMES_SEED)
    return [np.sort(rng.random(rng.poisson(rate * seconds)) * seconds) for _ in range(flows)]
