"""People who move while they call: media follow them from cell to cell."""

from __future__ import annotations

import numpy as np
import pytest

from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.media import MediaType, demand
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim import begin, simulate
from meshsim.sim.checkpoint import checkpoint, finish, resume

TOWN = {
    "duration": 300,
    "warmup": 0,
    "underlay": {"topology": {"generator": "grid", "rows": 3, "columns": 3, "spacing": "1 km"}},
    "nodes": {"count": 40, "roles": {"relay": 8}, "scatter": 0},
    "calls": {"rate": 0.5, "duration": {"median": 60}},
    "mobility": {"model": "random_waypoint", "speed": {"low": 10, "high": 30}, "pause": 0, "period": "4 s"},
}


def plan(**changes: object):
    return compile_plan(Scenario.model_validate({**TOWN, **changes}), 2)


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return Trace(simulate(plan(), tmp_path_factory.mktemp("town")).trace)


def test_handovers_are_written_as_planned(trace):
    events, moves = trace.columns("events"), plan().moves
    written = sum(kind == "handover" for kind in events["kind"])
    changes = sum(int((np.diff(moves.router[moves.node == node]) != 0).sum()) for node in set(moves.node.tolist()))
    assert written == changes > 50


def test_calls_outlive_handovers(trace):
    calls = trace.columns("calls")
    ended = np.array([outcome in {"completed", "running"} for outcome in calls["outcome"]])
    assert ended.mean() > 0.9
    assert np.isfinite(np.array(calls["rtt_seconds"])[ended]).mean() > 0.95


def test_media_leave_the_old_cell_and_load_the_new_one(tmp_path):
    episode = begin(plan(calls={"rate": 0}), tmp_path)
    world = episode.world
    link = world.open_flow([0, 39], demand(MediaType.AUDIO))
    world.close_flow(link)
    assert world.load.max() == pytest.approx(0.0, abs=1e-6)
    here = int(episode.plan.nodes.router[20])
    there = (here + 4) % 9
    away = world.move(np.array([20]), np.array([there]), np.array([1e6]), np.array([2e6]), np.array([0.01]))
    assert away.tolist() == [20]
    again = world.move(np.array([20]), np.array([there]), np.array([3e6]), np.array([4e6]), np.array([0.0]))
    assert again.tolist() == []
    up = world.resources.up + 20
    assert world.resources.capacity[up] == 3e6
    route = episode.plan.underlay.route(there, int(episode.plan.nodes.router[21]))
    assert set(route.tolist()) <= set(world.lay([[20, 21]], demand(MediaType.AUDIO)).resource.tolist())


def test_no_load_stays_behind_when_all_calls_are_over(tmp_path):
    quiet = plan(calls={"rate": 0.5, "duration": {"law": "fixed", "median": 20}}, duration=200)
    last = quiet.calls.start <= 150
    calls = type(quiet.calls)(
        **{
            name: tuple(np.array(getattr(quiet.calls, name))[last].tolist())
            if isinstance(getattr(quiet.calls, name), tuple)
            else getattr(quiet.calls, name)[last]
            for name in type(quiet.calls).__slots__
        }
    )
    object.__setattr__(quiet, "calls", calls)
    episode = begin(quiet, tmp_path)
    episode.advance(60.0)
    assert episode.world.load.max() > 1e4
    episode.advance(199.0)
    assert np.abs(episode.world.load).max() < 1e-3


def test_who_is_out_of_coverage_hears_nothing_and_is_poor(tmp_path):
    lost = plan(mobility={**TOWN["mobility"], "cell": {"power": -20}})
    assert (lost.moves.loss == 1.0).mean() > 0.9
    calls = Trace(simulate(lost, tmp_path).trace).columns("calls")
    assert np.array(calls["poor"]).mean() > 0.9


def test_a_saved_episode_of_people_on_the_move_goes_on_to_the_identical_trace(tmp_path):
    whole = simulate(plan(), tmp_path / "whole").trace_sha256
    episode = begin(plan(), tmp_path / "parts")
    episode.advance(120.0)
    checkpoint(episode)
    del episode
    finish(resume(tmp_path / "parts"))
    assert trace_sha256(tmp_path / "parts") == whole


def test_protocols_route_for_people_on_the_move_too(tmp_path):
    result = simulate(plan(duration=120, routing={"protocol": "linkstate"}), tmp_path)
    assert result.counts["completed"] > 0
