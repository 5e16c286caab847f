"""Cases of a single station: waits, numbers, refusals. The unit of time is the mean service."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats import batch_means, mser5
from meshsim.sim.kernel import run_network
from meshsim.sim.kernel.network import Arrivals, Network, PacketFlow, PacketLink, Queue, Sizes
from meshsim.sim.validate import theory
from meshsim.sim.validate.case import Case, Computed, Run, Seen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE = 1e-3
"""Mean service time, seconds."""
BYTES = 1250.0
"""Mean packet size: with `RATE`, one `SERVICE`."""
RATE = 8.0 * BYTES / SERVICE
EXPONENTIAL = Sizes(kind="exponential", mean=BYTES)
CONSTANT = Sizes(kind="fixed", mean=BYTES)
MIX = Sizes(kind="listed", values=(312.5, 1250.0, 5000.0), shares=(0.4, 0.5, 0.1))
"""Services of .25, 1 and 4: mean 1, second moment 2.125."""
MIX_SECOND_MOMENT = 2.125


def seconds(packets: float, load: float) -> float:
    """How long it takes until so many packets of mean size came to a station of this load."""
    return packets * SERVICE / load


def station(
    load: float,
    *,
    sizes: Sizes = EXPONENTIAL,
    queue: Queue | None = None,
    servers: int = 1,
) -> Network:
    """One link and a Poisson flow of `load` erlangs over it."""
    link = PacketLink(rate_bps=RATE, queue=queue or Queue(), servers=servers)
    arrivals = Arrivals(kind="poisson", rate=load / SERVICE)
    return Network(links=(link,), flows=(PacketFlow(route=(0,), arrivals=arrivals, sizes=sizes),))


def fixed(network: Network, _seed: int) -> Network:
    """The same network for every seed."""
    return network


def waits(seen: Seen) -> dict[str, float]:
    """The mean wait, in services."""
    return {"wait": float(seen.results.links.waiting_mean[0]) / SERVICE}


def blocked(seen: Seen) -> dict[str, float]:
    """The share refused."""
    links = seen.results.links
    return {"blocked": float(links.dropped[0] / links.offered[0])}


def _blocked_and_number(seen: Seen) -> dict[str, float]:
    return {**blocked(seen), "number": float(seen.results.links.number_mean[0])}


def _with_tail(at: Sequence[float], seen: Seen) -> dict[str, float]:
    sent, left, _ = seen.packets()
    services = (left - sent) / SERVICE
    tail = {f"P(T > {t:g})": float(np.mean(services > t)) for t in at}
    return {**waits(seen), "number": float(seen.results.links.number_mean[0]), **tail}


def _mm1_theory(load: float, at: Sequence[float]) -> Mapping[str, float]:
    tail = {f"P(T > {t:g})": math.exp(-(1.0 - load) * t) for t in at}
    return {"wait": theory.mg1_wait(load), "number": load / (1.0 - load), **tail}


def _mm1(load: float, at: tuple[float, ...], *, packets: float, bias: float, core: bool = False) -> Case:
    return Case(
        slug=f"mm1_{100 * load:.0f}",
        formula=f"M/M/1, rho = {load:g}: Wq = rho/(1-rho), L = rho/(1-rho), P(T>t) = exp(-(1-rho)t)",
        source="D. Gross et al., Fundamentals of Queueing Theory, section 2.2",
        theory=lambda: _mm1_theory(load, at),
        experiment=Run(
            network=partial(fixed, station(load)),
            until=seconds(packets, load),
            read=partial(_with_tail, at),
            log=True,
            core_until=50.0 if core else 0.0,
        ),
        bias=bias,
    )


def _mg1(
    slug: str,
    text: str,
    load: float,
    sizes: Sizes,
    second_moment: float,
    packets: float,
    *,
    bias: float = 0.01,
    core: bool = False,
) -> Case:
    return Case(
        slug=slug,
        formula=f"{text}, rho = {load:g}: Wq = lambda E[S^2] / (2(1-rho)) (Pollaczek-Khinchine)",
        source="D. Gross et al., section 5.1",
        theory=lambda: {"wait": theory.mg1_wait(load, second_moment)},
        experiment=Run(
            network=partial(fixed, station(load, sizes=sizes)),
            until=seconds(packets, load),
            read=waits,
            core_until=50.0 if core else 0.0,
        ),
        bias=bias,
    )


def _found_by_arrivals(seen: Seen) -> dict[str, float]:
    """Of a station without propagation: how many each packet finds there."""
    log = seen.log
    sent = np.sort(log.sent[log.sent >= seen.measure_from])
    before = np.searchsorted(np.sort(log.sent), sent, side="left")
    found = before - np.searchsorted(np.sort(log.left), sent, side="right")
    return {"mean": float(found.mean()), "variance": float(found.var()), "busy": float(np.mean(found >= MM4_SERVERS))}


MM4_SERVERS = 4


def _mm4(seen: Seen) -> dict[str, float]:
    return {"P(wait)": _found_by_arrivals(seen)["busy"], **waits(seen)}


def _mm_infinite(seen: Seen) -> dict[str, float]:
    found = _found_by_arrivals(seen)
    return {"number": float(seen.results.links.number_mean[0]), "variance": found["variance"]}


def _refusing(slug: str, text: str, network: Network, load: float, value: Mapping[str, float]) -> Case:
    formula, _, source = text.partition(" -- ")
    read = _blocked_and_number if "number" in value else blocked
    return Case(
        slug=slug,
        formula=formula,
        source=source,
        theory=lambda: value,
        experiment=Run(network=partial(fixed, network), until=seconds(4e5, load), read=read),
    )


def _limited() -> list[Case]:
    refused, number = theory.mm1k(0.9, 10)
    calls = theory.erlang_b(3.0, 5)
    lines = {"blocked": calls, "number": 3.0 * (1.0 - calls)}
    five = Queue(limit_packets=5)
    return [
        _refusing(
            "mm1k_90",
            "M/M/1/10, rho = .9: P_K = (1-rho) rho^K / (1-rho^(K+1)), L = sum n P_n -- D. Gross et al., section 2.5",
            station(0.9, queue=Queue(limit_packets=10)),
            0.9,
            {"blocked": refused, "number": number},
        ),
        _refusing(
            "md1k_90",
            "M/D/1/5, rho = .9: P_K = 1 - 1/(pi_0 + rho) (chain at departures) -- D. Gross et al., section 5.1",
            station(0.9, sizes=CONSTANT, queue=five),
            0.9,
            {"blocked": theory.md1k(0.9, 5)},
        ),
        _refusing(
            "erlang_b",
            "M/M/5/5, A = 3: B_n = A B_(n-1) / (n + A B_(n-1)), L = A(1-B) -- A. K. Erlang, 1917",
            station(3.0, servers=5, queue=five),
            3.0,
            lines,
        ),
        _refusing(
            "erlang_b_constant",
            "M/D/5/5, A = 3: Erlang B whatever the distribution of service -- B. A. Sevastyanov, 1957",
            station(3.0, sizes=CONSTANT, servers=5, queue=five),
            3.0,
            lines,
        ),
    ]


def _several() -> list[Case]:
    wait = theory.erlang_c(3.2, MM4_SERVERS)
    return [
        Case(
            slug="mm4_80",
            formula="M/M/4, rho = .8: P(wait) = Erlang C, Wq = C / (c mu - lambda)",
            source="D. Gross et al., section 2.3",
            theory=lambda: {"P(wait)": wait, "wait": wait / (4.0 - 3.2)},
            experiment=Run(
                network=partial(fixed, station(3.2, servers=MM4_SERVERS)),
                until=seconds(7e5, 3.2),
                read=_mm4,
                log=True,
                core_until=20.0,
            ),
        ),
        Case(
            slug="mm_infinite",
            formula="M/G/inf, A = 20: the number in service is Poisson with mean and variance A",
            source="D. Gross et al., section 5.2",
            theory=lambda: {"number": 20.0, "variance": 20.0},
            experiment=Run(
                network=partial(fixed, station(20.0, sizes=MIX, servers=200)),
                until=seconds(2e5, 20.0),
                read=_mm_infinite,
                log=True,
            ),
        ),
    ]


def _burke(seen: Seen) -> dict[str, float]:
    """Moments of the gaps between departures, in services."""
    _, left, _ = seen.packets()
    gaps = np.diff(left) / SERVICE
    return {"mean gap": float(gaps.mean()), "gap CV": float(gaps.std() / gaps.mean())}


def _departures() -> Case:
    return Case(
        slug="burke",
        formula="M/M/1, rho = .7: departures are Poisson, gaps have mean 1/lambda and CV 1",
        source="P. J. Burke, Oper. Res. 4, 1956",
        theory=lambda: {"mean gap": 1.0 / 0.7, "gap CV": 1.0},
        experiment=Run(network=partial(fixed, station(0.7)), until=seconds(2e5, 0.7), read=_burke, log=True),
    )


def covered(runs: int, packets: float) -> float:
    """In which share of M/M/1 runs at load .5 the 95 % interval of the mean delay holds the true one.

    Each run gives an interval of its own: warm-up by MSER-5, then 20 batches' means.

    Args:
        runs: Independent runs, with seeds from 1.
        packets: Of each.
    """
    network = station(0.5)
    held = 0
    for seed in range(1, runs + 1):
        results = run_network(network, seed=seed, until=seconds(packets, 0.5), log=True)
        sent, left, _ = Seen(network, results, 0.0, 0.0).packets()
        interval = batch_means((left - sent)[mser5(left - sent) :])
        held += interval.low <= SERVICE / 0.5 <= interval.high
    return held / runs


def _coverage() -> Case:
    return Case(
        slug="coverage",
        formula="M/M/1, rho = .5: 95 % intervals (MSER-5, 20 batches) of 1,000 runs hold the true mean in 95 +- 2 %",
        source="definition of a confidence interval",
        theory=lambda: {"share that holds": 0.95},
        experiment=Computed(lambda: {"share that holds": covered(1000, 32_000)}),
        relation="exact",
        tolerance=0.02,
        replications=1,
    )


CASES = (
    _mm1(0.5, (0.5, 1.5, 3.0), packets=2e5, bias=0.01, core=True),
    _mm1(0.8, (1.5, 3.5, 7.0), packets=5e5, bias=0.01, core=True),
    _mm1(0.9, (3.0, 7.0, 14.0), packets=1e6, bias=0.015),
    _mm1(0.95, (6.0, 14.0, 28.0), packets=3e6, bias=0.015),
    _mg1("md1_50", "M/D/1", 0.5, CONSTANT, 1.0, 1e5),
    _mg1("md1_80", "M/D/1", 0.8, CONSTANT, 1.0, 3e5, core=True),
    _mg1("md1_90", "M/D/1", 0.9, CONSTANT, 1.0, 1e6, bias=0.015),
    _mg1("md1_95", "M/D/1", 0.95, CONSTANT, 1.0, 2e6, bias=0.015),
    _mg1("mg1_50", "M/G/1, three sizes", 0.5, MIX, MIX_SECOND_MOMENT, 2e5),
    _mg1("mg1_80", "M/G/1, three sizes", 0.8, MIX, MIX_SECOND_MOMENT, 5e5),
    _mg1("mg1_90", "M/G/1, three sizes", 0.9, MIX, MIX_SECOND_MOMENT, 1e6, bias=0.015),
    *_several(),
    *_limited(),
    _departures(),
    _coverage(),
)
