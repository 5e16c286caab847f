"""Experiments: from `experiments/NN_question/experiment.yaml` to a table, verdicts, report. A run is an episode.

What may be asked stands in `questions`, what is concluded in `contrasts`.
"""

from __future__ import annotations

import hashlib
import itertools
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from meshsim.lab import contrasts, episodes, figures, report
from meshsim.lab.contrasts import CONFIDENCE, Cell, Pair, per_seed
from meshsim.lab.progress import bar
from meshsim.lab.questions import FOLDER, Experiment, Found, Phase, list_experiments, load_experiment
from meshsim.lab.run import make_folder, run
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Interval, mean_interval
from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshsim.lab.run import Result

__all__ = ["EXECUTORS", "Experiment", "Found", "list_experiments", "load_experiment", "run_experiment", "table_sha256"]

EXECUTORS = ("serial", "processes")
"""Who runs the episodes: this process one after the other, or two processes beside it. The table is the same."""

_FIRST = "poor_call_rate"
"""Drawn where the experiment names no metric to judge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One episode to run, in whatever process.

    Attributes:
        scenario: A preset's name or a file.
        cell: Variant and policy.
        seed: Of the episode.
        overrides: `key=value` each.
        out: Folder of its trace.
        phased: Every `metric@phase` to tell beside all metrics.
        phases: By name.
    """

    scenario: str
    cell: Cell
    seed: int
    overrides: tuple[str, ...]
    out: Path
    phased: tuple[str, ...]
    phases: Mapping[str, Phase]

    @property
    def again(self) -> str:
        """The command that repeats it."""
        words = ["meshsim", "run", self.scenario, "--seed", str(self.seed), "--policy", self.cell[1]]
        return shlex.join([*words, *(word for override in self.overrides for word in ("-o", override))])


