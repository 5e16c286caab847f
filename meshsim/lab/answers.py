"""What an experiment answers: means with intervals, comparisons, verdicts, and the report that shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from meshsim import __version__
from meshsim.lab import changes, contrasts, figures, report
from meshsim.lab.contrasts import CONFIDENCE, Cell, Pair, per_seed
from meshsim.lab.run_report import look_into
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Interval, mean_interval
from meshsim.scenario import compile_plan, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from meshsim.lab.contrasts import Contrast
    from meshsim.lab.questions import Experiment
    from meshsim.scenario import Scenario

_FIRST = "poor_call_rate"
"""Drawn where the experiment names no metric to judge."""

_PICTURES, _WORLDS_DRAWN, _NODES_DRAWN = 3, 4, 500
"""At most so many metrics and worlds are drawn over time, and so large a network by itself."""

_ALONG = 3
"""Worlds from which on they are an axis of pictures."""

_MINUTE = 60.0


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
    half = interval.high - interval.mean
    return f"{interval.mean:.4g}" + ("" if np.isnan(half) else f" ± {half:.2g}")


def title(judged: Mapping[Pair, Interval]) -> str:
    """What the table of comparisons is called."""
    return f"differences paired by seed, {CONFIDENCE:.0%} of all {len(judged)} together (Holm)"


def make_report(
    experiment: Experiment,
    table: pd.DataFrame,
    told: Mapping[Pair, Contrast],
    verdicts: Sequence[tuple[bool, str]],
    result: dict[str, Any],
    folder: Path,
) -> report.Report:
    """The report of an experiment: equal tables, attempts and traces give equal ones.

    Args:
        experiment: With nothing left open.
        table: A row of metrics for each variant, policy and seed.
        told: What `contrasts.contrast` found; nothing while runs are missing.
        verdicts: Of the claims.
        result: What the command says.
        folder: Where the tables `series` and `attempts` lie, and traces if they were kept.
    """
    attempts = pd.read_parquet(folder / "attempts.parquet")
    worlds = scenarios(experiment)
    sections = [
        _told(experiment, table),
        *_over_time(experiment, pd.read_parquet(folder / "series.parquet")),
        *([_compared(told)] if told else []),
        *_worlds(experiment, worlds),
        *_network(experiment, worlds, table, folder / "traces"),
    ]
    return report.Report(
        title=f"Experiment: {result['experiment']}",
        lead=experiment.question,
        verdicts=[*_unfinished(result), *verdicts, *_established(experiment, told)],
        sections=sections,
        failures=failures(attempts),
        provenance=list(_provenance(experiment, attempts, result)),
        command=f"meshsim exp run {result['experiment']}",
    )


def _unfinished(result: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """What keeps the verdicts from being trusted."""
    if result["missing"]:
        total = result["runs"] + result["missing"]
        yield False, f"{result['missing']} of {total} runs are missing: nothing is judged before all are there"
    if result["stale"]:
        yield False, f"{result['stale']} of {result['runs']} runs were made by other code than what is here now"


def _established(experiment: Experiment, told: Mapping[Pair, Contrast]) -> Iterator[tuple[None, str]]:
    """How much all comparisons come to, where there are others than what was claimed."""
    if told and experiment.baseline is not None:
        sure = sum(found.interval.excludes_zero for found in told.values())
        yield None, f"{sure} of {len(told)} comparisons tell the two apart ({CONFIDENCE:.0%} of all together, Holm)."


# What is shown --------------------------------------------------------------------------------------------------------


def _told(experiment: Experiment, table: pd.DataFrame) -> report.Section:
    """The section of what each policy did."""
    cells = [cell for cell in _cells(experiment) if len(per_seed(table, cell, "calls"))]
    return report.Section(
        title="What each policy did",
        text=(f"Mean over {len(experiment.seeds)} seeds with its {CONFIDENCE:.0%} interval (Student).",),
        pictures=[_means_picture(experiment, table, name) for name in _judged(experiment) if _tells(table, name)],
        tables=(_means_table(experiment, table, cells),),
    )


def _means_picture(experiment: Experiment, table: pd.DataFrame, metric: str) -> report.Picture:
    """Each policy in each world: from world to world where there are many of these, else one below the other."""
    found = {
        policy: [_over_seeds(table, (world.name, policy), metric) for world in experiment.worlds]
        for policy in experiment.policies
    }
    names = [world.name for world in experiment.worlds]
    text = METRICS[metric.partition("@")[0]].text
    caption, percent = text[:1].upper() + text[1:], is_share(metric)
    if len(names) >= _ALONG:
        drawn = figures.along(names, found, ylabel=axis(metric), title=caption, percent=percent)
    else:
        known = {
            contrasts.name((world, policy)): told[at]
            for at, world in enumerate(names)
            for policy, told in found.items()
            if np.isfinite(told[at].mean)
        }
        drawn = figures.intervals(known, xlabel=axis(metric), title=caption, percent=percent)
    return report.picture(drawn, f"{metric}: mean over seeds and its interval, by policy")


def axis(metric: str) -> str:
    """A metric with its unit."""
    unit = contrasts.unit(metric)
    return f"{metric},{unit}" if unit else metric


def is_share(metric: str) -> bool:
    """Whether a metric is told in percent."""
    return metric.partition("@")[0].endswith("_rate")


def _means_table(experiment: Experiment, table: pd.DataFrame, cells: list[Cell]) -> report.Table:
    """A row for each cell, or for each metric where these are more; what nothing told of is left out."""
    names = [contrasts.name(cell) for cell in cells]
    columns = {name: [_half(_over_seeds(table, cell, name)) for cell in cells] for name in experiment.shown}
    columns = {name: values for name, values in columns.items() if set(values) != {"-"}}
    if len(columns) <= len(cells):
        rows = [[name, *values] for name, *values in zip(names, *columns.values(), strict=True)]
        return report.Table(columns=["policy", *columns], rows=rows, caption="Every policy")
    rows = [[name, METRICS[name.partition("@")[0]].unit, *values] for name, values in columns.items()]
    return report.Table(columns=["metric", "unit", *names], rows=rows, words=2, caption="Every metric")


def _judged(experiment: Experiment) -> list[str]:
    """The metrics that are drawn: those judged, else the one that stands for all."""
    asked = experiment.baseline.metrics if experiment.baseline else ()
    named = dict.fromkeys([*(one.metric for one in experiment.compare), *asked])
    return list(named)[:_PICTURES] or [_FIRST]


def _tells(table: pd.DataFrame, metric: str) -> bool:
    return bool(table[metric].notna().any())


def _over_time(experiment: Experiment, series: pd.DataFrame) -> Iterator[report.Section]:
    """The section of how it went: means over seeds in stretches of the episode, in their bands."""
    kept = set(series.dropna()["metric"])
    worlds = [variant.name for variant in experiment.worlds][:_WORLDS_DRAWN]
    pictures = [
        report.picture(_bands(series[series["metric"] == metric], experiment, worlds), f"{metric} over time")
        for metric in _judged(experiment)
        if metric in kept
    ]
    if not pictures:
        return
    left = len(worlds) < len(experiment.worlds)
    more = f" The first {len(worlds)} of {len(experiment.worlds)} worlds are drawn." if left else ""
    text = f"Means over seeds with the band of their {CONFIDENCE:.0%} interval, stretch by stretch.{more}"
    yield report.Section(title="How it went over time", text=[text], pictures=pictures)


def _bands(series: pd.DataFrame, experiment: Experiment, worlds: list[str]) -> Figure:
    """One metric over time, world beside world."""
    metric, at = series["metric"].iloc[0], np.sort(series.dropna()["t"].unique())
    told = {world: series[series["variant"] == world] if world else series for world in worlds}
    return figures.bands_beside(
        at / _MINUTE,
        {
            world: {policy: by_seed(own[own["policy"] == policy], at) for policy in experiment.policies}
            for world, own in told.items()
        },
        xlabel="minutes",
        ylabel=axis(metric),
        bounds=(0.0, 1.0) if is_share(metric) else (-np.inf, np.inf),
    )


def by_seed(series: pd.DataFrame, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S, T): what each seed tells at each time; a row of NaN where nobody tells anything."""
    own = series.pivot_table(index="seed", columns="t", values="value")
    values = own.reindex(columns=at).to_numpy(dtype=np.float64)
    return values if len(values) else np.full((1, len(at)), np.nan)


