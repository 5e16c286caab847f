from __future__ import annotations

import numpy as np
import pytest

from meshsim.trust import EventKind, Evidence, EvidenceColumns, credibility
from meshsim.trust.beta import beta_table
from meshsim.trust.credibility import RING, Credibility, Credible

GOOD, BAD = EventKind.SUCCESSFUL_CALL, EventKind.CALL_DROPPED


def tell(model: Credibility, node: int, *raters: int, good: float = 0.0, bad: float = 0.0) -> None:
    for kind, weight in ((GOOD, good), (BAD, bad)):
        if weight:
            model.observe(node, Evidence(kind=kind, node=node, t=0.0, weight=weight, raters=raters))


def crowd(
    *, liars: int, nodes: int = 200, each: int = 60, clever: bool = False, bad_anchors: int = 0, seed: int = 1
) -> Credibility:
    """Nodes 0 to liars - 1 are friends, half of them drop 40 % of calls; the last 40 nodes are anchors.

    Liars praise friends and slander all others, or only nodes 100 to 109 if they are clever.
    """
    rng = np.random.default_rng(seed)
    node = np.repeat(np.arange(nodes), each)
    rater = (node + rng.integers(1, nodes, len(node))) % nodes
    bad = rng.random(len(node)) < np.where(node < liars // 2, 0.4, 0.05)
    victim = (node >= 100) & (node < 110) if clever else node >= liars
    lying = (rater < liars) | (rater >= nodes - bad_anchors)
    bad = np.where(lying & (node < liars), False, np.where(lying & victim, True, bad))
    model = credibility()
    for anchor in range(nodes - 40, nodes):
        model.anchor(anchor)
    nobody, t = np.full(len(node), -1, dtype=np.int64), np.zeros(len(node))
    model.observe_many(EvidenceColumns(node, rater, nobody, (~bad).astype(float), bad.astype(float), t))
    return model


def gap(model: Credibility, liars: int) -> float:
    """By how much the worst of most honest nodes scores above the best of most gray holes."""
    mean = model.table(200, 0.0).mean
    return float(np.quantile(mean[liars:160], 0.05) - np.quantile(mean[: liars // 2], 0.95))


@pytest.mark.parametrize("liars", [60, 110])
def test_liars_who_slander_all_others_are_found_even_in_majority(liars: int) -> None:
    model = crowd(liars=liars)
    truthful = model.ratings(0.0).truthful[1:201]
    assert truthful[:liars].max() < 0.1
    assert truthful[liars:].mean() > 0.5
    assert gap(model, liars) > 0.0


def test_clever_liars_are_a_ring_and_their_praise_does_not_count() -> None:
    model = crowd(liars=80, clever=True)
    ratings = model.ratings(0.0)
    assert ratings.gain > RING
    assert ratings.truthful[1:81].mean() < 0.1
    assert ratings.truthful[81:201].mean() > 0.5
    assert gap(model, 80) > 0.0


def test_a_quarter_of_the_anchors_may_belong_to_the_ring() -> None:
    model = crowd(liars=80, clever=True, bad_anchors=10)
    truthful = model.ratings(0.0).truthful[1:]
    assert truthful[190:200].mean() < 0.2
    assert truthful[160:190].mean() > 0.5
    assert gap(model, 80) > 0.0


def test_where_nobody_lies_there_is_no_ring_and_most_is_believed() -> None:
    ratings = crowd(liars=0).ratings(0.0)
    assert ratings.gain < RING
    assert ratings.truthful[1:201].mean() > 0.7


def test_without_anchors_it_scores_as_what_most_say() -> None:
    model = credibility()
    for rater in range(10, 18):
        for node in range(6):
            tell(model, node, rater, good=8.0, bad=2.0)
    for node in range(6):
        tell(model, node, 20, bad=20.0)
    assert model.ratings(0.0).truthful[21] < model.ratings(0.0).truthful[11]
    assert model.score(0, 0.0).mean > 30.0


@pytest.mark.parametrize("k", [10, 1000, 10_000])
def test_the_words_of_made_up_raters_weigh_no_more_than_what_anchors_had_with_them(k: int) -> None:
    """Three outcomes of anchors with two of them: 150 outcomes for them all together, whatever they say."""
    model = credibility()
    for anchor in range(5):
        model.anchor(anchor)
        for node in range(5, 10):
            tell(model, node, anchor, good=4.0)
    tell(model, 50, 0, good=2.0)
    tell(model, 51, 1, good=1.0)
    for sybil in range(50, 50 + k):
        tell(model, 10, sybil, good=90.0)
        tell(model, 50 + (sybil - 49) % k, sybil, good=90.0)
    ratings = model.ratings(0.0)
    said = np.full(k, 180.0)
    assert float((ratings.word[51 : 51 + k] * said).sum()) <= 150.0 + 1e-9
    assert model.score(10, 0.0).evidence <= 150.0 + 1e-9


def test_a_call_with_an_anchor_makes_its_other_end_known() -> None:
    alone, met = credibility(), credibility()
    for model in (alone, met):
        model.anchor(0)
        tell(model, 1, 0, good=10.0)
        tell(model, 1, 7, good=40.0)
    tell(met, 2, 0, 7, good=1.0)
    assert alone.ratings(0.0).reach[8] == 0.0
    assert met.ratings(0.0).reach[8] > 0.9
    met.forget(7)
    tell(met, 1, 7, good=40.0)
    assert met.ratings(0.0).reach[8] == 0.0


def test_what_the_owner_saw_counts_whole_whatever_others_say() -> None:
    model = credibility()
    tell(model, 0, good=30.0, bad=3.0)
    for rater in range(5, 25):
        tell(model, 0, rater, bad=50.0)
    row = beta_table(np.array([30.0]), np.array([3.0]))
    assert model.score(0, 0.0).mean == pytest.approx(float(row.mean[0]))


def test_a_reach_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="reach"):
        Credible(reach=0.0)


def test_the_rule_alone_scores_a_web_without_shared_calls() -> None:
    model = credibility()
    model.anchor(0)
    tell(model, 1, 0, good=10.0)
    web = model.web(0.0)
    assert np.array_equal(model.rule.rate(web).mean[1:], model.table(len(web.known) - 1, 0.0).mean)
