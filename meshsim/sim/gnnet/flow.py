"""Published samples by formula: every queue on its own, from the traffic asked for alone; no result is looked at.

Packets of a flow come as Poisson, in sizes that each queue's flows bring; a queue is M/G/1/K (`queues.mg1k`), and loses
what finds it full, which later queues are spared: a fixed point. On and off times are long beside waits, so that a
queue's load is, at any time, that of the flows that are on: waits are averaged over a normal load of that variance.

- SP: non-preemptive priority (Cobham), each class with the rate that the classes before it leave.
- WFQ without virtual clock (see `packet`) is priority too: the queue that asks for the least per weight lags for ever.
- DRR with long turns: the work that waits is shared like that of exhaustive polling, a queue's wait in proportion to
  one less its load (O. J. Boxma, B. Meister, Performance Evaluation 7, 1987); an overloaded queue has what the others
  leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.sim import queues
from meshsim.sim.gnnet.outcome import Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.measure.external.gnnet import Sample

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

MODELS = ("transmission", "mm1", "mg1", "flow")
"""Transmission alone; M/M/1 and M/G/1 per link, blind to classes and loss; and all that the module's text says."""

_ROUNDS, _SETTLED = 6, 1e-4
_NODES, _NORMAL = np.polynomial.hermite_e.hermegauss(7)
_MM1_MOST = 0.98
_LEAST_LEFT = 0.02
_ROUND = 1.0
_NO_WAIT = 1e-100


class Hops(NamedTuple):
    """The H hops of all flows, flow by flow, in order of travel; and the sizes met in the sample."""

    flow: Integers
    queue: Integers
    first: Integers
    """Hop at which its flow begins, (H,)."""
    bandwidth: Floats
    rate: Floats
    """Packets per second, (F,)."""
    swing: Floats
    """Variance of the rate of a flow between on and off, (F,)."""
    sizes: Floats
    """Bits, (D,)."""
    shares: Floats
    """(F, D)."""


class Ports(NamedTuple):
    """E ports of Q queues."""

    bandwidth: Floats
    policy: NDArray[np.str_]
    weights: Floats
    bits: Floats
    """Buffer of a queue; 0 where packets are counted."""
    packets: Integers


class Demand(NamedTuple):
    """What comes to each queue; (E, Q), the sizes' shares (E, Q, D)."""

    rate: Floats
    swing: Floats
    shares: Floats


def predict_sample(sample: Sample, model: str = "flow") -> Outcome:
    """Delay, its variance and loss of each flow, from the sample's graph, routing and traffic.

    Args:
        sample: As read; its results are not looked at.
        model: One of `MODELS`.

    Raises:
        ConfigError: If there is no such model.
    """
    if model not in MODELS:
        raise ConfigError(f"no model {model!r}", key="model", allowed=MODELS, nearest=nearest(model, MODELS))
    ports = ports_of(sample)
    hops = hops_of(sample, ports.weights.shape[1] if model == "flow" else 0)
    if model == "flow":
        return _outcome(hops, *settle(hops, ports))
    demand = demand_of(hops, np.ones(len(hops.flow)), len(ports.bandwidth), 1)
    return _outcome(hops, _simple(demand, hops.sizes, ports, model), np.ones(len(hops.flow)))


def ports_of(sample: Sample) -> Ports:
    """The output ports of a sample, one for each link."""
    routers = [sample.routers[source] for source, _ in sample.links]
    most = max(router.queues for router in routers)
    weights = np.full((len(routers), most), 1.0)
    for port, router in enumerate(routers):
        weights[port, : len(router.weights)] = router.weights
    return Ports(
        sample.bandwidth,
        np.array([router.policy for router in routers]),
        weights,
        np.array([router.buffer_bits for router in routers]),
        np.array([router.buffer_packets for router in routers], dtype=np.int64),
    )


def hops_of(sample: Sample, per_port: int) -> Hops:
    """Queues are numbered port by port, `per_port` each; 0 makes every port one queue."""
    flows = sample.flows
    length = np.array([len(flow.route) for flow in flows])
    link = np.concatenate([flow.route for flow in flows])
    sizes = sorted({size for flow in flows for size in flow.sizes})
    shares = np.zeros((len(flows), len(sizes)))
    for row, flow in zip(shares, flows, strict=True):
        np.add.at(row, np.searchsorted(sizes, flow.sizes), flow.shares)
    queue = link * max(per_port, 1)
    if per_port:
        tables = [router.queue_of_tos for router in sample.routers]
        tos = np.repeat([flow.tos for flow in flows], length)
        queue = queue + [tables[sample.links[one][0]][kind] for one, kind in zip(link, tos, strict=True)]
    return Hops(
        np.repeat(np.arange(len(flows)), length),
        queue,
        np.repeat(np.cumsum(length) - length, length),
        sample.bandwidth[link],
        np.array([flow.packet_rate for flow in flows]),
        np.array([flow.rate**2 * flow.on * flow.off / max((flow.on + flow.off) ** 2, 1e-300) for flow in flows]),
        np.array(sizes),
        shares,
    )


