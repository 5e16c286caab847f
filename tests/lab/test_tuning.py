from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshsim.cli.app import main
from meshsim.lab.training import EPISODES
from meshsim.lab.tuning import BATCHES, SPACE, STATES, changed, tune
from meshsim.learn.config import load_config
from meshsim.mesh.errors import ConfigError

TINY = """\
name: small
data:
  train: [{scenario: demo, seeds: [1], overrides: [routing.policy=exploring, duration=90 s, warmup=20 s]}]
  calibration: [{scenario: demo, seeds: [2], overrides: [routing.policy=exploring, duration=90 s, warmup=20 s]}]
  validation: [{scenario: validation, seeds: [3], overrides: [routing.policy=exploring, duration=90 s, warmup=20 s]}]
  report: [{scenario: demo, seeds: [4], overrides: [routing.policy=exploring, duration=90 s, warmup=20 s]}]
model: {rounds: 0}
optimisation: {epochs: 2}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "training.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


def test_what_a_trial_proposes_becomes_a_configuration(config: Path) -> None:
    plan = load_config(config)
    proposed = {name: bounds.high for name, bounds in SPACE.items()}
    found = changed(plan, {**proposed, "state": STATES[0], "views_per_batch": BATCHES[-1]})
    assert found.optimisation.learning_rate == SPACE["learning_rate"].high
    assert (found.model.kind, found.optimisation.views_per_batch) == ("graph", BATCHES[-1])
    assert (found.data, found.seed, found.optimisation.epochs) == (plan.data, plan.seed, 2)


def test_trees_are_not_tuned(config: Path, tmp_path: Path) -> None:
    config.write_text(TINY.replace("{rounds: 0}", "{kind: trees}"), encoding="utf-8")
    with pytest.raises(ConfigError, match="only graph networks"):
        tune(config, tmp_path / "study", trials=1, progress=False)


@pytest.mark.full
def test_a_study_goes_on_and_looks_at_no_episode_of_the_report(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna = pytest.importorskip("optuna", reason="Optuna is not installed: meshsim[tune]")
    study = tmp_path / "study"
    first = tune(config, study, trials=2, progress=False)
    assert (first.trials, first.forgone <= first.usual) == (2, True)
    assert len(list((study / EPISODES).iterdir())) == 2  # one that trains, one that validates
    before = {path: path.stat().st_mtime_ns for path in (study / EPISODES).rglob("*.parquet")}
    opened = optuna.load_study(
        study_name="small",
        storage=optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(study / "study.log"))),
    )
    cut_off = opened.ask()  # a trial that nobody ended
    cut_off.suggest_float("learning_rate", 3e-4, 1e-2, log=True)
    words = [
        "tune",
        str(config),
        "--study",
        str(study),
        "--trials",
        "3",
        "--best",
        str(tmp_path / "best.yaml"),
        "--json",
    ]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trials"] == 3
    assert told["forgone"] <= first.forgone
    assert {path: path.stat().st_mtime_ns for path in (study / EPISODES).rglob("*.parquet")} == before
    best = load_config(tmp_path / "best.yaml")
    assert best.optimisation.model_dump(mode="json") == told["best"]["optimisation"]
    config.write_text(TINY.replace("epochs: 2", "epochs: 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match="of another configuration"):
        tune(config, study, trials=4, progress=False)