def _differences(metric: str, gaps: Mapping[str, Interval]) -> Figure:
    return figures.differences(gaps, xlabel=metric, lower_is_better=contrasts.measure(metric).lower_is_better)


def _compared(told: Mapping[Pair, Contrast]) -> report.Section:
    """The section of comparisons: with the baseline, and what was claimed."""
    judged = {pair: found.interval for pair, found in told.items()}
    pictures = [
        report.picture(_differences(metric, gaps), f"Differences on {metric}") for metric, gaps in _gaps(judged).items()
    ]
    columns = ["compared", "with", "metric", "difference", "told", "p", "Hedges g", "read with care"]
    rows = [
        [
            row["of"],
            row["against"],
            row["metric"],
            _text(Interval(row["difference"], row["low"], row["high"])),
            row["told"],
            _number(row["p_value"]),
            _number(row["hedges_g"]),
            row["notes"],
        ]
        for row in contrasts.rows(judged, told)
    ]
    text = (
        f"Differences paired by seed; with {CONFIDENCE:.0%} confidence all {len(judged)} intervals hold (Holm). "
        "Where zero lies outside, the difference is established; inside, these seeds do not tell the two apart."
    )
    table = report.Table(columns=columns, rows=rows, words=3, caption="Every comparison")
    return report.Section(title="What differs", text=(text,), pictures=pictures[:_PICTURES], tables=(table,))


