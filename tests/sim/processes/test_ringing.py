"""People who are called pick up, decline or let it ring out; none of that is a failure of routing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from meshsim.measure.metrics import METRICS
from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace
from meshsim.scenario import Scenario
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, resume

QUIET_WORLD = {"duration": 150.0, "churn": {"enabled": False}, "misbehaviour": [], "record": {"candidates": False}}


def ringing(**options: object):
    return {"calls": {"ringing": {"enabled": True, **options}}, **QUIET_WORLD}


def called(result):
    trace = Trace(result.trace)
    return trace, trace.columns("calls")


def test_all_calls_of_those_who_always_answer_are_answered_after_their_reaction(small, run):
    trace, calls = called(run(small(**ringing(answer=1.0, decline=0.0, busy="ring", timeout=1e6))))
    assert set(calls["outcome"]) <= {"completed", "running", "failed"}
    rang = np.asarray(calls["ring_seconds"])
    assert np.median(rang) == pytest.approx(7.0, rel=0.25)
    lasted = (np.asarray(calls["end_ns"]) - np.asarray(calls["start_ns"])) / 1e9
    done = np.asarray(calls["outcome"]) == "completed"
    planned = small(**ringing()).calls.duration[np.asarray(calls["call"])]
    assert np.allclose(lasted[done], (rang + planned)[done], rtol=1e-6)
    assert METRICS["answer_rate"].value(trace) == 1.0


@pytest.mark.parametrize(
    ("options", "outcome", "reason"),
    [
        ({"answer": 0.0, "decline": 0.0}, "unanswered", "no answer"),
        ({"answer": 0.0, "decline": 1.0, "timeout": 1e6, "busy": "ring"}, "declined", "callee declined"),
        ({"do_not_disturb": 1.0}, "unanswered", "do not disturb"),
        ({"quiet": {"share": 1.0, "start": 0.0, "end": "12h"}, "clock": "6h"}, "unanswered", "quiet hours"),
        ({"answer": 0.0, "decline": 0.0, "patience": 0.001}, "unanswered", "caller hung up"),
    ],
)
def test_a_call_that_people_end_says_how_and_is_neither_failed_nor_poor(options, outcome, reason, small, run):
    trace, calls = called(run(small(**ringing(**options))))
    ended = [(o, r) for o, r in zip(calls["outcome"], calls["reason"], strict=True) if o not in {"running", "busy"}]
    assert ended
    assert set(ended) == {(outcome, reason)}
    assert METRICS["answer_rate"].value(trace) == 0.0
    assert (METRICS["ring_seconds"].samples(trace) > 0.0).all()  # silence and busy lines are no short rings
    assert np.isnan(METRICS["failed_call_rate"].value(trace))
    assert not np.asarray(calls["poor"])[np.asarray(calls["outcome"]) == outcome].any()
    assert all(len(path) == 0 for path in calls["path"])


def test_a_call_rings_out_when_the_timeout_says(small, run):
    _, calls = called(run(small(**ringing(answer=0.0, decline=0.0, timeout=11.0))))
    rang = np.asarray(calls["ring_seconds"])[np.asarray(calls["outcome"]) == "unanswered"]
    assert np.allclose(rang, 11.0)


def test_shares_of_answers_are_those_of_the_scenario(small, run):
    options = ringing(answer=0.6, decline=0.3, timeout=1e5, busy="ring")
    options["calls"] |= {"rate": 4.0, "duration": {"median": 1.0}}
    trace, calls = called(run(small(**options)))
    over = [outcome for outcome in calls["outcome"] if outcome in {"completed", "failed", "declined"}]
    n = len(over)
    taken = sum(outcome != "declined" for outcome in over) / n
    assert n > 300
    assert taken == pytest.approx(0.6 / 0.9, abs=4 * np.sqrt(0.22 / n))
    assert METRICS["answer_rate"].value(trace) == pytest.approx(taken)


def test_the_busy_are_told_apart_or_ring_all_the_same(small, run):
    busy, waiting = (ringing(answer=1.0, decline=0.0, busy=how) for how in ("refuse", "ring"))
    for options in (busy, waiting):
        options["calls"]["rate"], options["duration"] = 1.5, 60.0
    assert run(small(**busy)).counts["busy"] > 0
    assert run(small(**waiting)).counts["busy"] == 0


def test_nobody_is_in_two_calls_that_refuses_a_second(small, run):
    plan = small(**ringing(answer=1.0, decline=0.0))
    _, calls = called(run(plan))
    spans: dict[str, list[tuple[int, int]]] = {}
    for row in range(len(calls["call"])):
        if calls["outcome"][row] == "completed":
            answered = int(calls["start_ns"][row] + 1e9 * calls["ring_seconds"][row]) + 1_000_000
            spans.setdefault(plan.nodes.auras[calls["callee"][row]], []).append((answered, calls["end_ns"][row]))
    for own in spans.values():
        own.sort()
        assert all(first[1] <= second[0] for first, second in pairwise(own))


def test_the_device_that_is_picked_up_first_gets_the_route(small, run):
    options = ringing(answer=1.0, decline=0.0, smart=False) | {"nodes": {"count": 25, "devices": 4.0}}
    plan = small(**options)
    _, calls = called(run(plan))
    other = routed = 0
    for number, node, path in zip(calls["call"], calls["callee"], calls["path"], strict=True):
        assert plan.nodes.auras[node] == plan.calls.callee[number]
        if len(path):
            routed += 1
            other += node != plan.calls.callee_node[number]
            assert path[-1] == node
    assert 0.4 < other / routed < 1.0  # of four devices, three are not the planned one


def test_with_smart_routing_the_device_in_use_rings_alone(small, run):
    options = {"nodes": {"count": 25, "devices": 4.0}}
    dull = run(small(**(ringing(answer=1.0, decline=0.0, smart=False) | options)))
    smart = run(small(**(ringing(answer=1.0, decline=0.0, smart=True) | options)))
    assert METRICS["ring_seconds"].value(Trace(smart.trace)) > METRICS["ring_seconds"].value(Trace(dull.trace))


def test_a_caller_that_vanishes_while_it_rings_is_no_failed_route(small, run):
    options = ringing(answer=0.0, decline=0.0, timeout=1e5) | {
        "churn": {"enabled": True, "session_mean": 60.0, "applies_to": "all"},
    }
    _, calls = called(run(small(**options)))
    reasons = dict(zip(calls["reason"], calls["outcome"], strict=True))
    assert reasons["caller left"] == "unanswered"


def test_routes_are_asked_for_when_somebody_answers(small, run):
    plan = small(**(ringing(answer=1.0, decline=0.0) | {"record": {"candidates": True}}))
    trace, calls = called(run(plan))
    routes = trace.columns("routes")
    asked = dict(zip(routes["call"].tolist(), routes["time_ns"].tolist(), strict=True))
    rows = {int(call): row for row, call in enumerate(calls["call"])}
    assert asked
    for call, at in asked.items():
        row = rows[call]
        assert at / 1e9 == pytest.approx(calls["start_ns"][row] / 1e9 + calls["ring_seconds"][row], abs=1e-4)


def test_every_call_has_one_outcome(small, run):
    counts = run(small(calls={"ringing": {"enabled": True}})).counts
    assert counts["started"] == sum(counts[o] for o in ("completed", "dropped", "failed", "running", *ASIDE))


def test_a_ringing_episode_stopped_and_resumed_goes_on_to_the_identical_trace(small, tmp_path):
    plan = small(2, duration=90.0, calls={"rate": 1.0, "ringing": {"enabled": True, "patience": 20.0}})
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(47.3)
    checkpoint(episode)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256


def test_one_more_call_changes_nobodys_answer(small, run):
    heard = []
    for listed in ([], [{"at": 120.0, "caller": "@peer-000.aura", "callee": "@peer-001.aura"}]):
        options = ringing(busy="ring", smart=False)
        options["calls"]["listed"] = listed
        _, calls = called(run(small(**options)))
        early = np.asarray(calls["start_ns"]) < 110e9
        heard.append(np.asarray(calls["ring_seconds"])[early])
    assert np.array_equal(heard[0][: len(heard[1])], heard[1][: len(heard[0])], equal_nan=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"calls": {"ringing": {"enabled": True}}, "control": {"mode": "agents"}}, "modelled control plane"),
        ({"calls": {"ringing": {"enabled": True}}, "routing": {"batch": 1.0}}, "not in batches"),
        ({"calls": {"ringing": {"answer": 0.8, "decline": 0.4}}}, "sum to 1.2"),
        ({"calls": {"ringing": {"quiet": {"start": "7h", "end": "7h"}}}}, "empty"),
        ({"calls": {"ringing": {"timeout": 0}}}, "greater than 0"),
        ({"calls": {"ringing": {"clock": "25h"}}}, "less than 86400"),
    ],
)
def test_what_cannot_be_is_refused_by_name(change, said):
    with pytest.raises(ValueError, match=said):
        Scenario.model_validate(change)
