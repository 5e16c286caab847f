"""Media packet by packet: the calls of an episode as packets over the resources they use, on the compiled kernel.

A resource becomes a link when the first call crosses it: its rate, its propagation, a queue that lets in what would
wait no longer than its buffer, its loss. Background comes to it as Poisson bursts of exponential length at the
utilisation that the world says, and rests while no call is there. A relay's forwarding is a link whose service times
are drawn; what a misbehaving relay drops, it drops there. The jitter of an access link is exponential on top of what
is left of its delay, and may reorder packets.

The fluid world goes on beside it: beliefs, admission at relays and ghost probes are the same in both modes, so a call
is routed alike where reputations are alike. The kernel is advanced only when somebody looks; that changes no packet.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.sim.kernel import Kernel
from meshsim.sim.kernel.network import Arrivals, Jitter, Loss, Network, PacketFlow, PacketLink, Queue, Sizes
from meshsim.sim.resources import ACCESS_BURST, EDGE_BURST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.media import Demand
    from meshsim.sim.resources import Paths, Resources
    from meshsim.sim.world import World

BITS = 8.0
GHOST = -1
"""Number of a call that is replayed."""
FAST = 1e12
"""Bits per second of a link whose service times are drawn: its rate matters nowhere."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of one direction's packets so far.

    Attributes:
        delivered: Packets.
        gone: Packets dropped or lost.
        delay: Sum of the delays of those delivered, seconds.
        squares: Sum of their squares.
    """

    delivered: int = 0
    gone: int = 0
    delay: float = 0.0
    squares: float = 0.0

    @property
    def loss(self) -> float:
        """Share of packets that did not come through."""
        return self.gone / max(self.delivered + self.gone, 1)


@dataclass(slots=True)
class Carried:
    """A call whose packets flow.

    Attributes:
        flows: Of the kernel, there and back.
        resources: That it crosses.
        since: When it was opened, seconds.
        seen: Tallies when last looked at.
        looked: When that was, seconds.
        rate: Packets per second at its full rate.
        share: Of that rate, there and back.
        lost: Loss up to then, times the time: of the worse direction in all.
    """

    flows: tuple[int, int]
    resources: frozenset[int]
    since: float
    seen: tuple[Tally, Tally]
    looked: float
    rate: float
    share: tuple[float, float] = (1.0, 1.0)
    lost: float = 0.0


class PacketMedia:
    """The media of an episode; times in seconds never go back.

    Args:
        world: Its resources and background.
    """

    def __init__(self, world: World) -> None:
        self._resources, self._drop = world.resources, world.drop
        self._kernel = Kernel(Network(links=(), flows=()), seed=world.plan.seed)
        self._background = world.background.copy()
        self._links: dict[int, int] = {}
        self._bursts: dict[int, int] = {}
        self._users: dict[int, int] = {}
        self._calls: dict[int, Carried] = {}
        self._marks: dict[int, tuple[PacketMedia, int]] = {}
        self._history: list[tuple[Any, ...]] = []
        self._forgotten = 0

    def copy(self) -> PacketMedia:
        """The same packets, on their way independently from now on."""
        twin = copy.copy(self)
        twin._kernel = self._kernel.copy()  # noqa: SLF001 - its own kind
        twin._links, twin._bursts = self._links.copy(), self._bursts.copy()  # noqa: SLF001 - the same
        twin._users = self._users.copy()  # noqa: SLF001 - the same
        twin._calls = {number: copy.copy(call) for number, call in self._calls.items()}  # noqa: SLF001 - the same
        twin._marks, twin._history, twin._forgotten = {}, [], 0  # noqa: SLF001 - the same
        return twin

    # --- what happens -------------------------------------------------------------------------------------------------

    def open(self, number: int, paths: Paths, demand: Demand, *, key: int, t: float) -> None:
        """Lets a call's packets flow.

        Args:
            number: By which it is closed and looked at.
            paths: Its single path.
            demand: What each direction carries.
            key: Names its draws: the same call on another path sends at the same instants.
            t: Now.
        """
        self._kernel.advance(t)
        self._note("open", number, paths, demand, key, t)
        ways = [self._route(paths, way) for way in (0, 1)]
        used = frozenset(resource for way in ways for resource in way)
        for resource in sorted(used):
            self._use(resource)
        arrivals = Arrivals(kind="cbr", rate=demand.packets_per_second)
        sizes = Sizes(mean=demand.packet_bytes)
        flows = [
            self._kernel.open(
                PacketFlow(
                    route=tuple(self._links[resource] for resource in way),
                    arrivals=arrivals,
                    sizes=sizes,
                    start=t,
                    key=len(self._resources) + 2 * key + direction,
                )
            )
            for direction, way in enumerate(ways)
        ]
        self._calls[number] = Carried((flows[0], flows[1]), used, t, (Tally(), Tally()), t, arrivals.rate)

    def close(self, number: int, t: float) -> tuple[float, float, float]:
        """Lets a call send no more; what it lived through since the last look."""
        self._kernel.advance(t)
        self._note("close", number, t)
        lived, call = self._look(number, t), self._calls.pop(number)
        for flow in call.flows:
            self._kernel.close(flow)
        for resource in sorted(call.resources):
            self._users[resource] -= 1
            if not self._users[resource]:
                self._kernel.set_rate(self._bursts[resource], 0.0)
        return lived

    def drift(self, background: NDArray[np.float64], t: float) -> None:
        """Background utilisation is (R,) `background` from `t` on."""
        self._kernel.advance(t)
        self._background = background.copy()
        self._note("drift", self._background, t)
        for resource, flow in self._bursts.items():
            if self._users[resource]:
                self._kernel.set_rate(flow, self._bursts_per_second(resource))

    def pace(self, number: int, share: tuple[float, float], t: float) -> None:
        """A call sends `share` of its full rate from `t` on, there and back."""
        call = self._calls[number]
        if call.share != share:
            self._kernel.advance(t)
            self._note("pace", number, share, t)
            call.share = share
            for flow, part in zip(call.flows, share, strict=True):
                self._kernel.set_rate(flow, part * call.rate)

    def look(self, numbers: Sequence[int], t: float) -> NDArray[np.float64]:
        """What calls lived through since each was last looked at.

        Args:
            numbers: K open calls.
            t: Now.

        Returns:
            (K, 3) mean round trip (seconds), deviation of the delay (seconds) and loss, the latter two of the worse
            direction; NaN where too little came through to tell. The loss is such that its mean over time is that of
            the direction that is worse in all: of every short stretch the worse would be too much.
        """
        self._kernel.advance(t)
        return np.array([self._look(number, t) for number in numbers]).reshape(-1, 3)

    # --- what would have happened -------------------------------------------------------------------------------------

    def mark(self, key: int, t: float) -> None:
        """Remembers `t` as the instant from which the call named `key` is to be replayed; before it is opened."""
        self._kernel.advance(t)
        self._marks[key] = self.copy(), self._forgotten + len(self._history)

    def replay(self, key: int, paths: Sequence[Paths], demand: Demand, t: float) -> NDArray[np.float64]:
        """What the call named `key` would have lived through on other paths, from its mark up to now.

        All else happens again as it did: the same background packets, other calls on the paths they took. The call
        itself sends at its full rate, whether it has adapted or not.

        Args:
            key: Of the call; its mark is forgotten.
            paths: P single paths.
            demand: What each direction carries.
            t: Now.

        Returns:
            (P, 3) as `look`.
        """
        then, first = self._marks.pop(key)
        others = list(_of_others(self._history[first - self._forgotten :], key))
        self._forget()
        lived = [then.copy()._relive(path, demand, key, others, t) for path in paths]  # noqa: SLF001 - its own kind
        return np.array(lived).reshape(-1, 3)

    def _relive(
        self, paths: Paths, demand: Demand, key: int, others: Sequence[tuple[Any, ...]], t: float
    ) -> tuple[float, float, float]:
        self.open(GHOST, paths, demand, key=key, t=self._kernel.now)
        for kind, *what in others:
            if kind == "open":
                number, path, carried, name, at = what
                self.open(number, path, carried, key=name, t=at)
            else:
                getattr(self, kind)(*what)
        return self.close(GHOST, t)

    def _note(self, *what: Any) -> None:
        """Writes down what happens while somebody will want it again."""
        if self._marks:
            self._history.append(what)

    def _forget(self) -> None:
        """Drops what happened before the oldest mark."""
        noted = self._forgotten + len(self._history)
        first = min((first for _, first in self._marks.values()), default=noted)
        del self._history[: first - self._forgotten]
        self._forgotten = first

    # --- how ----------------------------------------------------------------------------------------------------------

    def _look(self, number: int, t: float) -> tuple[float, float, float]:
        call = self._calls[number]
        before, after = call.seen, (self._tally(call.flows[0]), self._tally(call.flows[1]))
        there, back = (_between(*pair) for pair in zip(before, after, strict=True))
        lost = max(after[0].loss, after[1].loss) * (t - call.since)
        gained, seconds = lost - call.lost, t - call.looked
        call.seen, call.looked, call.lost = after, t, lost
        loss = gained / seconds if seconds > 0.0 else math.nan
        return there[0] + back[0], math.sqrt(max(there[1], back[1])), loss

    def _tally(self, flow: int) -> Tally:
        counted = self._kernel.flow_counters(flow)
        return Tally(counted.delivered, counted.dropped + counted.lost, counted.delay_sum, counted.delay_squares)

    def _route(self, paths: Paths, way: int) -> list[int]:
        """Resources of one direction in the order of the way; a relay forwards what has come down to it."""
        r = self._resources
        crossed: list[int] = paths.resource[paths.way == way].tolist()
        route = [resource for resource in crossed if resource < r.relay]
        inner = set(paths.nodes[1:-1].tolist())
        forwards = [
            r.relay + at - r.down if r.down <= at < r.transit_up and at - r.down in inner else -1 for at in route
        ]
        return [one for pair in zip(route, forwards, strict=True) for one in pair if one >= 0]

    def _use(self, resource: int) -> None:
        """One more call crosses a resource."""
        self._users[resource] = self._users.get(resource, 0) + 1
        if resource not in self._links:
            self._links[resource] = self._kernel.add_link(link_of(self._resources, resource, self._drop))
            self._bursts[resource] = self._kernel.open(self._background_flow(resource))
        elif self._users[resource] == 1:
            self._kernel.set_rate(self._bursts[resource], self._bursts_per_second(resource))

    def _background_flow(self, resource: int) -> PacketFlow:
        return PacketFlow(
            route=(self._links[resource],),
            arrivals=Arrivals(rate=self._bursts_per_second(resource)),
            sizes=Sizes(kind="exponential", mean=_burst(self._resources, resource) / BITS),
            start=self._kernel.now,
            key=resource,
        )

    def _bursts_per_second(self, resource: int) -> float:
        """As many as make up the background; the link loses some before they load it."""
        r = self._resources
        return float(self._background[resource] / r.service[resource] / max(1.0 - r.loss[resource], 1e-3))


def link_of(resources: Resources, resource: int, drop: NDArray[np.float64]) -> PacketLink:
    """A resource as the packet engine runs it.

    Args:
        resources: All of them.
        resource: Which.
        drop: (N,) share of packets that nodes drop when they relay.
    """
    r, queue = resources, Queue(limit_seconds=float(resources.buffer[resource]))
    if resource >= r.relay:
        lost = float(drop[resource - r.relay])
        return PacketLink(rate_bps=FAST, redraw=float(r.service[resource]), queue=queue, loss=_loss(lost), key=resource)
    jitter = float(r.jitter[resource])
    return PacketLink(
        rate_bps=float(r.capacity[resource]),
        propagation=max(float(r.delay[resource]) - jitter, 0.0),
        queue=queue,
        loss=_loss(float(r.loss[resource])),
        jitter=Jitter(kind="exponential", scale=jitter, reorders=True) if jitter else Jitter(),
        key=resource,
    )


def _loss(probability: float) -> Loss:
    return Loss(kind="bernoulli", probability=probability) if probability else Loss()


def _burst(resources: Resources, resource: int) -> float:
    """Mean bits of a burst."""
    return ACCESS_BURST if resources.up <= resource < resources.transit_up else EDGE_BURST


def _between(before: Tally, after: Tally) -> tuple[float, float]:
    """Mean and variance of the delay of what came through between two looks."""
    delivered = after.delivered - before.delivered
    if delivered < 1:
        return math.nan, math.nan
    mean = (after.delay - before.delay) / delivered
    return mean, max((after.squares - before.squares) / delivered - mean**2, 0.0)


def _of_others(history: Sequence[tuple[Any, ...]], key: int) -> Iterator[tuple[Any, ...]]:
    """What happened but for the call named `key`."""
    mine: set[int] = set()
    for kind, *what in history:
        if kind == "open" and what[3] == key:
            mine.add(what[0])
        elif kind == "drift" or what[0] not in mine:
            yield (kind, *what)
        elif kind == "close":
            mine.discard(what[0])
