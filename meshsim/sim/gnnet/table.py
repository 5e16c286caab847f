"""What is known of each hop of a sample before it is run: scale-free columns for a model that corrects the formulas.

Everything follows from graph, routing and traffic. No column is a name, a count of nodes, or of a unit: loads, ratios
and logarithms of ratios carry from networks of ten nodes to those of hundreds, and from kilobits to megabits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.measure.external.gnnet import POLICIES
from meshsim.sim.gnnet.flow import Demand, Hops, Ports, demand_of, hops_of, ports_of, ranks, settle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.measure.external.gnnet import Sample
    from meshsim.sim.queues import Waiting

    Floats = NDArray[np.float64]

COLUMNS = (
    *(f"is_{policy.lower()}" for policy in POLICIES),
    "log_places",
    "load",
    "load_before",
    "load_of_port",
    "log_spare",
    "swing",
    "swing_of_port",
    "size_variation",
    "share_cbr",
    "share_on_off",
    "log_wait",
    "fullness",
    "blocking",
    "weight",
    "rank",
    "log_drain",
    "log_turn",
    "likeness",
    "likeness_cbr",
    "from_source",
    "concentration",
    "log_narrowing",
    "own_cbr",
    "own_on_off",
    "own_share",
    "own_size",
    "own_first",
)
"""Of the queue at each hop, then of the flow there."""

_LEAST = 1e-12
_LEAST_SPARE = 0.02
_TURN = 1.0
_USUAL_ON = 5.0


class HopTable(NamedTuple):
    """The H hops of F flows, flow by flow in order of travel.

    Attributes:
        columns: (H, len(COLUMNS)) float64.
        wait: Mean wait by formula, seconds, (H,).
        service: Mean time to send a packet of the queue, seconds, (H,).
        flow: Flow of each hop, (H,).
        queue: Queue of each hop, numbered from 0 over all ports, (H,).
        before: The flow's hop before; itself at its first, (H,).
        sending: Time to send a mean packet over all hops, seconds, (F,).
    """

    columns: NDArray[np.float64]
    wait: NDArray[np.float64]
    service: NDArray[np.float64]
    flow: NDArray[np.int64]
    queue: NDArray[np.int64]
    before: NDArray[np.int64]
    sending: NDArray[np.float64]

    def by_formula(self) -> NDArray[np.float64]:
        """Mean delay of each flow as the formulas have it, seconds, (F,): that of `predict_sample`."""
        return np.asarray(self.sending + np.bincount(self.flow, self.wait, len(self.sending)))


def hop_table(sample: Sample) -> HopTable:
    """The hops of a sample, from its graph, routing and traffic; its results are not looked at."""
    ports = ports_of(sample)
    hops = hops_of(sample, ports.weights.shape[1])
    waiting, reach = settle(hops, ports)
    demand = demand_of(hops, reach, *ports.weights.shape)
    mean = (demand.shares @ hops.sizes).ravel()  # (E Q,)
    bandwidth = np.repeat(ports.bandwidth, ports.weights.shape[1])  # (E Q,)
    at = np.arange(len(hops.flow))
    of_queue = np.column_stack(_of_queues(sample, hops, ports, demand, reach, waiting))[hops.queue]
    own = _of_flows(sample, hops, demand, reach, mean)
    return HopTable(
        np.column_stack([of_queue, *own]),
        np.maximum(waiting.mean, _LEAST)[hops.queue],
        (mean / bandwidth)[hops.queue],
        hops.flow,
        np.unique(hops.queue, return_inverse=True)[1],
        np.where(at == hops.first, at, at - 1),
        (hops.shares @ hops.sizes) * np.bincount(hops.flow, 1.0 / hops.bandwidth, len(hops.rate)),
    )


def _of_queues(
    sample: Sample, hops: Hops, ports: Ports, demand: Demand, reach: Floats, waiting: Waiting
) -> list[Floats]:
    """The columns of queues, each (E Q,)."""
    wide = ports.bandwidth[:, np.newaxis]
    mean, square = demand.shares @ hops.sizes, demand.shares @ hops.sizes**2  # (E, Q)
    load, spread = demand.rate * mean / wide, demand.swing * (mean / wide) ** 2
    rank = ranks(load, ports)
    before = np.sum(load[:, np.newaxis, :] * (rank[:, np.newaxis, :] < rank[:, :, np.newaxis]), axis=2)
    whole = np.broadcast_to(load.sum(axis=1, keepdims=True), load.shape)
    unsteady = np.sqrt(np.broadcast_to(spread.sum(axis=1, keepdims=True), load.shape))
    buffer = np.where(ports.packets[:, np.newaxis] > 0, ports.packets[:, np.newaxis] * mean, ports.bits[:, np.newaxis])
    wait = waiting.mean.reshape(load.shape)
    policies = [np.broadcast_to((ports.policy == policy)[:, np.newaxis], load.shape) for policy in POLICIES]
    ranked = rank / max(load.shape[1] - 1, 1) * (ports.policy != "FIFO")[:, np.newaxis]
    columns = [
        *policies,
        np.log(buffer / mean),
        load,
        before,
        whole,
        -np.log(np.maximum(1.0 - whole, _LEAST_SPARE)),
        np.sqrt(spread),
        unsteady,
        square / mean**2 - 1.0,
        *_kinds(sample, hops, reach, load.shape),
        np.log1p(wait / (mean / wide)),
        wait / (buffer / wide),
        waiting.blocking.reshape(load.shape),
        ports.weights,
        ranked,
        np.log(buffer / wide / _USUAL_ON),
        np.log(_TURN * ports.weights * wide / mean),
        *_mixing(sample, hops, reach, ports, load.shape),
    ]
    return [np.asarray(column, dtype=np.float64).ravel() for column in columns]


def _kinds(sample: Sample, hops: Hops, reach: Floats, shape: tuple[int, ...]) -> list[Floats]:
    """Shares of a queue's packets that steady flows send, and on-off flows."""
    count = int(np.prod(shape))
    gaps = _gaps(sample, hops)
    rate = hops.rate[hops.flow] * reach
    whole = np.maximum(np.bincount(hops.queue, rate, count), _LEAST)
    return [np.bincount(hops.queue, rate * (gaps == kind), count) / whole for kind in ("cbr", "on_off")]


