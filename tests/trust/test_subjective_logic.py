from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.trust import Beta, EventKind, Evidence, subjective_logic
from meshsim.trust.subjective_logic import Opinion, discounted, evidence, opinion

if TYPE_CHECKING:
    from meshsim.trust.network import Networked


def held(belief: float, disbelief: float, uncertainty: float) -> Opinion:
    return Opinion(np.array(belief), np.array(disbelief), np.array(uncertainty))


def rounded(one: Opinion) -> list[float]:
    return [round(float(part), 3) for part in one]


def fused(*opinions: Opinion) -> Opinion:
    good, bad = zip(*(evidence(one) for one in opinions), strict=True)
    return opinion(np.sum(good), np.sum(bad))


@pytest.mark.parametrize(
    ("trust", "base", "told", "worth"),
    [
        ((0.0, 0.0, 1.0), 0.9, (0.95, 0.0, 0.05), [0.855, 0.0, 0.145]),
        ((0.2, 0.4, 0.4), 0.75, (0.45, 0.35, 0.20), [0.225, 0.175, 0.6]),
        ((0.2, 0.1, 0.7), 0.8, (0.8, 0.2, 0.0), [0.608, 0.152, 0.240]),
    ],
)
def test_opinions_are_discounted_as_published(
    trust: tuple[float, float, float], base: float, told: tuple[float, float, float], worth: list[float]
) -> None:
    """Josang 2016, trust discounting; the numbers stand in the tests of the atenea group's uncertain datatypes."""
    believed = held(*trust)
    projected = believed.belief + base * believed.uncertainty
    assert rounded(discounted(held(*told), projected)) == worth


def test_opinions_are_fused_as_published() -> None:
    """R. van der Heijden, H. Kopp, F. Kargl, "Multi-Source Fusion Operations in Subjective Logic", FUSION 2018."""
    one, two, three = held(0.1, 0.3, 0.6), held(0.4, 0.2, 0.4), held(0.7, 0.1, 0.2)
    assert rounded(fused(one, two, three)) == [0.651, 0.209, 0.140]
    assert rounded(fused(three, one, two)) == [0.651, 0.209, 0.140]


@given(good=st.floats(0.0, 1e6), bad=st.floats(0.0, 1e6), trust=st.floats(0.0, 1.0))
def test_discounted_opinions_stand_for_less_evidence(good: float, bad: float, trust: float) -> None:
    full = opinion(np.array(good), np.array(bad))
    less = discounted(full, np.array(trust))
    assert float(sum(less)) == pytest.approx(1.0)
    for part, whole in zip(evidence(less), (good, bad), strict=True):
        assert 0.0 <= part <= whole * (1.0 + 1e-9) + 1e-9


def tell(model: Networked, rater: int, node: int, good: float = 0.0, bad: float = 0.0) -> None:
    for kind, weight in ((EventKind.SUCCESSFUL_CALL, good), (EventKind.CALL_DROPPED, bad)):
        raters = (rater,) if rater >= 0 else ()
        model.observe(node, Evidence(kind=kind, node=node, t=0.0, weight=weight, raters=raters))


@settings(max_examples=20, deadline=None)
@given(good=st.integers(0, 80), bad=st.integers(0, 80))
def test_what_the_owner_saw_itself_scores_as_beta_does(good: int, bad: int) -> None:
    model, beta = subjective_logic(), Beta()
    tell(model, -1, 0, good, bad)
    for kind, weight in ((EventKind.SUCCESSFUL_CALL, good), (EventKind.CALL_DROPPED, bad)):
        beta.observe(0, Evidence(kind=kind, node=0, t=0.0, weight=weight))
    ours, theirs = model.table(1, 0.0), beta.table(1, 0.0)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


def test_a_rater_is_worth_what_it_agrees_with_those_one_trusts() -> None:
    model = subjective_logic()
    for node in range(20):
        tell(model, -1, node, good=20.0 if node % 2 else 0.0, bad=0.0 if node % 2 else 20.0)
        tell(model, 40, node, good=2.0 * (node % 2), bad=2.0 * (1 - node % 2))  # says as the owner does
        tell(model, 41, node, good=2.0 * (1 - node % 2), bad=2.0 * (node % 2))  # says the contrary
    for rater, node in ((40, 30), (41, 31), (42, 32)):  # nobody knows rater 42
        tell(model, rater, node, bad=30.0)
    scores = [model.score(node, 0.0).mean for node in (30, 31, 32)]
    assert scores[0] < 20.0 < scores[1] < scores[2] == pytest.approx(50.0)
    assert subjective_logic(base=0.5).half_life == model.half_life


def test_trust_in_the_unknown_is_the_base_rate() -> None:
    wary, trusting = subjective_logic(), subjective_logic(base=0.5)
    for model in (wary, trusting):
        model.anchor(9)
        tell(model, 42, 32, bad=30.0)
    assert wary.score(32, 0.0).evidence == 0.0
    # P = .5: u' = .5 + .5 * 2 / 32, d' = .5 * 30 / 32
    assert trusting.score(32, 0.0).evidence == pytest.approx(2.0 * (15.0 / 32.0) / (0.5 + 1.0 / 32.0))
