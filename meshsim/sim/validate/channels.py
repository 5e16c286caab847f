"""Cases of arrivals and channels: gaps, losses and their bursts, jitter, reordering, duplicates."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.kernel.network import Arrivals, DelayKind, Jitter, Loss, Network, PacketFlow, PacketLink, Sizes
from meshsim.sim.validate import theory
from meshsim.sim.validate.case import LOST, Case, Run, Seen
from meshsim.sim.validate.stations import fixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

GAP = 0.02
"""Seconds between packets of a steady flow: one frame of voice."""
CBR = Arrivals(kind="cbr", rate=1.0 / GAP)
VOICE = 160.0
"""Bytes."""
FAST = 1e12
"""Bits per second: nothing queues."""
PROPAGATION = 0.01
MANY, SOME = 300_000, 100_000
"""Packets of each run for correlated or rare events, and for moments."""


def channel(
    *, loss: Loss | None = None, jitter: Jitter | None = None, duplicate: float = 0.0, arrivals: Arrivals = CBR
) -> Network:
    """One fast link and one flow over it."""
    link = PacketLink(
        rate_bps=FAST, propagation=PROPAGATION, loss=loss or Loss(), jitter=jitter or Jitter(), duplicate=duplicate
    )
    return Network(links=(link,), flows=(PacketFlow(route=(0,), arrivals=arrivals, sizes=Sizes(mean=VOICE)),))


def _lost(seen: Seen) -> NDArray[np.float64]:
    return np.asarray(seen.packets()[2] == LOST, dtype=np.float64)


def _loss(seen: Seen) -> dict[str, float]:
    """Share lost, mean burst, and correlation at lags 1, 2 and 5."""
    lost = _lost(seen)
    share = float(lost.mean())
    bursts = np.count_nonzero(np.diff(lost) > 0) + (lost[0] > 0)
    centred = lost - share
    variance = share * (1.0 - share)
    lags = {f"ACF({lag})": float(centred[:-lag] @ centred[lag:] / len(lost) / variance) for lag in (1, 2, 5)}
    return {"loss": float(share), "mean burst": float(lost.sum() / bursts), **lags}


def _only(names: tuple[str, ...], seen: Seen) -> dict[str, float]:
    found = _loss(seen)
    return {name: found[name] for name in names}


def _gilbert(slug: str, p: float, r: float, good: float, bad: float) -> Case:
    loss, first = theory.gilbert_elliott(p, r, good, bad)
    decay = 1.0 - p - r
    both = loss * (loss + first * (1.0 - loss))  # P(lost and the next lost too)
    values = {"loss": loss, "mean burst": loss / (loss - both)}
    values |= {f"ACF({lag})": first * decay ** (lag - 1) for lag in (1, 2, 5)}
    return Case(
        slug=slug,
        formula=f"Gilbert-Elliott p {p:g} r {r:g}, loss {good:g} | {bad:g}: pi_B = p/(p+r), burst, ACF(n) ~ (1-p-r)^n",
        source="E. N. Gilbert, 1960; E. O. Elliott, 1963; G. Hasslinger, O. Hohlfeld, MMB 2008",
        theory=lambda: values,
        experiment=Run(
            network=partial(fixed, channel(loss=Loss(kind="gilbert_elliott", p=p, r=r, good_loss=good, bad_loss=bad))),
            until=MANY * GAP,
            read=_loss,
            log=True,
            warm_up=False,
            core_until=600.0 if bad == 1.0 else 0.0,
        ),
    )


def _bernoulli() -> Case:
    return Case(
        slug="bernoulli",
        formula="independent losses, p = .05: share p, mean burst 1/(1-p)",
        source="definition",
        theory=lambda: {"loss": 0.05, "mean burst": 1.0 / 0.95},
        experiment=Run(
            network=partial(fixed, channel(loss=Loss(kind="bernoulli", probability=0.05))),
            until=MANY * GAP,
            read=partial(_only, ("loss", "mean burst")),
            log=True,
            warm_up=False,
        ),
    )


PATTERN = (0, 0, 1, 0, 1, 1, 0)


def _loss_trace() -> Case:
    return Case(
        slug="loss_trace",
        formula="losses as a trace says, repeated: 3 of 7, in runs of 1 and 2",
        source="definition",
        theory=lambda: {"lost": 3000.0, "unlike the trace": 0.0},
        experiment=Run(
            network=partial(fixed, channel(loss=Loss(kind="trace", trace=PATTERN), arrivals=_steady(7000))),
            until=7001 * GAP,
            read=_as_traced,
            log=True,
            warm_up=False,
        ),
        relation="exact",
        replications=1,
    )


def _steady(packets: int) -> Arrivals:
    return Arrivals(kind="times", times=GAP * np.arange(packets, dtype=np.float64))


def _as_traced(seen: Seen) -> dict[str, float]:
    lost = _lost(seen)
    return {"lost": float(lost.sum()), "unlike the trace": float(np.sum(lost != np.resize(PATTERN, len(lost))))}


def _gaps(seen: Seen) -> dict[str, float]:
    """Mean and variation of gaps, and the variance of counts in windows of ten mean gaps over their mean."""
    sent = seen.packets()[0]
    gaps = np.diff(sent)
    counts = np.bincount((sent / (10.0 * GAP)).astype(np.int64))[:-1]
    return {
        "mean gap": float(gaps.mean()) / GAP,
        "gap CV": float(gaps.std() / gaps.mean()),
        "dispersion of counts": float(counts.var() / counts.mean()),
    }


def _mean_gap(seen: Seen) -> dict[str, float]:
    return {"mean gap": float(np.diff(seen.packets()[0]).mean()) / GAP}


def _source(slug: str, formula: str, value: dict[str, float], arrivals: Arrivals) -> Case:
    return Case(
        slug=slug,
        formula=formula,
        source="definition",
        theory=lambda: value,
        experiment=Run(
            network=partial(fixed, channel(arrivals=arrivals)),
            until=MANY * GAP,
            read=_gaps if len(value) > 1 else _mean_gap,
            log=True,
            warm_up=False,
        ),
    )


def _sources() -> list[Case]:
    on, off, cap = 0.4, 0.6, 2.0
    rate = 1.0 / GAP
    return [
        _source(
            "poisson_gaps",
            "Poisson arrivals: gaps of mean 1/lambda and CV 1, counts as variable as large",
            {"mean gap": 1.0, "gap CV": 1.0, "dispersion of counts": 1.0},
            Arrivals(kind="poisson", rate=rate),
        ),
        _source(
            "capped_gaps",
            "exponential gaps cut at 2 means: mean (1 - exp(-2)) / lambda",
            {"mean gap": -math.expm1(-cap)},
            Arrivals(kind="poisson", rate=rate, cap=cap),
        ),
        _source(
            "on_off",
            "on-off, .4 s on, .6 s off: (1 + lambda Ton) packets in each Ton + Toff",
            {"mean gap": (on + off) / (1.0 + rate * on) / GAP},
            Arrivals(kind="on_off", rate=rate, on=on, off=off),
        ),
        Case(
            slug="cbr_gaps",
            formula="constant rate: every gap is 1/rate",
            source="definition",
            theory=lambda: {"largest error of a gap": 0.0, "packets": 1000.0},
            experiment=Run(network=partial(fixed, channel()), until=1000 * GAP, read=_even, log=True, warm_up=False),
            relation="exact",
            replications=1,
        ),
    ]


def _even(seen: Seen) -> dict[str, float]:
    sent = seen.packets()[0]
    return {"largest error of a gap": float(np.abs(np.diff(sent) / GAP - 1.0).max()), "packets": float(len(sent))}


def _beyond(seen: Seen) -> NDArray[np.float64]:
    sent, left, _ = seen.packets()
    return np.asarray(left - sent - PROPAGATION - 8.0 * VOICE / FAST)


def _jitters(seen: Seen) -> dict[str, float]:
    jitter = _beyond(seen) * 1e3
    return {"mean, ms": float(jitter.mean()), "sd, ms": float(jitter.std())}


def _jitter(kind: DelayKind, text: str, mean: float, sd: float, shape: float = 2.0) -> Case:
    """Of a scale of 5 ms."""
    network = channel(jitter=Jitter(kind=kind, scale=5e-3, shape=shape, reorders=True))
    return Case(
        slug=f"jitter_{kind}",
        formula=f"{kind} jitter, scale 5 ms: {text}",
        source="N. L. Johnson, S. Kotz, N. Balakrishnan, Continuous Univariate Distributions",
        theory=lambda: {"mean, ms": 5.0 * mean, "sd, ms": 5.0 * sd},
        experiment=Run(network=partial(fixed, network), until=SOME * GAP, read=_jitters, log=True, warm_up=False),
    )


def _overtaken(seen: Seen) -> dict[str, float]:
    left = seen.packets()[1]
    return {"overtaken": float(np.mean(np.diff(left) < 0.0))}


def _reordering() -> list[Case]:
    wild = Jitter(kind="exponential", scale=GAP, reorders=True)
    tame = Jitter(kind="exponential", scale=GAP)
    return [
        Case(
            slug="reordering",
            formula="exponential jitter of mean m, packets d = m apart: overtaken by the next exp(-d/m)/2",
            source="P(J > d + J') of two independent exponentials",
            theory=lambda: {"overtaken": math.exp(-1.0) / 2.0},
            experiment=Run(
                network=partial(fixed, channel(jitter=wild)),
                until=SOME * GAP,
                read=_overtaken,
                log=True,
                warm_up=False,
            ),
        ),
        Case(
            slug="in_order",
            formula="the same on a link that does not reorder: none is overtaken",
            source="definition",
            theory=lambda: {"overtaken": 0.0},
            experiment=Run(
                network=partial(fixed, channel(jitter=tame)), until=1e5 * GAP, read=_overtaken, log=True, warm_up=False
            ),
            relation="exact",
            replications=3,
        ),
    ]


def _duplicates() -> Case:
    return Case(
        slug="duplicates",
        formula="a packet arrives twice with probability .03",
        source="definition",
        theory=lambda: {"duplicated": 0.03},
        experiment=Run(
            network=partial(fixed, channel(duplicate=0.03)),
            until=MANY * GAP,
            read=lambda seen: {"duplicated": float(seen.results.flows.duplicated[0] / seen.results.flows.delivered[0])},
            warm_up=False,
        ),
    )


SCRIPT = (0.0, 0.004, 0.001, 0.009, 0.0025, 0.0, 0.007)


def rfc3550_jitter(transits: NDArray[np.float64]) -> float:
    """Interarrival jitter of packets with these transit times: J += (|D| - J) / 16 (RFC 3550, section 6.4.1)."""
    jitter = 0.0
    for apart in np.abs(np.diff(transits)):
        jitter += (float(apart) - jitter) / 16.0
    return jitter


def _scripted() -> Case:
    network = channel(jitter=Jitter(kind="trace", trace=SCRIPT), arrivals=_steady(50))
    return Case(
        slug="rfc3550_jitter",
        formula="scripted delays: J += (|D| - J)/16 for each packet; every delay as scripted",
        source="RFC 3550, section 6.4.1 and A.8",
        theory=lambda: {
            "jitter": rfc3550_jitter(np.resize(SCRIPT, 50)),
            "largest error of a delay": 0.0,
        },
        experiment=Run(network=partial(fixed, network), until=50 * GAP, read=_script, log=True, warm_up=False),
        relation="exact",
        tolerance=2e-9,
        replications=1,
    )


def _script(seen: Seen) -> dict[str, float]:
    apart = _beyond(seen) - np.resize(SCRIPT, len(seen.packets()[0]))
    return {"jitter": float(seen.results.flows.jitter[0]), "largest error of a delay": float(np.abs(apart).max())}


CASES = (
    _gilbert("gilbert_bursts", 0.04, 0.16, 0.0, 1.0),
    _gilbert("gilbert_elliott", 0.05, 0.15, 0.01, 0.6),
    _bernoulli(),
    _loss_trace(),
    *_sources(),
    _jitter("exponential", "mean and sd equal the scale", 1.0, 1.0),
    _jitter("normal", "the positive part, mean s/sqrt(2 pi), sd s sqrt(1/2 - 1/(2 pi))", 1.0 / math.sqrt(2.0 * math.pi),
            math.sqrt(0.5 - 0.5 / math.pi)),
    _jitter("uniform", "mean s/2, sd s/sqrt(12)", 0.5, 1.0 / math.sqrt(12.0)),
    _jitter("pareto", "Lomax of shape 6, mean s/5, sd s sqrt(6/4)/5", 0.2, math.sqrt(1.5) / 5.0, 6.0),
    _jitter("gamma", "shape 2, mean 2 s, sd s sqrt(2)", 2.0, math.sqrt(2.0), 2.0),
    *_reordering(),
    _duplicates(),
    _scripted(),
)  # fmt: skip
