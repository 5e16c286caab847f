"""Progressive filling, compiled: for all flows at once, and again only for those that a change reaches.

Rates are weighted max-min fair when every flow gets its demand or crosses a bottleneck: a full link on which no flow
has a higher level, rate over weight (Bertsekas and Gallager, "Data Networks", 1992, section 6.5). Progressive filling
raises all levels together and freezes flows at full links and met demands; links wait in a heap by the level at which
they would be full, which only rises as flows freeze elsewhere.

After a change only the flows on changed links are filled anew, the others held. Held flows on links that this touched,
and those that take more than a filled flow gets on its full link, are asked for the condition above; who fails it
joins, and the filling is done again. When none fails, the rates are the fair ones of the whole network, since these
are unique.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

F = TypeVar("F", bound="Callable[..., object]")

NONE = -1
NEARLY = 1e-9
"""Relative room for rounding when a link is called full, or two levels equal."""


def jit(function: F) -> F:
    """`function`, compiled; kept on disk, and made anew when this file changes."""
    return cast("F", numba.njit(cache=True)(function))


class Sharing(NamedTuple):
    """F flows over E links, and the rates they have; arrays only.

    Attributes:
        indptr: (F + 1,) int64 into `route`.
        route: (slots,) int64 links of all flows, one after the other.
        capacity: (E,) float64.
        demand: (F,) float64 highest rate, infinite where elastic.
        weight: (F,) float64.
        rate: (F,) float64 rates now.
        active: (F,) bool which flows take part.
        owner: (slots,) int64 flow of each slot.
        head: (E,) int64 first slot of a link's flows.
        after: (slots,) int64 next slot of the same link.
        before: (slots,) int64 slot before.
        top: (E,) float64 highest level on a link.
        full: (E,) bool whether a link is full.
        chosen: (F,) int64 stamp of the filling that a flow takes part in.
        settled: (F,) int64 stamp of the filling that has frozen it.
        members: (F,) int64 flows of the filling.
        touched: (E,) int64 stamp of the filling that a link takes part in.
        links: (E,) int64 links of the filling.
        spare: (E,) float64 what frozen flows leave of a link.
        waiting: (E,) float64 weight of the flows not frozen yet.
        unfrozen: (E,) int64 number of them.
        levels: (E + F + 1,) float64 heap of levels.
        items: (E + F + 1,) int64 links of the heap, or flows as -2 - flow where demands are met.
        clock: (1,) int64 last stamp.
    """

    indptr: NDArray[np.int64]
    route: NDArray[np.int64]
    capacity: NDArray[np.float64]
    demand: NDArray[np.float64]
    weight: NDArray[np.float64]
    rate: NDArray[np.float64]
    active: NDArray[np.bool_]
    owner: NDArray[np.int64]
    head: NDArray[np.int64]
    after: NDArray[np.int64]
    before: NDArray[np.int64]
    top: NDArray[np.float64]
    full: NDArray[np.bool_]
    chosen: NDArray[np.int64]
    settled: NDArray[np.int64]
    members: NDArray[np.int64]
    touched: NDArray[np.int64]
    links: NDArray[np.int64]
    spare: NDArray[np.float64]
    waiting: NDArray[np.float64]
    unfrozen: NDArray[np.int64]
    levels: NDArray[np.float64]
    items: NDArray[np.int64]
    clock: NDArray[np.int64]


def sharing(
    indptr: NDArray[np.int64],
    route: NDArray[np.int64],
    capacity: NDArray[np.float64],
    demand: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> Sharing:
    """A network whose flows have not joined yet; arrays as in `Sharing`."""
    flows, slots, links = len(indptr) - 1, len(route), len(capacity)
    return Sharing(
        indptr=indptr,
        route=route,
        capacity=capacity,
        demand=demand,
        weight=weight,
        rate=np.zeros(flows),
        active=np.zeros(flows, dtype=np.bool_),
        owner=np.repeat(np.arange(flows), np.diff(indptr)),
        head=np.full(links, NONE),
        after=np.full(slots, NONE),
        before=np.full(slots, NONE),
        top=np.zeros(links),
        full=capacity <= 0.0,
        chosen=np.zeros(flows, dtype=np.int64),
        settled=np.zeros(flows, dtype=np.int64),
        members=np.zeros(flows, dtype=np.int64),
        touched=np.zeros(links, dtype=np.int64),
        links=np.zeros(links, dtype=np.int64),
        spare=np.zeros(links),
        waiting=np.zeros(links),
        unfrozen=np.zeros(links, dtype=np.int64),
        levels=np.zeros(links + flows + 1),
        items=np.zeros(links + flows + 1, dtype=np.int64),
        clock=np.zeros(1, dtype=np.int64),
    )


@jit
def join(net: Sharing, flow: int) -> None:
    """Puts a flow on its links, with no rate yet."""
    net.active[flow] = True
    net.rate[flow] = 0.0
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        first = net.head[net.route[slot]]
        net.after[slot], net.before[slot] = first, NONE
        if first != NONE:
            net.before[first] = slot
        net.head[net.route[slot]] = slot


@jit
def leave(net: Sharing, flow: int) -> None:
    """Takes a flow off its links."""
    net.active[flow] = False
    net.rate[flow] = 0.0
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        after, before = net.after[slot], net.before[slot]
        if before == NONE:
            net.head[net.route[slot]] = after
        else:
            net.after[before] = after
        if after != NONE:
            net.before[after] = before


@jit
def _push(net: Sharing, size: int, level: float, item: int) -> int:
    hole = size
    while hole > 0 and net.levels[(hole - 1) >> 1] > level:
        net.levels[hole], net.items[hole] = net.levels[(hole - 1) >> 1], net.items[(hole - 1) >> 1]
        hole = (hole - 1) >> 1
    net.levels[hole], net.items[hole] = level, item
    return size + 1


@jit
def _sink(net: Sharing, size: int, level: float, item: int) -> None:
    """Puts an entry in the place of the first."""
    hole = 0
    while 2 * hole + 1 < size:
        child = 2 * hole + 1
        if child + 1 < size and net.levels[child + 1] < net.levels[child]:
            child += 1
        if net.levels[child] >= level:
            break
        net.levels[hole], net.items[hole] = net.levels[child], net.items[child]
        hole = child
    net.levels[hole], net.items[hole] = level, item


@jit
def choose(net: Sharing, flow: int, size: int) -> int:
    """Adds a flow to the next filling of `size` flows, if it is not in; the new size."""
    stamp = net.clock[0] + 1
    if net.chosen[flow] == stamp:
        return size
    net.chosen[flow] = stamp
    net.members[size] = flow
    return size + 1


@jit
def choose_around(net: Sharing, flow: int, size: int) -> int:
    """Adds all flows that share a link with `flow`."""
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        near = net.head[net.route[slot]]
        while near != NONE:
            size = choose(net, net.owner[near], size)
            near = net.after[near]
    return size


@jit
def _open(net: Sharing, size: int, stamp: int) -> int:
    """Gathers the links of the chosen flows, and what held flows leave of them; the number of links."""
    links = 0
    for number in range(size):
        flow = net.members[number]
        for slot in range(net.indptr[flow], net.indptr[flow + 1]):
            link = net.route[slot]
            if net.touched[link] != stamp:
                net.touched[link] = stamp
                net.links[links] = link
                links += 1
    for number in range(links):
        link = net.links[number]
        spare, waiting, count = net.capacity[link], 0.0, 0
        slot = net.head[link]
        while slot != NONE:
            flow = net.owner[slot]
            if net.chosen[flow] == stamp:
                waiting += net.weight[flow]
                count += 1
            else:
                spare -= net.rate[flow]
            slot = net.after[slot]
        net.spare[link], net.waiting[link], net.unfrozen[link] = max(spare, 0.0), waiting, count
    return links


@jit
def _freeze(net: Sharing, flow: int, rate: float, stamp: int) -> None:
    net.settled[flow] = stamp
    net.rate[flow] = rate
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        link = net.route[slot]
        net.spare[link] = max(net.spare[link] - rate, 0.0)
        net.waiting[link] -= net.weight[flow]
        net.unfrozen[link] -= 1


@jit
def _freeze_link(net: Sharing, link: int, level: float, stamp: int) -> None:
    slot = net.head[link]
    while slot != NONE:
        flow = net.owner[slot]
        if net.chosen[flow] == stamp and net.settled[flow] != stamp:
            _freeze(net, flow, level * net.weight[flow], stamp)
        slot = net.after[slot]


@jit
def _fill(net: Sharing, size: int, links: int, stamp: int) -> None:
    """Progressive filling of the chosen flows."""
    heap = 0
    for number in range(links):
        link = net.links[number]
        heap = _push(net, heap, net.spare[link] / net.waiting[link], link)
    for number in range(size):
        flow = net.members[number]
        if net.demand[flow] < math.inf:
            heap = _push(net, heap, net.demand[flow] / net.weight[flow], -2 - flow)
    while heap > 0:
        level, item = net.levels[0], net.items[0]
        if item >= 0 and net.unfrozen[item] > 0:
            now = net.spare[item] / net.waiting[item]
            if now > level * (1.0 + 1e-15):
                _sink(net, heap, now, item)
                continue
            _freeze_link(net, item, level, stamp)
        elif item < 0 and net.settled[-2 - item] != stamp:
            _freeze(net, -2 - item, net.demand[-2 - item], stamp)
        heap -= 1
        _sink(net, heap, net.levels[heap], net.items[heap])


@jit
def _weigh(net: Sharing, links: int) -> None:
    """Tells of the touched links what is the highest level on them, and whether they are full."""
    for number in range(links):
        link = net.links[number]
        used, top = 0.0, 0.0
        slot = net.head[link]
        while slot != NONE:
            flow = net.owner[slot]
            used += net.rate[flow]
            top = max(top, net.rate[flow] / net.weight[flow])
            slot = net.after[slot]
        net.top[link] = top
        net.full[link] = used >= net.capacity[link] * (1.0 - NEARLY)


@jit
def _content(net: Sharing, flow: int) -> bool:
    """Whether a flow gets what it asks or has a bottleneck."""
    if net.rate[flow] >= net.demand[flow]:
        return True
    level = net.rate[flow] / net.weight[flow]
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        link = net.route[slot]
        if net.full[link] and level >= net.top[link] * (1.0 - NEARLY):
            return True
    return False


@jit
def _greedier(net: Sharing, flow: int, size: int) -> int:
    """Adds the flows that have more than `flow` on its full links."""
    level = net.rate[flow] / net.weight[flow]
    for slot in range(net.indptr[flow], net.indptr[flow + 1]):
        link = net.route[slot]
        if net.full[link]:
            near = net.head[link]
            while near != NONE:
                other = net.owner[near]
                if net.rate[other] / net.weight[other] > level:
                    size = choose(net, other, size)
                near = net.after[near]
    return size


@jit
def share(net: Sharing, size: int) -> int:
    """Fills the `size` flows that have been chosen, and all that this reaches; how many there were in the end.

    They are the first of `members`; the rates of all other flows stay as they are.
    """
    while True:
        net.clock[0] += 1
        stamp = net.clock[0]
        links = _open(net, size, stamp)
        _fill(net, size, links, stamp)
        _weigh(net, links)
        for number in range(size):  # those filled take part in what may come
            net.chosen[net.members[number]] = stamp + 1
        more = size
        for number in range(size):
            if not _content(net, net.members[number]):
                more = _greedier(net, net.members[number], more)
        for number in range(links):
            slot = net.head[net.links[number]]
            while slot != NONE:
                flow = net.owner[slot]
                if net.chosen[flow] != stamp + 1 and not _content(net, flow):
                    more = choose(net, flow, more)
                slot = net.after[slot]
        if more == size:
            net.clock[0] += 1  # the choice of this filling is over
            return size
        size = more


@jit
def share_all(net: Sharing) -> None:
    """Lets every flow join; those that cross no link get their demand."""
    size = 0
    for flow in range(len(net.rate)):
        if net.indptr[flow] == net.indptr[flow + 1]:
            net.rate[flow] = net.demand[flow]
        else:
            join(net, flow)
            size = choose(net, flow, size)
    share(net, size)


class Agenda(NamedTuple):
    """When each transfer would end at its present rate.

    Attributes:
        due: (F,) float64 seconds.
        place: (F,) int64 where a transfer stands in `queue`, -1 if it does not.
        queue: (F,) int64 heap of transfers by `due`.
        left: (F,) float64 work left when last looked at.
        seen: (F,) float64 when that was.
        pace: (F,) float64 rate since.
    """

    due: NDArray[np.float64]
    place: NDArray[np.int64]
    queue: NDArray[np.int64]
    left: NDArray[np.float64]
    seen: NDArray[np.float64]
    pace: NDArray[np.float64]


@jit
def _set(agenda: Agenda, hole: int, flow: int) -> None:
    agenda.queue[hole] = flow
    agenda.place[flow] = hole


@jit
def _move(agenda: Agenda, size: int, flow: int) -> None:
    """Puts a transfer whose `due` has changed where it belongs."""
    hole, due = agenda.place[flow], agenda.due[flow]
    while hole > 0 and agenda.due[agenda.queue[(hole - 1) >> 1]] > due:
        _set(agenda, hole, agenda.queue[(hole - 1) >> 1])
        hole = (hole - 1) >> 1
    while 2 * hole + 1 < size:
        child = 2 * hole + 1
        if child + 1 < size and agenda.due[agenda.queue[child + 1]] < agenda.due[agenda.queue[child]]:
            child += 1
        if agenda.due[agenda.queue[child]] >= due:
            break
        _set(agenda, hole, agenda.queue[child])
        hole = child
    _set(agenda, hole, flow)


@jit
def _reckon(net: Sharing, agenda: Agenda, size: int, count: int, now: float) -> None:
    """Foresees anew the ends of the `count` transfers just filled."""
    for number in range(count):
        flow = net.members[number]
        rate = net.rate[flow]
        if rate != agenda.pace[flow]:
            agenda.left[flow] = max(agenda.left[flow] - agenda.pace[flow] * (now - agenda.seen[flow]), 0.0)
            agenda.seen[flow], agenda.pace[flow] = now, rate
            agenda.due[flow] = now + agenda.left[flow] / rate if rate > 0.0 else math.inf
            _move(agenda, size, flow)


@jit
def transfer(
    net: Sharing, agenda: Agenda, order: NDArray[np.int64], arrivals: NDArray[np.float64], ends: NDArray[np.float64]
) -> int:
    """Runs all transfers to their ends; how many rates were worked out."""
    size, coming, worked = 0, 0, 0
    while True:
        now = agenda.due[agenda.queue[0]] if size > 0 else math.inf
        if coming < len(order) and arrivals[order[coming]] <= now:
            flow, now = order[coming], arrivals[order[coming]]
            coming += 1
            join(net, flow)
            agenda.seen[flow], agenda.due[flow] = now, math.inf
            _set(agenda, size, flow)
            size += 1
            chosen = choose(net, flow, 0)
        elif now < math.inf:
            flow = agenda.queue[0]
            ends[flow] = now
            size -= 1
            last = agenda.queue[size]
            if last != flow:
                _set(agenda, 0, last)
                _move(agenda, size, last)
            leave(net, flow)
            chosen = 0
        else:
            return worked
        chosen = choose_around(net, flow, chosen)
        if chosen > 0:
            chosen = share(net, chosen)
            _reckon(net, agenda, size, chosen, now)
            worked += chosen
