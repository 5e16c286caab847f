"""Experiments: from `experiments/NN_question/experiment.yaml` to a table, verdicts, report. A run is an episode.

What may be asked stands in `questions`, what is concluded in `answers`, and who does the runs, once each, in `batch`.
"""

from __future__ import annotations

import hashlib
import itertools
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from meshsim.lab import answers, contrasts, report
from meshsim.lab.batch import (
    BatchError,
    Job,
    Record,
    Settings,
    Store,
    chosen,
    code_fingerprint,
    hold,
    holder,
    key_of,
    perform,
    tables,
)
from meshsim.lab.batch.tables import Column
from meshsim.lab.pilot import estimate
from meshsim.lab.progress import bar
from meshsim.lab.questions import FOLDER, Experiment, Found, list_experiments, load_experiment
from meshsim.lab.stages import Stage, crossings, first_stage, next_stage
from meshsim.lab.trial import Trial
from meshsim.lab.trial import perform as perform_trial
from meshsim.measure.metrics import METRICS
from meshsim.routing.artefact import MANIFEST, find_model
from meshsim.routing.policies.learned import DEFAULT_MODEL, Learned
from meshsim.scenario import load

if TYPE_CHECKING:
    import pandas as pd

    from meshsim.scenario import Scenario

__all__ = [
    "Experiment",
    "Found",
    "examine",
    "list_experiments",
    "load_experiment",
    "report_experiment",
    "run_experiment",
    "schemas",
    "table_sha256",
]

RUNS, SERIES, ATTEMPTS, REPORT, TRACES = "runs.parquet", "series.parquet", "attempts.parquet", "report.html", "traces"

_KEYS = (
    Column("variant", "", "which world", pa.string()),
    Column("policy", "", "who chose the routes", pa.string()),
    Column("seed", "1", "of the episode", pa.int64()),
)
_SERIES = ("poor_call_rate",)


