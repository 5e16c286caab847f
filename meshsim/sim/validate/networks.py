"""Cases of several links: Jackson networks, constant sizes in tandem, rates that change, fair shares, accounts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.kernel.network import Arrivals, Jitter, Loss, Network, PacketFlow, PacketLink, Queue, Sizes
from meshsim.sim.validate.case import DELIVERED, DROPPED, Case, Run, Seen
from meshsim.sim.validate.stations import BYTES, EXPONENTIAL, RATE, SERVICE, fixed, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

Routes = tuple[tuple[tuple[int, ...], float], ...]


def jackson(routes: Routes, means: Sequence[float], propagation: float = 0.0) -> Network:
    """Links whose service is drawn anew at each, and Poisson flows over them.

    Args:
        routes: Route and packets per mean service of each flow.
        means: Mean service of each link, in `SERVICE`.
        propagation: Of each link, seconds.
    """
    links = tuple(PacketLink(rate_bps=RATE, redraw=mean * SERVICE, propagation=propagation) for mean in means)
    flows = tuple(
        PacketFlow(route=route, arrivals=Arrivals(kind="poisson", rate=rate / SERVICE), sizes=Sizes(mean=BYTES))
        for route, rate in routes
    )
    return Network(links=links, flows=flows)


def kleinrock(routes: Routes, means: Sequence[float]) -> float:
    """Mean time in a Jackson network: (1/gamma) sum lambda_l / (mu_l - lambda_l), without propagation."""
    loads = np.zeros(len(means))
    for route, rate in routes:
        np.add.at(loads, list(route), rate)
    rates = 1.0 / np.asarray(means)
    return float((loads / (rates - loads)).sum() / sum(rate for _, rate in routes))


def _mean_time(seen: Seen) -> dict[str, float]:
    flows = seen.results.flows
    hops = np.array([len(flow.route) for flow in seen.network.flows])
    times = flows.delay_mean - hops * seen.network.links[0].propagation
    return {"time": float(flows.delivered @ times / flows.delivered.sum()) / SERVICE}


def _jackson(slug: str, text: str, routes: Routes, means: tuple[float, ...], *, core: bool = False) -> Case:
    network = jackson(routes, means, propagation=5e-3)
    return Case(
        slug=slug,
        formula=f"{text}, service drawn anew at each: T = (1/gamma) sum lambda_l / (mu_l - lambda_l) + propagation",
        source="J. R. Jackson, Oper. Res. 5, 1957; L. Kleinrock, Communication Nets, 1964",
        theory=lambda: {"time": kleinrock(routes, means)},
        experiment=Run(
            network=partial(fixed, network),
            until=seconds(3e5, sum(rate for _, rate in routes)),
            read=_mean_time,
            core_until=20.0 if core else 0.0,
        ),
    )


TANDEM: Routes = (((0, 1), 0.7),)
MERGING: Routes = (((0, 2), 0.4), ((1, 2), 0.35), ((2,), 0.05))
GRID: Routes = (((0, 1, 2), 0.3), ((3, 4, 5), 0.25), ((0, 4, 2), 0.2), ((1, 5), 0.3), ((3, 1), 0.15))


def _same_source() -> Network:
    """A flow over three links, slowest first, and the same packets over the slowest alone."""
    rates = (RATE, 2.0 * RATE, 1.5 * RATE, RATE)
    arrivals = Arrivals(kind="poisson", rate=0.8 / SERVICE)
    flows = tuple(
        PacketFlow(route=route, arrivals=arrivals, sizes=Sizes(mean=BYTES), key=7) for route in ((0, 1, 2), (3,))
    )
    return Network(links=tuple(PacketLink(rate_bps=rate, propagation=2e-3) for rate in rates), flows=flows)


def _behind_slowest(seen: Seen) -> dict[str, float]:
    sent, left, _ = seen.packets(0)
    alone, after, _ = seen.packets(1)
    common = min(len(sent), len(alone))
    apart = (left - sent)[:common] - (after - alone)[:common]
    rest = 8.0 * BYTES * (1.0 / (2.0 * RATE) + 1.0 / (1.5 * RATE)) + 4e-3
    return {
        "largest wait behind": float(seen.results.links.waiting_mean[1:3].max()),
        "largest error of one delay": float(np.abs(apart - rest).max()),
    }


def _swapped() -> Network:
    """A flow over a fast and a slow link, and the same packets over a slow and a fast one."""
    rates = (2.0 * RATE, RATE, RATE, 2.0 * RATE)
    arrivals = Arrivals(kind="poisson", rate=0.8 / SERVICE)
    flows = tuple(
        PacketFlow(route=route, arrivals=arrivals, sizes=Sizes(mean=BYTES), key=7) for route in ((0, 1), (2, 3))
    )
    return Network(links=tuple(PacketLink(rate_bps=rate) for rate in rates), flows=flows)


def _order_matters(seen: Seen) -> dict[str, float]:
    one, other = seen.packets(0)[1], seen.packets(1)[1]
    common = min(len(one), len(other))
    return {"largest difference": float(np.abs(one[:common] - other[:common]).max())}


def _tandems() -> list[Case]:
    return [
        Case(
            slug="tandem_constant",
            formula="constant sizes over 3 links, slowest first: a packet waits nowhere else",
            source="H. D. Friedman, Oper. Res. 13, 1965",
            theory=lambda: {"largest wait behind": 0.0, "largest error of one delay": 0.0},
            experiment=Run(
                network=partial(fixed, _same_source()), until=100.0, read=_behind_slowest, log=True, warm_up=False
            ),
            relation="exact",
            replications=3,
        ),
        Case(
            slug="tandem_swapped",
            formula="constant sizes over 2 links: every packet leaves at the same instant whichever link comes first",
            source="H. D. Friedman, Oper. Res. 13, 1965",
            theory=lambda: {"largest difference": 0.0},
            experiment=Run(
                network=partial(fixed, _swapped()), until=100.0, read=_order_matters, log=True, warm_up=False
            ),
            relation="exact",
            replications=3,
        ),
    ]


RATES = (0.2 * RATE, RATE, 0.0, 0.5 * RATE)
INSTANTS = (0.0, 0.1, 0.3, 0.35, 0.5)
PERIODS = 40
SMALL = BYTES / 10.0


def _changing() -> Network:
    link = PacketLink(rate_bps=RATE, rate_trace=INSTANTS, rate_values=(*RATES, 0.0), queue=Queue(limit_packets=20))
    arrivals = Arrivals(kind="cbr", rate=20.0 / SERVICE)
    return Network(links=(link,), flows=(PacketFlow(route=(0,), arrivals=arrivals, sizes=Sizes(mean=SMALL)),))


def _carried(seen: Seen) -> dict[str, float]:
    return {"bytes": float(seen.results.links.sent_bytes[0])}


def _rate_trace() -> Case:
    bits = float(np.diff(INSTANTS) @ np.array(RATES))
    return Case(
        slug="rate_trace",
        formula="a link whose rate changes, always full: it carries the integral of its rate",
        source="definition",
        theory=lambda: {"bytes": PERIODS * bits / 8.0},
        experiment=Run(network=partial(fixed, _changing()), until=PERIODS * INSTANTS[-1], read=_carried, warm_up=False),
        relation="exact",
        tolerance=3.0 * SMALL,
        replications=3,
    )


QUEUES = (
    Queue(),
    Queue(limit_packets=20),
    Queue(limit_bytes=20_000.0),
    Queue(kind="red"),
    Queue(kind="priority", weights=(1.0, 1.0), queue_of_class=(0, 1)),
    Queue(kind="wfq", weights=(1.0, 3.0), queue_of_class=(0, 1), limit_packets=30),
    Queue(kind="drr", weights=(2.0, 1.0), queue_of_class=(0, 1)),
    Queue(kind="codel"),
    Queue(kind="fq_codel", buckets=4),
)


def random_network(seed: int) -> Network:
    """Twelve links of all disciplines and twenty flows over them, some of them overloaded, lossy or out of order."""
    draw = SeedTree(seed).generator("validate.network")
    links = tuple(
        PacketLink(
            rate_bps=RATE * float(draw.uniform(0.5, 2.0)),
            propagation=float(draw.uniform(0.0, 0.02)),
            queue=QUEUES[number % len(QUEUES)],
            loss=Loss(kind="bernoulli", probability=0.02) if number % 3 == 0 else Loss(),
            jitter=Jitter(kind="exponential", scale=1e-3, reorders=number % 2 == 0),
        )
        for number in range(12)
    )
    flows = tuple(
        PacketFlow(
            route=tuple(int(link) for link in draw.permutation(12)[: draw.integers(1, 6)]),
            arrivals=Arrivals(kind="poisson" if number % 2 else "cbr", rate=float(draw.uniform(50.0, 300.0))),
            sizes=EXPONENTIAL if number % 3 else Sizes(mean=900.0),
            klass=number % 2,
        )
        for number in range(20)
    )
    return Network(links=links, flows=flows)


def _unaccounted(seen: Seen) -> dict[str, float]:
    flows = seen.results.flows
    ends = int((flows.delivered + flows.dropped + flows.lost).sum())
    return {"packets unaccounted for": float(flows.sent.sum() - ends - seen.results.in_flight)}


def every_discipline(seed: int) -> Network:
    """A link of each discipline, and two flows over it alone that overload it and stop half-way."""
    draw = SeedTree(seed).generator("validate.little")
    flows = tuple(
        PacketFlow(
            route=(link,),
            arrivals=Arrivals(kind="poisson" if klass else "cbr", rate=float(draw.uniform(0.3, 0.9)) / SERVICE),
            sizes=EXPONENTIAL if klass else Sizes(mean=900.0),
            klass=klass,
            stop=LITTLE_UNTIL / 2.0,
        )
        for link in range(len(QUEUES))
        for klass in (0, 1)
    )
    return Network(links=tuple(PacketLink(rate_bps=RATE, queue=queue) for queue in QUEUES), flows=flows)


LITTLE_UNTIL = 20.0


def _little(seen: Seen) -> dict[str, float]:
    """What links say of numbers and fates beside the packets' own times: the engine sums the two up apart."""
    links, log = seen.results.links, seen.log
    at = np.array([flow.route[0] for flow in seen.network.flows])[log.flow]
    spent = np.bincount(at, log.left - log.sent, len(links.offered))
    ends = [np.bincount(at[log.fate == fate], minlength=len(spent)) for fate in (DELIVERED, DROPPED)]
    apart = [np.abs(links.sent - ends[0]), np.abs(links.dropped - ends[1]), np.abs(links.offered - sum(ends))]
    return {
        "largest relative error of L = lambda T": float(np.abs(links.number_mean * seen.until / spent - 1.0).max()),
        "packets unaccounted for at links": float(np.sum(apart)),
    }


