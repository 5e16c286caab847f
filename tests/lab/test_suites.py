"""Suites are made of episodes nobody trained on, and say what was met, what was missed and what is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from meshsim.lab.suites import SUITES, Aim, Case, evaluate, evaluation, readable, used_graphs
from meshsim.lab.suites.definitions import ATTACKS, HELD_OUT, LEFT_OUT, TRAINED
from meshsim.lab.suites.episodes import lacking, simulated
from meshsim.learn.scorecard import _COLUMNS, METRICS, Card
from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies import POLICIES
from meshsim.scenario import load
from meshsim.scenario.text import parse
from meshsim.scenario.topologies.allowed import allowed_for

ROOT = Path(__file__).parents[2]
SHORT = ("routing.policy=exploring", "duration=80 s", "warmup=30 s")
TINY = Case(label="here", scenario="demo", seeds=(901,), overrides=SHORT)


@pytest.mark.full
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
    configurations = sorted((ROOT / "models").glob("*/train.yaml"))
    assert configurations
    for path in configurations:
        assert LEFT_OUT not in str(parse(path.read_text(encoding="utf-8"), file=str(path)).value)


def test_goals_speak_of_metrics_and_rivals_that_exist_and_have_names_of_their_own() -> None:
    aims = [aim for suite in map(SUITES.__getitem__, SUITES) for aim in suite.goals]
    assert len({aim.goal for aim in aims}) == len(aims)
    assert {aim.metric for aim in aims} <= set(METRICS)
    assert {aim.over for aim in aims} <= {"", *POLICIES, *evaluation.MODELS}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the episode of these tests is, once it was simulated."""
    return tmp_path_factory.mktemp("suites")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite `smoke` in 50 seconds of one world."""
    monkeypatch.setitem(SUITES._parts, "smoke", replace(SUITES["smoke"], cases=(TINY,), quick=("here",)))


@pytest.mark.full
@pytest.mark.usefixtures("tiny")
def test_a_suite_tells_goals_tables_machine_and_version(kept: Path) -> None:
    answer = evaluate("route-scorer", "smoke", cache=kept, progress=False)
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
    by_log = {row["policy"]: row for row in answer["tables"]["from_the_log"]}
    assert by_log["learned"]["truth"] == pytest.approx(rates["learned"])
    for row in by_log.values():
        assert row["dr_low"] <= row["truth"] <= row["dr_high"]
    for goal in answer["goals"]:
        assert goal["pass"] == (
            goal["value"] < goal["target"] if goal["op"] == "<" else goal["value"] >= goal["target"]
        )


@pytest.mark.usefixtures("tiny")
@pytest.mark.full
def test_a_scorer_is_never_better_than_itself(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aims = (
        Aim(goal="minus", metric="regret_mos", op="<", target=0.0, over="learned"),
        Aim(goal="over", metric="regret_mos", op="<=", target=0.99, over="learned", ratio=True),
        Aim(goal="each", metric="regret_mos", op="<", target=0.0, over="learned", each=True),
    )
    monkeypatch.setitem(SUITES._parts, "smoke", replace(SUITES["smoke"], goals=aims))
    told = {goal["goal"]: goal for goal in evaluate("route-scorer", "smoke", cache=kept, progress=False)["goals"]}
    assert {name: goal["value"] for name, goal in told.items()} == {"minus": 0.0, "over": 1.0, "each": 0.0}
    assert not any(goal["pass"] for goal in told.values())


@pytest.mark.parametrize("labels", [("known", "unknown"), ("unknown", "known")])
def test_a_goal_that_is_not_known_of_one_label_is_missed(labels: tuple[str, str]) -> None:
    sums = np.ones((2, len(_COLUMNS)))
    poor = {"poor": 0.0, "poor_default": 1.0, "poor_oracle": 0.0}
    for name, value in poor.items():
        sums[labels.index("known"), _COLUMNS.index(name)] = value  # all is captured; of the other nothing could be
    card = Card(sums, np.arange(2), np.zeros(2), np.arange(2))
    aim = Aim(goal="each", metric="captured", op=">=", target=0.9, each=True)
    told = evaluation._goal(aim, {"learned": card}, {label: [run] for run, label in enumerate(labels)})
    assert not told["pass"]
    assert np.isnan(told["value"])


@pytest.mark.full
def test_episodes_that_are_kept_are_not_simulated_again(kept: Path) -> None:
    told: list[float] = []
    ((_, first),) = simulated([TINY], kept, told.append)
    told.clear()
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*.parquet")}
    ((_, second),) = simulated([TINY], kept, told.append)
    assert (first, told) == (second, [])
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


def test_a_world_whose_data_are_elsewhere_is_told_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESHSIM_DATA_DIR", raising=False)
    elsewhere = replace(TINY, label="nycmesh", overrides=(*SHORT, "underlay.topology=nycmesh/2025"))
    assert "MESHSIM_DATA_DIR" in lacking(elsewhere)
    assert lacking(TINY) == ""


def test_people_read_each_number_with_its_interval_and_no_empty_table() -> None:
    row = {"policy": "learned", "calls": 3, **dict.fromkeys(METRICS, 0.25), "captured_low": 0.2, "captured_high": 0.3}
    unsure = {"policy": "direct", "calls": 3, "captured": float("nan"), "poor_call_rate": 0.5}
    told = readable({"all": [row, unsure], "by_attack": [{"attack": "sybil", **row}], "absent": []})
    assert [line["captured"] for line in told["what was chosen"]] == ["0.250 [0.200, 0.300]", "-"]
    assert [line["policy"] for line in told["width of 90 % intervals over the mean"]] == ["learned"]
    assert told["by attack"][0]["attack"] == "sybil"
    assert "absent" not in told
