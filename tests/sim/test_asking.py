"""What is ranked ahead is for the calls of one window and is gone when the next one begins."""

from __future__ import annotations

import pytest

from meshsim.sim.simulation import begin


@pytest.mark.parametrize("candidates", [False, True])
def test_rankings_of_calls_that_failed_at_once_are_not_kept(small, tmp_path, candidates):
    plan = small(
        duration=120.0,
        warmup=0.0,
        churn={"applies_to": "all", "session_mean": "60 s", "downtime_mean": "60 s"},
        routing={"batch": 10.0},
        record={"candidates": candidates},
    )
    episode = begin(plan, tmp_path / "run")
    episode.advance(100.0)  # what happens at 100 s is left
    asking, starts = episode.board._choice, plan.calls.start
    kept = [*asking._ranked, *asking._ahead]
    assert all(starts[number] >= 90.0 for number in kept)
    assert kept, "in the last window callers were offline, too"