def table_sha256(table: pd.DataFrame) -> str:
    """Hash of the canonically sorted rows; metrics and keys only, so equal results are equal bytes."""
    keys = [column.name for column in _KEYS if column.name in table.columns]
    text = table.sort_values(keys).to_csv(index=False, float_format="%.17g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """An experiment with all its runs, and what of them is on the disk.

    Attributes:
        name: Slug of the experiment.
        experiment: What it asks.
        jobs: Every run, in order of the table.
        store: Where they are kept.
        records: Every attempt so far.
        done: The finished record of each run that has one that counts, by key.
        stale: Keys of runs that only other code has finished.
    """

    name: str
    experiment: Experiment
    jobs: tuple[Job, ...]
    store: Store
    records: tuple[Record, ...]
    done: dict[str, Record]
    stale: set[str]

    @property
    def missing(self) -> list[Job]:
        """Runs that nobody has finished."""
        return [job for job in self.jobs if job.key not in self.done]


def run_experiment(
    name: str,
    *,
    out: Path | None = None,
    settings: Settings | None = None,
    allow_stale: bool = False,
    keep_traces: bool = False,
    root: Path = FOLDER,
    progress: bool = True,
) -> dict[str, Any]:
    """Runs every policy on every seed in every variant, and writes tables and `report.html`.

    What was run before, by the same code, is not run again; what was killed goes on.

    Args:
        name: The slug.
        out: Folder of the results; by default `runs/experiment-<slug>`.
        settings: Who does the runs, and what happens when one fails.
        allow_stale: Whether results of other code count as done.
        keep_traces: Whether the trace of every run is kept, below `traces/`.
        root: Where experiments live.
        progress: Whether a bar may show.

    Returns:
        What `meshsim exp run --json` prints: means, comparisons, verdicts, failures, `table_sha256`.

    Raises:
        ConfigError: If the experiment or its scenario is wrong; nothing is written then.
        BatchError: If the folder is another's or in use, or the disk is full.
    """
    settings = settings or Settings()
    experiment, name, folder = _asked(name, out, root)
    traces = folder / TRACES if keep_traces else None
    stage = first_stage(experiment)
    _trials(stage.asked, traces)  # whether all scenarios hold, before anything is written
    store = Store(folder, f"experiment {name}")
    failed: list[Record] = []
    new: set[str] = set()
    rest = True
    with hold(folder):
        store.tidy()
        while rest:
            batch = _batch(name, stage.asked, traces, store, allow_stale=allow_stale)
            new |= {job.key for job in batch.missing}
            try:
                failed = _perform(batch, settings, shown=progress)
            except BaseException as error:
                error.add_note(f"what was done is kept; go on with: meshsim exp resume {name}{_said(out)}")
                if isinstance(error, KeyboardInterrupt):  # somebody is there, and may want to look
                    _write_tables(_batch(name, stage.asked, traces, store, allow_stale=allow_stale))
                    error.add_note(f"its table: {folder / RUNS}")
                raise
            finally:
                store.compact()
            batch = _batch(name, stage.asked, traces, store, allow_stale=allow_stale)
            following = None if failed else next_stage(stage, _runs(batch).to_pandas())
            rest = following is not None
            stage = following or stage
        return _conclude(batch, stage, failed) | {"cached": len(batch.done.keys() - new)}


def report_experiment(
    name: str, *, out: Path | None = None, root: Path = FOLDER, figures: Path | None = None, suffix: str = ".svg"
) -> dict[str, Any]:
    """Writes tables and report anew from what has been run, by whatever code; runs nothing.

    Args:
        name: The slug.
        out: Folder of the results.
        root: Where experiments live.
        figures: Folder in which every picture of the report is written to a file of its own.
        suffix: `.svg`, `.pdf` or `.png`.

    Raises:
        BatchError: If nothing has been run yet.
    """
    experiment, name, folder = _asked(name, out, root)
    store = _existing(name, folder)
    with hold(folder):
        batch, stage = _furthest(name, experiment, store, allow_stale=True)
        return _conclude(batch, stage, [], None if figures is None else (figures, suffix))


def examine(name: str, *, out: Path | None = None, root: Path = FOLDER, fresh: bool = False) -> dict[str, Any]:
    """How far an experiment is: runs done, stale, failed and missing, damage, who is at it, how long the rest takes.

    How long, in one process: by the runs that are done, or (where `fresh` and there is none) by the first moments of
    three.

    Args:
        name: The slug.
        out: Folder of the results.
        root: Where experiments live.
        fresh: Whether a folder that is not there is an empty one (`--dry-run`) and no mistake.

    Raises:
        BatchError: If nothing has been run yet, or the folder is another's.
    """
    experiment, name, folder = _asked(name, out, root)
    if fresh and not folder.exists():
        jobs = _trials(first_stage(experiment).asked, None)
        runs, left = len(jobs), estimate([job.spec for job in jobs])
        return {"runs": runs, "done": 0, "stale": 0, "failed": 0, "missing": runs, "seconds_left": left, "damages": []}
    batch, _ = _furthest(name, experiment, _existing(name, folder), allow_stale=False)
    took = [record.seconds for record in batch.records if record.is_final]
    missing = len(batch.missing)
    tried = {record.key for record in batch.records if not record.is_final}
    return {
        "runs": len(batch.jobs),
        "done": len(batch.jobs) - missing,
        "stale": len(batch.stale & {job.key for job in batch.jobs}),
        "failed": len(tried - set(batch.done)),
        "missing": missing,
        "seconds_left": missing * sum(took) / len(took) if took else None,
        "damages": [str(damage) for damage in batch.store.damages],
        "in_use_by": holder(batch.store.folder),
    }


def _furthest(name: str, experiment: Experiment, store: Store, *, allow_stale: bool) -> tuple[Batch, Stage]:
    """The batch as far as what is done decides it: the first stage of which something is missing, or the last."""
    stage: Stage | None = first_stage(experiment)
    while stage is not None:
        at = stage
        batch = _batch(name, at.asked, None, store, allow_stale=allow_stale)
        stage = None if batch.missing else next_stage(at, _runs(batch).to_pandas())
    return batch, at


def _asked(name: str, out: Path | None, root: Path) -> tuple[Experiment, str, Path]:
    """The experiment, its slug, and the folder of its results."""
    experiment, found = load_experiment(name, root)
    return experiment, found.slug, out or Path("runs") / f"experiment-{found.slug}"


def _existing(name: str, folder: Path) -> Store:
    if not folder.exists():
        raise BatchError(
            f"{folder} is not there: nothing of {name} has been run yet; begin with: meshsim exp run {name}"
        )
    return Store(folder, f"experiment {name}")


def _said(out: Path | None) -> str:
    return "" if out is None else f" --out {shlex.quote(str(out))}"


# Runs -----------------------------------------------------------------------------------------------------------------


def _trials(experiment: Experiment, traces: Path | None) -> list[Job]:
    """Every run, by variant, policy and seed.

    Raises:
        ConfigError: If a scenario does not hold.
    """
    series = tuple(dict.fromkeys(name for name in (*_SERIES, *experiment.metrics) if "@" not in name))
    phases = tuple((phase.name, phase.start, phase.end) for phase in experiment.phases)
    jobs = []
    for variant in sorted(experiment.worlds, key=lambda variant: variant.name):
        overrides = (*experiment.overrides, *variant.overrides)
        scenario = load(experiment.scenario, overrides)
        for policy, seed in itertools.product(sorted(experiment.policies), sorted(experiment.seeds)):
            label = "-".join(part for part in (variant.name, policy, f"seed{seed}") if part)
            trial = Trial(
                scenario=scenario,
                seed=seed,
                policy=policy,
                phased=experiment.phased,
                phases=phases,
                series=series,
                keep=None if traces is None else traces / label,
            )
            jobs.append(
                Job(
                    key=_key(trial, scenario),
                    cell={"variant": variant.name, "policy": policy, "seed": seed},
                    spec=trial,
                    again=_again(experiment.scenario, trial, overrides),
                    label=f"{contrasts.name((variant.name, policy))}, seed {seed}",
                )
            )
    return jobs


def _key(trial: Trial, scenario: Scenario) -> str:
    """What the run is: equal keys, equal results, given the code."""
    return key_of(
        {
            "scenario": scenario.model_dump(mode="json"),
            "seed": trial.seed,
            "policy": trial.policy,
            "model": _model_of(trial.policy),
            "phased": trial.phased,
            "phases": trial.phases,
            "series": trial.series,
        }
    )


def _model_of(policy: str) -> str:
    """What tells the trained model of a policy from every other; empty for a policy without one."""
    if policy != Learned.name:
        return ""
    return hashlib.sha256((find_model(DEFAULT_MODEL) / MANIFEST).read_bytes()).hexdigest()


def _again(scenario: str, trial: Trial, overrides: tuple[str, ...]) -> str:
    """The command that repeats a run."""
    words = ["meshsim", "run", scenario, "--seed", str(trial.seed), "--policy", trial.policy]
    return shlex.join([*words, *(word for override in overrides for word in ("-o", override))])


def _batch(name: str, experiment: Experiment, traces: Path | None, store: Store, *, allow_stale: bool) -> Batch:
    """What is asked, as far as nothing is left open, and what of it is done."""
    records, jobs = store.records(), _trials(experiment, traces)
    done, stale = chosen(records, code_fingerprint(), allow_stale=allow_stale)
    return Batch(
        name=name,
        experiment=experiment,
        jobs=tuple(jobs),
        store=store,
        records=tuple(records),
        done={job.key: done[job.key] for job in jobs if job.key in done},
        stale=stale,
    )


def _perform(batch: Batch, settings: Settings, *, shown: bool) -> list[Record]:
    missing, finished = batch.missing, 0
    with bar(f"experiment {batch.name}", of=len(missing), shown=shown) as advance:

        def count(record: Record) -> None:
            nonlocal finished
            finished += record.is_final
            advance(finished / len(missing))

        return perform(perform_trial, missing, batch.store, code_fingerprint(), settings, count)


# What is concluded ----------------------------------------------------------------------------------------------------


def _conclude(
    batch: Batch, stage: Stage, failed: list[Record], pictures: tuple[Path, str] | None = None
) -> dict[str, Any]:
    """Writes the tables, the report and perhaps its pictures, and says what they say."""
    experiment, folder = batch.experiment, batch.store.folder
    table = _write_tables(batch)
    labels = {job.key: job.label for job in batch.jobs}
    failures = [f"{labels[record.key]}: {record.failure} (again: {record.again})" for record in failed]
    told = contrasts.contrast(experiment, table, stage.half_widths) if not (failures or batch.missing) else {}
    judged = {pair: found.interval for pair, found in told.items()}
    verdicts = contrasts.verdicts(experiment, judged, told) if told else []
    written = table if experiment.variants else table.drop(columns="variant")
    result = {
        "experiment": batch.name,
        "question": experiment.question,
        "tables": {
            "means over seeds": answers.means(experiment, table),
            answers.title(judged): contrasts.rows(judged, told),
            **({"crossings": found} if (found := crossings(stage, table)) else {}),
        },
        "runs": len(table),
        "missing": len(batch.missing),
        "stale": len(batch.stale & set(batch.done)),
        "failures": failures,
        "damages": [str(damage) for damage in batch.store.damages],
        "verdicts": [text for _, text in verdicts],
        "table": str(folder / RUNS),
        "table_sha256": table_sha256(written),
        "report": str(folder / REPORT),
    }
    shown = answers.make_report(experiment, table, told, verdicts, result, folder)
    report.write(shown, folder / REPORT)
    drawn = [] if pictures is None else report.save_pictures(shown, *pictures)
    return result | ({"figures": [str(path) for path in drawn]} if drawn else {})


def _write_tables(batch: Batch) -> pd.DataFrame:
    """The tables of all that is done; the one of runs as a DataFrame."""
    experiment, folder = batch.experiment, batch.store.folder
    keys = _KEYS if experiment.variants else _KEYS[1:]
    runs = _runs(batch)
    tables.write(runs.select([column.name for column in (*keys, *_columns(experiment))]), folder / RUNS)
    tables.write(tables.series(keys, batch.jobs, batch.done), folder / SERIES)
    tables.write(tables.attempts(keys, batch.records), folder / ATTEMPTS)
    frame: pd.DataFrame = runs.to_pandas()
    return frame


def _runs(batch: Batch) -> pa.Table:
    """A row for each run that is done."""
    return tables.runs(_KEYS, _columns(batch.experiment), batch.jobs, batch.done)


def schemas() -> dict[str, pa.Schema]:
    """The tables of a batch with variants; one with phases has more columns, such as `poor_call_rate@after`."""
    return {
        "runs": tables.runs(_KEYS, _plain_columns(), [], {}).schema,
        "series": tables.series(_KEYS, [], {}).schema,
        "attempts": tables.attempts(_KEYS, []).schema,
    }


def _plain_columns() -> list[Column]:
    """What every run tells: how many calls, and every metric."""
    calls = Column("calls", "1", "calls that were asked for", pa.int64())
    return [calls, *(Column(name, METRICS[name].unit, METRICS[name].text, pa.float64()) for name in METRICS)]


def _columns(experiment: Experiment) -> list[Column]:
    """What a run of an experiment tells: that, and metrics in phases."""
    phased = []
    for name in experiment.phased:
        metric, _, phase = name.partition("@")
        text = f"{METRICS[metric].text}; of what began in the phase {phase}"
        phased.append(Column(name, METRICS[metric].unit, text, pa.float64()))
    return [*_plain_columns(), *phased]
