from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from meshsim.lab import experiment as lab_experiment
from meshsim.lab.batch import Outcome
from meshsim.lab.experiment import examine, load_experiment, report_experiment, run_experiment
from meshsim.measure.metrics import METRICS
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from meshsim.lab.trial import Trial

HEAD = "question: How much is too much?\nscenario: smoke\npolicies: [direct, shortest]\n"


def lived(trial: Trial) -> Outcome:
    """What a run tells in these tests: poor calls grow with the rate of calls, and differ a little by seed."""
    rate = trial.scenario.calls.rate
    noise = np.random.default_rng(trial.seed).normal(0.0, 0.01)
    poor = rate / (rate + (1.0 if trial.policy == "direct" else 2.0)) + noise
    return Outcome({"calls": 10, **dict.fromkeys(METRICS, 0.0), "poor_call_rate": poor})


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one experiment, `mine`, to be written; runs are made up."""
    monkeypatch.setattr(lab_experiment, "perform_trial", lived)
    (tmp_path / "experiments" / "01_mine").mkdir(parents=True)
    return tmp_path / "experiments"


def write(root: Path, text: str) -> Path:
    path = root / "01_mine" / "experiment.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return path


def run(root: Path) -> tuple[dict[str, object], pd.DataFrame]:
    answer = run_experiment("mine", out=root.parent / "out", root=root, progress=False)
    return answer, pd.read_parquet(answer["table"])


def test_variants_are_run_in_every_world_of_a_sweep_and_compared_within_it(asked: Path) -> None:
    write(
        asked,
        "seeds: [1, 2]\nsweep: {grid: {calls.rate: [1, 4]}}\n"
        "variants: [{name: calm}, {name: drift, overrides: [control.noise=0.2]}]\nbaseline: {variant: calm}\n",
    )
    answer, table = run(asked)
    assert set(table["variant"]) == {"calm,rate=1", "calm,rate=4", "drift,rate=1", "drift,rate=4"}
    compared = [*answer["tables"].values()][1]  # type: ignore[attr-defined]
    assert {(row["of"], row["against"]) for row in compared} == {
        (f"drift,rate={rate}: {policy}", f"calm,rate={rate}: {policy}")
        for rate in (1, 4)
        for policy in ("direct", "shortest")
    }


def test_a_world_of_a_sweep_can_be_what_the_others_are_compared_with(asked: Path) -> None:
    write(asked, "seeds: [1, 2]\nsweep: {zip: {calls.rate: [1, 4]}}\nbaseline: {variant: rate=1}\n")
    answer, _ = run(asked)
    compared = [*answer["tables"].values()][1]  # type: ignore[attr-defined]
    assert {(row["of"], row["against"]) for row in compared} == {
        ("rate=4: direct", "rate=1: direct"),
        ("rate=4: shortest", "rate=1: shortest"),
    }


@pytest.mark.full
def test_seeds_are_added_until_the_intervals_are_narrow_and_no_further(asked: Path) -> None:
    seeds = f"seeds: {list(range(1, 101))}\n"
    write(asked, f"{seeds}compare: [{{better: shortest, worse: direct}}]\nstop: {{half_width: 0.02}}\n")
    _, table = run(asked)
    few = table["seed"].nunique()
    assert few == 14  # paired, the seeds' noise is gone: the first stage is enough
    write(asked, f"{seeds}stop: {{half_width: 0.003}}\n")
    assert examine("mine", out=asked.parent / "out", root=asked)["missing"] > 0
    answer, table = run(asked)
    assert few < table["seed"].nunique() < 100
    assert answer["cached"] == 2 * few
    again, _ = run(asked)
    assert (again["cached"], again["table_sha256"]) == (len(table), answer["table_sha256"])


@pytest.mark.full
def test_worlds_are_added_where_a_metric_crosses_a_threshold_and_the_crossing_is_told(asked: Path) -> None:
    write(
        asked,
        "seeds: [1, 2, 3, 4, 5, 6, 7, 8]\nsweep: {adaptive: {key: calls.rate, low: 1, high: 5, threshold: 0.6, "
        "start: 3, points: 9}}\n",
    )
    answer, table = run(asked)
    assert 3 < table["variant"].nunique() <= 9
    found = {row["run"]: row for row in answer["tables"]["crossings"]}  # type: ignore[index]
    for policy, where in (("direct", 1.5), ("shortest", 3.0)):
        assert found[policy]["crosses_at"] == pytest.approx(where, abs=0.2)
        assert found[policy]["after"] <= found[policy]["crosses_at"] <= found[policy]["before"]
    told = report_experiment("mine", out=asked.parent / "out", root=asked)
    assert told["table_sha256"] == answer["table_sha256"]


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("sweep: {grid: {calls.rat: [1, 2]}}", "sweep.grid.calls.rat.0", "rate"),
        ("sweep: {grid: {calls.rate: [1, fast]}}", "sweep.grid.calls.rate.1", None),
        ("stop: {half_width: 0.1, metric: poor_call_rat}", "stop.metric", "poor_call_rate"),
        (
            "sweep: {adaptive: {key: calls.rate, low: 1, high: 2, threshold: 1, metric: failover}}",
            "sweep.adaptive.metric",
            "failovers",
        ),
        ("sweep: {zip: {calls.rate: [1, 2]}}\nbaseline: {variant: rate=3}", "baseline.variant", "rate="),
    ],
)
def test_a_mistake_in_a_sweep_or_a_stop_is_told_with_line_and_key(
    text: str, key: str, nearest: str | None, asked: Path
) -> None:
    path = write(asked, f"seeds: [1]\n{text}\n")
    with pytest.raises(ConfigError) as told:
        load_experiment("mine", asked)
    assert (told.value.file, told.value.line, told.value.key) == (str(path), 5 + text.count("\n"), key)
    assert nearest is None or nearest in str(told.value.nearest)
