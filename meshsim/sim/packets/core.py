"""The run: a network's links and flows on SimPy's clock, and the results read off it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.environment import LATE, Environment, Record
from meshsim.sim.kernel.network import PacketLink, Results, check_measuring
from meshsim.sim.packets.channel import Channel
from meshsim.sim.packets.packet import FlowTally, Log, Origin, Packet, flow_results
from meshsim.sim.packets.passing import Passing, Plain
from meshsim.sim.packets.road import ARRIVE, SERVED, Road
from meshsim.sim.packets.serving import Serving
from meshsim.sim.packets.sources import Departures, sizes_of
from meshsim.sim.packets.tally import LinkCount, link_results

if TYPE_CHECKING:
    from meshsim.sim.kernel.network import Network, PacketFlow
    from meshsim.sim.packets.packet import Place

SET_OUT = "packet.set_out"
"""Kind of records: a flow's next packet sets out."""


def run_core(network: Network, *, seed: int = 1, until: float, measure_from: float = 0.0, log: bool = False) -> Results:
    """Runs a network from time 0 in plain Python.

    Args:
        network: Links and flows.
        seed: Root of all draws.
        until: Seconds; what happens at this instant is left. Infinite runs until nothing happens any more.
        measure_from: Packets that set out before, and what links did before, do not count; seconds.
        log: Whether to keep every packet.

    Raises:
        ConfigError: If `until` is infinite and a flow never ends, or `measure_from` is negative.

    >>> from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink
    >>> link = PacketLink(rate_bps=1e6, propagation=0.02)
    >>> flow = PacketFlow(route=(0,), arrivals=Arrivals(kind="times", times=(0.0, 0.0)))
    >>> float(run_core(Network(links=(link,), flows=(flow,)), until=1.0).flows.delay_mean[0])
    0.035
    """
    core = Core(network, seed=seed, measure_from=measure_from, log=log)
    return core.run(until)


class Flow:
    """One flow under way.

    Args:
        index: Of the flow.
        flow: What is declared.
        route: What its packets cross: links, then their destination.
        seeds: Root of the draws.

    Attributes:
        first: When its first packet sets out, seconds; infinite for never.
        record: That its next packet sets out.
    """

    def __init__(self, index: int, flow: PacketFlow, route: tuple[Place, ...], seeds: SeedTree) -> None:
        key = _key(flow.key, index)
        self._origin = Origin(index, flow.klass, key, route)
        self._departures = Departures(flow, key, seeds)
        self._size = sizes_of(flow.sizes, key, seeds)
        self._number = 0
        self.first = self._departures.following(0, flow.start)
        self.record = Record(SET_OUT, index, None)

    def next_packet(self, now: float) -> tuple[Packet, float]:
        """The packet that sets out now, and when the one after it does."""
        number = self._number
        self._number = number + 1
        return Packet(self._origin, number, self._size(number), now), self._departures.following(number + 1, now)


class Core:
    """A network on the clock.

    Args:
        network: Links and flows.
        seed: Root of all draws.
        measure_from: Seconds.
        log: Whether to keep every packet.
    """

    def __init__(self, network: Network, *, seed: int, measure_from: float, log: bool) -> None:
        check_measuring(measure_from)
        seeds = SeedTree(seed)
        self._network, self._measure_from, self._hops = network, measure_from, 0
        self._env = Environment()
        tallies = [FlowTally() for _ in network.flows]
        self._road = Road(self._env, tallies, measure_from, Log() if log else None)
        self._links = [_place(index, link, seeds, self._road) for index, link in enumerate(network.links)]
        self._flows = [
            Flow(index, flow, (*(self._links[link] for link in flow.route), self._road), seeds)
            for index, flow in enumerate(network.flows)
        ]
        self._env.on(ARRIVE, self._arrive)
        self._env.on(SERVED, self._serve_next)
        self._env.on(SET_OUT, self._set_out)
        for index, flow in enumerate(self._flows):
            self._schedule(index, flow.first)

    def run(self, until: float) -> Results:
        """Runs until `until` (seconds) and reads off what was measured."""
        if until == math.inf:
            self._require_an_end()
        begin = self._advance(min(self._measure_from, until))
        end = self._advance(until)
        servers = [link.servers for link in self._network.links]
        return Results(
            flows=flow_results(self._road.flows),
            links=link_results(begin, end, servers, self._env.now - self._measure_from),
            in_flight=self._road.in_flight,
            hops=self._hops,
            log=None if self._road.log is None else self._road.log.columns(),
        )

    def _advance(self, until: float) -> list[LinkCount]:
        """Takes the events before `until`, which may be infinite; what links did by then."""
        if until > self._env.now:
            self._env.run(until=until if until < math.inf else None)
        now = self._env.now
        standing: dict[Place, list[Packet]] = {link: [] for link in self._links}
        for *_, record in self._env.records():
            packet = record.arg
            if record.kind == ARRIVE and packet.left >= now:
                standing[packet.route[packet.hop - 1]].append(packet)
        return [link.count(now, standing[link]) for link in self._links]

    def _require_an_end(self) -> None:
        for index, (flow, declared) in enumerate(zip(self._flows, self._network.flows, strict=True)):
            if flow.first < math.inf and declared.stop == math.inf and declared.arrivals.kind != "times":
                raise ConfigError(f"flow {index} never ends, and so would the run", key="until")

    def _schedule(self, index: int, at: float) -> None:
        """Flows set out after all else that happens at an instant, in order of their indices."""
        if at < math.inf:
            self._env.push(at, self._flows[index].record, LATE + index)

    def _set_out(self, index: int, _arg: None) -> None:
        now = self._env.now
        packet, following = self._flows[index].next_packet(now)
        self._schedule(index, following)
        self._road.set_out(packet)
        packet.route[0].offer(packet, now)

    def _arrive(self, _flow: int, packet: Packet) -> None:
        self._hops += 1
        packet.route[packet.hop].offer(packet, self._env._now)  # noqa: SLF001 - of our own clock, a twentieth of a hop faster

    def _serve_next(self, index: int, packet: Packet) -> None:
        link = self._links[index]
        if isinstance(link, Serving):
            link.serve_next(packet, self._env.now)


def _key(declared: int, index: int) -> int:
    """What names streams of draws."""
    return declared if declared >= 0 else index


def _place(index: int, link: PacketLink, seeds: SeedTree, road: Road) -> Plain | Passing | Serving:
    """The simplest link that does what is declared."""
    key = _key(link.key, index)
    if link.servers > 1 or link.queue.kind not in ("fifo", "red"):
        return Serving(index, link, Channel(link, key, seeds), road)
    if _is_plain(link):
        return Plain(link, road.env.push)
    return Passing(link, Channel(link, key, seeds), key, seeds, road)


def _is_plain(link: PacketLink) -> bool:
    """Whether a link does nothing but send at a constant rate and carry."""
    bare = PacketLink(rate_bps=link.rate_bps, propagation=link.propagation, key=link.key)
    return link == bare
