"""What paths are made of: one index space for everything that carries load, and paths flattened onto it. No state.

R = M + 5 N resources: the M underlay edges, then for each of the N nodes its access link up and down, its transit up
and down, and its relaying itself. A hop from i to j crosses the access link of i (up), the underlay route, the access
link of j (down); a node inside a path adds its relaying. Loads are bits per second, for relaying calls.

Transit is the port between an access network and the rest of the world. Traffic between two homes crosses it at both
ends, and there congestion sits (Dhamdhere et al., "Inferring persistent interdomain congestion", SIGCOMM 2018);
relays stand in data centres that access networks peer with directly, so a hop to or from a relay does not. Ports are
as wide as the underlay's edges and run hotter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import numba
import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.mesh.media import demand as demand_of
from meshsim.mesh.view import Nat, connectable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.media import Demand
    from meshsim.scenario.plan import Plan

EDGE_BURST = 8.0 * 16_384
"""Bits of a burst on an underlay edge: what a TCP sender puts on the wire back to back, 16 KiB."""

ACCESS_BURST = 8.0 * 3_000
"""Bits of a burst on an access link: two full packets."""

MEDIA_PACKET = 8.0 * 850
"""Bits of the packets that carry most of the media: those of a call with video."""

EDGE_BUFFER, ACCESS_BUFFER, RELAY_BUFFER = 0.100, 0.200, 0.020
"""Seconds that full buffers take to drain."""

TRANSIT_HEAT = 2.3
"""Odds of a busy moment on a transit port over those on the median underlay edge."""

MANY = 1e9
"""Capacity for relaying of a node that relays no calls: it is never loaded."""

MOST_LOSS = 0.999
"""Share of packets lost outside all coverage."""

DIRECTIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The fixed properties of R resources; arrays have shape (R,), float64.

    Attributes:
        edges: M, number of underlay edges.
        nodes: N, number of overlay nodes.
        capacity: Bits per second; calls for relaying.
        delay: Propagation and forwarding, seconds, one way; the sending of the packet itself is the path's.
        jitter: Without load, seconds.
        loss: Without load, probability.
        utilisation: Mean background utilisation.
        service: Mean service time of a burst, of a packet for relaying, seconds.
        packet: Service time of a media packet, seconds.
        buffer: Longest wait that is let in, seconds.
    """

    edges: int
    nodes: int
    capacity: NDArray[np.float64]
    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    service: NDArray[np.float64]
    packet: NDArray[np.float64]
    buffer: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.capacity)

    @property
    def up(self) -> int:
        """First access link towards the network."""
        return self.edges

    @property
    def down(self) -> int:
        """First access link from the network."""
        return self.edges + self.nodes

    @property
    def transit_up(self) -> int:
        """First transit towards the world."""
        return self.edges + 2 * self.nodes

    @property
    def transit_down(self) -> int:
        """First transit from the world."""
        return self.edges + 3 * self.nodes

    @property
    def relay(self) -> int:
        """First relaying."""
        return self.edges + 4 * self.nodes

    def give(self, which: NDArray[np.int64], capacity: NDArray[np.float64], loss: NDArray[np.float64]) -> None:
        """Access links become others; whoever holds these arrays sees it.

        Args:
            which: (K,) resources.
            capacity: (K,) bits per second.
            loss: (K,) probability without load.
        """
        self.capacity[which], self.loss[which] = capacity, np.minimum(loss, MOST_LOSS)
        self.service[which], self.packet[which] = ACCESS_BURST / capacity, MEDIA_PACKET / capacity

    @classmethod
    def of(cls, plan: Plan, access_utilisation: NDArray[np.float64]) -> Self:
        """The resources of `plan`.

        Args:
            plan: An episode.
            access_utilisation: (N,) mean background utilisation of each node's access link, both ways.
        """
        nodes, underlay, config = plan.nodes, plan.underlay, plan.scenario.underlay
        m, n, nothing = len(underlay.capacity), len(nodes), np.zeros(len(nodes))
        slots = np.where(nodes.max_calls > 0, nodes.max_calls, MANY).astype(np.float64)
        port = np.full(n, config.capacity)
        capacity = np.concatenate([underlay.capacity, nodes.access_up, nodes.access_down, port, port, slots])
        burst = np.repeat([EDGE_BURST, ACCESS_BURST, EDGE_BURST], [m, 2 * n, 2 * n])
        odds = TRANSIT_HEAT * config.utilisation_mean / (1.0 - config.utilisation_mean)
        sent = MEDIA_PACKET / capacity[: len(burst)]
        forwarding = 1.0 / (slots * _packets_per_call(plan))
        shares = (access_utilisation, access_utilisation, *[np.full(n, odds / (1.0 + odds))] * 2, nothing)
        return cls(
            edges=m,
            nodes=n,
            capacity=capacity,
            delay=np.concatenate([underlay.propagation, *[nodes.access_delay] * 2, *[nothing] * 2, forwarding]),
            jitter=np.concatenate([underlay.jitter, *[nodes.access_jitter] * 2, *[nothing] * 2, forwarding]),
            loss=np.concatenate([underlay.loss, *[nodes.access_loss] * 2, *[np.full(n, config.loss)] * 2, nothing]),
            utilisation=np.concatenate([underlay.utilisation, *shares]),
            service=np.concatenate([burst / capacity[: len(burst)], forwarding]),
            packet=np.concatenate([sent, nothing]),
            buffer=np.repeat([EDGE_BUFFER, ACCESS_BUFFER, EDGE_BUFFER, RELAY_BUFFER], [m, 2 * n, 2 * n, n]),
        )


