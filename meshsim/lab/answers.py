"""What an experiment answers: means with intervals, comparisons, verdicts, and the report that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab import contrasts, figures, report
from meshsim.lab.contrasts import CONFIDENCE, Cell, Pair, per_seed
from meshsim.measure.stats import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from meshsim.lab.questions import Experiment

_FIRST = "poor_call_rate"
"""Drawn where the experiment names no metric to judge."""


def _cells(experiment: Experiment) -> list[Cell]:
    return [(variant.name, policy) for variant in experiment.worlds for policy in experiment.policies]


def _over_seeds(table: pd.DataFrame, cell: Cell, metric: str) -> Interval:
    """Over the seeds that tell something; NaN when none does."""
    values = per_seed(table, cell, metric)
    return mean_interval(values[np.isfinite(values)])


def means(experiment: Experiment, table: pd.DataFrame) -> list[dict[str, str]]:
    """Each cell with its shown metrics: mean and half its 95 % interval."""
    return [
        {"run": contrasts.name(cell)} | {metric: _half(_over_seeds(table, cell, metric)) for metric in experiment.shown}
        for cell in _cells(experiment)
    ]


def _half(interval: Interval) -> str:
    if np.isnan(interval.mean):
        return "-"
    return f"{interval.mean:.4g} ± {interval.high - interval.mean:.2g}"


def title(judged: Mapping[Pair, Interval]) -> str:
    """What the table of comparisons is called."""
    return f"differences paired by seed, {CONFIDENCE:.0%} of all {len(judged)} together (Holm)"


def write_report(
    experiment: Experiment,
    table: pd.DataFrame,
    judged: Mapping[Pair, Interval],
    verdicts: list[tuple[bool, str]],
    result: dict[str, Any],
    folder: Path,
) -> None:
    """Writes `report.html` beside the tables."""
    told = [_told(experiment, table), *([_compared(experiment, judged)] if experiment.baseline and judged else [])]
    report.write(
        report.Report(
            title=f"Experiment: {result['experiment']}",
            lead=experiment.question,
            verdicts=verdicts,
            sections=told,
            provenance=[
                ("scenario", experiment.scenario),
                ("seeds", str(list(experiment.seeds))),
                *((f"variant {variant.name}", ", ".join(variant.overrides)) for variant in experiment.variants),
                ("table_sha256", result["table_sha256"]),
            ],
            command=f"meshsim exp run {result['experiment']}",
            failures=result["failures"],
        ),
        folder / "report.html",
    )


def _told(experiment: Experiment, table: pd.DataFrame) -> report.Section:
    """The section of what each policy did."""
    cells = [cell for cell in _cells(experiment) if len(per_seed(table, cell, "calls"))]
    rows = [
        [contrasts.name(cell), *(_text(_over_seeds(table, cell, metric)) for metric in experiment.shown)]
        for cell in cells
    ]
    rates = {contrasts.name(cell): _over_seeds(table, cell, _FIRST) for cell in cells}
    drawn = {cell: rate for cell, rate in rates.items() if np.isfinite(rate.mean)}
    return report.Section(
        title="What each policy did",
        text=(f"Mean over {len(experiment.seeds)} seeds with its 95 % interval (Student).",),
        tables=(report.Table(columns=["policy", *experiment.shown], rows=rows),),
        pictures=(report.picture(figures.poor_rates(drawn), "Share of poor calls per policy"),) if drawn else (),
    )


def _compared(experiment: Experiment, judged: Mapping[Pair, Interval]) -> report.Section:
    """The section of comparisons with the baseline."""
    assert experiment.baseline is not None  # noqa: S101 - narrows the type for mypy
    first = experiment.baseline.metrics[0]
    gaps = {
        f"{contrasts.name(p.of)} - {contrasts.name(p.against)}": gap for p, gap in judged.items() if p.metric == first
    }
    columns = ["compared", "with", "metric", "difference", "told"]
    rows = [
        [
            row["of"],
            row["against"],
            row["metric"],
            _text(Interval(row["difference"], row["low"], row["high"])),
            row["told"],
        ]
        for row in contrasts.rows(judged)
    ]
    text = (
        f"Differences paired by seed; with {CONFIDENCE:.0%} confidence all {len(judged)} intervals hold (Holm). "
        "Where zero lies outside, the difference is established; inside, these seeds do not tell the two apart."
    )
    return report.Section(
        title="What differs",
        text=(text,),
        tables=(report.Table(columns=columns, rows=rows, words=3),),
        pictures=(report.picture(figures.differences(gaps, xlabel=first), f"Differences on {first}"),) if gaps else (),
    )


def _text(interval: Interval) -> str:
    return f"{interval.mean:.4g} [{interval.low:.4g}, {interval.high:.4g}]"