def demand_of(hops: Hops, reach: Floats, ports: int, per_port: int) -> Demand:
    """What comes to each queue when a share `reach` of each flow's packets comes to each of its hops."""
    count = ports * per_port
    rate = hops.rate[hops.flow] * reach
    by_size = [np.bincount(hops.queue, rate * hops.shares[hops.flow, size], count) for size in range(len(hops.sizes))]
    swing = np.asarray(np.bincount(hops.queue, hops.swing[hops.flow] * reach**2, count), dtype=np.float64)
    total = np.asarray(np.bincount(hops.queue, rate, count), dtype=np.float64)
    empty = np.where(total > 0.0, 0.0, 1.0 / len(hops.sizes))
    shares = np.stack(by_size, axis=1) / np.maximum(total, 1e-300)[:, np.newaxis] + empty[:, np.newaxis]
    shape = (ports, per_port)
    return Demand(total.reshape(shape), swing.reshape(shape), shares.reshape(*shape, -1))


def _outcome(hops: Hops, waiting: queues.Waiting, reach: Floats) -> Outcome:
    """Waits and transmissions along each flow's way; the size of a packet stays the same."""
    flows = len(hops.rate)
    wait, variance = (np.bincount(hops.flow, array[hops.queue], flows) for array in waiting[:2])
    per_bit = np.bincount(hops.flow, 1.0 / hops.bandwidth, flows)
    mean, square = hops.shares @ hops.sizes, hops.shares @ hops.sizes**2
    last = np.append(np.flatnonzero(np.diff(hops.flow)), len(hops.flow) - 1)
    arrive = reach[last] * (1.0 - waiting.blocking[hops.queue[last]])
    return Outcome(mean * per_bit + wait, variance + (square - mean**2) * per_bit**2, 1.0 - arrive)


def _simple(demand: Demand, sizes: Floats, ports: Ports, model: str) -> queues.Waiting:
    """M/M/1 or M/G/1 at every link, one queue for all; the wait of M/G/1 is at most what the buffer takes to drain."""
    mean, square = demand.shares[:, 0] @ sizes, demand.shares[:, 0] @ sizes**2
    load = demand.rate[:, 0] * mean / ports.bandwidth
    nothing = np.zeros(len(load))
    if model == "transmission":
        return queues.Waiting(nothing, nothing, nothing)
    if model == "mm1":
        wait = queues.mg1_wait(load, mean / ports.bandwidth, _MM1_MOST)
        return queues.Waiting(wait, wait * (2.0 * mean / ports.bandwidth + wait), nothing)
    drained = np.where(ports.bits > 0.0, ports.bits, ports.packets * mean) / ports.bandwidth
    wait = np.minimum(queues.mg1_wait(load, square / (2.0 * mean) / ports.bandwidth), drained)
    return queues.Waiting(wait, wait**2, nothing)


def settle(hops: Hops, ports: Ports) -> tuple[queues.Waiting, NDArray[np.float64]]:
    """Waits and losses by each other: what is lost at one queue does not come to the next.

    Returns:
        What each queue's packets meet, (E Q,), and the share of its flow's packets that comes to each hop, (H,).
    """
    reach = np.ones(len(hops.flow))
    waiting = _served(demand_of(hops, reach, *ports.weights.shape), hops.sizes, ports)
    for _ in range(_ROUNDS):
        passed = np.cumsum(np.log1p(-np.minimum(waiting.blocking[hops.queue], 1.0 - 1e-12)))
        before = np.append(0.0, passed[:-1])
        last, reach = reach, np.exp(before - before[hops.first])
        if np.abs(reach - last).max() < _SETTLED:
            break
        waiting = _served(demand_of(hops, reach, *ports.weights.shape), hops.sizes, ports)
    return waiting, reach


def _served(demand: Demand, sizes: Floats, ports: Ports) -> queues.Waiting:
    """All queues, (E Q,), averaged over how many on-off flows are on."""
    mean = demand.shares @ sizes
    load, spread = (
        demand.rate * mean / ports.bandwidth[:, np.newaxis],
        demand.swing * (mean / ports.bandwidth[:, None]) ** 2,
    )
    rank = ranks(load, ports)
    results = queues.Waiting(*(np.zeros(load.shape) for _ in range(3)))
    for queue in range(load.shape[1]):
        before = rank < rank[:, queue : queue + 1]
        others = np.where((ports.policy == "DRR")[:, np.newaxis], np.arange(load.shape[1]) != queue, before)
        parts = _averaged(queue, others, demand, load, spread, sizes, ports)
        for whole, part in zip(results, parts, strict=True):
            whole[:, queue] = part
    return queues.Waiting(*(array.ravel() for array in results))


def ranks(load: Floats, ports: Ports) -> Integers:
    """Who goes first at a port: class by class, or whoever asks for the least per weight."""
    asked = np.where((ports.policy == "WFQ")[:, np.newaxis], load / ports.weights, np.arange(load.shape[1]))
    return np.asarray(np.argsort(np.argsort(asked, axis=1, kind="stable"), axis=1))


