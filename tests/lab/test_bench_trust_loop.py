from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from meshsim.lab.bench import trust
from meshsim.lab.bench.trust_loop import MIXES, MODELS, ORACLE, VARIANTS, Lived, Trial, bounds, live, run_loop, table_of

SHORT = ("nodes.count=120", "nodes.roles={relay: 15%}", "duration=4 min", "warmup=0 s", "calls.rate=1")


def lived(model: str, success: float, seed: int, known: float = 0.0) -> Lived:
    trial = Trial(model=model, attack="holes", misbehaviour="", seed=seed, out=Path())
    return Lived(
        trial=trial,
        success=success,
        over_attackers=0.5,
        known=known,
        wronged=known / 4.0,
        fooled=0.0,
        seconds=600.0,
        first={},
    )


def test_rows_hold_the_mean_over_seeds_between_its_bounds_and_leave_out_what_was_not_measured() -> None:
    one, other = table_of([lived("beta", 0.5, 1), lived("beta", 0.7, 2), lived("additive", 0.4, 1)])
    assert (one["model"], one["seeds"], one["success"]) == ("beta", 2, pytest.approx(0.6))
    assert one["low"] <= 0.6 <= one["high"]
    assert other["low"] == other["high"] == 0.4
    assert math.isnan(one["wronged"])


def test_honest_time_below_trusted_counts_by_the_time_of_which_enough_is_known() -> None:
    (row,) = table_of([lived("beta", 0.5, 1, known=100.0), lived("beta", 0.5, 2, known=300.0), lived("beta", 0.5, 3)])
    assert row["wronged"] == pytest.approx(0.25)


def test_the_bootstrap_bounds_of_normal_values_are_where_theory_has_them() -> None:
    values = np.random.default_rng(1).normal(0.0, 1.0, 400)
    low, high = bounds(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20.0, rel=0.1)
    assert bounds(values) == (low, high)


def test_the_oracle_knows_gray_holes_from_the_first_call(tmp_path: Path) -> None:
    spoilt = "{kind: gray_hole, share: 30%, strength: 60%, among: relays}"
    said = {
        model: live(
            Trial(model=model, attack="holes", misbehaviour=spoilt, seed=2, out=tmp_path / model, overrides=SHORT)
        )
        for model in (ORACLE, "beta")
    }
    assert said[ORACLE].over_attackers == 0.0
    assert said["beta"].over_attackers > 0.0
    assert said["beta"].success < said[ORACLE].success


def test_every_part_of_the_benchmark_has_something_to_measure() -> None:
    assert set(trust.PARTS) == {"static", "desk", "loop", "scale"}
    assert all(trust.PARTS.values())


@pytest.mark.full
def test_a_quick_loop_judges_every_model_under_every_attack() -> None:
    answer = run_loop(quick=True)
    rows = {(row["attack"], row["model"]) for row in answer["tables"]["loop"]}
    assert {(attack, model) for attack in MIXES for model in MODELS} <= rows
    assert {(variant.name, model) for variant in VARIANTS for model in variant.models} <= rows
    assert len(answer["goals"]) == 9
