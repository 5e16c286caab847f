from __future__ import annotations

import numpy as np
import pytest

from meshsim.lab.bench.trust_sybils import ANYBODY, RANKS, VERIFIED, Siege, flows, lift_rows, run_sybils, sybil_rows
from meshsim.trust import eigentrust
from meshsim.trust.eigentrust import EigenTrust


@pytest.mark.parametrize("tricked", [ANYBODY, VERIFIED])
def test_only_attack_edges_lead_to_made_up_nodes_and_these_praise_each_other_and_the_relay(tricked: str) -> None:
    siege = Siege(made_up=30, nodes=100, anchors=5, edges=40, tricked=tricked)
    told = siege.outcomes(1)
    made_up, tells = told.node >= 100, told.rater >= 100
    assert (told.node != told.rater).all()
    assert int((made_up & ~tells).sum()) == 40
    assert told.bad[made_up | tells].sum() == 0.0
    assert set(told.node[tells & ~made_up].tolist()) == {0}
    low = 95 if tricked == VERIFIED else 1
    assert set(told.rater[made_up & ~tells].tolist()) <= set(range(low, 100))


def test_who_makes_nobody_up_has_no_edges_either() -> None:
    told = Siege(made_up=0, nodes=50).outcomes(0)
    assert max(told.node.max(), told.rater.max()) < 50


def test_a_closed_set_holds_exactly_eigentrusts_bound() -> None:
    model, siege = eigentrust(), Siege(made_up=20, nodes=60, anchors=6, edges=30, bought=0.0)
    siege.fill(model, 2)
    inflow, held = flows(EigenTrust(), model.web(0.0), 60)
    assert inflow > 0.0
    assert held == pytest.approx(4.0 * inflow, rel=1e-6)


def test_words_of_made_up_raters_stay_below_the_bound_be_they_few_or_many_where_anybody_is_tricked() -> None:
    rows = [row for row in sybil_rows((100, 3000), seeds=range(2)) if row["tricked"] == ANYBODY]
    assert len(rows) == 2
    for row in rows:
        assert 0.0 < row["eigentrust"] <= row["bound"]
        assert 0.0 < row["credibility"] <= row["believed"] <= row["bound"]
    assert np.allclose([row["believed"] for row in rows], rows[0]["believed"], rtol=0.05)


def test_where_verified_nodes_alone_are_tricked_words_exceed_the_bound_but_not_by_how_many_raters_are_made_up() -> None:
    few, many = (row for row in sybil_rows((100, 3000), seeds=range(2)) if row["tricked"] == VERIFIED)
    assert many["bound"] < many["believed"] == pytest.approx(few["believed"], rel=0.05)


def test_made_up_nodes_whom_nobody_praises_lift_no_score() -> None:
    rows = lift_rows((50, 500), seeds=range(2))
    assert [(row["model"], row["made_up"]) for row in rows] == [(name, count) for name in RANKS for count in (50, 500)]
    for row in rows:
        assert (row["relay"], row["honest"]) == pytest.approx((row["relay_without"], row["honest_without"]), abs=0.01)


@pytest.mark.full
def test_a_quick_run_judges_all_goals() -> None:
    result = run_sybils(quick=True)
    assert [(goal["goal"], goal["pass"]) for goal in result["goals"]] == [
        ("sybils_eigentrust_of_bound", True),
        ("sybils_credibility_of_bound", True),
        ("sybils_credibility_of_bound_verified_tricked", False),
        ("sybils_points_lifted", True),
    ]
    assert set(result["tables"]) == {"sybils", "lift"}
