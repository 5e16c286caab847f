"""What policies do in episodes: the oracle sees the truth, learners learn, draws have streams of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.routing.policies import POLICIES, Via
from meshsim.scenario import Scenario
from meshsim.scenario import compile as compile_plan
from meshsim.scenario.quantities import ORACLE
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.sim.fork import fork
from meshsim.sim.oracle import Oracle
from meshsim.sim.simulation import DRAWING, EXPLORING, make_policy

if TYPE_CHECKING:
    from meshsim.routing.engine import Ranking
    from meshsim.sim.simulation import Episode

AGENTS = {
    "duration": 40.0,
    "warmup": 5.0,
    "nodes": {"count": 8, "roles": {"relay": 2}},
    "control": {"mode": "agents", "digest_period": 5.0, "heartbeat": 3.0},
    "calls": {"rate": 0.6, "duration": {"median": 8.0}},
}


def asked(episode: Episode, number: int) -> Ranking:
    """The ranking of a planned call, on what is believed now."""
    return episode.board.choice._rank(number, int(episode.plan.calls.callee_node[number]))[0]


def test_the_oracle_takes_what_is_truly_best(small, tmp_path):
    plan = small(1, duration=100.0, routing={"policy": ORACLE})
    episode = begin(plan, tmp_path / "run")
    for at in (30.0, 60.0, 90.0):
        episode.advance(at)
        for number in range(6):
            ranking = asked(episode, number)
            media = MediaType(plan.calls.media[number])
            paths = [ranking.candidates.path(row) for row in ranking.order]
            truth = episode.world.path_truth(paths, demand(media))
            full = [any(episode.world.carried(n) + 0.5 > plan.nodes.max_calls[n] for n in p[1:-1]) for p in paths]
            worth = np.where(full, -20.0, 0.0) + 10.0 * ~truth.poor(media) + truth.mos(media) - 20.0 * ~truth.connected
            assert worth[0] == pytest.approx(worth.max(), abs=1e-9) or not truth.connected[0]
            assert ranking.scores.rtt[list(ranking.order)].tolist() == truth.rtt.tolist()


def test_the_oracle_ranks_many_as_one_by_one(small, tmp_path):
    plan = small(1, duration=60.0, routing={"policy": ORACLE}, calls={"media": {"audio": 0.5, "audio_video": 0.5}})
    episode = begin(plan, tmp_path / "run")
    episode.advance(30.0)
    choice, count = episode.board.choice, len(plan.calls)
    choice._rank_together(0, count)
    for number in range(count):
        ranking = asked(episode, number)
        best = [ranking.candidates.path(row) for row in ranking.order[:3]]
        assert choice._ranked.pop(number).paths == tuple(best)


def poor_calls(trace: Any) -> float:
    calls = Trace(trace).table("calls").to_pandas()
    return float(calls[calls.outcome != "running"].poor.mean())


def test_no_simple_policy_beats_the_oracle(small, run):
    lived = {}
    for policy in ("direct", "shortest", ORACLE):
        plan = small(3, duration=400.0, churn={"enabled": False}, routing={"policy": policy, "candidates": 16})
        lived[policy] = poor_calls(run(plan).trace)
    assert lived[ORACLE] < min(lived["direct"], lived["shortest"])


def test_the_oracle_is_refused_where_there_is_no_truth_to_see(small, tmp_path):
    with pytest.raises(ValueError, match="oracle needs the modelled control plane"):
        Scenario.model_validate(small(1, **AGENTS).scenario.model_dump() | {"routing": {"policy": ORACLE}})
    with pytest.raises(ConfigError, match="oracle needs the modelled control plane"):
        begin(small(1, **AGENTS), tmp_path / "run", policy=ORACLE)
    assert ORACLE not in POLICIES
    ranking = asked(begin(small(1), tmp_path / "other"), 0)
    with pytest.raises(ConfigError, match="here is none"):
        Oracle().score(ranking.features)


def test_a_fork_to_the_oracle_sees_the_world_of_the_fork(small, tmp_path):
    episode = begin(small(1, duration=90.0), tmp_path / "saved")
    episode.advance(45.0)
    checkpoint(episode)
    forked = fork(tmp_path / "saved", tmp_path / "fork", ["routing.policy=oracle"])
    assert forked.engine.policy.world is forked.world
    assert forked.finish().counts["started"] > 0


@pytest.mark.parametrize("policy", ["via", "q-routing", "random-relay", "k-shortest", "ecmp", ORACLE])
def test_an_episode_with_any_policy_goes_on_from_a_checkpoint_to_the_identical_trace(policy, small, tmp_path):
    plan = small(1, duration=90.0, routing={"policy": policy})
    whole = begin(plan, tmp_path / "whole").finish()
    episode = begin(plan, tmp_path / "stopped")
    episode.advance(40.0)
    checkpoint(episode)
    episode.advance(55.0)
    assert resume(tmp_path / "stopped").finish().trace_sha256 == whole.trace_sha256 == trace_sha256(whole.trace)


def test_learners_are_told_of_calls_by_the_controller_of_the_area(small, tmp_path):
    episode = begin(small(1, duration=90.0, routing={"policy": "via"}), tmp_path / "run")
    episode.finish()
    (knower,) = episode.engine.policy._minds
    history = episode.engine.policy._minds[knower].history
    assert knower is None
    assert sum(tally.weight for options in history.values() for tally in options.values()) > 20


def test_agents_learn_each_for_itself(tmp_path):
    plan = compile_plan(Scenario.model_validate({"name": "agents", **AGENTS, "routing": {"policy": "via"}}), 1)
    episode = begin(plan, tmp_path / "run")
    episode.finish()
    policy = episode.engine.policy
    assert isinstance(policy, Via)
    assert None not in policy._minds
    learnt = [mind for mind in policy._minds.values() if mind.history]
    assert len(learnt) > 1


def test_policies_that_draw_have_a_stream_of_their_own(small):
    plan = small(1)
    streams = {name: make_policy(plan, name) for name in DRAWING}
    drawn = [policy.draw() for policy in streams.values()]
    assert len(set(drawn)) == len(DRAWING)
    assert drawn == [policy.draw() for policy in (make_policy(plan, name) for name in DRAWING)]
    assert all(make_policy(plan, name).epsilon == plan.scenario.routing.exploration for name in EXPLORING)
    assert make_policy(small(1, routing={"relay_budget": 0.25}), "via").budget == 0.25
