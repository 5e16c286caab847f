"""A bare event loop over flat arrays, compiled by numba: a binary heap of packets, nothing measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from workload import PROPAGATION, SERVICE, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Heap = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]

njit = numba.njit(cache=True)


@njit
def pop(times: NDArray[np.float64], order: NDArray[np.int64], packets: NDArray[np.int64], size: int) -> None:
    """Takes the first of `size` entries off the heap: the last one sinks from the top."""
    size -= 1
    time, number, packet = times[size], order[size], packets[size]
    hole = 0
    while True:
        child = 2 * hole + 1
        if child >= size:
            break
        right = child + 1
        if right < size and (
            times[right] < times[child] or (times[right] == times[child] and order[right] < order[child])
        ):
            child = right
        if times[child] > time or (times[child] == time and order[child] > number):
            break
        times[hole], order[hole], packets[hole] = times[child], order[child], packets[child]
        hole = child
    times[hole], order[hole], packets[hole] = time, number, packet


@njit
def push(
    times: NDArray[np.float64],
    order: NDArray[np.int64],
    packets: NDArray[np.int64],
    size: int,
    time: float,
    number: int,
    packet: int,
) -> None:
    """Adds an entry to a heap of `size`: it rises from the bottom. Its number is higher than any other."""
    hole = size
    while hole > 0:
        parent = (hole - 1) // 2
        if times[parent] <= time:
            break
        times[hole], order[hole], packets[hole] = times[parent], order[parent], packets[parent]
        hole = parent
    times[hole], order[hole], packets[hole] = time, number, packet


@njit
def grown(array: NDArray[np.int64]) -> NDArray[np.int64]:
    """A copy with twice the room."""
    larger = np.empty(2 * len(array), array.dtype)
    larger[: len(array)] = array
    return larger


@njit
def run(
    starts: NDArray[np.float64],
    flows: NDArray[np.int64],
    first: NDArray[np.int64],
    route: NDArray[np.int64],
    links: int,
    service: float,
    propagation: float,
) -> tuple[int, float]:
    """Packets delivered and the sum of their delays, seconds.

    Args:
        starts: (P,) instants, ascending.
        flows: (P,) flows.
        first: (F + 1,) where each flow's links begin in `route`.
        route: Links of all flows.
        links: How many links there are.
        service: Seconds that a link sends a packet for.
        propagation: Seconds.
    """
    times, order, packets = np.empty(1024), np.empty(1024, np.int64), np.empty(1024, np.int64)
    free, hops = np.zeros(links), np.zeros(len(starts), np.int32)
    size = begun = number = delivered = 0
    total = 0.0
    while size > 0 or begun < len(starts):
        if size > 0 and (begun >= len(starts) or times[0] <= starts[begun]):
            now, packet = times[0], packets[0]
            pop(times, order, packets, size)
            size -= 1
        else:
            now, packet = starts[begun], begun
            begun += 1
        flow = flows[packet]
        at = first[flow] + hops[packet]
        if at == first[flow + 1]:
            delivered += 1
            total += now - starts[packet]
            continue
        hops[packet] += 1
        link = route[at]
        free[link] = max(free[link], now) + service
        if size == len(times):
            times, order, packets = grown(times), grown(order), grown(packets)
        number += 1
        push(times, order, packets, size, free[link] + propagation, number, packet)
        size += 1
    return delivered, total


def prepare(workload: Workload) -> tuple[Callable[[], object], Callable[[], tuple[int, float]]]:
    """The run to time, and afterwards the packets delivered with the sum of their delays in seconds."""
    starts, flows = workload.merged()
    first = np.cumsum([0, *(len(route) for route in workload.routes)])
    route = np.concatenate([np.asarray(each, np.int64) for each in workload.routes])
    run(starts[:1], flows[:1], first, route, workload.links, SERVICE, PROPAGATION)  # compiles
    done: list[tuple[int, float]] = []
    return (
        lambda: done.append(run(starts, flows, first, route, workload.links, SERVICE, PROPAGATION)),
        lambda: done[-1],
    )
