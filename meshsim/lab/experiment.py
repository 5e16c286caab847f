"""Experiments: from `experiments/NN_question/experiment.yaml` to a table, verdicts, report. A run is an episode."""

from __future__ import annotations

import hashlib
import itertools
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from meshsim.lab import figures, report
from meshsim.lab.progress import bar
from meshsim.lab.run import choosers, make_folder, run
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Interval, mean_interval, paired_difference
from meshsim.mesh.errors import ConfigError, MeshSimError, nearest
from meshsim.scenario import load
from meshsim.scenario.problems import explain
from meshsim.scenario.text import Text, dotted, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

KEYS = ["policy", "seed"]
FOLDER = Path("experiments")


class Comparison(BaseModel):
    """Which policy is claimed to beat which, on what."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    better: str
    """One of the experiment's policies."""
    worse: str
    """Another one."""
    metric: str = "poor_call_rate"
    """One of `meshsim.measure.metrics.METRICS`."""


class Experiment(BaseModel):
    """A question, and the runs that answer it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    question: Annotated[str, Field(min_length=1)]
    """In words."""
    scenario: str
    """A preset's name, or a file beside `experiment.yaml` or where the command is given."""
    policies: Annotated[tuple[str, ...], Field(min_length=1)]
    """Each is run on every seed (common random numbers)."""
    seeds: Annotated[tuple[int, ...], Field(min_length=1)]
    """Each is one episode per policy."""
    overrides: tuple[str, ...] = ()
    """For all runs, `key=value`."""
    compare: tuple[Comparison, ...] = ()
    """Verdicts to give."""


@dataclass(frozen=True, slots=True)
class Found:
    """An experiment's slug and where it lives."""

    slug: str
    folder: Path


def list_experiments(root: Path = FOLDER) -> list[Found]:
    """All experiments below `root`, by number."""
    return [Found(path.parent.name.partition("_")[2], path.parent) for path in sorted(root.glob("*/experiment.yaml"))]


def load_experiment(name: str, root: Path = FOLDER) -> tuple[Experiment, Found]:
    """The experiment called `name` (its slug, without the number).

    Raises:
        ConfigError: If there is none, or its file is wrong.
    """
    known = {found.slug: found for found in list_experiments(root)}
    if name not in known:
        raise ConfigError(
            f"no experiment {name!r} in the folder {root}", allowed=sorted(known), nearest=nearest(name, known)
        )
    found = known[name]
    path = found.folder / "experiment.yaml"
    text = parse(path.read_text(encoding="utf-8"), file=str(path))
    try:
        experiment = Experiment.model_validate(text.value)
    except ValidationError as error:
        raise explain(error, Experiment, text, file=str(path), overrides={}) from error
    _check_names(experiment, text, str(path))
    if (found.folder / experiment.scenario).is_file():
        experiment = experiment.model_copy(update={"scenario": str(found.folder / experiment.scenario)})
    return experiment, found


def _check_names(experiment: Experiment, text: Text, file: str) -> None:
    for place, name, known in _names(experiment):
        if name not in known:
            raise ConfigError(
                f"unknown name {name!r}", file=file, line=text.line(place), key=dotted(place), allowed=sorted(known),
                nearest=nearest(name, known),
            )  # fmt: skip


def _names(experiment: Experiment) -> Iterator[tuple[tuple[str | int, ...], str, Iterable[str]]]:
    """Every name of a policy or metric: where it stands, and what it may be."""
    for i, policy in enumerate(experiment.policies):
        yield ("policies", i), policy, choosers()
    for i, compare in enumerate(experiment.compare):
        yield ("compare", i, "better"), compare.better, experiment.policies
        yield ("compare", i, "worse"), compare.worse, experiment.policies
        yield ("compare", i, "metric"), compare.metric, list(METRICS)