def _gaps(judged: Mapping[Pair, Interval]) -> dict[str, dict[str, Interval]]:
    """By metric, every comparison by name."""
    found: dict[str, dict[str, Interval]] = {}
    for pair, gap in judged.items():
        found.setdefault(pair.metric, {})[f"{contrasts.name(pair.of)} - {contrasts.name(pair.against)}"] = gap
    return found


def _text(interval: Interval) -> str:
    return f"{interval.mean:.4g} [{interval.low:.4g}, {interval.high:.4g}]"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


# What was run ---------------------------------------------------------------------------------------------------------


def scenarios(experiment: Experiment) -> dict[str, Scenario]:
    """The scenario of each world, by its name."""
    return {
        world.name: load(experiment.scenario, (*experiment.overrides, *world.overrides)) for world in experiment.worlds
    }


def _worlds(experiment: Experiment, worlds: Mapping[str, Scenario]) -> Iterator[report.Section]:
    """The section of what the worlds were: in what they differ from the scenario, and from each other."""
    told = {"as it is": load(experiment.scenario)} | {name or "as run": one for name, one in worlds.items()}
    keys, values = changes.differing(told)
    if not keys:
        return
    if len(told) > len(keys):
        columns, rows = ["world", *keys], [[name, *row] for name, row in zip(told, values, strict=True)]
    else:
        columns, rows = ["key", *told], [[key, *row] for key, *row in zip(keys, *values, strict=True)]
    yield report.Section(
        title="What the worlds were",
        text=[f"Every key in which a world differs from the scenario {_file(experiment.scenario)}."],
        tables=[
            report.Table(columns=columns, rows=rows, words=len(columns), caption="Configuration, as far as it differs")
        ],
    )


def _file(scenario: str) -> str:
    """The name of a preset or of a file, wherever that lies."""
    return scenario.rpartition("/")[2]


def _network(
    experiment: Experiment, worlds: Mapping[str, Scenario], table: pd.DataFrame, traces: Path
) -> Iterator[report.Section]:
    """The section of where it happened: the first network that was run, to look into where its trace was kept."""
    world = experiment.worlds[0]
    run = table[(table["variant"] == world.name) & (table["policy"] == experiment.policies[0])]
    if run.empty:
        return
    seed = int(run["seed"].min())
    plan = compile_plan(worlds[world.name], seed)
    label = "-".join(part for part in (world.name, experiment.policies[0], f"seed{seed}") if part)
    pages = look_into(traces / label) if (traces / label).exists() else []
    if len(plan.nodes) > _NODES_DRAWN and not pages:
        return
    kept = "" if pages else " With --keep-traces the report shows it in time, with the paths of calls."
    yield report.Section(
        title="Where it happened",
        text=[f"{len(plan.nodes)} nodes on {plan.underlay.topology.name}, seed {seed}.{kept}"],
        pictures=[report.picture(figures.network(plan), "The underlay, and the nodes of the overlay on it")],
        pages=pages,
    )


def failures(attempts: pd.DataFrame) -> list[report.Failure]:
    """The last attempt at each run that nobody has finished."""
    open_ = attempts[~attempts.groupby("key")["finished"].transform("any").astype(bool)]
    last = open_.sort_values(["began", "attempt"]).groupby("key", sort=False).tail(1)
    return [
        report.Failure(
            what=f"{contrasts.name((row.get('variant', ''), row['policy']))}, seed {row['seed']}: {row['failure']}",
            command=row["again"],
            detail=row["detail"],
        )
        for row in last.to_dict("records")
    ]


def _provenance(experiment: Experiment, attempts: pd.DataFrame, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "table_sha256", result["table_sha256"]
    yield "meshsim", __version__
    yield "scenario", _file(experiment.scenario)
    yield "seeds", ", ".join(map(str, experiment.seeds))
    yield "policies", ", ".join(experiment.policies)
    for variant in experiment.variants:
        yield f"variant {variant.name}", ", ".join(variant.overrides) or "as it is"
    yield from made(attempts)


def made(attempts: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """By which code, where and when a batch was run."""
    if attempts.empty:
        return
    codes = attempts[attempts["finished"].astype(bool)]["code"].value_counts()
    began, ended = attempts["began"].min(), (attempts["began"] + attempts["seconds"]).max()
    yield "code", ", ".join(f"{code} ({count} runs)" for code, count in sorted(codes.items()))
    yield "machines", ", ".join(sorted(filter(None, attempts["host"].unique())))
    yield "from", _date(began)
    yield "to", _date(ended)
    yield "computing time", f"{attempts['seconds'].sum():.0f} s in {len(attempts)} attempts"


def _date(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(sep=" ", timespec="seconds")
