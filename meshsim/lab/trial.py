"""One run of an experiment, in whatever process: an episode, and what is read off its trace before that is removed.

Light to import: a worker needs the simulator and nothing of pandas or matplotlib.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.batch.job import Outcome
from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace
from meshsim.scenario import compile_plan
from meshsim.sim import simulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.scenario import Scenario

WINDOWS = 20
"""Values of a series: means over as many equal stretches of the episode."""

Phases = tuple[tuple[str, float, float], ...]
"""Stretches of an episode: name, start and end, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An episode to live through.

    Attributes:
        scenario: Whole, so that it can be sent anywhere.
        seed: Of the episode.
        policy: A policy or a routing protocol.
        phased: Every `metric@phase` to tell beside all metrics.
        phases: Which stretches these are.
        series: Metrics to tell over time.
        keep: Folder of the trace, if it is kept.
    """

    scenario: Scenario
    seed: int
    policy: str
    phased: tuple[str, ...] = ()
    phases: Phases = ()
    series: tuple[str, ...] = ()
    keep: Path | None = None


def perform(trial: Trial) -> Outcome:
    """Simulates an episode and reads all metrics off it."""
    plan = compile_plan(trial.scenario, trial.seed)
    with tempfile.TemporaryDirectory(prefix="meshsim-", dir=_beside(trial.keep)) as folder:
        unfinished = Path(folder) / "trace"
        simulate(plan, unfinished, policy=trial.policy)
        outcome = measure(trial, Trace(unfinished))
        if trial.keep is not None:
            shutil.rmtree(trial.keep, ignore_errors=True)
            unfinished.rename(trial.keep)
        return outcome


def _beside(keep: Path | None) -> Path | None:
    """Where an unfinished trace lies: on the disk where it is kept, or wherever such things lie."""
    if keep is None:
        return None
    keep.parent.mkdir(parents=True, exist_ok=True)
    return keep.parent


def measure(trial: Trial, trace: Trace) -> Outcome:
    """Every metric of a trace, those asked for in their phases, and those asked for over time."""
    values: dict[str, float | int] = {"calls": len(trace.columns("calls")["call"])}
    values |= {name: METRICS[name].value(trace) for name in METRICS}
    stretches = {name: (start, end) for name, start, end in trial.phases}
    for phased in trial.phased:
        metric, _, phase = phased.partition("@")
        values[phased] = float(_means(trace, metric, [stretches[phase]])[0])
    edges = np.linspace(0.0, trial.scenario.duration, WINDOWS + 1)
    windows = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    series = {name: (edges[:-1].tolist(), _means(trace, name, windows).tolist()) for name in trial.series}
    return Outcome(values, series)


def _means(trace: Trace, name: str, stretches: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """The mean of a metric over the calls that began, or the rows that were written, in each stretch; NaN for none."""
    metric = METRICS[name]
    columns = metric.columns(trace)
    seconds = np.asarray(columns["start_ns" if metric.table == "calls" else "time_ns"], dtype=np.float64) / 1e9
    return np.array([_mean(metric.of, columns, (seconds >= start) & (seconds < end)) for start, end in stretches])


def _mean(of: Any, columns: dict[str, Any], during: NDArray[np.bool_]) -> float:
    kept = np.flatnonzero(during)
    samples = of({column: [values[i] for i in kept] for column, values in columns.items()})
    return float(samples.mean()) if len(samples) else float("nan")
