"""Plain heapq: a link is the time at which it will be free, a packet-hop is one entry of the heap."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from workload import PROPAGATION, SERVICE, Workload

if TYPE_CHECKING:
    from collections.abc import Callable


def prepare(workload: Workload) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    """The run to time, and afterwards the packets delivered with the sum of their delays in seconds."""
    times, flows = (array.tolist() for array in workload.merged())
    delays: list[float] = []
    return lambda: delays.extend(run(times, flows, workload.routes, workload.links)), lambda: (len(delays), sum(delays))


def run(times: list[float], flows: list[int], routes: list[list[int]], links: int) -> list[float]:
    """Delays of all packets in order of arrival, seconds."""
    free = [0.0] * links
    heap: list[tuple[float, int, int, int]] = []
    delays = []
    begun = number = 0
    following = times[0] if times else math.inf
    while heap or following < math.inf:
        if heap and heap[0][0] <= following:
            now, _, packet, hop = heappop(heap)
        else:
            now, packet, hop = following, begun, 0
            begun += 1
            following = times[begun] if begun < len(times) else math.inf
        route = routes[flows[packet]]
        if hop == len(route):
            delays.append(now - times[packet])
            continue
        link = route[hop]
        leaves = (free[link] if free[link] > now else now) + SERVICE  # noqa: FURB136 - a reference is not slowed by max()
        free[link] = leaves
        number += 1
        heappush(heap, (leaves + PROPAGATION, number, packet, hop + 1))
    return delays