def _accounts() -> list[Case]:
    return [
        Case(
            slug="conservation",
            formula="random networks, stopped while they run: sent = delivered + dropped + lost + in flight",
            source="definition",
            theory=lambda: {"packets unaccounted for": 0.0},
            experiment=Run(network=random_network, until=10.0, read=_unaccounted, warm_up=False, core_until=5.0),
            relation="exact",
        ),
        Case(
            slug="little",
            formula="every discipline, run until empty: L of the link = lambda T of its packets, all offered left",
            source="J. D. C. Little, Oper. Res. 9, 1961",
            theory=lambda: {"largest relative error of L = lambda T": 0.0, "packets unaccounted for at links": 0.0},
            experiment=Run(network=every_discipline, until=LITTLE_UNTIL, read=_little, log=True, warm_up=False),
            relation="exact",
        ),
    ]


def _pipeline() -> Case:
    """One packet over an idle path."""
    rates, delays = (RATE, 3.0 * RATE, 0.5 * RATE), (0.001, 0.02, 0.0)
    links = tuple(PacketLink(rate_bps=rate, propagation=delay) for rate, delay in zip(rates, delays, strict=True))
    flow = PacketFlow(route=(0, 1, 2), arrivals=Arrivals(kind="times", times=(0.5,)), sizes=Sizes(mean=BYTES))
    seconds = sum(delays) + 8.0 * BYTES * sum(1.0 / rate for rate in rates)
    return Case(
        slug="idle_path",
        formula="one packet over an idle path: sum of size / rate + propagation",
        source="definition",
        theory=lambda: {"delay": seconds},
        experiment=Run(
            network=partial(fixed, Network(links=links, flows=(flow,))),
            until=2.0,
            read=lambda seen: {"delay": float(seen.results.flows.delay_mean[0])},
            warm_up=False,
        ),
        relation="exact",
        replications=1,
    )


CASES = (
    _jackson("jackson_tandem", "two links in tandem, .7", TANDEM, (1.0, 1.0), core=True),
    _jackson("jackson_merging", "two links into one", MERGING, (1.0, 1.5, 1.0)),
    _jackson("jackson_mesh", "five flows over six links", GRID, (1.0, 1.0, 1.2, 1.5, 1.6, 1.4)),
    *_tandems(),
    _rate_trace(),
    *_accounts(),
    _pipeline(),
)