def table_sha256(table: pd.DataFrame) -> str:
    """Hash of the canonically sorted rows; metrics and keys only, so equal results are equal bytes."""
    text = table.sort_values(_keys(table)).to_csv(index=False, float_format="%.17g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _keys(table: pd.DataFrame) -> list[str]:
    return [key for key in ("variant", "policy", "seed") if key in table.columns]


def run_experiment(
    name: str, *, out: Path | None = None, executor: str = "serial", root: Path = FOLDER, progress: bool = True
) -> dict[str, Any]:
    """Runs every policy on every seed in every variant, and writes `table.parquet` and `report.html`.

    Args:
        name: The slug.
        out: A new folder for the results; by default `runs/experiment-<slug>`, made anew.
        executor: One of `EXECUTORS`.
        root: Where experiments live.
        progress: Whether a bar may show.

    Returns:
        What `meshsim exp run --json` prints: means, comparisons, verdicts, failures, `table_sha256`.

    Raises:
        ConfigError: If the experiment, its scenario or the executor is wrong; nothing is written then.
    """
    if executor not in EXECUTORS:
        raise ConfigError(f"unknown executor {executor!r}", allowed=EXECUTORS)
    experiment, _ = load_experiment(name, root)
    for variant in experiment.worlds:
        load(experiment.scenario, (*experiment.overrides, *variant.overrides))
    folder = out or Path("runs") / f"experiment-{name}"
    if out is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif out.exists():
        raise ConfigError(f"{out} exists already; name a new folder", key="--out")
    make_folder(folder)
    with bar(f"experiment {name}", shown=progress) as advance:
        rows, failures = _episodes(list(_runs(experiment, folder)), executor, advance)
    columns = ["variant", "policy", "seed", "calls", *METRICS, *experiment.phased]
    table = pd.DataFrame(rows, columns=columns).sort_values(["variant", "policy", "seed"], ignore_index=True)
    written = table if experiment.variants else table.drop(columns="variant")
    written.to_parquet(folder / "table.parquet", index=False)
    judged = {} if failures else contrasts.judge(experiment, table)
    verdicts = [] if failures else contrasts.verdicts(experiment, judged)
    result = {
        "experiment": name,
        "question": experiment.question,
        "tables": {"means over seeds": _means(experiment, table), _title(judged): contrasts.rows(judged)},
        "runs": len(rows),
        "failures": failures,
        "verdicts": [text for _, text in verdicts],
        "table": str(folder / "table.parquet"),
        "table_sha256": table_sha256(written),
        "report": str(folder / "report.html"),
    }
    _report(experiment, table, judged, verdicts, result, folder)
    return result


# Runs -----------------------------------------------------------------------------------------------------------------


def _runs(experiment: Experiment, folder: Path) -> Iterator[_Run]:
    for variant, policy, seed in itertools.product(experiment.worlds, experiment.policies, experiment.seeds):
        yield _Run(
            scenario=experiment.scenario,
            cell=(variant.name, policy),
            seed=seed,
            overrides=(*experiment.overrides, *variant.overrides),
            out=folder / "runs" / "-".join(part for part in (variant.name, policy, f"seed{seed}") if part),
            phased=experiment.phased,
            phases={phase.name: phase for phase in experiment.phases},
        )


def _episodes(
    runs: list[_Run], executor: str, advance: Callable[[float], None]
) -> tuple[list[dict[str, Any]], list[str]]:
    rows, failures = [], []
    for done, (row, failure) in enumerate(_performed(runs, executor), start=1):
        advance(done / len(runs))
        if failure:
            failures.append(failure)
        else:
            rows.append(row)
    return rows, failures


def _performed(runs: list[_Run], executor: str) -> Iterator[tuple[dict[str, Any], str]]:
    """A row of the table, or why there is none, of each run in order."""
    if executor == "serial":
        yield from map(_perform, runs)
        return
    with episodes.workers() as pool:
        yield from pool.map(_perform, runs)


def _perform(one: _Run) -> tuple[dict[str, Any], str]:
    variant, policy = one.cell
    try:
        result = run(one.scenario, seed=one.seed, overrides=one.overrides, policy=policy, out=one.out, progress=False)
    except MeshSimError as error:
        where = f"{contrasts.name(one.cell)}, seed {one.seed}"
        return {}, f"{where}: {error} (again: {one.again})"
    keys = {"variant": variant, "policy": policy, "seed": one.seed, "calls": len(result.calls)}
    values = {metric: METRICS[metric].value(result.trace) for metric in METRICS}
    return {**keys, **values, **{name: _in_phase(result, name, one.phases) for name in one.phased}}, ""


def _in_phase(result: Result, name: str, phases: Mapping[str, Phase]) -> float:
    """The mean of a metric over the calls that began, or the rows that were written, in a phase; NaN for none."""
    metric, _, phase = name.partition("@")
    table, during = METRICS[metric].table, phases[phase]
    columns = METRICS[metric].columns(result.trace)
    seconds = np.asarray(columns["start_ns" if table == "calls" else "time_ns"], dtype=np.float64) / 1e9
    kept = np.flatnonzero((seconds >= during.start) & (seconds < during.end))
    samples = METRICS[metric].of({column: [values[i] for i in kept] for column, values in columns.items()})
    return float(samples.mean()) if len(samples) else float("nan")


# What is told ---------------------------------------------------------------------------------------------------------


def _cells(experiment: Experiment) -> list[Cell]:
    return [(variant.name, policy) for variant in experiment.worlds for policy in experiment.policies]


def _over_seeds(table: pd.DataFrame, cell: Cell, metric: str) -> Interval:
    """Over the seeds that tell something; NaN when none does."""
    values = per_seed(table, cell, metric)
    return mean_interval(values[np.isfinite(values)])


def _means(experiment: Experiment, table: pd.DataFrame) -> list[dict[str, str]]:
    """Each cell with its shown metrics: mean and half its 95 % interval."""
    return [
        {"run": contrasts.name(cell)} | {metric: _half(_over_seeds(table, cell, metric)) for metric in experiment.shown}
        for cell in _cells(experiment)
    ]


def _half(interval: Interval) -> str:
    if np.isnan(interval.mean):
        return "-"
    return f"{interval.mean:.4g} ± {interval.high - interval.mean:.2g}"


def _title(judged: Mapping[Pair, Interval]) -> str:
    return f"differences paired by seed, {CONFIDENCE:.0%} of all {len(judged)} together (Holm)"


def _report(
    experiment: Experiment,
    table: pd.DataFrame,
    judged: Mapping[Pair, Interval],
    verdicts: list[tuple[bool, str]],
    result: dict[str, Any],
    folder: Path,
) -> None:
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
