"""Published samples in the packet engine: what the routers of the GNNet challenge's simulator do, as a `Network`.

What the original (OMNeT++, BNNetSimulator) does beyond its documents was found by what reproduces the published
per-queue sojourn times, occupancies and packet counts of the data folder's samples:

- On-off flows are steady while on (gaps of 1 / rate, not exponential), with one packet at each on time's beginning.
- WFQ has no virtual clock: the queue served least for its weight since the beginning comes next (`stride`).
- DRR's quantum is time: a queue's turn lasts its weight times one second, so its bits follow the link's bandwidth, and
  a queue that runs empty keeps its turn until it is passed by empty (`polling`).
- A full queue drops the packet that does not fit; the packet being sent counts until its last bit has left.

How far this agrees with the published results is `lab.gnnet`'s to tell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.gnnet.outcome import Outcome
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Queue, QueueKind, Sizes

if TYPE_CHECKING:
    from meshsim.measure.external.gnnet import Flow, Router, Sample

_BITS_PER_BYTE = 8.0

WARM_UP = 25.0
"""Seconds before measuring begins. The original's warm-up is not told; its spans are multiples of this."""

_TURN = 1.0
"""Seconds that all turns of a DRR round take together, when no queue runs empty."""

_SERVED: dict[str, QueueKind] = {"FIFO": "fifo", "SP": "priority", "WFQ": "stride", "DRR": "polling"}


def network_of(sample: Sample, *, seed: int = 1) -> Network:
    """The links, queues and flows of a sample.

    Args:
        sample: As read.
        seed: Of the draws that tell which on-off flows begin on.
    """
    ports = zip(sample.links, sample.bandwidth.tolist(), strict=True)
    links = (PacketLink(rate_bps=rate, queue=_queue(sample.routers[source], rate)) for (source, _), rate in ports)
    seeds = SeedTree(seed)
    flows = (_packet_flow(flow, _start(flow, seeds, index)) for index, flow in enumerate(sample.flows))
    return Network(links=tuple(links), flows=tuple(flows))


def simulate_sample(sample: Sample, *, seed: int = 1, duration: float | None = None) -> Outcome:
    """Run a sample packet by packet.

    Args:
        sample: As read.
        seed: Any integer.
        duration: Measured span, seconds; the published one unless given.
    """
    span = sample.duration if duration is None else duration
    until = WARM_UP + span
    flows = run_network(network_of(sample, seed=seed), seed=seed, until=until, measure_from=WARM_UP).flows
    settled = np.maximum(flows.delivered + flows.dropped, 1)
    return Outcome(flows.delay_mean, flows.delay_variance, flows.dropped / settled)


def hops_per_second(sample: Sample) -> float:
    """Packet-hops per simulated second that a run costs, without loss."""
    return sum(flow.packet_rate * len(flow.route) for flow in sample.flows)


def _queue(router: Router, rate: float) -> Queue:
    weights = router.weights or (1.0,) * router.queues
    return Queue(
        kind=_SERVED[router.policy],
        limit_packets=router.buffer_packets,
        limit_bytes=router.buffer_bits / _BITS_PER_BYTE if router.buffer_bits else math.inf,
        queue_of_class=router.queue_of_tos if router.policy != "FIFO" else (),
        weights=weights if router.policy != "FIFO" else (),
        quantum=max(rate * _TURN * min(weights) / _BITS_PER_BYTE, 1.0),
    )


def _start(flow: Flow, seeds: SeedTree, index: int) -> float:
    """On-off flows are found on with the probability of the long run; the others' off time is what is left of it."""
    if flow.gaps != "on_off":
        return 0.0
    on, left = seeds.stream("gnnet.start", index).uniform(0, 2).tolist()
    return 0.0 if on * (flow.on + flow.off) < flow.on else -math.log1p(-left) * flow.off


def _packet_flow(flow: Flow, start: float) -> PacketFlow:
    return PacketFlow(
        route=flow.route,
        arrivals=Arrivals(kind=flow.gaps, rate=flow.rate, on=flow.on, off=flow.off, cap=flow.cap, steady=True),
        sizes=Sizes(kind="listed", values=tuple(size / _BITS_PER_BYTE for size in flow.sizes), shares=flow.shares),
        klass=flow.tos,
        start=start,
    )
