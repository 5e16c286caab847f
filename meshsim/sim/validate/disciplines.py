"""Cases of queue disciplines: who is served first, who gets which share, what is dropped to keep a queue short."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Queue, Sizes
from meshsim.sim.validate import theory
from meshsim.sim.validate.case import DELIVERED, DROPPED, Case, Run, Seen
from meshsim.sim.validate.stations import BYTES, EXPONENTIAL, RATE, SERVICE, fixed, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence


def shared(queue: Queue, loads: Sequence[float], sizes: Sequence[Sizes], kind: str = "poisson") -> Network:
    """One link with a flow of each class, whose load counts in erlangs of its own mean size."""
    flows = tuple(
        PacketFlow(
            route=(0,),
            arrivals=Arrivals(kind="cbr" if kind == "cbr" else "poisson", rate=load * RATE / (8.0 * size.mean)),
            sizes=size,
            klass=number,
        )
        for number, (load, size) in enumerate(zip(loads, sizes, strict=True))
    )
    return Network(links=(PacketLink(rate_bps=RATE, queue=queue),), flows=flows)


def _class_times(seen: Seen) -> dict[str, float]:
    delays = seen.results.flows.delay_mean
    return {f"time of class {number}": float(delay) / SERVICE for number, delay in enumerate(delays)}


def _priority(slug: str, loads: tuple[float, ...], means: tuple[float, ...], moment: float, *, core: bool) -> Case:
    """Classes with services of `means`; the second moment of each is `moment` times its mean's square."""
    rates = [load / mean for load, mean in zip(loads, means, strict=True)]
    waits = theory.cobham(rates, means, [moment * mean**2 for mean in means])
    kind = EXPONENTIAL.kind if moment > 1.0 else "fixed"
    sizes = [Sizes(kind=kind, mean=BYTES * mean) for mean in means]
    queue = Queue(kind="priority", weights=(1.0,) * len(loads), queue_of_class=tuple(range(len(loads))))
    values = {f"time of class {n}": wait + mean for n, (wait, mean) in enumerate(zip(waits, means, strict=True))}
    return Case(
        slug=slug,
        formula=f"priority, loads {loads}, services {means}: W_k = R / ((1-s_(k-1))(1-s_k)), R = sum lambda E[S^2]/2",
        source="A. Cobham, Oper. Res. 2, 1954",
        theory=lambda: values,
        experiment=Run(
            network=partial(fixed, shared(queue, loads, sizes)),
            until=seconds(4e5, sum(rates)),
            read=_class_times,
            core_until=20.0 if core else 0.0,
        ),
    )


def _work(seen: Seen) -> dict[str, float]:
    """The load-weighted mean wait of all classes, in services."""
    flows, network = seen.results.flows, seen.network
    services = np.array([flow.sizes.mean for flow in network.flows]) / BYTES
    loads = np.array([flow.arrivals.rate for flow in network.flows]) * SERVICE * services
    return {"sum of rho W": float(loads @ (flows.delay_mean / SERVICE - services))}


def _conservation(kind: str) -> Case:
    """Kleinrock's conservation law: whoever is served first, sum rho_i W_i stays the same."""
    loads, means = (0.3, 0.2, 0.25), (0.5, 1.0, 2.0)
    weights = (1.0, 3.0, 2.0)
    queue = Queue(kind="drr" if kind == "drr" else "wfq", weights=weights, queue_of_class=(0, 1, 2))
    sizes = [Sizes(mean=BYTES * mean) for mean in means]
    residual = sum(load * mean for load, mean in zip(loads, means, strict=True)) / 2.0
    load = sum(loads)
    return Case(
        slug=f"conservation_law_{kind}",
        formula=f"{kind}, three classes of constant sizes: sum rho_i W_i = rho R / (1-rho), as first come first served",
        source="L. Kleinrock, Queueing Systems II, section 3.4",
        theory=lambda: {"sum of rho W": load * residual / (1.0 - load)},
        experiment=Run(network=partial(fixed, shared(queue, loads, sizes)), until=seconds(3e5, load), read=_work),
    )


def _shares(seen: Seen) -> dict[str, float]:
    carried = seen.results.flows.delivered_bytes
    return {f"share of class {number}": float(part) for number, part in enumerate(carried / carried.sum())}


