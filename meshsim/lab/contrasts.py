"""Comparisons of an experiment: paired by seed, all of them held to one error rate (Holm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.verdicts import Measure, beats, sentence, strength
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Effect, Interval, effect, holm, holm_intervals, is_skewed, mean_p_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from meshsim.lab.questions import Comparison, Experiment

CONFIDENCE = 0.95
"""Of all comparisons of an experiment together."""

FEW = 8
"""Seeds below which the coverage of an interval hangs on what is normal and what is not (`docs/statistics.md`)."""

Cell = tuple[str, str]
"""A variant (empty where there are none) and a policy."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two cells to compare on a metric: the difference is `of` minus `against`."""

    of: Cell
    against: Cell
    metric: str


def per_seed(table: pd.DataFrame, cell: Cell, metric: str) -> NDArray[np.float64]:
    """A metric of a cell by seed, ascending; NaN for seeds that tell nothing of it. (S,)."""
    rows = table[(table["variant"] == cell[0]) & (table["policy"] == cell[1])].sort_values("seed")
    return rows[metric].to_numpy(dtype=np.float64)


def pairs(experiment: Experiment) -> list[Pair]:
    """All comparisons that an experiment asks for, each once."""
    return list(dict.fromkeys([*_claimed(experiment), *_with_baseline(experiment)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """What is known of a comparison.

    Attributes:
        interval: Mean difference over seeds with bounds that hold for all comparisons at once.
        p_value: Student's, of no difference, adjusted for all comparisons by Holm.
        effect: How large the difference is.
        family: How many comparisons are held together.
        notes: What the interval must be read with: `few seeds`, `skewed differences`, `equal on most seeds`.
    """

    interval: Interval
    p_value: float
    effect: Effect
    family: int
    notes: tuple[str, ...]


def judge(experiment: Experiment, table: pd.DataFrame) -> dict[Pair, Interval]:
    """The comparisons that can be judged: mean differences over seeds with intervals that hold all at once.

    A comparison that lacks a value on some seed is left out: one cell tells nothing there (no policy converges).
    """
    return {pair: told.interval for pair, told in contrast(experiment, table).items()}


def contrast(
    experiment: Experiment, table: pd.DataFrame, half_widths: Mapping[str, float] | None = None
) -> dict[Pair, Contrast]:
    """The comparisons that can be judged, with all that a verdict tells of them.

    Args:
        experiment: What is asked.
        table: A row of metrics for each variant, policy and seed.
        half_widths: By metric, where seeds were added until its intervals were that narrow: they are told as wide as
            that, for Student's own cover too seldom at such an end (`measure.stats.fixed_width`).
    """
    values = {
        pair: (per_seed(table, pair.of, pair.metric), per_seed(table, pair.against, pair.metric))
        for pair in pairs(experiment)
    }
    gaps = {pair: a - b for pair, (a, b) in values.items()}
    kept = [pair for pair, gap in gaps.items() if len(gap) and np.isfinite(gap).all()]
    intervals = holm_intervals([gaps[pair] for pair in kept], np.zeros(len(kept)), CONFIDENCE)
    p_values = holm([mean_p_value(gaps[pair], 0.0) for pair in kept])
    return {
        pair: Contrast(
            interval=_widened(interval, (half_widths or {}).get(pair.metric, 0.0)),
            p_value=float(p),
            effect=effect(*values[pair]),
            family=len(kept),
            notes=tuple(_notes(gaps[pair])),
        )
        for pair, interval, p in zip(kept, intervals, p_values, strict=True)
    }


def watched(experiment: Experiment, table: pd.DataFrame, metric: str) -> list[NDArray[np.float64]]:
    """What an experiment is to know of a metric, by seed: the differences it asks for, else the values of each cell.

    What cannot be judged, because a seed tells nothing, is left out. (S,) each.
    """
    asked = [pair for pair in pairs(experiment) if pair.metric == metric]
    cells = [(variant.name, policy) for variant in experiment.worlds for policy in experiment.policies]
    told = [_differences(table, pair) for pair in asked] if asked else [per_seed(table, cell, metric) for cell in cells]
    return [values for values in told if np.isfinite(values).all()]


def verdicts(
    experiment: Experiment, judged: Mapping[Pair, Interval], told: Mapping[Pair, Contrast] | None = None
) -> list[tuple[bool, str]]:
    """Whether each claim held, in one sentence, for each variant.

    Args:
        experiment: Who claims.
        judged: What `judge` found.
        told: What `contrast` found: then the sentences say how large, how sure and on how many seeds.
    """
    return [
        _verdict(compare, variant.name, judged, told or {}, len(experiment.seeds))
        for compare in experiment.compare
        for variant in experiment.worlds
    ]


def rows(judged: Mapping[Pair, Interval], told: Mapping[Pair, Contrast] | None = None) -> list[dict[str, Any]]:
    """The comparisons as flat rows: difference with its bounds, and which way it is, where that is established.

    Args:
        judged: What `judge` found.
        told: What `contrast` found: then p-value, effect sizes and notes stand beside.
    """
    return [
        {
            "of": name(pair.of),
            "against": name(pair.against),
            "metric": pair.metric,
            "difference": gap.mean,
            "low": gap.low,
            "high": gap.high,
            "told": _told(gap),
        }
        | (_beside(told[pair]) if told and pair in told else {})
        for pair, gap in judged.items()
    ]


def _beside(found: Contrast) -> dict[str, Any]:
    return {
        "p_value": found.p_value,
        "hedges_g": found.effect.g,
        "cliffs_delta": found.effect.delta,
        "higher_on": found.effect.above,
        "lower_on": found.effect.below,
        "seeds": found.effect.pairs,
        "notes": ", ".join(found.notes),
    }


def name(cell: Cell) -> str:
    """A cell in words: `regional: olsr`."""
    return ": ".join(part for part in cell if part)


def unit(metric: str) -> str:
    """The unit of a metric to write after a number, with a space before it; nothing for shares."""
    own = METRICS[metric.partition("@")[0]].unit
    return "" if own == "1" else f" {own}"


def measure(metric: str) -> Measure:
    """A metric, perhaps in a phase, as verdicts speak of it."""
    return Measure(metric, unit(metric), lower_is_better=METRICS[metric.partition("@")[0]].lower_is_better)


def _claimed(experiment: Experiment) -> Iterator[Pair]:
    for variant in experiment.worlds:
        for one in experiment.compare:
            yield Pair((variant.name, one.better), (variant.name, one.worse), one.metric)


def _with_baseline(experiment: Experiment) -> Iterator[Pair]:
    base = experiment.baseline
    if base is None:
        return
    for metric in base.metrics:
        for variant in experiment.worlds:
            beside = variant.against or base.variant
            for policy in experiment.policies:
                if base.policy not in {None, policy}:
                    yield Pair((variant.name, policy), (variant.name, str(base.policy)), metric)
                if beside not in {None, variant.name}:
                    yield Pair((variant.name, policy), (str(beside), policy), metric)


def _differences(table: pd.DataFrame, pair: Pair) -> NDArray[np.float64]:
    return per_seed(table, pair.of, pair.metric) - per_seed(table, pair.against, pair.metric)


def _told(gap: Interval) -> str:
    if not gap.excludes_zero:
        return "not told apart"
    return "higher" if gap.low > 0 else "lower"


def _widened(interval: Interval, half_width: float) -> Interval:
    half = max(interval.high - interval.mean, half_width)
    return Interval(interval.mean, interval.mean - half, interval.mean + half)


def _notes(gaps: NDArray[np.float64]) -> Iterator[str]:
    """Where `docs/statistics.md` found that Student's interval covers too seldom."""
    if len(gaps) < FEW:
        yield "few seeds"
    if np.ptp(gaps) == 0.0 or np.unique_counts(gaps).counts.max() > len(gaps) / 2:
        yield "equal on most seeds"
    elif is_skewed(gaps):
        yield "skewed differences"


def _verdict(
    compare: Comparison, variant: str, judged: Mapping[Pair, Interval], told: Mapping[Pair, Contrast], seeds: int
) -> tuple[bool, str]:
    pair = Pair((variant, compare.better), (variant, compare.worse), compare.metric)
    where = f" ({variant})" if variant else ""
    asked = measure(compare.metric)
    if pair not in judged:
        who = f"{compare.better} beats {compare.worse} on {compare.metric}{where}"
        return False, f"{who}: cannot be judged, an episode has nothing that tells"
    gap, found = judged[pair], told.get(pair)
    basis = [f"{100 * CONFIDENCE:g} %", f"paired over {seeds if found is None else found.effect.pairs} seeds"]
    if len(judged) > 1:
        basis.append(f"{len(judged)} comparisons together (Holm)")
    line = sentence(asked, compare.better, f"{compare.worse}{where}", gap)
    size = "" if found is None else f"; {strength(asked, found.effect, found.p_value)}"
    notes = f"; read with care: {', '.join(found.notes)}" if found and found.notes else ""
    return beats(asked, gap), f"{line} ({', '.join(basis)}{size}{notes})"
