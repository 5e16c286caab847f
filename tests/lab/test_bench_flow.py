"""`meshsim bench flow` measures what it says it does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshsim.lab.bench import flow
from meshsim.scenario import compile_plan, load
from meshsim.sim import begin


def cost(name: str, nodes: int, per_hour: float) -> flow.Cost:
    return flow.Cost(
        name=name,
        nodes=nodes,
        policy="weighted",
        ramp_seconds=1.0,
        window_seconds=1.0,
        concurrent_calls=2e4,
        calls_started=1,
        calls_lost=0,
        cpu_seconds=per_hour / 3600.0,
        cpu_seconds_per_hour=per_hour,
        cpu_microseconds_per_call=1.0,
        setup_cpu_seconds=1.0,
        rss_mb=500.0,
        probe_period_seconds=20.0,
        gossip_period_seconds=20.0,
    )


SIZES = [cost(f"{n} nodes", n, 0.5 * n**1.1) for n in (100, 1000, 10_000)]


def test_the_preset_is_what_the_benchmark_says_it_is():
    scenario = load(flow.PRESET)
    assert scenario.nodes.count == flow.NODES
    assert scenario.calls.rate == flow.CALLS_PER_SECOND
    assert scenario.underlay.capacity == flow.EDGE_RATE * flow.NODES
    assert scenario.churn.applies_to == "all"
    assert 60.0 / scenario.churn.session_mean == pytest.approx(0.01)
    assert scenario.routing.policy == "weighted"


def test_the_exponent_is_the_slope_of_the_logarithms():
    assert flow.exponent(SIZES) == pytest.approx(1.1)


def test_goals_are_judged_by_the_rows_they_name():
    rows = [cost("modelled", 5000, 119.0), cost("learned", 5000, 900.0), cost("agents", 5000, 901.0), *SIZES]
    verdicts = {goal["goal"]: goal["pass"] for goal in flow.judged(rows)}
    assert verdicts.pop("agents_cpu_seconds_per_hour") is False
    assert all(verdicts.values())
    assert len(verdicts) == 4
    light = replace(rows[0], concurrent_calls=19_000.0)
    missed = [goal["goal"] for goal in flow.judged([light, *rows[1:]]) if not goal["pass"]]
    assert missed == ["flow_concurrent_calls", "agents_cpu_seconds_per_hour"]


def test_agents_exchange_at_most_every_ten_seconds():
    control = load(flow.PRESET, flow.AGENTS).control
    assert control.mode == "agents"
    assert min(control.probe_period, control.digest_period, control.heartbeat) >= 10.0


def test_no_part_of_a_window_leaves_out_a_digest():
    for case in flow.CASES + flow.SIZES:
        assert load(flow.PRESET, case.overrides).control.digest_period <= case.window / case.parts


def test_a_small_mesh_is_measured_in_this_process():
    case = flow.Case(name="tiny", nodes=60, ramp=10.0, window=20.0)
    measured = flow.measure(case)
    assert measured.calls_started > 0
    assert measured.cpu_seconds > 0.0
    assert measured.concurrent_calls > 0
    assert measured.rss_mb > 50.0
    assert measured.nodes == 60
    control = load(flow.PRESET).control
    assert (measured.probe_period_seconds, measured.gossip_period_seconds) == (
        control.probe_period,
        control.digest_period,
    )


def test_calls_that_ended_for_people_are_not_under_way(tmp_path):
    changes = ["control.mode=modelled", "calls.ringing={enabled: true, answer: 0.5}", "duration=90 s", "calls.rate=1"]
    plan = compile_plan(load("smoke", changes), 1)
    episode = begin(plan, tmp_path)
    episode.advance(plan.scenario.duration)
    under_way = flow.under_way(episode)
    counts = episode.finish().counts
    assert under_way == counts["running"] > 0
    assert counts["unanswered"] > 0
