"""Pictures of an attack on trust: equal text for equal data, and numbers that are the tables'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from meshsim.lab import figures, trust_figures
from meshsim.lab.bench import trust_static

MINUTE = 60_000_000_000
BEHAVIOUR = ["honest", "honest", "gray_hole", "honest"]
TRUST = pd.DataFrame(
    {
        "time_ns": [0, MINUTE, 2 * MINUTE, 3 * MINUTE],
        "node": [1, 2, 1, 2],
        "score": [60.0, 55.0, 80.0, 10.0],
        "status": ["new", "new", "trusted", "suspicious"],
    }
)
NOTHING = TRUST.iloc[:0]
CALLS = pd.DataFrame(
    {
        "call": [0, 1, 2, 3, 4],
        "start_ns": [0, 0, MINUTE, MINUTE, 2 * MINUTE],
        "final_path": [[0, 2, 1], [0, 1, 3], [0, 3], [0, 2, 3], [0, 1, 3]],
        "outcome": ["completed", "completed", "completed", "dropped", "running"],
        "poor": [True, False, False, True, True],
    }
)
FIGURES = {
    "scores over time": lambda: trust_figures.scores_over_time(
        {"beta": TRUST, "additive": NOTHING}, BEHAVIOUR, since=2
    ),
    "standing": lambda: trust_figures.standing({"beta": TRUST, "additive": NOTHING}, BEHAVIOUR),
    "roc": lambda: trust_figures.roc(
        {"beta": [1, 2, 3], "oracle": [1, 1, 2]}, [True, False, False], [False, True, True]
    ),
    "conduct": lambda: trust_figures.conduct({"beta": [50.0, 40.0]}, [False, True], alarms=[1]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_text_every_time(name: str) -> None:
    assert figures.svg(FIGURES[name]()) == figures.svg(FIGURES[name]())


def test_only_relays_make_a_call_one_over_an_attacker() -> None:
    share = trust_figures.attacker_share(CALLS, BEHAVIOUR, [0, 1, 2, 3, 4])
    assert share[:3].tolist() == [0.5, 1.0, 0.0]
    assert np.isnan(share[3])


def test_calls_that_still_run_are_not_poor_yet() -> None:
    share = trust_figures.poor_share(CALLS, [0, 1, 2, 3])
    assert share[:2].tolist() == [0.5, 0.5]
    assert np.isnan(share[2])


def test_calls_saved_add_up_over_calls_that_ended_in_both() -> None:
    there = CALLS.assign(poor=True)
    assert trust_figures.calls_saved(CALLS, there, [0, 1, 2, 3]).tolist() == [0.0, 1.0, 2.0, 2.0]
    assert trust_figures.calls_saved(there, CALLS, [0, 1, 2, 3]).tolist() == [0.0, -1.0, -2.0, -2.0]
    assert not trust_figures.calls_saved(CALLS, CALLS, [0, 1, 2, 3]).any()


def test_a_score_holds_until_it_moves_and_is_unknown_before() -> None:
    scores = trust_figures.scores_at(TRUST, [0.0, 1.5, 2.0, 9.0])
    assert scores[0].tolist() == [60.0, 60.0, 80.0, 80.0]
    assert scores[1][1:].tolist() == [55.0, 55.0, 10.0]
    assert np.isnan(scores[1][0])


def test_standing_is_the_last_word_on_each_node() -> None:
    assert trust_figures.last_status(TRUST, BEHAVIOUR, honest=True) == ["trusted"]
    assert trust_figures.last_status(TRUST, BEHAVIOUR, honest=False) == ["suspicious"]


def test_the_area_under_the_curve_is_the_one_of_the_harness() -> None:
    draws = np.random.default_rng(3)
    score, bad = draws.integers(0, 12, 200).astype(np.float64), draws.random(200) < 0.3
    drawn = figures.svg(trust_figures.roc({"beta": score}, bad, ~bad))
    assert f"AUC {trust_static.auc(score, bad, ~bad):.3f}" in drawn
