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
    asking, starts = episode.board.choice, plan.calls.start
    kept = [*asking._ranked, *asking._ahead]
    assert all(starts[number] >= 90.0 for number in kept)
    assert kept, "in the last window callers were offline, too"


def test_newcomers_relay_only_the_share_of_calls_that_is_open_to_them(small, tmp_path):
    plan = small(trust={"newcomers": 0.2, "half_life": "1 h"}, calls={"rate": 3.0})
    asking = begin(plan, tmp_path / "run").board.choice
    open_to = [asking._lets_in(number) for number in range(2000)]
    assert 0.17 < sum(open_to) / len(open_to) < 0.23
    assert open_to == [asking._lets_in(number) for number in range(2000)]


def test_the_calls_of_a_window_are_ranked_alike_whether_newcomers_are_let_in_or_there_are_too_few_others(run, small):
    shut, wide = (
        run(small(duration=150.0, routing={"batch": 10.0}, trust={"newcomers": share})) for share in (0.0, 1.0)
    )
    assert shut.counts == wide.counts  # nobody has a name in so small a mesh
