"""Runs copied to where other runs are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.cli.app import main
from meshsim.lab import tracking
from meshsim.lab.experiment import run_experiment
from meshsim.lab.results import query
from meshsim.mesh.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A batch of two policies and two seeds."""
    root = tmp_path_factory.mktemp("tracked")
    folder = root / "experiments" / "07_tiny_question"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "question: Does it matter?\nscenario: smoke\npolicies: [direct, shortest]\nseeds: [1, 2]\n"
        "overrides: [duration=40s, warmup=5s, calls.rate=0.5, control.mode=modelled]\n",
        encoding="utf-8",
    )
    run_experiment("tiny_question", out=root / "out", root=folder.parent, progress=False)
    return root / "out"


def test_every_run_is_told_with_its_cell_its_metrics_and_its_series(batch: Path):
    runs = list(tracking.tracked(batch))
    assert [run.label for run in runs] == ["direct-1", "direct-2", "shortest-1", "shortest-2"]
    rows = query("SELECT policy, seed, poor_call_rate FROM runs ORDER BY policy, seed", [batch]).to_pylist()
    assert [run.metrics["poor_call_rate"] for run in runs] == [row["poor_call_rate"] for row in rows]
    assert runs[0].parameters == {"policy": "direct", "seed": 1}
    assert runs[0].series["poor_call_rate"] == sorted(runs[0].series["poor_call_rate"])


def test_a_trace_has_no_runs_to_copy(result, tmp_path: Path):
    with pytest.raises(ConfigError, match="is no batch"):
        tracking.to_mlflow(result.path, tmp_path)


def test_without_the_package_the_extra_is_named(batch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(MissingExtra, match="tracking"):
        tracking.to_mlflow(batch, tmp_path)


def test_the_command_asks_where_to(batch: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["results", "export", str(batch)]) == 2
    assert "--mlflow DIR or --tensorboard DIR" in capsys.readouterr().err


def test_mlflow_has_each_run_once_however_often_it_is_copied(batch: Path, tmp_path: Path):
    mlflow = pytest.importorskip("mlflow", reason="the extra 'tracking' is not installed")
    assert [tracking.to_mlflow(batch, tmp_path / "m") for _ in range(2)] == [4, 0]
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "m").as_uri())
    experiment = client.get_experiment_by_name("out")
    runs = {run.data.tags["meshsim.run"]: run for run in client.search_runs([experiment.experiment_id])}
    for told in tracking.tracked(batch):
        run = runs[told.label]
        assert run.data.params == {name: str(value) for name, value in told.parameters.items()}
        assert run.data.metrics["poor_call_rate"] == told.metrics["poor_call_rate"]
        history = client.get_metric_history(run.info.run_id, "poor_call_rate_over_time")
        assert [(point.step, point.value) for point in history] == told.series["poor_call_rate"]


def test_tensorboard_has_each_run_once_however_often_it_is_copied(batch: Path, tmp_path: Path):
    pytest.importorskip("tensorboard", reason="the extra 'tracking' is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415 - an extra

    assert [tracking.to_tensorboard(batch, tmp_path / "t") for _ in range(2)] == [4, 0]
    for told in tracking.tracked(batch):
        events = EventAccumulator(str(tmp_path / "t" / "out" / told.label))
        events.Reload()
        points = events.Scalars("poor_call_rate")
        at, values = zip(*told.series["poor_call_rate"], strict=True)
        assert [point.step for point in points] == list(at)
        assert [point.value for point in points] == pytest.approx(values)
        assert events.Scalars("metrics/poor_call_rate")[0].value == pytest.approx(told.metrics["poor_call_rate"])