def _packets_per_call(plan: Plan) -> float:
    """Packets per second that a mean call of `plan` sends both ways: what a full relay forwards for each call."""
    shares: dict[str, float] = plan.scenario.calls.media.model_dump()
    return sum(DIRECTIONS * share * demand_of(MediaType(media)).packets_per_second for media, share in shares.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Hops:
    """K directed overlay hops laid onto resources.

    Attributes:
        resource: (rows,) int64, in order of the way.
        indptr: (K + 1,) int64: rows of each hop; every hop has at least two.
    """

    resource: NDArray[np.int64]
    indptr: NDArray[np.int64]

    @property
    def hop(self) -> NDArray[np.int64]:
        """(rows,) the hop of each row."""
        return np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """P paths, both directions, laid onto resources: the rows that a probe or a flow touches.

    Attributes:
        count: P.
        nodes: Node indices of all paths, one after the other, int64.
        indptr: (P + 1,) int64 into `nodes`.
        starts: (P + 1,) int64: rows of each path.
        way: (rows,) int8: 0 for the direction from first to last node of the path, 1 for the other.
        resource: (rows,) int64.
        own: (rows,) float64: what a call on the row's path puts on the row's resource, all its crossings together.
        amount: (rows,) float64: what this one crossing puts there.
        sending: (rows,) float64: seconds that a packet of the call takes to be sent there.
        joined: Bool for each of `nodes`: NATs let it reach the next node of its path, if there is one.
    """

    count: int
    nodes: NDArray[np.int64]
    indptr: NDArray[np.int64]
    starts: NDArray[np.int64]
    way: NDArray[np.int8]
    resource: NDArray[np.int64]
    own: NDArray[np.float64]
    amount: NDArray[np.float64]
    sending: NDArray[np.float64]
    joined: NDArray[np.bool_]

    def pick(self, path: int) -> Paths:
        """Path number `path` alone, as if it had been laid out by itself."""
        rows = slice(int(self.starts[path]), int(self.starts[path + 1]))
        here = slice(int(self.indptr[path]), int(self.indptr[path + 1]))
        return Paths(
            count=1,
            nodes=self.nodes[here],
            indptr=np.array([0, here.stop - here.start], dtype=np.int64),
            starts=np.array([0, rows.stop - rows.start], dtype=np.int64),
            way=self.way[rows],
            resource=self.resource[rows],
            own=self.own[rows],
            amount=self.amount[rows],
            sending=self.sending[rows],
            joined=self.joined[here],
        )


def flatten(paths: Sequence[Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Paths as (nodes, indptr).

    >>> flatten([(0, 1), (0, 2, 1)])[1].tolist()
    [0, 2, 5]
    """
    indptr = np.cumsum([0, *(len(path) for path in paths)])
    return np.array([node for path in paths for node in path], dtype=np.int64), indptr


class Ground(NamedTuple):
    """What paths are laid on: plain arrays, so that compiled code can read them.

    Attributes:
        router: (N,) the underlay place of each node.
        home: (N,) whether a node carries nobody else's calls, so that transit lies between it and its like.
        nat: (N,) NAT types.
        joins: (4, 4) whether hole punching joins two of them.
        places: U.
        route_indptr: (U * U + 1,) edges of each route.
        route_edge: Edges.
        confined: Whether a hop is one edge between relaying nodes, or leads to the node at a peer's place.
        first: First resource of each kind: up, down, transit up, transit down, relaying.
        capacity: (R,) of the resources.
        scratch: (R,) zeros, and left so.
    """

    router: NDArray[np.int64]
    home: NDArray[np.bool_]
    nat: NDArray[np.int64]
    joins: NDArray[np.bool_]
    places: int
    route_indptr: NDArray[np.int64]
    route_edge: NDArray[np.int64]
    confined: bool
    first: tuple[int, int, int, int, int]
    capacity: NDArray[np.float64]
    scratch: NDArray[np.float64]


def ground_of(resources: Resources, plan: Plan) -> Ground:
    """The ground of one plan."""
    nodes, underlay = plan.nodes, plan.underlay
    nats = np.arange(len(Nat), dtype=np.int8)
    return Ground(
        router=nodes.router.astype(np.int64),
        home=nodes.max_calls == 0,
        nat=nodes.nat.astype(np.int64),
        joins=connectable(nats[:, None], nats[None, :]),
        places=len(underlay.topology),
        route_indptr=underlay.route_indptr.astype(np.int64),
        route_edge=underlay.route_edge.astype(np.int64),
        confined=plan.scenario.nodes.links == "edges",
        first=(resources.up, resources.down, resources.transit_up, resources.transit_down, resources.relay),
        capacity=resources.capacity,
        scratch=np.zeros(len(resources)),
    )


def lay_hops(ground: Ground, src: NDArray[np.int64], dst: NDArray[np.int64]) -> Hops:
    """The resources that hops from `src` to `dst` cross.

    Args:
        ground: Of the plan.
        src: (K,) node indices.
        dst: (K,) node indices.
    """
    resource, indptr = _lay_hops(ground, src, dst)
    return Hops(resource=resource, indptr=indptr)


def lay_paths(ground: Ground, flat: NDArray[np.int64], indptr: NDArray[np.int64], demand: Demand) -> Paths:
    """Paths laid onto resources, in both directions.

    Args:
        ground: Of the plan.
        flat: Node indices of all paths, one after the other.
        indptr: (P + 1,) into `flat`.
        demand: What one direction of a call carries.
    """
    starts, way, resource, own, amount, sending, joined = _lay(
        ground, flat, indptr, demand.rate_bps, 8.0 * demand.packet_bytes
    )
    return Paths(
        count=len(indptr) - 1,
        nodes=flat,
        indptr=indptr,
        starts=starts,
        way=way,
        resource=resource,
        own=own,
        amount=amount,
        sending=sending,
        joined=joined,
    )


F = TypeVar("F", bound="Callable[..., object]")


def _inner(function: F) -> F:
    return cast("F", numba.njit(function))


def _door(function: F) -> F:
    # all that is compiled together stands in this file, by which numba knows whether its cache is stale
    return cast("F", numba.njit(cache=True)(function))


@_inner
def _lay_hop(ground: Ground, src: int, dst: int, out: Any, at: int) -> int:
    """The resources that a hop crosses, from `at` on in `out`; where they end."""
    up, down, transit_up, transit_down, _ = ground.first
    transit = ground.home[src] and ground.home[dst]
    route = ground.router[src] * ground.places + ground.router[dst]
    out[at] = up + src
    at += 1
    if transit:
        out[at] = transit_up + src
        at += 1
    for edge in ground.route_edge[ground.route_indptr[route] : ground.route_indptr[route + 1]]:
        out[at] = edge
        at += 1
    if transit:
        out[at] = transit_down + dst
        at += 1
    out[at] = down + dst
    return at + 1


@_door
def _lay_hops(ground: Ground, src: Any, dst: Any) -> Any:
    """The columns of `Hops`."""
    indptr = np.zeros(len(src) + 1, dtype=np.int64)
    for hop in range(len(src)):
        indptr[hop + 1] = indptr[hop] + _most_rows_of(ground, src[hop], dst[hop])
    resource, at = np.empty(indptr[-1], dtype=np.int64), 0
    for hop in range(len(src)):
        at = _lay_hop(ground, src[hop], dst[hop], resource, at)
        indptr[hop + 1] = at
    return resource[:at].copy(), indptr


@_inner
def _meet(ground: Ground, a: int, b: int) -> bool:
    """Whether media pass from `a` to `b` at all."""
    if ground.confined:
        route = ground.router[a] * ground.places + ground.router[b]
        edges = ground.route_indptr[route + 1] - ground.route_indptr[route]
        if edges > (0 if ground.home[a] or ground.home[b] else 1) or (ground.home[a] and ground.home[b]):
            return False
    joins: bool = ground.joins[ground.nat[a], ground.nat[b]]
    return joins


@_inner
def _most_rows_of(ground: Ground, src: int, dst: int) -> int:
    """Not less than the rows of a hop: four beside its route."""
    route = ground.router[src] * ground.places + ground.router[dst]
    edges: int = ground.route_indptr[route + 1] - ground.route_indptr[route]
    return 4 + edges


@_inner
def _most_rows(ground: Ground, flat: Any, indptr: Any) -> int:
    """Not less than the rows of all paths: those of each hop, both ways, and two for each node."""
    rows = 2 * len(flat)
    for path in range(len(indptr) - 1):
        for k in range(indptr[path], indptr[path + 1] - 1):
            rows += _most_rows_of(ground, flat[k], flat[k + 1]) + _most_rows_of(ground, flat[k + 1], flat[k])
    return rows


@_inner
def _own(ground: Ground, resource: Any, amount: Any, own: Any, start: int, stop: int) -> None:
    """What one path puts on each of its resources, all crossings together."""
    for k in range(start, stop):
        ground.scratch[resource[k]] += amount[k]
    for k in range(start, stop):
        own[k] = ground.scratch[resource[k]]
    for k in range(start, stop):
        ground.scratch[resource[k]] = 0.0


@_door
def _lay(ground: Ground, flat: Any, indptr: Any, rate: float, bits: float) -> Any:
    """The columns of `Paths`: there, then back, then what the relays do for both."""
    most, relay = _most_rows(ground, flat, indptr), ground.first[4]
    way, resource = np.zeros(most, dtype=np.int8), np.empty(most, dtype=np.int64)
    own, amount, sending = np.empty(most), np.empty(most), np.zeros(most)
    starts, joined = np.zeros(len(indptr), dtype=np.int64), np.ones(len(flat), dtype=np.bool_)
    at = 0
    for path in range(len(indptr) - 1):
        start, stop = indptr[path], indptr[path + 1]
        for k in range(start, stop - 1):
            joined[k] = _meet(ground, flat[k], flat[k + 1])
            at = _lay_hop(ground, flat[k], flat[k + 1], resource, at)
        back = at
        for k in range(start, stop - 1):
            at = _lay_hop(ground, flat[k + 1], flat[k], resource, at)
        way[back:at] = 1
        for k in range(starts[path], at):
            amount[k], sending[k] = rate, bits / ground.capacity[resource[k]]
        for direction in range(2):
            for k in range(start + 1, stop - 1):
                resource[at], amount[at], way[at] = relay + flat[k], 0.5, direction
                at += 1
        starts[path + 1] = at
        _own(ground, resource, amount, own, starts[path], at)
    return starts, way[:at], resource[:at], own[:at], amount[:at], sending[:at], joined


@_door
def passable(
    nodes: Any, indptr: Any, joined: Any, online: Any, mute: Any, survival: Any, connected: Any, dropped: Any
) -> None:
    """Whether media pass P paths at all, and what their relays let through.

    Args:
        nodes: Node indices of all paths.
        indptr: (P + 1,) into `nodes`.
        joined: Bool for each of `nodes`, as in `Paths`.
        online: (N,) bool.
        mute: (N,) bool, nodes that pass nothing on.
        survival: (N,) log-probability that a node passes a packet on.
        connected: (P,) bool, filled.
        dropped: (P,) float64, filled: log-survival at the relays.
    """
    for path in range(len(indptr) - 1):
        start, last = indptr[path], indptr[path + 1] - 1
        connected[path], dropped[path] = online[nodes[last]] and joined[last], 0.0
        for k in range(start, last):
            connected[path] &= online[nodes[k]] and joined[k]
            if k > start:
                connected[path] &= not mute[nodes[k]]
                dropped[path] += survival[nodes[k]]


def sums(index: NDArray[np.int64], values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum of the `values` of each index, in order of rows; at least `size` of them."""
    return np.asarray(np.bincount(index, weights=values, minlength=size), dtype=np.float64)