def _saturated(kind: str) -> Case:
    weights = (1.0, 2.0, 5.0)
    queue = Queue(kind="drr" if kind == "drr" else "wfq", weights=weights, queue_of_class=(0, 1, 2), limit_packets=50)
    sizes = [Sizes(mean=mean) for mean in (1500.0, 500.0, 1000.0)]
    return Case(
        slug=f"{kind}_shares",
        formula=f"{kind}, weights 1, 2, 5, all queues always full: bytes in proportion to the weights",
        source="S. J. Golestani, INFOCOM 1994" if kind == "wfq" else "M. Shreedhar, G. Varghese, SIGCOMM 1995",
        theory=lambda: {f"share of class {number}": weight / 8.0 for number, weight in enumerate(weights)},
        experiment=Run(
            network=partial(fixed, shared(queue, (1.0, 1.0, 1.5), sizes, "cbr")),
            until=100.0,
            read=_shares,
            core_until=10.0,
        ),
        relation="exact",
        tolerance=1e-3,
        replications=3,
    )


def _largest_delay(flow: int, seen: Seen) -> dict[str, float]:
    return {"largest delay": float(seen.results.flows.delay_max[flow]) / SERVICE}


def _isolation() -> Case:
    """A polite flow keeps its delay whatever the greedy ones do."""
    queue = Queue(kind="wfq", weights=(1.0, 1.0, 2.0), queue_of_class=(0, 1, 2), limit_packets=100)
    sizes = [Sizes(mean=BYTES), Sizes(mean=BYTES), Sizes(mean=BYTES)]
    return Case(
        slug="wfq_isolation",
        formula="wfq, a flow below its quarter beside two greedy ones: delay <= L/r + sum of the others' L/C",
        source="S. J. Golestani, INFOCOM 1994",
        theory=lambda: {"largest delay": 1.0 / 0.25 + 2.0},
        experiment=Run(
            network=partial(fixed, shared(queue, (0.24, 2.0, 2.0), sizes, "cbr")),
            until=100.0,
            read=partial(_largest_delay, 0),
            warm_up=False,
        ),
        relation="at_most",
        replications=3,
    )


def _sparse() -> Case:
    queue = Queue(kind="fq_codel", buckets=8, limit_packets=200, quantum=BYTES)
    greedy = shared(queue, (1.0, 1.0, 1.0, 1.0), [Sizes(mean=BYTES)] * 4, "cbr")
    sparse = PacketFlow(
        route=(0,), arrivals=Arrivals(kind="cbr", rate=0.04 / SERVICE), sizes=Sizes(mean=BYTES), start=1.0
    )  # when the greedy ones, too, are no longer new
    return Case(
        slug="fq_codel_sparse",
        formula="fq_codel, a flow of one packet per 25 services beside four greedy ones: first of the new, delay <= 2",
        source="RFC 8290, section 1",
        theory=lambda: {"largest delay": 2.0},
        experiment=Run(
            network=partial(fixed, Network(links=greedy.links, flows=(*greedy.flows, sparse))),
            until=100.0,
            read=partial(_largest_delay, 4),
            warm_up=False,
        ),
        relation="at_most",
        replications=3,
    )


CODEL = Queue(kind="codel")


CODEL_FIRST = 2.0 * CODEL.target + CODEL.interval
"""At twice the link's rate the packet that leaves at t has waited t / 2: target is met at 2 target, seconds."""
CODEL_UNTIL = 5.0


def _law() -> dict[str, float]:
    """How many drops there are by `CODEL_UNTIL` if the k-th comes interval / sqrt(k) after the one before."""
    times = CODEL_FIRST + CODEL.interval * np.cumsum(1.0 / np.sqrt(np.arange(1, 5000)))
    return {"drops": 1.0 + np.count_nonzero(times < CODEL_UNTIL)}


def _drops(seen: Seen) -> dict[str, float]:
    return {"drops": float(seen.results.flows.dropped[0])}


def _first_drop(seen: Seen) -> dict[str, float]:
    _, left, fate = seen.packets()
    return {"first drop": float(left[fate == DROPPED].min())}


def _twice(seed: int) -> Network:  # noqa: ARG001 - the same for every seed
    return shared(CODEL, (2.0,), [Sizes(mean=BYTES)], "cbr")


def _held(seen: Seen) -> dict[str, float]:
    sent, left, fate = seen.packets()
    late = (fate == DELIVERED) & (sent > seen.until / 2.0)
    return {"mean delay": float(np.mean((left - sent)[late]))}


