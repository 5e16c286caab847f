"""The report of a comparison: who was better, how sure that is, over time and where; what was asked for differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab import answers, contrasts, figures, run_report
from meshsim.lab.report import Failure, Report, Section, Table, picture, write
from meshsim.lab.results import find
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.scenario import Scenario, compile_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from meshsim.lab.comparing import Compared, Row
    from meshsim.lab.report import Picture

_MINUTE = 60.0
_CELLS_DRAWN = 4


def write_comparison(compared: Compared, of: Path, against: Path, path: Path, command: str) -> Path:
    """Writes a comparison as one HTML file; equal folders give equal bytes.

    Args:
        compared: What `comparing.compare` found.
        of: The first folder.
        against: The second one.
        path: Of the file.
        command: That makes it again.

    Raises:
        ConfigError: If it cannot be written there.
    """
    folders = {compared.of: of, compared.against: against}
    are_batches = compared.pairs == "seeds"
    shown = _of_batches(compared, folders) if are_batches else _of_traces(folders)
    return write(
        Report(
            title=f"{compared.of} against {compared.against}",
            lead=f"What differs between {compared.of} and {compared.against}, and how sure that is.",
            verdicts=[(None, line) for line in (*compared.verdicts, *compared.notes)],
            sections=[_differences(compared), *shown, _asked(compared)],
            failures=[failure for name, folder in folders.items() for failure in _failures(name, folder, are_batches)],
            provenance=[
                (f"{name}: {what}", text)
                for name, folder in folders.items()
                for what, text in (answers.made(_attempts(folder)) if are_batches else _trace(folder))
            ],
            command=command,
        ),
        path,
    )


def _differences(compared: Compared) -> Section:
    rows = [
        [
            row.cell or "all calls",
            row.metric,
            f"{row.of:.4g}",
            f"{row.against:.4g}",
            f"{row.gap.mean:+.4g} [{row.gap.low:+.4g}, {row.gap.high:+.4g}]",
            _told(row),
            f"{row.p_value:.2g}",
            "-" if np.isnan(row.effect.g) else f"{row.effect.g:.2f}",
        ]
        for row in compared.rows
    ]
    columns = ["cell", "metric", compared.of, compared.against, "difference", "told", "p", "Hedges g"]
    text = (
        f"Means of both, and their difference paired by {compared.pairs}; with {contrasts.CONFIDENCE:.0%} confidence "
        f"all {len(rows)} intervals hold (Holm). Where zero lies outside, the difference is established."
    )
    return Section(
        title="What came out differently",
        text=[text],
        pictures=list(_pictures(compared)),
        tables=[Table(columns=columns, rows=rows, words=2, caption="Every metric")],
    )


def _told(row: Row) -> str:
    if not row.gap.excludes_zero:
        return "not told apart"
    return "higher" if row.gap.low > 0 else "lower"


def _pictures(compared: Compared) -> Iterator[Picture]:
    for metric in dict.fromkeys(row.metric for row in compared.rows):
        gaps = {row.cell or "all calls": row.gap for row in compared.rows if row.metric == metric}
        label = f"{metric}: {compared.of} minus {compared.against}"
        title, lower = f"Differences, paired by {compared.pairs}", contrasts.measure(metric).lower_is_better
        drawn = figures.differences(gaps, xlabel=label, title=title, lower_is_better=lower)
        yield picture(drawn, f"Differences on {metric}")


def _asked(compared: Compared) -> Section:
    rows = [list(row) for row in compared.changes]
    table = Table(columns=["key", compared.of, compared.against], rows=rows, words=3, caption="Every key that differs")
    return Section(
        title="What was asked for differently",
        text=() if rows else ("Nothing: both have the same configuration.",),
        tables=[table] if rows else (),
    )


# Batches --------------------------------------------------------------------------------------------------------------


def _attempts(folder: Path) -> pd.DataFrame:
    attempts: pd.DataFrame = find(folder).read("attempts").to_pandas()
    return attempts


def _failures(name: str, folder: Path, are_batches: bool) -> Iterator[Failure]:  # noqa: FBT001 - as told
    for failure in answers.failures(_attempts(folder)) if are_batches else ():
        yield Failure(what=f"{name}: {failure.what}", command=failure.command, detail=failure.detail)


def _of_batches(compared: Compared, folders: Mapping[str, Path]) -> Iterator[Section]:
    """The section of how it went: both in each cell, in their bands over seeds."""
    series = {name: find(folder).read("series").to_pandas() for name, folder in folders.items()}
    cells = list(dict.fromkeys(row.cell for row in compared.rows))[:_CELLS_DRAWN]
    metrics = dict.fromkeys(row.metric for row in compared.rows)
    told = {metric: {name: _of_metric(table, metric) for name, table in series.items()} for metric in metrics}
    drawn = [
        picture(_bands(metric, both, cells), f"{metric} over time")
        for metric, both in told.items()
        if all(len(table) for table in both.values())
    ]
    if drawn:
        text = f"Means over seeds with the band of their {contrasts.CONFIDENCE:.0%} interval, for {len(cells)} cells."
        yield Section(title="How it went over time", text=[text], pictures=drawn)


def _of_metric(series: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What the table `series` tells of a metric, with the name of each row's cell."""
    told = series[series["metric"] == metric].dropna()
    variants = told["variant"] if "variant" in told else [""] * len(told)
    cells = [contrasts.name(cell) for cell in zip(variants, told["policy"], strict=True)]
    return told.assign(cell=cells)


def _bands(metric: str, both: Mapping[str, pd.DataFrame], cells: list[str]) -> Figure:
    at = np.unique(np.concatenate([table["t"].to_numpy() for table in both.values()]))
    return figures.bands_beside(
        at / _MINUTE,
        {
            cell: {name: answers.by_seed(table[table["cell"] == cell], at) for name, table in both.items()}
            for cell in cells
        },
        xlabel="minutes",
        ylabel=answers.axis(metric),
        bounds=(0.0, 1.0) if answers.is_share(metric) else (-np.inf, np.inf),
    )


# Traces ---------------------------------------------------------------------------------------------------------------


def _of_traces(folders: Mapping[str, Path]) -> Iterator[Section]:
    """The sections of how it went and of where: the same calls in both, so one picture of the network for both."""
    traces = {name: Trace(folder) for name, folder in folders.items()}
    header = next(iter(traces.values())).header
    scenario = Scenario.model_validate(header["scenario"])
    calls = {name: trace.table("calls").to_pandas() for name, trace in traces.items()}
    yield run_report.quality_over_time(calls, scenario.duration)
    drawn = figures.network(compile_plan(scenario, header["seed"]))
    yield Section(
        title="The network",
        text=["Below the picture, on a screen: the network of each in time."],
        pictures=[picture(drawn, "The underlay, and the nodes of the overlay on it")],
        pages=[
            (page, f"{name}. {text}") for name, folder in folders.items() for page, text in run_report.look_into(folder)
        ],
    )


def _trace(folder: Path) -> Iterator[tuple[str, str]]:
    yield "trace_sha256", trace_sha256(folder)
    yield from run_report.written(folder)
