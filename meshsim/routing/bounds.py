"""What no routing can exceed: the most that flows between two nodes, and the most calls that a network can carry.

Both are of fluid: traffic may be split over any number of paths and sent with perfect knowledge. So they bound every
policy and every protocol from above, and nobody has to reach them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.errors import MeshSimError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.view import NetworkView

NOTHING = 1e-12
"""Share of the largest capacity below which what is left of a link is rounding."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """E directed links between N nodes that use R resources of limited capacity.

    Attributes:
        nodes: N.
        src, dst: (E,) int64 node indices.
        resource: int64, the resources that each link uses, one link after another.
        indptr: (E + 1,) int64, where those of each link start.
        capacity: (R,) float64 bits per second; infinite for no limit.
        relay: (N,) float64, most calls that each node passes on; infinite for no limit.
    """

    nodes: int
    src: NDArray[np.int64]
    dst: NDArray[np.int64]
    resource: NDArray[np.int64]
    indptr: NDArray[np.int64]
    capacity: NDArray[np.float64]
    relay: NDArray[np.float64]

    def __post_init__(self) -> None:
        if np.isnan(self.capacity).any() or (self.capacity < 0).any() or (self.relay < 0).any():
            raise ValueError("capacities are numbers from 0")

    @property
    def user(self) -> NDArray[np.int64]:
        """The link that each of `resource` is of."""
        return np.repeat(np.arange(len(self.src)), np.diff(self.indptr))


def network_of(nodes: int, src: ArrayLike, dst: ArrayLike, rate: ArrayLike, relay: ArrayLike | None = None) -> Network:
    """A network whose links share nothing.

    Args:
        nodes: N.
        src: (E,) node indices.
        dst: (E,) node indices.
        rate: (E,) bits per second of each link.
        relay: (N,) most calls that each node passes on; None for no limit.
    """
    src = np.asarray(src, dtype=np.int64)
    return Network(
        nodes=nodes,
        src=src,
        dst=np.asarray(dst, dtype=np.int64),
        resource=np.arange(len(src)),
        indptr=np.arange(len(src) + 1),
        capacity=np.asarray(rate, dtype=np.float64),
        relay=np.full(nodes, np.inf) if relay is None else np.asarray(relay, dtype=np.float64),
    )


def believed_network(view: NetworkView) -> Network:
    """What a view believes the shared links have to spare, and relays of the calls they may carry."""
    links, nodes = view.links, view.nodes
    free = nodes.max_calls * (1.0 - np.clip(nodes.load, 0.0, 1.0))
    return network_of(len(nodes), links.src, links.dst, links.rate, np.where(nodes.role > 0, free, 0.0))


def both_ways(network: Network) -> Network:
    """The same network for calls that load their path in both directions: a link uses what its way back uses too.

    Links without a way back cannot carry such calls and are left out.
    """
    n = network.nodes
    key = network.src * n + network.dst
    order = np.argsort(key, kind="stable")
    back = network.dst * n + network.src
    at = order[np.minimum(np.searchsorted(key[order], back), max(len(key) - 1, 0))] if len(key) else order
    kept = np.flatnonzero(key[at] == back)
    own = [network.resource[network.indptr[i] : network.indptr[i + 1]] for i in range(len(key))]
    used = [np.concatenate([own[i], own[at[i]]]) for i in kept.tolist()]
    return Network(
        nodes=n,
        src=network.src[kept],
        dst=network.dst[kept],
        resource=np.concatenate([np.zeros(0, dtype=np.int64), *used]),
        indptr=np.cumsum([0, *(len(each) for each in used)]),
        capacity=network.capacity,
        relay=network.relay,
    )


# One pair -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxFlow:
    """The most that flows from one node to another.

    Attributes:
        value: Bits per second.
        flow: (E,) bits per second on each link.
        cut: (N,) bool, the source's side of a smallest cut: the links that leave it are full.
    """

    value: float
    flow: NDArray[np.float64]
    cut: NDArray[np.bool_]


class _Residual:
    """What is left of links; link i and its way back are arcs 2 i and 2 i + 1."""

    def __init__(self, nodes: int, src: Sequence[int], dst: Sequence[int], rate: Sequence[float]) -> None:
        self.to = [end for pair in zip(dst, src, strict=True) for end in pair]
        self.left = [left for each in rate for left in (each, 0.0)]
        self.arcs: list[list[int]] = [[] for _ in range(nodes)]
        for link, (a, b) in enumerate(zip(src, dst, strict=True)):
            self.arcs[a].append(2 * link)
            self.arcs[b].append(2 * link + 1)
        self.least = NOTHING * max(rate, default=0.0)

    def levels(self, source: int) -> list[int]:
        """Hops from the source over what is left, -1 where nothing leads."""
        level = [-1] * len(self.arcs)
        level[source], queue = 0, deque([source])
        while queue:
            node = queue.popleft()
            for arc in self.arcs[node]:
                if level[self.to[arc]] < 0 and self.left[arc] > self.least:
                    level[self.to[arc]] = level[node] + 1
                    queue.append(self.to[arc])
        return level

    def block(self, source: int, target: int, level: list[int]) -> float:
        """Fills paths that go down the levels until none is left; what was sent."""
        tried, sent, way = [0] * len(self.arcs), 0.0, list[int]()
        node = source
        while True:
            if node == target:
                sent += self._send(way)
                way, node = [], source
            elif tried[node] < len(self.arcs[node]):
                arc = self.arcs[node][tried[node]]
                if self.left[arc] > self.least and level[self.to[arc]] == level[node] + 1:
                    way.append(arc)
                    node = self.to[arc]
                else:
                    tried[node] += 1
            elif way:
                node = self.to[way.pop() ^ 1]
                tried[node] += 1
            else:
                return sent

    def _send(self, way: list[int]) -> float:
        most = min(self.left[arc] for arc in way)
        for arc in way:
            self.left[arc] -= most
            self.left[arc ^ 1] += most
        return most


def max_flow(network: Network, source: int, target: int) -> MaxFlow:
    """The most that flows from `source` to `target`, if nobody else sends.

    Dinic's algorithm (Dinitz, "Algorithm for solution of a problem of maximum flow in a network with power
    estimation", Soviet Mathematics Doklady 11, 1970), in O(N^2 E) at worst. Capacities stay the floats they are; what
    SciPy offers takes 32-bit integers, in which rates of 1 kbit/s beside 10 Gbit/s would be lost.

    Args:
        network: Its links must share nothing: each uses one resource of its own.
        source: Node index.
        target: Node index, another one.

    Raises:
        ValueError: If the ends are the same, or links share resources.

    >>> chain = network_of(3, src=[0, 1, 0], dst=[1, 2, 2], rate=[5e6, 2e6, 1e6])
    >>> max_flow(chain, 0, 2).value
    3000000.0
    """
    if source == target:
        raise ValueError(f"a flow has two ends: {source}, {target}")
    count = len(network.src)
    if len(network.resource) != count or len(set(network.resource.tolist())) != count:
        raise ValueError("the most that flows between two nodes is asked of links that share nothing")
    rate = network.capacity[network.resource]
    residual = _Residual(network.nodes, network.src.tolist(), network.dst.tolist(), rate.tolist())
    value, level = 0.0, residual.levels(source)
    while level[target] >= 0:
        value += residual.block(source, target, level)
        level = residual.levels(source)
    return MaxFlow(value=value, flow=np.array(residual.left[1::2], dtype=np.float64), cut=np.array(level) >= 0)


# Many pairs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Commodity:
    """Calls wanted between two nodes.

    Attributes:
        source: Node index.
        target: Node index, another one.
        calls: How many.
        rate: Bits per second of each, in one direction.
    """

    source: int
    target: int
    calls: float
    rate: float

    def __post_init__(self) -> None:
        if self.source == self.target or not self.calls >= 0 or not 0 < self.rate < math.inf:
            raise ValueError(f"calls are between two nodes, from 0 up, and at a rate: {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The most calls that any routing can carry.

    Attributes:
        calls: Of all K commodities together.
        carried: (K,) of each, in one way of reaching the bound; others may reach it too.
        utilisation: (R,) of each resource then; 0 where there is no limit.
        price: (R,) calls that one more bit per second of each resource would carry.
    """

    calls: float
    carried: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    price: NDArray[np.float64]


