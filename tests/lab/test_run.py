from __future__ import annotations

import json
from pathlib import Path

import pytest

import meshsim as ms
from meshsim.cli import options
from meshsim.lab.run import Result, run
from meshsim.measure.metrics import METRICS
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import Shortest
from meshsim.scenario import load


def test_the_front_door_is_the_labs_run() -> None:
    assert ms.run is run


def test_a_result_gives_tables_with_units_in_their_columns(result: Result) -> None:
    assert len(result.calls) > 10
    assert {"rtt_seconds", "loss", "mos", "poor", "outcome"} <= set(result.calls.columns)
    assert set(result.routes["call"]) <= set(result.calls["call"])
    assert len(result.nodes) == len(result.plan.nodes) == 16
    assert list(result.table("links").columns) == ["link", "src", "dst"]


def test_a_summary_is_plain_and_says_what_was_run(result: Result) -> None:
    summary = result.summary
    assert json.loads(json.dumps(options.plain(summary)))["trace_sha256"] == result.trace_sha256
    assert summary["scenario"] == "smoke"
    assert (summary["seed"], summary["policy"], summary["nodes"]) == (3, "shortest", 16)
    assert summary["calls"] == len(result.calls) == sum(summary["outcomes"].values())
    assert summary["reputation_events"] == len(result.trust)
    assert set(summary["metrics"]) == set(METRICS)
    for interval in summary["metrics"].values():
        assert not interval["low"] > interval["mean"]


def test_a_result_shows_itself_in_notebooks_and_consoles(result: Result) -> None:
    assert repr(result).startswith("Result('smoke', seed=3, policy='shortest', nodes=16, calls=")
    shown = result._repr_html_()
    assert "<table" in shown
    assert all(name in shown for name in METRICS)


def test_a_result_draws_its_network_a_call_and_reputations(result: Result) -> None:
    routed = result.calls[result.calls["path"].map(len) > 1]
    assert result.plot_network().axes
    assert "path: " in str(
        [t.get_text() for t in result.plot_network(call=int(routed["call"].iloc[0])).axes[0].get_legend().get_texts()]
    )
    assert result.plot_reputation().axes


def test_equal_scenario_and_seed_give_equal_traces_and_another_seed_another(
    result: Result, small: tuple[str, ...], tmp_path: Path
) -> None:
    again = run("smoke", seed=3, overrides=small, policy=Shortest(), out=tmp_path / "again")
    other = run("smoke", seed=4, overrides=small, policy="shortest", out=tmp_path / "other")
    assert again.policy == "shortest"
    assert again.trace_sha256 == result.trace_sha256 != other.trace_sha256


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path, small: tuple[str, ...]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        run("smoke", overrides=small, out=tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, small: tuple[str, ...]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made") as told:
        run("smoke", overrides=small, out=tmp_path / "file" / "run")
    assert told.value.key == "--out"


@pytest.mark.parametrize(
    "wrong", [{"policy": "shortes"}, {"overrides": ["calls.rat=1"]}, {"overrides": ["underlay.topology=sndlib/gean"]}]
)
def test_a_run_that_cannot_be_leaves_nothing_behind(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as told:
        run("smoke", out=tmp_path / "run", **wrong)
    assert told.value.nearest in {"shortest", "rate", "sndlib/geant"}
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_breaks_in_the_middle_leaves_nothing_half_written(
    tmp_path: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Shortest):
        def score(self, features):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("smoke", overrides=small, policy=Broken(), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_runs_without_a_folder_get_one_of_their_own(
    tmp_path: Path, small: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = load("smoke", [*small, "duration=20s"])
    first, second = (run(scenario, policy="direct") for _ in range(2))
    assert [first.path.name, second.path.name] == ["smoke-seed1", "smoke-seed1-2"]
    assert first.trace_sha256 == second.trace_sha256
