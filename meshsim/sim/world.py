"""The truth: wandering background load, the load of calls, who is online, what any link or path is like right now.

A `world` is truth, a `view` is belief: nothing here is seen by a policy. Formulas live in `flow`, indices in
`resources`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import poor, voice_mos
from meshsim.mesh.seeds import SeedTree
from meshsim.sim import flow
from meshsim.sim.drift import Background
from meshsim.sim.resources import DIRECTIONS, Hops, Paths, Resources, flatten, lay_hops, lay_paths, sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.media import Demand
    from meshsim.scenario.plan import Plan

PEER_UTILISATION, RELAY_UTILISATION = 0.10, 0.35
"""Mean background utilisation of access links: of homes, and of machines that others use too."""

TOTAL_DROP = 0.999
"""A relay that drops this share of packets carries no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTruth:
    """What K directed overlay links are like; arrays have shape (K,), float64.

    Attributes:
        delay: One-way seconds.
        jitter: Seconds.
        loss: Probability.
        rate: Spare bits per second, at the tightest resource.
        utilisation: Of the busiest resource.
    """

    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]
    utilisation: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTruth:
    """What P paths are like for a call; arrays have shape (P,).

    Attributes:
        rtt: Round trip, seconds.
        jitter: Seconds, worse direction.
        loss: Probability, worse direction, misbehaving relays included.
        connected: All nodes are online, NATs let every hop through, and no relay drops everything.
    """

    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    connected: NDArray[np.bool_]

    def pick(self, path: int) -> PathTruth:
        """Path number `path` alone."""
        row = slice(path, path + 1)
        return PathTruth(rtt=self.rtt[row], jitter=self.jitter[row], loss=self.loss[row], connected=self.connected[row])

    @property
    def mos(self) -> NDArray[np.float64]:
        """Conversational MOS; 1 where not connected."""
        return np.where(self.connected, voice_mos(self.rtt / 2, self.jitter, self.loss), 1.0)

    @property
    def poor(self) -> NDArray[np.bool_]:
        """Beyond `mesh.quality.TARGET`, or not connected."""
        return np.asarray(poor(self.rtt, self.jitter, self.loss) | ~self.connected)


@dataclass(frozen=True, slots=True)
class _State:
    """Delay, variance of delay and log-survival of resources or rows, float64."""

    delay: NDArray[np.float64]
    variance: NDArray[np.float64]
    survival: NDArray[np.float64]