def most_calls(network: Network, wanted: Sequence[Commodity]) -> Bound:
    """The most calls that can be carried at once, each whole or in parts, over any paths.

    The multicommodity flow problem as a linear programme (Ahuja, Magnanti, Orlin, "Network Flows", 1993, chapter 17),
    solved by HiGHS. Commodities of one source and rate share their variables, which loses nothing: a flow from one
    source to many targets falls apart into paths. There are E variables for each such group: networks of a hundred
    nodes are small cases, those of a thousand are not.

    Args:
        network: Links and their resources; `both_ways` for calls that go both ways.
        wanted: K commodities.

    Raises:
        MissingExtra: If SciPy is absent.
        MeshSimError: If the solver gives up.

    >>> lot = network_of(3, src=[0, 1], dst=[1, 2], rate=[100e3, 100e3])
    >>> wanted = [Commodity(source=a, target=b, calls=1, rate=100e3) for a, b in ((0, 2), (0, 1), (1, 2))]
    >>> most_calls(lot, wanted).calls
    2.0
    """
    try:
        from scipy.optimize import linprog  # noqa: PLC0415 - an extra; only bounds ask for it
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
    if not wanted:
        none = np.zeros(len(network.capacity))
        return Bound(calls=0.0, carried=np.zeros(0), utilisation=none, price=none)
    programme = _Programme(network, wanted)
    result = linprog(**programme.arguments(), method="highs")
    if result.status != 0:
        raise MeshSimError(f"no bound was found: {result.message}")
    return programme.bound(result)