def _mixing(sample: Sample, hops: Hops, reach: Floats, ports: Ports, shape: tuple[int, ...]) -> list[Floats]:
    """How much of a queue's traffic comes spaced out by links before.

    These are the sum of squared shares by flow (one over the number of equal flows that would mix alike), its part of
    steady flows, the share that comes from the node itself, the sum of squared shares by link it comes over, and how
    much wider this link is than those.
    """
    count, per_port = int(np.prod(shape)), shape[1]
    rate = hops.rate[hops.flow] * reach
    whole = np.maximum(np.bincount(hops.queue, rate, count), _LEAST)
    alike = [
        np.bincount(hops.queue, rate**2 * chosen, count) / whole**2 for chosen in (True, _gaps(sample, hops) == "cbr")
    ]
    at = np.arange(len(hops.flow))
    begins = at == hops.first
    before = np.where(begins, at, at - 1)
    over = hops.queue[before] // per_port
    pairs, index = np.unique(hops.queue * len(ports.bandwidth) + over, return_inverse=True)
    by_link = np.bincount(index[~begins], rate[~begins], len(pairs)) ** 2
    concentrated = np.bincount(pairs // len(ports.bandwidth), by_link, count) / whole**2
    narrower = np.log(hops.bandwidth / hops.bandwidth[before])
    return [
        *alike,
        np.bincount(hops.queue, rate * begins, count) / whole,
        concentrated,
        np.bincount(hops.queue, rate * narrower, count) / whole,
    ]


def _of_flows(sample: Sample, hops: Hops, demand: Demand, reach: Floats, mean: Floats) -> list[Floats]:
    """The columns of a flow at its hops, each (H,)."""
    gaps = _gaps(sample, hops)
    share = hops.rate[hops.flow] * reach / np.maximum(demand.rate.ravel()[hops.queue], _LEAST)
    size = (hops.shares @ hops.sizes)[hops.flow] / mean[hops.queue]
    first = np.arange(len(hops.flow)) == hops.first
    return [gaps == "cbr", gaps == "on_off", share, np.log(size), first]


def _gaps(sample: Sample, hops: Hops) -> NDArray[np.str_]:
    """The kind of gaps of the flow of each hop, (H,)."""
    return np.array([flow.gaps for flow in sample.flows])[hops.flow]
