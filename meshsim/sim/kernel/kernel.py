"""The compiled packet engine, as Python sees it: build, advance, change, copy, read off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.sim.kernel.build import Additions, empty, longer, with_slots, without_void
from meshsim.sim.kernel.heap import SPARE
from meshsim.sim.kernel.loop import NO_ROOM, NO_SLOTS, advance, resume, set_off
from meshsim.sim.kernel.network import check_measuring
from meshsim.sim.kernel.results import LinkSums, link_sums, results
from meshsim.sim.kernel.state import ARRIVALS, SLOT_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.kernel.network import Network, PacketFlow, PacketLink, Results


class FlowCounters(NamedTuple):
    """What became of one flow's packets so far; only those that set out at or after `measure_from`.

    Attributes:
        sent, delivered, dropped, lost: Packets.
        delivered_bytes: Bytes.
        delay_sum: Of the delivered packets, seconds.
        delay_squares: Sum of the squares of the same.
        jitter: Interarrival jitter (RFC 3550, A.8), seconds.
    """

    sent: int
    delivered: int
    dropped: int
    lost: int
    delivered_bytes: float
    delay_sum: float
    delay_squares: float
    jitter: float


class Kernel:
    """A network that runs packet by packet. Its state is arrays: it can be pickled, and copied at any time.

    The time at which it is stopped changes nothing: any steps of `advance` give the same packets.

    Args:
        network: Links and flows.
        seed: Of all draws.
        measure_from: Packets that set out earlier, and what links did earlier, are not counted; seconds.
        log: Whether every packet that leaves is kept.

    Raises:
        ConfigError: If `measure_from` is negative.

    >>> from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink
    >>> link = PacketLink(rate_bps=1e6, propagation=0.02)
    >>> flow = PacketFlow(route=(0,), arrivals=Arrivals(kind="times", times=(0.0, 0.001)))
    >>> kernel = Kernel(Network(links=(link,), flows=(flow,)))
    >>> kernel.advance(1.0)
    >>> round(float(kernel.results().flows.delay_mean[0]), 6)
    0.0345
    """

    def __init__(self, network: Network, *, seed: int = 1, measure_from: float = 0.0, log: bool = False) -> None:
        check_measuring(measure_from)
        self._seed = seed
        self._now = 0.0
        self._state = empty(measure_from=measure_from, log=log)
        self._before: LinkSums | None = None
        self._add(network.links, network.flows)

    @property
    def now(self) -> float:
        """The instant up to which events have been taken, seconds."""
        return self._now

    def advance(self, until: float) -> None:
        """Take the events before `until`; an infinite `until` runs until nothing happens any more.

        Raises:
            ConfigError: If `until` is infinite and a flow never ends.
        """
        if until == math.inf:
            self._require_an_end()
        measure_from = float(self._state.run["measure_from"][0])
        if self._before is None and until > measure_from:
            self._run(measure_from)
            self._before = link_sums(self._state, measure_from)
        self._run(until)

    def _run(self, until: float) -> None:
        if not until > self._now:
            return
        while (reason := advance(self._state, until)) in (NO_SLOTS, NO_ROOM):
            self._grow(reason)
        self._now = until if until < math.inf else max(self._now, float(self._state.run["now"][0]))

    def _grow(self, reason: int) -> None:
        state = self._state
        if reason == NO_SLOTS:
            if len(state.packets) >= 2**SLOT_BITS:
                raise ConfigError(
                    f"more than {2**SLOT_BITS} packets are in the network at once: a queue without limit?"
                )
            self._state = with_slots(state, len(state.packets))
            return
        run = state.run[0]
        more = len(state.log) + 2 * len(state.packets)
        self._state = state._replace(log=longer(state.log, len(state.log), np.zeros(more, state.log.dtype)))
        run["room"] += more

    def _require_an_end(self) -> None:
        flows = self._state.flows[: self._state.run["flows"][0]]
        endless = (flows["next"] < math.inf) & (flows["stop"] == math.inf) & (flows["arrivals"] != ARRIVALS["times"])
        if endless.any():
            raise ConfigError(f"flow {int(np.argmax(endless))} never ends, and so would the run", key="until")

    def _add(self, links: Sequence[PacketLink], flows: Sequence[PacketFlow]) -> None:
        additions = Additions(self._state, self._seed)
        for link in links:
            additions.link(link)
        first = int(self._state.run["flows"][0])
        for flow in flows:
            additions.flow(flow, self._now)
        self._state = additions.state()
        set_off(self._state, first)

    def add_link(self, link: PacketLink) -> int:
        """Add a link while the network runs; its index."""
        self._add((link,), ())
        return int(self._state.run["links"][0]) - 1

    def open(self, flow: PacketFlow) -> int:
        """Add a flow that starts now, or at its own start if that is later; its index.

        Raises:
            ConfigError: If its route names a link that is not there.
        """
        links = int(self._state.run["links"][0])
        if not 0 <= min(flow.route) <= max(flow.route) < links:
            raise ConfigError(f"the flow crosses a link that is not there: {flow.route}", key="flows.route")
        self._add((), (flow,))
        return int(self._state.run["flows"][0]) - 1

    def close(self, flow: int) -> None:
        """Let flow `flow` send nothing more; what it sent travels on."""
        row = self._flow(flow)
        row["stop"], row["next"] = min(float(row["stop"]), self._now), math.inf

    def set_rate(self, flow: int, rate: float) -> None:
        """Let flow `flow` send `rate` packets per second from now on, or from its start if that is later.

        The gap that runs is stretched or shortened; that of an on-off flow is as it was.

        Raises:
            ConfigError: If the rate is negative or not finite, or the flow's packets are not drawn from a rate.
        """
        if not 0.0 <= rate < math.inf:
            raise ConfigError(f"{rate!r} is out of range", key="rate", allowed=["0 to any finite number"])
        if self._flow(flow)["arrivals"] == ARRIVALS["times"]:
            raise ConfigError(f"flow {flow} has instants, not a rate", key="flow")
        if self._state.run["outs"][0] >= len(self._state.outs) - SPARE:
            self._state = self._state._replace(outs=without_void(self._state))
        resume(self._state, flow, rate, self._now)

    def _flow(self, flow: int) -> Any:
        known = int(self._state.run["flows"][0])
        if not 0 <= flow < known:
            raise ConfigError(f"there is no flow {flow!r}", key="flow", allowed=[f"0 to {known - 1}"])
        return self._state.flows[flow]

    def flow_counters(self, flow: int) -> FlowCounters:
        """What became of the packets of flow `flow` so far."""
        row = self._flow(flow)
        sent, delivered, dropped, lost = (int(row[name]) for name in ("sent", "delivered", "dropped", "lost"))
        first, excess = float(row["delay_first"]), float(row["delay_sum"])
        delays = excess + delivered * first
        squares = float(row["delay_squares"]) + first * (2.0 * excess + delivered * first)
        carried = float(row["delivered_bytes"])
        return FlowCounters(sent, delivered, dropped, lost, carried, delays, squares, float(row["jitter"]))

    def results(self) -> Results:
        """What was measured up to now."""
        before = self._before
        if before is None:
            before = link_sums(self._state, self._now)
        return results(self._state, before, self._now)

    def copy(self) -> Kernel:
        """An independent kernel in the same state: what happens to one does not reach the other."""
        twin = Kernel.__new__(Kernel)
        twin._seed, twin._now, twin._before = self._seed, self._now, self._before  # noqa: SLF001 - its own kind
        twin._state = _copied(self._state)  # noqa: SLF001 - the same
        return twin


def _copied(state: Any) -> Any:
    """A named tuple of arrays, each copied."""
    return type(state)(*(part.copy() if isinstance(part, np.ndarray) else _copied(part) for part in state))


def run_network(
    network: Network,
    *,
    seed: int = 1,
    until: float,
    measure_from: float = 0.0,
    log: bool = False,
    quantum: float = math.inf,
) -> Results:
    """Run a network from the start up to `until`.

    Args:
        network: Links and flows.
        seed: Of all draws.
        until: Seconds; infinite runs until nothing happens any more.
        measure_from: Packets that set out earlier, and what links did earlier, are not counted; seconds.
        log: Whether every packet that left is kept.
        quantum: Seconds per visit to the compiled loop, which no signal interrupts; the results are the same.

    Raises:
        ConfigError: If `until` is infinite and a flow never ends, or `measure_from` is negative.
    """
    kernel = Kernel(network, seed=seed, measure_from=measure_from, log=log)
    while until - kernel.now > quantum and until < math.inf:
        kernel.advance(kernel.now + quantum)
    kernel.advance(until)
    return kernel.results()