class _Programme:
    """The linear programme: E flows for each of G groups of commodities, in calls, then K carried calls."""

    def __init__(self, network: Network, wanted: Sequence[Commodity]) -> None:
        self.network, self.wanted = network, wanted
        self.groups = sorted({(each.source, each.rate) for each in wanted})
        self.group = np.array([self.groups.index((each.source, each.rate)) for each in wanted])
        self.links, self.flows = len(network.src), len(self.groups) * len(network.src)
        self.target = np.array([each.target for each in wanted])
        self.limited = np.flatnonzero(np.isfinite(network.capacity))
        self.relays = np.flatnonzero(np.isfinite(network.relay))

    def arguments(self) -> dict[str, Any]:
        """What `linprog` takes: it minimises, so what is carried counts negative."""
        network, count = self.network, len(self.wanted)
        use, passing = self._use(), self._passing()
        from scipy.sparse import vstack  # noqa: PLC0415 - an extra

        return {
            "c": np.concatenate([np.zeros(self.flows), -np.ones(count)]),
            "A_ub": vstack([use, passing], format="csr"),
            "b_ub": np.concatenate([network.capacity[self.limited], network.relay[self.relays]]),
            "A_eq": self._balance(),
            "b_eq": np.zeros(len(self.groups) * network.nodes),
            "bounds": [(0.0, None)] * self.flows + [(0.0, each.calls) for each in self.wanted],
        }

    def _matrix(self, parts: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]], rows: int) -> Any:
        """A sparse matrix from rows, columns and values of its parts."""
        from scipy.sparse import csr_array  # noqa: PLC0415 - an extra

        row, column, value = (np.concatenate([np.ravel(part[i]) for part in parts]) for i in range(3))
        return csr_array((value, (row, column)), shape=(rows, self.flows + len(self.wanted)))

    def _use(self) -> Any:
        """Bits per second that each flow puts on each limited resource."""
        network, row = self.network, np.full(len(self.network.capacity), -1)
        row[self.limited] = np.arange(len(self.limited))
        at = np.flatnonzero(row[network.resource] >= 0)
        used, user = row[network.resource[at]], network.user[at]
        parts = [(used, user + g * self.links, np.full(len(at), rate)) for g, (_, rate) in enumerate(self.groups)]
        return self._matrix(parts, len(self.limited))

    def _passing(self) -> Any:
        """Calls that each limited relay passes on: what comes in, less what is for it."""
        row = np.full(self.network.nodes, -1)
        row[self.relays] = np.arange(len(self.relays))
        into = np.flatnonzero(row[self.network.dst] >= 0)
        parts = [
            (row[self.network.dst[into]], into + g * self.links, np.ones(len(into))) for g in range(len(self.groups))
        ]
        ends = np.flatnonzero(row[self.target] >= 0)
        return self._matrix(
            [*parts, (row[self.target[ends]], self.flows + ends, -np.ones(len(ends)))], len(self.relays)
        )

    def _balance(self) -> Any:
        """At every node and in every group: what comes in goes out, is for it, or began there."""
        nodes, links = self.network.nodes, np.arange(self.links)
        parts = []
        for g in range(len(self.groups)):
            parts.append((self.network.dst + g * nodes, links + g * self.links, np.ones(self.links)))
            parts.append((self.network.src + g * nodes, links + g * self.links, -np.ones(self.links)))
        columns, began = self.flows + np.arange(len(self.wanted)), np.array([each.source for each in self.wanted])
        parts.append((self.target + self.group * nodes, columns, -np.ones(len(columns))))
        parts.append((began + self.group * nodes, columns, np.ones(len(columns))))
        return self._matrix(parts, len(self.groups) * nodes)

    def bound(self, result: Any) -> Bound:
        """What the solution says."""
        size = len(self.network.capacity)
        utilisation, price = np.zeros(size), np.zeros(size)
        rows = np.arange(len(self.limited))
        capacity = self.network.capacity[self.limited]
        load = capacity - result.ineqlin.residual[rows]
        utilisation[self.limited] = np.divide(load, capacity, out=np.zeros_like(load), where=capacity > 0)
        price[self.limited] = -result.ineqlin.marginals[rows]
        carried = np.asarray(result.x[self.flows :], dtype=np.float64)
        return Bound(calls=float(carried.sum()), carried=carried, utilisation=utilisation, price=price)