def _averaged(
    queue: int,
    others: NDArray[np.bool_],
    demand: Demand,
    load: Floats,
    spread: Floats,
    sizes: Floats,
    ports: Ports,
) -> queues.Waiting:
    """One queue of every port, averaged over the load of it and of those that it must share with or wait for."""
    mine = others.copy()
    mine[:, queue] = True
    deviation = np.sqrt(np.sum(np.where(mine, spread, 0.0), axis=1, keepdims=True))
    per_deviation = np.where(mine, spread, 0.0) / np.maximum(deviation, 1e-300)
    weights = _NORMAL / _NORMAL.sum()
    total = np.zeros((5, len(load)))
    for node, weight in zip(_NODES, weights, strict=True):
        now = np.maximum(load + node * per_deviation, 0.05 * load)
        one = _one_queue(queue, others, demand, now, load, sizes, ports)
        share = weight * now[:, queue] / np.maximum(load[:, queue], 1e-300)
        let_in = share * (1.0 - one.blocking)
        total += np.stack(
            [share, let_in, let_in * one.mean, let_in * (one.variance + one.mean**2), share * one.blocking]
        )
    offered, let_in, wait, moment, blocked = total
    mean = wait / np.maximum(let_in, 1e-300)
    return queues.Waiting(
        mean, np.maximum(moment / np.maximum(let_in, 1e-300) - mean**2, 0.0), blocked / np.maximum(offered, 1e-300)
    )


def _one_queue(
    queue: int,
    others: NDArray[np.bool_],
    demand: Demand,
    now: Floats,
    load: Floats,
    sizes: Floats,
    ports: Ports,
) -> queues.Waiting:
    """One queue of every port, at loads `now`: M/G/1/K with what others leave, longer by their packets in service."""
    shares = demand.shares[:, queue]
    mean, square = shares @ sizes, shares @ sizes**2
    taken = np.sum(np.where(others, now, 0.0), axis=1)
    polled = ports.policy == "DRR"
    least = np.where(polled, ports.weights[:, queue], _LEAST_LEFT)
    left = np.maximum(1.0 - taken, least)
    rate = demand.rate[:, queue] * now[:, queue] / np.maximum(load[:, queue], 1e-300)
    places = np.where(ports.packets > 0, ports.packets, np.maximum(ports.bits // mean, 1)).astype(np.int64)
    alone = queues.mg1k(rate, sizes / (ports.bandwidth * left)[:, np.newaxis], shares, places)
    full = np.maximum(places - 1.0, 0.5) * mean / (ports.bandwidth * left)
    busy = _busy(demand, now, sizes, ports)
    own = np.maximum(now[:, queue] * square / (2.0 * mean) / ports.bandwidth, 1e-300)
    room = 1.0 - np.minimum(alone.mean / full, 1.0)
    ranked = np.minimum(alone.mean * (1.0 + (busy / own - 1.0) * room), full)
    wait = np.where(polled, _polled_wait(queue, now, busy, ports.weights, alone.mean, full), ranked)
    stretch = np.where(alone.mean > _NO_WAIT, wait / np.maximum(alone.mean, _NO_WAIT), 1.0)
    return queues.Waiting(
        wait, alone.variance * np.minimum(stretch, full / np.maximum(wait, 1e-300)) ** 2, alone.blocking
    )


def _busy(demand: Demand, now: Floats, sizes: Floats, ports: Ports) -> Floats:
    """Load times mean residual service time over all queues of a port, whose loads are at most 1 together."""
    mean, square = demand.shares @ sizes, demand.shares @ sizes**2
    whole = np.sum(now * square / (2.0 * mean), axis=1) / ports.bandwidth
    return np.asarray(whole / np.maximum(np.sum(now, axis=1), 1.0))


def _polled_wait(queue: int, now: Floats, busy: Floats, weights: Floats, alone: Floats, full: Floats) -> Floats:
    """A queue's part of the work that waits; an overloaded one waits as if alone with what it is left.

    The queue that asks for most has its turns cut short: to the others its turn is a vacation (M/G/1 with vacations:
    half of it more).
    """
    load = np.sum(now, axis=1)
    work = load * busy / np.maximum(1.0 - load, _LEAST_LEFT)
    free = np.maximum(1.0 - now, _LEAST_LEFT)
    part = work * free[:, queue] / np.maximum(np.sum(now * free, axis=1), 1e-300)
    greedy, rows = np.argmax(now / weights, axis=1), np.arange(len(now))
    others = np.maximum(1.0 - load + now[rows, greedy], _LEAST_LEFT)
    bound = np.where(greedy == queue, np.inf, busy / others + 0.5 * _ROUND * weights[rows, greedy])
    return np.asarray(np.where(alone > 0.5 * full, alone, np.minimum(np.minimum(part, bound), full)))