def table_sha256(table: pd.DataFrame) -> str:
    """Hash of the canonically sorted rows; metrics and keys only, so equal results are equal bytes."""
    text = table.sort_values(KEYS).to_csv(index=False, float_format="%.17g", lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def run_experiment(
    name: str, *, out: Path | None = None, executor: str = "serial", root: Path = FOLDER, progress: bool = True
) -> dict[str, Any]:
    """Runs every policy on every seed, one after the other, and writes `table.parquet` and `report.html`.

    Args:
        name: The slug.
        out: A new folder for the results; by default `runs/experiment-<slug>`, made anew.
        executor: Only `serial` so far.
        root: Where experiments live.
        progress: Whether a bar may show.

    Returns:
        What `meshsim exp run --json` prints: table, verdicts, failures, `table_sha256`.

    Raises:
        ConfigError: If the experiment, its scenario or the executor is wrong; nothing is written then.
    """
    if executor != "serial":
        raise ConfigError(f"unknown executor {executor!r}", allowed=["serial"])
    experiment, _ = load_experiment(name, root)
    load(experiment.scenario, experiment.overrides)
    folder = out or Path("runs") / f"experiment-{name}"
    if out is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif out.exists():
        raise ConfigError(f"{out} exists already; name a new folder", key="--out")
    make_folder(folder)
    with bar(f"experiment {name}", shown=progress) as advance:
        rows, samples, failures = _episodes(experiment, folder, advance)
    table = pd.DataFrame(rows, columns=[*KEYS, "calls", *METRICS]).sort_values(KEYS, ignore_index=True)
    table.to_parquet(folder / "table.parquet", index=False)
    verdicts = [_verdict(one, samples) for one in experiment.compare if not failures]
    result = {
        "experiment": name,
        "question": experiment.question,
        "runs": len(rows),
        "failures": failures,
        "verdicts": [text for _, text in verdicts],
        "table": str(folder / "table.parquet"),
        "table_sha256": table_sha256(table),
        "report": str(folder / "report.html"),
    }
    _report(experiment, name, samples, verdicts, result, folder)
    return result


Samples = dict[tuple[str, str], list[Any]]


def _episodes(
    experiment: Experiment, folder: Path, advance: Callable[[float], None]
) -> tuple[list[dict[str, Any]], Samples, list[str]]:
    rows, failures, samples = [], [], Samples()
    runs = list(itertools.product(experiment.policies, experiment.seeds))
    for done, (policy, seed) in enumerate(runs):
        advance(done / len(runs))
        where = folder / "runs" / f"{policy}-seed{seed}"
        try:
            result = run(
                experiment.scenario, seed=seed, overrides=experiment.overrides, policy=policy, out=where, progress=False
            )
        except MeshSimError as error:
            failures.append(f"{policy}, seed {seed}: {error} (again: {_again(experiment, policy, seed)})")
            continue
        for metric in METRICS:
            samples.setdefault((policy, metric), []).append(METRICS[metric].samples(result.trace))
        values = {metric: METRICS[metric].value(result.trace) for metric in METRICS}
        rows.append({"policy": policy, "seed": seed, "calls": len(result.calls), **values})
    advance(1.0)
    return rows, samples, failures


def _again(experiment: Experiment, policy: str, seed: int) -> str:
    """The command that repeats one run."""
    words = ["meshsim", "run", experiment.scenario, "--seed", str(seed), "--policy", policy]
    return shlex.join([*words, *(word for override in experiment.overrides for word in ("-o", override))])


def _verdict(compare: Comparison, samples: Samples) -> tuple[bool, str]:
    """Whether the claim held over seeds, paired by seed, in one sentence."""
    metric = METRICS[compare.metric]
    means = {name: [_mean(s) for s in samples[name, compare.metric]] for name in (compare.better, compare.worse)}
    if not np.isfinite([*means[compare.better], *means[compare.worse]]).all():
        claim = f"{compare.better} beats {compare.worse} on {metric.name}"
        return False, f"{claim}: cannot be judged, an episode has no call that tells"
    gain = paired_difference(means[compare.better], means[compare.worse])
    held = gain.high < 0 if metric.lower_is_better else gain.low > 0
    verb = "beats" if held else "does not clearly beat"
    half = (gain.high - gain.low) / 2
    unit = "" if metric.unit == "1" else f" {metric.unit}"
    return held, (
        f"{compare.better} {verb} {compare.worse} on {metric.name}: "
        f"difference {gain.mean:+.4f} ± {half:.4f}{unit} "
        f"(95 %, paired over {len(means[compare.better])} seeds)"
    )


def _report(
    experiment: Experiment,
    name: str,
    samples: Samples,
    verdicts: list[tuple[bool, str]],
    result: dict[str, Any],
    folder: Path,
) -> None:
    rows = [
        [policy, *(_text(_over_seeds(samples[policy, metric])) for metric in METRICS)]
        for policy in experiment.policies
        if (policy, "poor_call_rate") in samples
    ]
    rates = {policy: _over_seeds(samples.get((policy, "poor_call_rate"), [])) for policy in experiment.policies}
    drawn = {policy: rate for policy, rate in rates.items() if np.isfinite(rate.mean)}
    section = report.Section(
        title="What each policy did",
        text=(f"Mean over {len(experiment.seeds)} seeds with its 95 % interval (Student).",),
        tables=(report.Table(columns=["policy", *METRICS], rows=rows),),
        pictures=(report.picture(figures.poor_rates(drawn), "Share of poor calls per policy"),) if drawn else (),
    )
    report.write(
        report.Report(
            title=f"Experiment: {name}",
            lead=experiment.question,
            verdicts=verdicts,
            sections=[section],
            provenance=[
                ("scenario", experiment.scenario),
                ("seeds", str(list(experiment.seeds))),
                ("table_sha256", result["table_sha256"]),
            ],
            command=f"meshsim exp run {name}",
            failures=result["failures"],
        ),
        folder / "report.html",
    )


def _mean(samples: NDArray[np.float64]) -> float:
    """NaN where there is nothing to tell from."""
    return float(samples.mean()) if len(samples) else float("nan")


def _over_seeds(per_seed: list[Any]) -> Interval:
    """Over the seeds that tell something; NaN when none does."""
    return mean_interval([_mean(samples) for samples in per_seed if len(samples)])


def _text(interval: Interval) -> str:
    return f"{interval.mean:.4g} [{interval.low:.4g}, {interval.high:.4g}]"
