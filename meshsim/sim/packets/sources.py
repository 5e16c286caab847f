"""When a flow's packets set out, and how big they are."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from meshsim.links.delay import exponential
from meshsim.sim.packets.draws import Draws

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.mesh.seeds import SeedTree
    from meshsim.sim.kernel.network import PacketFlow, Sizes


class Departures:
    """When the packets of one flow set out.

    Args:
        flow: Whose packets.
        key: Names its streams of draws.
        seeds: Root of the draws.
    """

    def __init__(self, flow: PacketFlow, key: int, seeds: SeedTree) -> None:
        self._arrivals = flow.arrivals
        self._start, self._stop = flow.start, flow.stop
        self._gap, self._on, self._off = (Draws(seeds.stream(f"flow.{name}", key)) for name in ("gap", "on", "off"))
        self._gaps = 0
        self._period = -1
        self._period_end = -math.inf
        self._left = 0.0  # of a gap, steady on-off: on time until the next packet
        times = np.asarray(flow.arrivals.times, dtype=np.float64)
        self._times: list[float] = times[times >= flow.start].tolist()

    def following(self, number: int, now: float) -> float:
        """When packet `number` sets out, after one that set out at `now`; infinite for never.

        Args:
            number: Of the packet in its flow, from 0, one after the other.
            now: Seconds; the flow's start for packet 0.
        """
        at = self._following(number, now)
        return at if at < self._stop else math.inf

    def _following(self, number: int, now: float) -> float:
        arrivals = self._arrivals
        if arrivals.kind == "times":
            return self._times[number] if number < len(self._times) else math.inf
        if arrivals.rate == 0.0:
            return math.inf
        if arrivals.kind == "cbr":
            return (self._start + self._gap.at(0) / arrivals.rate) + number / arrivals.rate
        if arrivals.kind == "on_off":
            return self._within_periods(number, now)
        return now + self._next_gap()

    def _next_gap(self) -> float:
        self._gaps += 1
        return exponential(self._gap.at(self._gaps - 1), 1.0 / self._arrivals.rate, self._arrivals.cap)

    def _within_periods(self, number: int, now: float) -> float:
        if number == 0:
            self._left = self._gap.at(0) / self._arrivals.rate
            return self._begin_period(now)
        at = now + (self._left if self._arrivals.steady else self._next_gap())
        self._left = 1.0 / self._arrivals.rate if at < self._period_end else at - self._period_end
        if at < self._period_end:
            return at
        return self._begin_period(self._period_end + exponential(self._off.at(self._period), self._arrivals.off))

    def _begin_period(self, start: float) -> float:
        """An on period begins with a packet."""
        self._period += 1
        self._period_end = start + exponential(self._on.at(self._period), self._arrivals.on)
        return start


def sizes_of(sizes: Sizes, key: int, seeds: SeedTree) -> Callable[[int], float]:
    """The function that tells the bytes of packet n of a flow.

    Args:
        sizes: Of the flow.
        key: Names its stream of draws.
        seeds: Root of the draws.
    """
    draws = Draws(seeds.stream("flow.size", key))
    if sizes.kind == "each":
        return lambda n: float(sizes.values[n % len(sizes.values)])
    if sizes.kind == "exponential":
        return lambda n: exponential(draws.at(n), sizes.mean)
    if sizes.kind == "listed":
        bounds = list(itertools.accumulate(sizes.shares))[:-1]
        return lambda n: float(sizes.values[bisect_right(bounds, draws.at(n))])
    return lambda _n: float(sizes.mean)
