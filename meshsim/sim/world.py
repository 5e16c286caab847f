"""The truth: wandering background load, the load of calls, who is online, what any link or path is like right now.

A `world` is truth, a `view` is belief: nothing here is seen by a policy. Formulas live in `flow`, indices in
`resources`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import quality
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import connectable
from meshsim.scenario.nat import punched
from meshsim.sim import flow
from meshsim.sim.adaptive import adapt
from meshsim.sim.attacks import Spite, cast_villains
from meshsim.sim.attacks.conduct import share_dropped
from meshsim.sim.cuts import Cuts
from meshsim.sim.drift import Background, Hours
from meshsim.sim.flows import Flows
from meshsim.sim.resources import Hops, Paths, Resources, flatten, ground_of, lay_hops, lay_paths, passable, sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.media import Demand, MediaType
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

    def mos(self, media: MediaType) -> NDArray[np.float64]:
        """MOS of a call of `media` at its full rate; 1 where not connected."""
        return np.where(self.connected, quality.mos(media, self.rtt / 2, self.jitter, self.loss), 1.0)

    def poor(self, media: MediaType) -> NDArray[np.bool_]:
        """Beyond the target of `media` at its full rate, or not connected."""
        return np.asarray(quality.poor(self.rtt, self.jitter, self.loss, media) | ~self.connected)


class World:
    """Ground truth of one episode.

    Args:
        plan: The episode.

    Attributes:
        plan: The episode.
        resources: Fixed properties of everything that carries load.
        online: (N,) bool.
        down_since: (N,) when each node went offline, seconds; infinite while it is online.
        drop: (N,) share of the media packets that a node drops when it relays; 0 for the honest.
        villains: The nodes that misbehave.
        spite: Relays that drop media of some people's calls alone.
        cuts: Edges that carry nothing.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        nodes = plan.nodes
        relays = nodes.max_calls > 0
        access = np.where(relays, RELAY_UTILISATION, PEER_UTILISATION)
        self.resources = Resources.of(plan, access)
        self.online = np.ones(len(nodes), dtype=bool)
        self.down_since = np.full(len(nodes), np.inf)
        self.villains = cast_villains(plan)
        self.drop = np.zeros(len(nodes))
        for villain in self.villains:
            self.drop[villain.node] = share_dropped(villain, 0.0)
        self.spite = Spite(self.villains, len(nodes), nodes.domains, TOTAL_DROP)
        self._survival, self._mute = np.log1p(-np.minimum(self.drop, TOTAL_DROP)), self.drop >= TOTAL_DROP
        self._ground = ground_of(self.resources, plan)
        self._fixed = _fixed(self.resources)
        seeds, drift = SeedTree(plan.seed), plan.scenario.underlay.drift
        means = self.resources.utilisation
        first, n = self.resources.edges, len(nodes)
        hours = partial(Hours, diurnal=plan.scenario.calls.arrivals.diurnal, strength=drift.hours)
        place, home = plan.underlay.topology, hours(longitude=nodes.longitude)
        edge, every = hours(longitude=place.longitude[place.src]), np.ones(first, dtype=bool)
        self._drift = [Background(means[:first], drift, seeds, "drift.edge", every, edge)]
        for name, congested in (("up", relays), ("down", relays), ("out", ~relays), ("in", ~relays)):
            self._drift.append(Background(means[first : first + n], drift, seeds, f"drift.{name}", congested, home))
            first += n
        self._period = drift.period
        self._steps = 0
        self._flows = Flows()
        self.cuts = Cuts(len(self.resources))
        self._seeds, self._punch = seeds, plan.scenario.nodes.punch_success
        self._now = _nothing(len(self.resources))
        self._control = np.zeros(len(self.resources))
        self._gather()

    @property
    def background(self) -> NDArray[np.float64]:
        """(R,) background utilisation now."""
        return self._now.background

    @property
    def load(self) -> NDArray[np.float64]:
        """(R,) load of open flows now; bits per second, calls for relaying."""
        return self._now.load

    # --- time and load ------------------------------------------------------------------------------------------------

    def advance(self, t: float) -> None:
        """Lets background load drift up to `t` seconds."""
        while (self._steps + 1) * self._period <= t:
            self._steps += 1
            for part in self._drift:
                part.step()
            self._gather()
            if self.plan.scenario.media.adaptive:
                adapt(self._flows, self.resources, self.background)
            # summed afresh, so that rounding does not pile up as flows come and go
            self._now.load[:] = self._flows.load(len(self.resources)) + self._control

    def load_control(self, hops: Hops, rate: NDArray[np.float64]) -> None:
        """Control messages load K links with `rate` (K,) bits per second from now on, in place of the last rates."""
        load = sums(hops.resource, rate[hops.hop], len(self.resources))
        self._now.load[:] += load - self._control
        self._now.stale[:] = True
        self._control = load

    def take_down(self, node: int, t: float) -> None:
        """A node vanishes at `t` seconds, unless it is gone already."""
        self.online[node], self.down_since[node] = False, min(self.down_since[node], t)

    def behave(self, node: int, drop: float) -> None:
        """A node drops this share of the packets it relays from now on, those of open flows too."""
        self.drop[node] = drop
        self._survival[node], self._mute[node] = np.log1p(-min(drop, TOTAL_DROP)), drop >= TOTAL_DROP
        for number in self._flows.numbers().tolist():
            paths = self._flows[number]
            if node in paths.nodes[1:-1]:
                self._flows.dropped[number] = self._along(paths)[1].item()

    def bring_up(self, node: int) -> None:
        """A node is back."""
        self.online[node], self.down_since[node] = True, np.inf

    def move(
        self,
        nodes: NDArray[np.int64],
        routers: NDArray[np.int64],
        up: NDArray[np.float64],
        down: NDArray[np.float64],
        loss: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Nodes hang on other places, or their access links change; what is laid out over them holds no more.

        Args:
            nodes: (K,) node indices, each once.
            routers: (K,) places.
            up: (K,) bits per second towards the network.
            down: (K,) the same from it.
            loss: (K,) probability each way.

        Returns:
            Those whose place has changed.
        """
        handed: NDArray[np.int64] = nodes[self._ground.router[nodes] != routers]
        self._ground.router[nodes] = routers
        self.resources.give(self.resources.up + nodes, up, loss)
        self.resources.give(self.resources.down + nodes, down, loss)
        self._now.stale[:] = True
        return handed

    def open_flow(self, path: Sequence[int], demand: Demand) -> int:
        """Puts a two-way call on `path` (node indices); returns the flow's number."""
        return self.open(self.lay([path], demand))

    def open(self, paths: Paths, lowest: float = 1.0) -> int:
        """Puts a call on a single path that is already laid out, at its full rate; returns the flow's number.

        Args:
            paths: Laid out.
            lowest: Share of its rate that the call keeps however it adapts.
        """
        _, dropped = self._along(paths)
        flow.put(self._now, paths.resource, paths.amount, 1.0)
        return self._flows.open(paths, float(dropped[0]), lowest)

    def close_flow(self, number: int) -> None:
        """Takes a call off its path."""
        amounts = self._flows.amounts(number).copy()
        flow.put(self._now, self._flows.close(number).resource, amounts, -1.0)

    def flow_paths(self, number: int) -> Paths:
        """The path of an open flow."""
        return self._flows[number]

    def flow_share(self, number: int) -> tuple[float, float]:
        """Shares of its full rate that an open flow sends there and back; below one where it has adapted."""
        there, back = self._flows.share[number].tolist()
        return there, back

    def flow_shares(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """(K,) shares of their full rate that K open flows send, of each the worse direction."""
        return np.asarray(self._flows.share[numbers].min(axis=1))

    def carried(self, node: int) -> float:
        """Calls that one node carries for others."""
        return self._now.load.item(self.resources.relay + node)

    def open_paths(self) -> dict[int, Paths]:
        """The paths of all open flows, by number."""
        return {number: self._flows[number] for number in self._flows.numbers().tolist()}

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
        return lay_hops(self._ground, np.asarray(src, dtype=np.int64), np.asarray(dst, dtype=np.int64))

    def hop_truth(self, hops: Hops, which: NDArray[np.int64] | None = None) -> LinkTruth:
        """What links that are laid out already are like.

        Args:
            hops: Laid out.
            which: Numbers of those asked for; all when None.
        """
        which = np.arange(len(hops.indptr) - 1) if which is None else which
        out = np.empty((5, len(which)))
        flow.hops(self._fixed, self._now, hops.resource, hops.indptr, which, out)
        delay, variance, survival, rate, utilisation = out
        if self.cuts:
            survival[self.cuts.crossed(hops.resource, hops.indptr)[which]] = -np.inf
        return LinkTruth(
            delay=delay, jitter=np.sqrt(variance), loss=-np.expm1(survival), rate=rate, utilisation=utilisation
        )

    def lay(self, paths: Sequence[Sequence[int]], demand: Demand) -> Paths:
        """Paths of node indices laid onto resources for calls of `demand`."""
        if len(paths) == 1:  # most calls lay one path; the general way takes five times as long
            return self.lay_flat(np.array(paths[0]), np.array([0, len(paths[0])]), demand)
        return self.lay_flat(*flatten(paths), demand)

    def lay_flat(self, nodes: NDArray[np.int64], indptr: NDArray[np.int64], demand: Demand) -> Paths:
        """The same for paths given as one array and its row starts."""
        paths = lay_paths(self._ground, nodes, indptr, demand)
        if self._punch < 1.0:
            self._punch_holes(paths)
        return paths

    def meet(self, a: int, b: int) -> bool:
        """Whether the NATs of two nodes let them talk to each other."""
        nodes = self.plan.nodes
        nats = int(nodes.nat[a]), int(nodes.nat[b])
        if self._punch == 1.0 or not connectable(*nats):
            return bool(connectable(*nats))
        return punched(self._seeds, self._punch, (nodes.names[a], nats[0]), (nodes.names[b], nats[1]))

    def _punch_holes(self, paths: Paths) -> None:
        """Some hops that NATs allow do not come about; the last node of a path has none."""
        last = np.zeros(len(paths.nodes), dtype=np.bool_)
        last[paths.indptr[1:] - 1] = True
        for k in np.flatnonzero(paths.joined & ~last).tolist():
            paths.joined[k] = self.meet(int(paths.nodes[k]), int(paths.nodes[k + 1]))

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
        load = self.load
        if without is not None:
            mine = self._flows[without].resource
            load = load - sums(mine, self._flows.amounts(without), len(self.resources))
        connected, dropped = self._along(paths)
        out = np.empty((paths.count, 3))
        rows = paths.starts, paths.way, paths.resource, paths.own, paths.sending
        flow.probed(self._fixed, self._now, load, *rows, dropped, out)
        return _truth(out, connected)

    def measure(self, paths: Paths) -> PathTruth:
        """What flows on each path live through, with the load that there is."""
        connected, dropped = self._along(paths)
        out, starts = np.empty((paths.count, 3)), paths.starts
        rows = starts[:-1], starts[1:], paths.way, paths.resource, paths.sending
        flow.measured(self._fixed, self._now, *rows, dropped, out)
        return _truth(out, connected)

    def measure_flow(self, number: int) -> tuple[float, float, float]:
        """Rtt, jitter (seconds) and loss that an open flow lives through."""
        rtt, jitter, loss = self._measured(np.array([number]))[0].tolist()
        return rtt, jitter, loss

    def measure_flows(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Numbers of the K open flows, ascending, and what each lives through: rtt, jitter and loss, (K, 3)."""
        numbers = self._flows.numbers()
        return numbers, self._measured(numbers)

    def _measured(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        flows, out = self._flows, np.empty((len(numbers), 3))
        rows = flows.first[numbers], flows.last[numbers], flows.way, flows.resource, flows.sending
        flow.measured(self._fixed, self._now, *rows, flows.dropped[numbers], out)
        return out

    def connected(self, paths: Paths) -> NDArray[np.bool_]:
        """(P,) whether media pass at all: nodes online, NATs willing, no relay dropping everything."""
        return self._along(paths)[0]

    def _along(self, paths: Paths) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """(P,) whether media pass, and the log-survival at the relays."""
        connected, dropped = np.empty(paths.count, dtype=np.bool_), np.empty(paths.count)
        passable(paths.nodes, paths.indptr, paths.joined, self.online, self._mute, self._survival, connected, dropped)
        if self.spite:
            self.spite.apply(paths, connected, dropped)
        if self.cuts:
            connected &= ~self.cuts.crossed(paths.resource, paths.starts)
        return connected, dropped

    def cut_flows(self) -> set[int]:
        """Numbers of the open flows that cross a cut edge."""
        numbers = self._flows.numbers()
        rows, owner = self._flows.rows(numbers)
        return set(numbers[owner[self.cuts.cut[self._flows.resource[rows]]]].tolist())

    def _gather(self) -> None:
        parts = (*(part.utilisation for part in self._drift), np.zeros(self.resources.nodes))
        np.concatenate(parts, out=self._now.background)
        self._now.stale[:] = True


def _truth(out: NDArray[np.float64], connected: NDArray[np.bool_]) -> PathTruth:
    return PathTruth(rtt=out[:, 0], jitter=out[:, 1], loss=out[:, 2], connected=connected)


def _fixed(resources: Resources) -> flow.Fixed:
    """What compiled formulas read of the resources."""
    columns = {name: getattr(resources, name) for name in flow.Fixed._fields if name != "relay"}
    return flow.Fixed(relay=resources.relay, **columns)


def _nothing(size: int) -> flow.Now:
    """Resources without load, nothing worked out."""
    values = (np.zeros(size) for _ in range(5))
    background, load, delay, variance, survival = values
    return flow.Now(background, load, np.ones(size, dtype=np.bool_), delay, variance, survival)
