"""No published vector exists (the paper has figures of simulations): the formulas are worked by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from meshsim.trust import EventKind, Evidence, peertrust
from meshsim.trust.beta import EXPONENT, PRIOR
from meshsim.trust.peertrust import similarity

if TYPE_CHECKING:
    from meshsim.trust.network import Networked

OWNER = -1


def tell(model: Networked, rater: int, node: int, good: float = 0.0, bad: float = 0.0) -> None:
    for kind, weight in ((EventKind.SUCCESSFUL_CALL, good), (EventKind.CALL_DROPPED, bad)):
        if weight:
            raters = () if rater == OWNER else (rater,)
            model.observe(node, Evidence(kind=kind, node=node, t=0.0, weight=weight, raters=raters))


def scored(good: float, bad: float) -> float:
    return 100.0 * math.pow((good + PRIOR[0]) / (good + bad + 2.0), EXPONENT)


def test_credibility_is_one_less_the_root_mean_square_of_disagreements() -> None:
    model = peertrust()
    tell(model, OWNER, 0, good=10.0)  # average 1
    tell(model, OWNER, 1, good=5.0, bad=5.0)  # average .5
    tell(model, 7, 0, good=6.0, bad=2.0)  # .75
    tell(model, 7, 1, good=1.0)  # 1
    tell(model, 7, 2, good=1.0)  # of which the owner knows nothing
    tell(model, 8, 2, good=1.0)
    web = model.web(0.0)
    assert similarity(web)[8] == pytest.approx(1.0 - math.sqrt((0.25**2 + 0.5**2) / 2.0))
    assert similarity(web)[9] == 0.0
    assert similarity(web)[0] == 1.0


def test_trust_is_the_average_of_outcomes_by_credibility() -> None:
    model = peertrust()
    tell(model, OWNER, 0, good=10.0)
    tell(model, 7, 0, good=3.0, bad=1.0)  # credibility .75
    tell(model, 8, 0, bad=1.0)  # credibility 0
    tell(model, 7, 3, good=8.0, bad=4.0)
    tell(model, 8, 3, bad=100.0)
    score = model.score(3, 0.0)
    assert score.mean == pytest.approx(scored(0.75 * 8.0, 0.75 * 4.0))
    assert score.evidence == pytest.approx(9.0)
    assert score.low == score.mean == score.high


def test_a_proof_against_a_node_is_no_measure_of_those_whom_it_served_well() -> None:
    model = peertrust()
    model.anchor(7)
    for rater in (7, 8, 9):
        for node in (0, 1):
            tell(model, rater, node, good=9.0, bad=1.0)
    before = similarity(model.web(0.0))
    tell(model, OWNER, 0, bad=50.0)
    assert before[9:11].tolist() == [1.0, 1.0] == similarity(model.web(0.0))[9:11].tolist()
    assert model.score(0, 0.0).mean == pytest.approx(scored(27.0, 53.0))


def test_verified_nodes_are_believed_and_are_the_measure() -> None:
    model = peertrust()
    model.anchor(7)
    tell(model, 7, 0, good=10.0)
    tell(model, 8, 0, bad=10.0)
    assert model.score(0, 0.0).mean == pytest.approx(scored(10.0, 0.0))


def test_without_anybody_to_trust_the_majority_decides() -> None:
    model = peertrust()
    for liar in range(10, 16):
        tell(model, liar, 0, bad=1.0)
    for honest in range(20, 23):
        tell(model, honest, 0, good=1.0)
    # Everybody's average is 1/3: liars are .33 off it, the honest .67.
    assert model.score(0, 0.0).mean == pytest.approx(scored(3.0 / 3.0, 6.0 * 2.0 / 3.0))


def test_the_owners_praise_can_lower_by_unmaking_who_praised_more() -> None:
    """Why the contract excuses the model: credibility is judged by the same words."""
    model = peertrust()
    tell(model, OWNER, 0, good=5.0, bad=5.0)
    tell(model, 7, 0, good=4_500.0, bad=5_500.0)
    tell(model, 8, 0, bad=100_000.0)
    for node in range(1, 30):  # on which rater 8 disagrees so much that one node more or less is no matter
        tell(model, OWNER, node, good=1.0)
        tell(model, 8, node, good=0.6, bad=0.4)
    before = model.score(0, 0.0).mean
    tell(model, OWNER, 0, good=3.0)
    assert model.score(0, 0.0).mean < before