def _codel() -> list[Case]:
    overload = shared(CODEL, (1.05,), [EXPONENTIAL])
    return [
        Case(
            slug="codel_first_drop",
            formula="codel, input twice the rate: first drop at 2 target + interval",
            source="RFC 8289, section 4.3",
            theory=lambda: {"first drop": CODEL_FIRST},
            experiment=Run(network=_twice, until=CODEL_UNTIL, read=_first_drop, log=True, warm_up=False),
            relation="exact",
            tolerance=2.0 * SERVICE,
            replications=5,
        ),
        Case(
            slug="codel_control_law",
            formula="codel, a queue that stays: the k-th drop comes interval / sqrt(k) after the one before",
            source="RFC 8289, section 4.3",
            theory=_law,
            experiment=Run(network=_twice, until=CODEL_UNTIL, read=_drops, warm_up=False, core_until=CODEL_UNTIL),
            relation="exact",
            tolerance=2.0,
            replications=5,
        ),
        Case(
            slug="codel_holds",
            formula="codel, input 1.05 of the rate for good: the standing delay stays within an interval",
            source="RFC 8289, section 3",
            theory=lambda: {"mean delay": CODEL.interval},
            experiment=Run(network=partial(fixed, overload), until=60.0, read=_held, log=True, warm_up=False),
            relation="at_most",
            replications=5,
        ),
    ]


RED_LEAST, RED_MOST, RED_LARGEST = 50.0, 150.0, 0.2
RED_LOAD = 1.2


def _red_theory() -> dict[str, float]:
    """Drops are 1 to 1/p packets apart, all equally likely, so 2p / (1+p) of the packets: what is too much.

    The queue swings about there, and 2p / (1+p) is no straight line: the mean is some half packet larger.
    """
    lost = 1.0 - 1.0 / RED_LOAD
    p = lost / (2.0 - lost)
    return {"number": RED_LEAST + (RED_MOST - RED_LEAST) * p / RED_LARGEST, "lost": lost}


def _red_read(seen: Seen) -> dict[str, float]:
    links = seen.results.links
    return {"number": float(links.number_mean[0]), "lost": float(links.dropped[0] / links.offered[0])}


def _red() -> Case:
    queue = Queue(kind="red", red=(RED_LEAST, RED_MOST, RED_LARGEST, 0.002))
    return Case(
        slug="red_average",
        formula="red, load 1.2: the queue stays about where 2p/(1+p) = 1 - 1/load, min + (max-min) p / p_max",
        source="S. Floyd, V. Jacobson, IEEE/ACM Trans. Netw. 1(4), 1993, section 7",
        theory=_red_theory,
        experiment=Run(
            network=partial(fixed, shared(queue, (RED_LOAD,), [EXPONENTIAL])),
            until=seconds(3e5, RED_LOAD),
            read=_red_read,
        ),
        relation="near",
        bias=0.01,
    )


def _burst(limit: Queue) -> Network:
    flow = PacketFlow(route=(0,), arrivals=Arrivals(kind="times", times=np.full(100, 1.0)), sizes=Sizes(mean=BYTES))
    return Network(links=(PacketLink(rate_bps=RATE, queue=limit),), flows=(flow,))


def _refused(seen: Seen) -> dict[str, float]:
    return {"dropped": float(seen.results.flows.dropped[0])}


def _drop_tail(unit: str, queue: Queue, kept: int) -> Case:
    return Case(
        slug=f"drop_tail_{unit}",
        formula=f"100 packets at once to a queue limited in {unit}: {kept} stay",
        source="definition",
        theory=lambda: {"dropped": 100.0 - kept},
        experiment=Run(network=partial(fixed, _burst(queue)), until=2.0, read=_refused, warm_up=False),
        relation="exact",
        replications=1,
    )


CASES = (
    _priority("priority_2", (0.4, 0.4), (1.0, 1.0), 2.0, core=True),
    _priority("priority_3", (0.2, 0.3, 0.2), (0.5, 1.0, 2.0), 1.0, core=False),
    _conservation("wfq"),
    _conservation("drr"),
    _saturated("wfq"),
    _saturated("drr"),
    _isolation(),
    _sparse(),
    *_codel(),
    _red(),
    _drop_tail("packets", Queue(limit_packets=30), 30),
    _drop_tail("bytes", Queue(limit_bytes=25.5 * BYTES), 25),
    _drop_tail("seconds", Queue(limit_seconds=9.5 * SERVICE), 10),
)
