"""Comparisons of an experiment: paired by seed, all of them held to one error rate (Holm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Interval, holm_intervals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from meshsim.lab.questions import Comparison, Experiment

CONFIDENCE = 0.95
"""Of all comparisons of an experiment together."""

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


def judge(experiment: Experiment, table: pd.DataFrame) -> dict[Pair, Interval]:
    """The comparisons that can be judged: mean differences over seeds with intervals that hold all at once.

    A comparison that lacks a value on some seed is left out: one cell tells nothing there (no policy converges).
    """
    told = {pair: _differences(table, pair) for pair in pairs(experiment)}
    kept = {pair: gaps for pair, gaps in told.items() if len(gaps) and np.isfinite(gaps).all()}
    return dict(zip(kept, holm_intervals(list(kept.values()), np.zeros(len(kept)), CONFIDENCE), strict=True))


def verdicts(experiment: Experiment, judged: Mapping[Pair, Interval]) -> list[tuple[bool, str]]:
    """Whether each claim held, in one sentence, for each variant."""
    return [
        _verdict(compare, variant.name, judged, len(experiment.seeds))
        for compare in experiment.compare
        for variant in experiment.worlds
    ]


def rows(judged: Mapping[Pair, Interval]) -> list[dict[str, Any]]:
    """The comparisons as flat rows: difference with its bounds, and which way it is, where that is established."""
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
        for pair, gap in judged.items()
    ]


def name(cell: Cell) -> str:
    """A cell in words: `regional: olsr`."""
    return ": ".join(part for part in cell if part)


def unit(metric: str) -> str:
    """The unit of a metric to write after a number, with a space before it; nothing for shares."""
    own = METRICS[metric.partition("@")[0]].unit
    return "" if own == "1" else f" {own}"


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


def _verdict(compare: Comparison, variant: str, judged: Mapping[Pair, Interval], seeds: int) -> tuple[bool, str]:
    pair = Pair((variant, compare.better), (variant, compare.worse), compare.metric)
    where = f" ({variant})" if variant else ""
    claim = f"{compare.worse} on {compare.metric}{where}"
    if pair not in judged:
        return False, f"{compare.better} beats {claim}: cannot be judged, an episode has nothing that tells"
    gap = judged[pair]
    lower = METRICS[compare.metric.partition("@")[0]].lower_is_better
    held = gap.high < 0 if lower else gap.low > 0
    together = f", {len(judged)} comparisons together (Holm)" if len(judged) > 1 else ""
    return held, (
        f"{compare.better} {'beats' if held else 'does not clearly beat'} {claim}: "
        f"difference {gap.mean:+.4f} ± {(gap.high - gap.low) / 2:.4f}{unit(compare.metric)} "
        f"(95 %, paired over {seeds} seeds{together})"
    )
