"""A route is explained by what was believed, and what is said to turn it does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.cli.app import OK, USAGE, main
from meshsim.lab import explain as module
from meshsim.lab.explain import REFUSED, Explanation, explain
from meshsim.learn.dataset import asked
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, TraceError
from meshsim.routing import RoutingEngine
from meshsim.routing.policies import load_model
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("explained") / "trace"
    simulate(compile_plan(load("demo", ("duration=100 s", "warmup=30 s", "nodes.count=40")), 3), out)
    return out


@pytest.fixture(scope="module")
def calls(trace: Path) -> list[int]:
    """Calls with a choice."""
    routes = Trace(trace).columns("routes")
    numbers, feasible = np.unique(routes["call"][np.asarray(routes["feasible"], dtype=bool)], return_counts=True)
    return [int(number) for number in numbers[feasible > 3][:3]]


@pytest.fixture(scope="module")
def found(trace: Path, calls: list[int]) -> list[Explanation]:
    return [explain(trace, call) for call in calls]


def test_the_choice_is_the_engines(trace: Path, calls: list[int], found: list[Explanation]) -> None:
    names = [str(name) for name in Trace(trace).columns("nodes")["name"]]
    engine = RoutingEngine(load_model(), trust_floor=10.0)
    for call, told in zip(calls, found, strict=True):
        whole = asked(trace, call)
        best = engine.rank_among(whole.candidates, whole.request, whole.view).order[0]
        assert told.candidates[0]["path"] == " > ".join(names[node] for node in whole.candidates.path(best))
        assert len(told.candidates) == len(whole.candidates)
        assert told.candidates[0]["refused"] == ""


def test_what_was_refused_when_the_call_was_placed_is_not_explained_as_its_choice(
    trace: Path, calls: list[int], found: list[Explanation], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, before = asked(trace, calls[0]), found[0].candidates
    ranking = RoutingEngine(load_model(), trust_floor=10.0).rank_among(whole.candidates, whole.request, whole.view)
    feasible = whole.feasible & (np.arange(len(whole.feasible)) != ranking.order[0])  # as if AIC had been required
    monkeypatch.setattr(module, "asked", lambda *_: replace(whole, feasible=feasible))
    told = explain(trace, calls[0]).candidates
    assert told[0]["path"] == before[1]["path"]
    assert [row["path"] for row in told if row["refused"] == REFUSED] == [before[0]["path"]]
    monkeypatch.setattr(module, "asked", lambda *_: replace(whole, feasible=np.zeros_like(feasible)))
    with pytest.raises(ConfigError, match="has no path that may be used"):
        explain(trace, calls[0])


def test_hops_add_up_to_what_is_predicted(found: list[Explanation]) -> None:
    for told in found:
        first = told.candidates[0]
        own = [hop["adds_ms"] for hop in told.hops if hop["path"] == first["path"]]
        assert 2 * sum(own) == pytest.approx(first["rtt_ms"], abs=0.5)


def test_what_turns_the_choice_leads_to_another_path_and_for_the_worse(found: list[Explanation]) -> None:
    turns = [(told, turn) for told in found for turn in told.turns]
    assert turns
    for told, turn in turns:
        assert turn.then != told.candidates[0]["path"]
        assert turn.becomes < turn.was if turn.what.startswith("reputation") else turn.becomes > turn.was
        assert 0 < turn.effort <= 1
    for told in found:
        assert [turn.effort for turn in told.turns] == sorted(turn.effort for turn in told.turns)


def test_the_two_best_differ_in_what_is_told(found: list[Explanation]) -> None:
    for told in found:
        assert told.features
        assert all(row["choice"] != row["runner_up"] for row in told.features)


def test_an_explanation_shows_itself_and_escapes_names(found: list[Explanation]) -> None:
    shown = found[0]._repr_html_()
    assert "would turn it" in shown
    assert "&gt;" in shown


def test_a_call_without_candidates_is_told_with_those_that_have_some(trace: Path) -> None:
    with pytest.raises(TraceError, match=r"no candidates of call 99999: \d+ calls from \d+ to \d+ have some"):
        explain(trace, 99999)


def test_the_verb_prints_tables_or_one_line_of_json(
    trace: Path, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(trace), str(calls[0])]) == OK
    assert "what would turn the choice" in capsys.readouterr().out
    assert main(["explain", str(trace), str(calls[0]), "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["call"] == calls[0]
    assert main(["explain", str(trace), "99999"]) == USAGE