class World:
    """Ground truth of one episode.

    Args:
        plan: The episode.

    Attributes:
        plan: The episode.
        resources: Fixed properties of everything that carries load.
        background: (R,) background utilisation now.
        load: (R,) load of open flows now; bits per second, calls for relaying.
        online: (N,) bool.
        down_since: (N,) when each node went offline, seconds; infinite while it is online.
        drop: (N,) share of the media packets that a node drops when it relays; 0 for the honest.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        nodes = plan.nodes
        relays = nodes.max_calls > 0
        access = np.where(relays, RELAY_UTILISATION, PEER_UTILISATION)
        self.resources = Resources.of(plan, access)
        self.online = np.ones(len(nodes), dtype=bool)
        self.down_since = np.full(len(nodes), np.inf)
        misbehaves = np.array([kind != "honest" for kind in nodes.behaviour])
        self.drop = np.where(misbehaves, nodes.strength, 0.0)
        self._survival = np.log1p(-np.minimum(self.drop, TOTAL_DROP))
        seeds, drift = SeedTree(plan.seed), plan.scenario.underlay.drift
        means = self.resources.utilisation
        first, n = self.resources.edges, len(nodes)
        self._drift = [Background(means[:first], drift, seeds, "drift.edge", np.ones(first, dtype=bool))]
        for name, congested in (("up", relays), ("down", relays), ("out", ~relays), ("in", ~relays)):
            self._drift.append(Background(means[first : first + n], drift, seeds, f"drift.{name}", congested))
            first += n
        self._period = drift.period
        self._steps = 0
        self._flows: dict[int, Paths] = {}
        self._opened = 0
        self.load = np.zeros(len(self.resources))
        self.background = self._gather()
        self._state: _State | None = None

    # --- time and load ------------------------------------------------------------------------------------------------

    def advance(self, t: float) -> None:
        """Lets background load drift up to `t` seconds."""
        while (self._steps + 1) * self._period <= t:
            self._steps += 1
            for part in self._drift:
                part.step()
            self.background = self._gather()
            self._sum_flows()

    def take_down(self, node: int, t: float) -> None:
        """A node vanishes at `t` seconds, unless it is gone already."""
        self.online[node], self.down_since[node] = False, min(self.down_since[node], t)

    def bring_up(self, node: int) -> None:
        """A node is back."""
        self.online[node], self.down_since[node] = True, np.inf

    def open_flow(self, path: Sequence[int], demand: Demand) -> int:
        """Puts a two-way call on `path` (node indices); returns the flow's number."""
        return self.open(self.lay([path], demand))

    def open(self, paths: Paths) -> int:
        """Puts a call on a single path that is already laid out; returns the flow's number."""
        number, self._opened = self._opened, self._opened + 1
        self._flows[number] = paths
        self.load += self._amounts(paths)
        self._state = None
        return number

    def close_flow(self, number: int) -> None:
        """Takes a call off its path."""
        self.load -= self._amounts(self._flows.pop(number))
        self._state = None

    def flow_paths(self, number: int) -> Paths:
        """The path of an open flow."""
        return self._flows[number]

    def relaying(self) -> NDArray[np.float64]:
        """(N,) calls that each node carries for others."""
        return self.load[self.resources.relay :].copy()

    def busy(self) -> NDArray[np.float64]:
        """(N,) share of its call capacity that each node uses, in [0, 1]."""
        share = self.relaying() / np.maximum(self.plan.nodes.max_calls, 1)
        return np.clip(share, 0.0, 1.0)

    # --- truth --------------------------------------------------------------------------------------------------------

    def link_truth(self, src: ArrayLike, dst: ArrayLike) -> LinkTruth:
        """What links between any nodes are like, without any load added.

        Args:
            src: (K,) node indices.
            dst: (K,) node indices.
        """
        return self.hop_truth(self.lay_links(src, dst))

    def lay_links(self, src: ArrayLike, dst: ArrayLike) -> Hops:
        """Links laid onto resources, to be asked for again and again."""
        plan = self.plan
        ends = np.asarray(src, dtype=np.int64), np.asarray(dst, dtype=np.int64)
        return lay_hops(self.resources, plan.nodes, plan.underlay, *ends)

    def hop_truth(self, hops: Hops) -> LinkTruth:
        """What links that are laid out already are like."""
        row, start = hops.resource, hops.indptr[:-1]
        state, capacity = self._rows(row), self.resources.capacity[row]
        rho = self.background[row] + self.load[row] / capacity
        return LinkTruth(
            delay=np.add.reduceat(state.delay, start),
            jitter=np.sqrt(np.add.reduceat(state.variance, start)),
            loss=-np.expm1(np.add.reduceat(state.survival, start)),
            rate=np.minimum.reduceat(np.maximum(1.0 - rho, 0.0) * capacity, start),
            utilisation=np.maximum.reduceat(rho, start),
        )

    def lay(self, paths: Sequence[Sequence[int]], demand: Demand) -> Paths:
        """Paths of node indices laid onto resources for calls of `demand`."""
        return self.lay_flat(*flatten(paths), demand)

    def lay_flat(self, nodes: NDArray[np.int64], indptr: NDArray[np.int64], demand: Demand) -> Paths:
        """The same for paths given as one array and its row starts."""
        return lay_paths(self.resources, self.plan.nodes, self.plan.underlay, nodes, indptr, demand)

    def path_truth(self, paths: Sequence[Sequence[int]], demand: Demand, *, extra_load: bool = True) -> PathTruth:
        """What a call of `demand` would live through on each of `paths`, were it alone to choose it.

        Args:
            paths: P paths of node indices.
            demand: What the call carries.
            extra_load: Whether the call's own load comes on top of what flows now.
        """
        return self.probe(self.lay(paths, demand)) if extra_load else self.measure(self.lay(paths, demand))

    def probe(self, paths: Paths, without: int | None = None) -> PathTruth:
        """What a call would live through on each path, its own load added to each alone.

        Args:
            paths: Laid out.
            without: The call's open flow, whose load is left out.
        """
        load = self.load if without is None else self.load - self._amounts(self._flows[without])
        row, resources = paths.resource, self.resources
        share = (load[row] + paths.own) / resources.capacity[row]
        return self._compose(paths, _resource_state(resources, row, self.background[row], share))

    def measure(self, paths: Paths) -> PathTruth:
        """What flows on each path live through, with the load that there is."""
        return self._compose(paths, self._rows(paths.resource))

    def connected(self, paths: Paths) -> NDArray[np.bool_]:
        """(P,) whether media pass at all: nodes online, NATs willing, no relay dropping everything."""
        stays = self.online[paths.nodes]
        stays &= (self.drop[paths.nodes] < TOTAL_DROP) | ~paths.inner
        stays &= paths.joined
        return np.asarray(np.logical_and.reduceat(stays, paths.indptr[:-1]))

    def _compose(self, paths: Paths, state: _State) -> PathTruth:
        """Rows -> both ways of each path -> paths."""
        ways = DIRECTIONS * paths.count
        delay = sums(paths.way, state.delay + paths.sending, ways)
        variance = sums(paths.way, state.variance, ways)
        survival = sums(paths.way, state.survival, ways)
        dropped = np.add.reduceat(np.where(paths.inner, self._survival[paths.nodes], 0.0), paths.indptr[:-1])
        worst = np.minimum(survival[0::2], survival[1::2]) + dropped
        return PathTruth(
            rtt=delay[0::2] + delay[1::2],
            jitter=np.sqrt(np.maximum(variance[0::2], variance[1::2])),
            loss=-np.expm1(worst),
            connected=self.connected(paths),
        )

    def _rows(self, row: NDArray[np.int64]) -> _State:
        """The state of `row`s: looked up if all resources have been worked out or are worth it, else worked out."""
        if self._state is None and len(row) < len(self.resources):
            share = self.load[row] / self.resources.capacity[row]
            return _resource_state(self.resources, row, self.background[row], share)
        if self._state is None:
            share = self.load / self.resources.capacity
            self._state = _resource_state(self.resources, np.arange(len(self.resources)), self.background, share)
        state = self._state
        return _State(state.delay[row], state.variance[row], state.survival[row])

    def _gather(self) -> NDArray[np.float64]:
        self._state = None
        return np.concatenate([*(part.utilisation for part in self._drift), np.zeros(self.resources.nodes)])

    def _amounts(self, paths: Paths) -> NDArray[np.float64]:
        return sums(paths.resource, paths.amount, len(self.resources))

    def _sum_flows(self) -> None:
        """Adds the flows up afresh, so that rounding does not pile up as they come and go."""
        if not self._flows:
            self.load[:] = 0.0
            return
        rows = np.concatenate([paths.resource for paths in self._flows.values()])
        amounts = np.concatenate([paths.amount for paths in self._flows.values()])
        self.load = sums(rows, amounts, len(self.resources))


def _resource_state(
    resources: Resources, row: NDArray[np.int64], background: NDArray[np.float64], share: NDArray[np.float64]
) -> _State:
    """State of `row`s of the resources: background utilisation, and the share of capacity that calls take."""
    # what is forwarded has service times like those of bursts; elsewhere the packets of calls are short beside them
    forwards = row >= resources.relay
    queue = flow.queueing(
        background + np.where(forwards, share, 0.0),
        np.where(forwards, 0.0, share),
        resources.service[row],
        resources.buffer[row],
        resources.packet[row],
    )
    lost = flow.loss(resources.loss[row], queue.blocked)
    return _State(
        delay=resources.delay[row] + queue.wait,
        variance=resources.jitter[row] ** 2 + queue.variance,
        survival=np.log1p(-np.minimum(lost, 1.0 - 1e-12)),
    )
