"""Suites are made of episodes nobody trained on, and say what was met, what was missed and what is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from meshsim.lab.suites import SUITES, Case, evaluate, evaluation, used_graphs
from meshsim.lab.suites.definitions import ATTACKS, HELD_OUT, LEFT_OUT, TRAINED
from meshsim.lab.suites.episodes import simulated
from meshsim.learn.config import load_config
from meshsim.learn.scorecard import METRICS
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import POLICIES
from meshsim.scenario import load
from meshsim.scenario.topologies.allowed import allowed_for

ROOT = Path(__file__).parents[2]
SHORT = ("routing.policy=exploring", "duration=80 s", "warmup=30 s")
TINY = Case(label="here", scenario="demo", seeds=(901,), overrides=SHORT)


def test_every_world_of_every_suite_is_a_valid_scenario() -> None:
    for suite in map(SUITES.__getitem__, SUITES):
        assert set(suite.quick) <= {case.label for case in suite.cases}
        for case in suite.cases:
            load(case.scenario, case.overrides)


def test_suites_use_graphs_that_may_train_or_validate() -> None:
    assert {allowed_for(name) for name in used_graphs()} <= {"train", "validate"}
    assert {allowed_for(name) for name in TRAINED} == {"train"}
    assert {allowed_for(name) for name in HELD_OUT} == {"validate"}


def test_one_family_of_attacks_is_in_no_training_configuration() -> None:
    assert LEFT_OUT in ATTACKS
    for path in sorted((ROOT / "models").glob("*/train.yaml")):
        said = [override for wanted in load_config(path).wanted() for override in wanted.overrides]
        assert said
        assert not any(LEFT_OUT in override for override in said)


def test_goals_speak_of_metrics_and_rivals_that_exist_and_have_names_of_their_own() -> None:
    aims = [aim for suite in map(SUITES.__getitem__, SUITES) for aim in suite.goals]
    assert len({aim.goal for aim in aims}) == len(aims)
    assert {aim.metric for aim in aims} <= set(METRICS)
    assert {aim.over for aim in aims} <= {"", *POLICIES, *evaluation.MODELS}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite `smoke` in 50 seconds of one world."""
    monkeypatch.setitem(SUITES._parts, "smoke", replace(SUITES["smoke"], cases=(TINY,), quick=("here",)))


@pytest.mark.usefixtures("tiny")
def test_a_suite_tells_goals_tables_machine_and_version(tmp_path: Path) -> None:
    answer = evaluate("route-scorer", "smoke", cache=tmp_path, progress=False)
    assert set(answer) == {"name", "goals", "tables", "machine", "version"}
    lines = {row["policy"]: row for row in answer["tables"]["all"]}
    assert {*evaluation.RIVALS, "learned", "oracle"} <= set(lines)
    rates = {name: row["poor_call_rate"] for name, row in lines.items()}
    assert min(rates.values()) == rates["oracle"]
    for row in lines.values():
        assert not row["poor_call_rate_low"] > row["poor_call_rate"]
        assert not row["poor_call_rate_high"] < row["poor_call_rate"]
    assert {"coverage_rtt", "ai_score_error", "confidence_error"} <= set(lines["learned"])
    assert "coverage_rtt" not in lines["shortest"]
    assert [row["poor_call_rate"] for row in answer["tables"]["by_graph"]] == list(rates.values())
    for goal in answer["goals"]:
        assert goal["pass"] == (
            goal["value"] < goal["target"] if goal["op"] == "<" else goal["value"] >= goal["target"]
        )


def test_episodes_that_are_kept_are_not_simulated_again(tmp_path: Path) -> None:
    told: list[float] = []
    ((_, first),) = simulated([TINY], tmp_path, told.append)
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*.parquet")}
    ((_, second),) = simulated([TINY], tmp_path, told.append)
    assert (first, told) == (second, [1.0])
    assert before
    assert {path: path.stat().st_mtime_ns for path in second.rglob("*.parquet")} == before


def test_an_unknown_suite_or_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown suite 'clear'"):
        evaluate("route-scorer", "clear")
    with pytest.raises(ConfigError, match="no scorer 'rout-scorer'"):
        evaluate("rout-scorer", "clean")


@pytest.mark.full
def test_the_closed_loop_runs_each_policy_in_the_same_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = replace(TINY, overrides=("duration=150 s", "warmup=30 s"))
    monkeypatch.setitem(SUITES._parts, "closed-loop", replace(SUITES["closed-loop"], cases=(case,), quick=("here",)))
    answer = evaluate("route-scorer", "closed-loop", quick=True, cache=tmp_path, progress=False)
    lines = {row["policy"]: row for row in answer["tables"]["all"]}
    assert len({row["calls"] for row in lines.values()}) == 1
    assert lines["direct"]["busiest_share"] <= 1.0
    assert {goal["goal"] for goal in answer["goals"]} == {"closed_minus_open", "busiest_over_greedy_reputation"}
