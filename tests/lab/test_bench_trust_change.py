from __future__ import annotations

import numpy as np
import pytest

from meshsim.lab.bench.trust_change import HONEST, STRATEGIES, _bounds, _rate, conduct_rows, detection_rows, run_change


def test_simulated_charts_agree_with_the_exact_run_lengths() -> None:
    for row in detection_rows(runs=2000):
        assert row["simulated_mean"] == pytest.approx(row["mean"], rel=0.06)
        assert abs(row["simulated_median"] - row["median"]) <= 1
        assert abs(row["simulated_p95"] - row["p95"]) <= 3


def test_harm_is_done_while_trusted_and_honest_nodes_are_trusted() -> None:
    rows = {row["attacker"]: row for row in conduct_rows("beta-cusum", range(1), 460)}
    assert len(rows) == len(STRATEGIES)
    assert all(row["harm"] <= min(row["trusted"], row["failures"]) for row in rows.values())
    assert rows["always 2%"]["trusted"] > 0.9
    assert rows["always 15%"]["trusted"] < 0.1


def test_attackers_rest_and_attack_by_turns_or_by_their_score() -> None:
    on_off = next(one for one in STRATEGIES if one.rest)
    turns = [_rate(on_off, k, milks=False) for k in range(2 * (on_off.rest + on_off.attack))]
    assert turns == 2 * ([HONEST] * on_off.rest + [on_off.rate] * on_off.attack)
    milking = next(one for one in STRATEGIES if one.name.startswith("milking"))
    assert [_rate(milking, 0, milks=milks) for milks in (False, True)] == [HONEST, milking.rate]


def test_the_bound_is_that_of_seeds_drawn_again() -> None:
    row = _bounds("recall", np.array([9.0, 10.0, 10.0, 10.0]), np.array([10.0] * 4))
    assert row["recall"] == 0.975
    assert 0.9 <= row["recall_low"] < 0.975


@pytest.mark.full
def test_change_and_blame_meet_their_goals() -> None:
    answer = run_change(quick=True)
    missed = [goal["goal"] for goal in answer["goals"] if not goal["pass"]]
    assert [goal for goal in missed if not goal.endswith("stretch")] == []  # three seeds are few for the stretch
    assert {row["method"] for row in answer["tables"]["blame"]} == {"noisy-or", "online", "equal shares", "oracle"}
    assert {row["model"] for row in answer["tables"]["conduct"]} == {"additive", "beta", "beta-cusum"}
