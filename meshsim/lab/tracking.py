"""Runs of a batch for those who keep theirs in MLflow or TensorBoard: copies, from which nothing is read back.

MLflow gets a run for each run: its cell as parameters, every metric, series over simulated time. TensorBoard gets a
folder of events for each, and its table of hyperparameters. What was copied before is not copied again.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshsim.lab.events import Events
from meshsim.lab.results import find
from meshsim.mesh.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CELL = ("variant", "policy", "seed")
_KEY = "meshsim.run"


@dataclass(frozen=True, slots=True)
class Tracked:
    """One run as trackers know runs.

    Attributes:
        label: Which: its cell in words, good for a folder's name.
        parameters: Its cell.
        metrics: By name, those that are numbers.
        series: By metric, pairs of simulated seconds and value.
    """

    label: str
    parameters: dict[str, Any]
    metrics: dict[str, float]
    series: dict[str, list[tuple[float, float]]]


def tracked(folder: Path) -> Iterator[Tracked]:
    """The finished runs of a batch.

    Raises:
        ConfigError: If the folder is no batch's.
    """
    found = find(folder)
    if "runs" not in found.tables:
        raise ConfigError(f"{folder} is no batch: there are no runs to export", key="FOLDER")
    series = found.read("series").to_pylist() if "series" in found.tables else []
    for row in found.read("runs").to_pylist():
        cell = {name: row[name] for name in _CELL if row.get(name) not in {None, ""}}
        own: dict[str, list[tuple[float, float]]] = {}
        for point in series:
            if all(point.get(name) == value for name, value in cell.items()) and math.isfinite(point["value"]):
                own.setdefault(point["metric"], []).append((point["t"], point["value"]))
        yield Tracked("-".join(str(value) for value in cell.values()), cell, _numbers(row), own)


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    values = {name: value for name, value in row.items() if name not in _CELL and isinstance(value, int | float)}
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def to_mlflow(folder: Path, target: Path) -> int:
    """Copies the runs of a batch into a store of MLflow's in a folder; how many were new.

    Args:
        folder: Of the batch; its name becomes that of the experiment.
        target: Of the store, for `mlflow ui --backend-store-uri TARGET`.

    Raises:
        ConfigError: If the folder is no batch's.
        MissingExtra: Without mlflow.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    runs = list(tracked(folder))
    try:
        from mlflow import MlflowClient  # noqa: PLC0415 - an extra
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("mlflow-skinny", "tracking") from error
    client = MlflowClient(tracking_uri=target.resolve().as_uri())
    known = client.get_experiment_by_name(folder.name)
    experiment = client.create_experiment(folder.name) if known is None else known.experiment_id
    there = {run.data.tags.get(_KEY) for run in client.search_runs([experiment], max_results=50_000)}
    new = [run for run in runs if run.label not in there]
    for run in new:
        kept = client.create_run(experiment, run_name=run.label).info.run_id
        points = [Metric(name, value, 0, 0) for name, value in run.metrics.items()]
        for name, values in run.series.items():
            points += [Metric(f"{name}_over_time", value, 0, round(t)) for t, value in values]
        parameters = [Param(name, str(value)) for name, value in run.parameters.items()]
        client.log_batch(kept, points, parameters, [RunTag(_KEY, run.label)])
        client.set_terminated(kept)
    return len(new)


def to_tensorboard(folder: Path, target: Path) -> int:
    """Copies the runs of a batch into event files below a folder, one folder each; how many were new.

    Args:
        folder: Of the batch.
        target: For `tensorboard --logdir TARGET`.

    Raises:
        ConfigError: If the folder is no batch's.
        MissingExtra: Without tensorboard.
    """
    runs = [run for run in tracked(folder) if not (target / folder.name / run.label).exists()]
    for run in runs:
        events = Events(target / folder.name / run.label)
        events.parameters(run.parameters, run.label)
        for name, t, value in _points(run):
            events.scalar(name, t, value)
        events.close()
    return len(runs)


def _points(run: Tracked) -> Iterator[tuple[str, int, float]]:
    """Names, whole simulated seconds and values: series, and each metric at the beginning."""
    for name, values in run.series.items():
        yield from ((name, round(t), value) for t, value in values)
    yield from ((f"metrics/{name}", 0, value) for name, value in run.metrics.items())
