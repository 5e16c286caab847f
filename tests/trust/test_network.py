from __future__ import annotations

import numpy as np
import pytest

from meshsim.trust import EventKind, Evidence, EvidenceColumns, Status, eigentrust, models, peertrust, subjective_logic
from meshsim.trust.network import (
    HALF_SHARE,
    Networked,
    Web,
    fair_shares,
    outward,
    rates_table,
    reference,
    shares_table,
    spread,
)
from meshsim.trust.peertrust import PeerTrust

GOOD, BAD = EventKind.SUCCESSFUL_CALL, EventKind.CALL_DROPPED


def tell(model: Networked, rater: int, node: int, good: float = 0.0, bad: float = 0.0, t: float = 0.0) -> None:
    for kind, weight in ((GOOD, good), (BAD, bad)):
        if weight:
            raters = (rater,) if rater >= 0 else ()
            model.observe(node, Evidence(kind=kind, node=node, t=t, weight=weight, raters=raters))


def web(edges: list[tuple[int, int, float, float]], n: int, seeds: tuple[int, ...] = ()) -> Web:
    columns = np.array(sorted(edges)).reshape(-1, 4)
    rater, node = (columns[:, k].astype(np.int64) for k in (0, 1))
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[list(seeds)] = True
    known = chosen.copy()
    known[rater] = known[node] = True
    return Web(rater, node, columns[:, 2], columns[:, 3], chosen, known)


def test_a_fair_share_scores_80_and_a_quarter_of_it_50() -> None:
    crowd = web([(0, node, 1e9, 0.0) for node in range(1, 4)], 5, seeds=(0,))
    table = shares_table(crowd, np.array([0.0, 1.0, HALF_SHARE, 0.0, 0.0]))
    assert table.mean[1:4] == pytest.approx([80.0, 50.0, 0.0], abs=1e-6)
    assert table.mean[4] == 50.0
    assert table.low.tolist() == table.mean.tolist() == table.high.tolist()


def test_evidence_counts_by_the_trust_in_its_rater_and_a_seed_counts_whole() -> None:
    crowd = web([(1, 3, 4.0, 0.0), (2, 3, 0.0, 4.0), (0, 3, 1.0, 0.0)], 5, seeds=(0,))
    assert shares_table(crowd, np.array([0.0, 0.25, 7.0, 0.0, 0.0])).evidence[3] == 1.0 + 0.25 * 4.0 + 4.0


def test_a_fair_share_is_what_those_hold_to_whom_trust_is_given() -> None:
    """Of a start of .7 nothing was given; .1 and .2 hold on average 1/6, each unit that was given counting alike."""
    trust, given = np.array([0.7, 0.1, 0.2, 0.0]), np.array([0.0, 0.1, 0.2, 0.0])
    assert fair_shares(trust, given).tolist()[1:] == pytest.approx([0.6, 1.2, 0.0])
    assert fair_shares(np.append(trust, np.zeros(1000)), np.append(given, np.zeros(1000)))[1] == pytest.approx(0.6)
    assert fair_shares(trust, np.zeros(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize("name", ["eigentrust", "meritrank", "sybilrank"])
@pytest.mark.parametrize("anchored", [True, False])
@pytest.mark.parametrize("edges", [0, 2])
def test_made_up_nodes_move_nobodys_score_by_how_many_they_are(name: str, anchored: bool, edges: int) -> None:  # noqa: FBT001 - a case
    def scores(made_up: int) -> list[float]:
        model = models[name]()
        for node in range(12):
            if anchored and node < 2:
                model.anchor(node)
            for step in (1, 3, 4):
                tell(model, node, (node + step) % 12, good=20.0, bad=9.0 if (node + step) % 12 == 5 else 1.0)
            tell(model, -1, node, good=2.0)
        for k in range(made_up):
            tell(model, 12 + k, 12 + (k + 1) % made_up, good=50.0)
        for k in range(edges if made_up else 0):
            tell(model, k, 12 + k, good=1.0)
        return [float(score) for score in model.table(12, 0.0).mean]

    few, many = scores(30), scores(600)
    close = 1.5 if name == "sybilrank" else 0.1 if edges and not anchored else 0.01
    assert many == pytest.approx(few, abs=close)
    assert few == pytest.approx(scores(0), abs=close + edges)


def test_eight_percent_failures_are_worth_70() -> None:
    assert rates_table(np.array([92e6]), np.array([8e6])).mean[0] == pytest.approx(70.0, abs=1e-3)


def test_the_owner_is_a_seed_only_if_it_saw_anything_itself() -> None:
    model = peertrust()
    tell(model, 1, 2, good=3.0)
    assert not model.web(0.0).seeds.any()
    assert model.web(0.0).trusted.tolist() == [False, False, True, True, False]
    tell(model, -1, 2, good=3.0)
    model.anchor(4)
    assert np.flatnonzero(model.web(0.0).seeds).tolist() == [0, 5]


def test_an_owner_that_only_holds_proofs_is_no_start_whether_somebody_is_verified_or_not() -> None:
    model = peertrust()
    tell(model, 1, 2, good=3.0)
    tell(model, -1, 3, bad=1.0)
    assert np.flatnonzero(model.web(0.0).trusted).tolist() == [0, 2, 3, 4]
    model.anchor(1)
    assert np.flatnonzero(model.web(0.0).trusted).tolist() == [2]
    tell(model, -1, 2, good=1.0)
    assert np.flatnonzero(model.web(0.0).trusted).tolist() == [0, 2]


def test_opinions_of_which_nothing_is_left_are_dropped() -> None:
    model = peertrust(half_life=1.0)
    tell(model, 1, 2, good=3.0)
    assert len(model.web(300.0).rater) == 1
    assert len(model.web(400.0).rater) == 0


def test_status_waits_for_evidence_then_follows_the_lower_bound() -> None:
    model = peertrust(minimum=20.0)
    tell(model, -1, 0, good=19.0)
    assert model.score(0, 0.0).status is Status.NEW
    tell(model, -1, 0, good=1e4)
    assert model.score(0, 0.0).status is Status.VERIFIED
    tell(model, -1, 1, bad=30.0)
    assert model.score(1, 0.0).status is Status.BANNED


def test_exactly_the_minimum_of_evidence_decides() -> None:
    model = peertrust(minimum=20.0)
    tell(model, -1, 0, bad=20.0)
    assert model.score(0, 0.0).status is Status.BANNED


@pytest.mark.parametrize("minimum", [0.0, 0.5])
def test_any_minimum_from_zero_is_taken(minimum: float) -> None:
    model = Networked(PeerTrust(), half_life=60.0, minimum=minimum)
    assert (model.minimum, model.half_life) == (minimum, 60.0)


def test_a_minimum_below_zero_is_refused_with_the_value() -> None:
    with pytest.raises(ValueError, match=r"minimum=-0\.1"):
        Networked(PeerTrust(), half_life=60.0, minimum=-0.1)


def test_one_score_is_the_tables_row_and_whoever_is_not_known_is_a_stranger() -> None:
    model = subjective_logic()
    tell(model, -1, 2, good=20.0, bad=5.0)
    tell(model, -1, 4, bad=8.0)
    table = model.table(9, 0.0)
    for node in range(9):
        score = model.score(node, 0.0)
        row = [float(column[node]) for column in table]
        assert [score.mean, score.low, score.high, score.evidence] == row
        stranger = node not in {2, 4}
        assert (score.mean == pytest.approx(50.0)) is stranger
        assert (score.evidence == 0.0) is stranger
        assert score.low < score.mean < score.high


def test_nobody_is_known_of_whom_nothing_was_heard() -> None:
    empty = peertrust().web(0.0)
    assert [len(column) for column in empty] == [0, 0, 0, 0, 2, 2]
    assert not empty.known.any()


def test_many_outcomes_at_once_are_heard_as_one_by_one() -> None:
    many, each = peertrust(), peertrust()
    node, rater = np.array([1, 2, 1]), np.array([0, 0, 3])
    nobody, t = np.full(3, -1), np.zeros(3)
    many.observe_many(EvidenceColumns(node, rater, nobody, np.array([4.0, 0.0, 2.0]), np.array([0.0, 3.0, 1.0]), t))
    for who, whom, good, bad in ((0, 1, 4.0, 0.0), (0, 2, 0.0, 3.0), (3, 1, 2.0, 1.0)):
        tell(each, who, whom, good, bad)
    for one, other in zip(many.web(0.0), each.web(0.0), strict=True):
        assert one.tolist() == other.tolist()
    assert len(many.web(0.0).rater) == 3


def test_what_a_rater_gives_sums_to_one_however_little_it_has() -> None:
    crowd = web([(0, 1, 0.25, 0.0), (0, 2, 0.125, 0.0), (1, 2, 8.0, 0.0), (2, 1, 0.0, 3.0)], 4)
    weight, silent = outward(crowd, crowd.praise)
    assert weight.tolist() == pytest.approx([2 / 3, 1 / 3, 1.0, 0.0])
    assert silent.tolist() == [False, False, True, True]
    assert spread(crowd, weight, np.array([0.6, 0.3, 0.1, 0.0])) == pytest.approx([0.0, 0.4, 0.5, 0.0])


def test_the_reference_is_what_the_trusted_alone_say() -> None:
    crowd = web([(0, 2, 4.0, 0.5), (1, 2, 0.25, 3.0), (3, 2, 90.0, 80.0), (3, 1, 7.0, 0.0)], 5, seeds=(0, 1))
    good, bad = reference(crowd)
    assert good.tolist() == [0.0, 0.0, 4.25, 0.0, 0.0]
    assert bad.tolist() == [0.0, 0.0, 3.5, 0.0, 0.0]


def test_without_outcomes_a_rate_scores_50() -> None:
    table = rates_table(np.array([0.0, 3.0]), np.array([0.0, 1.0]))
    assert table.mean[0] == pytest.approx(50.0)
    assert table.evidence.tolist() == [0.0, 4.0]


def test_scores_are_kept_until_something_is_told_or_time_passes() -> None:
    model = eigentrust()
    tell(model, -1, 0, good=30.0)
    first = model.score(0, 0.0)
    assert model.score(0, 0.0) == first
    assert model.score(0, 1e6).evidence < first.evidence
    tell(model, -1, 1, good=90.0)
    assert model.score(0, 0.0).mean < first.mean
    model.anchor(2)
    assert model.score(0, 0.0).mean != first.mean


def test_a_forgotten_anchor_is_no_anchor() -> None:
    model = eigentrust()
    model.anchor(0)
    tell(model, 0, 1, good=30.0)
    model.forget(0)
    assert not model.web(0.0).known.any()


def test_praise_is_what_successes_outnumber_failures_by() -> None:
    assert web([(0, 1, 3.0, 1.0), (0, 2, 1.0, 3.0)], 4).praise.tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    "name", ["credibility", "eigentrust", "meritrank", "peertrust", "subjective_logic", "sybilrank"]
)
def test_a_proof_against_one_makes_no_strangers_of_all_others(name: str) -> None:
    model = models[name]()
    for call in range(300):
        kind = GOOD if call % 10 else BAD
        raters = (10 + 7 * call % 40, 10 + (11 * call + 3) % 40)
        model.observe(call % 10, Evidence(kind=kind, node=call % 10, t=0.0, raters=raters))
    before = model.table(10, 0.0)
    model.observe(99, Evidence(kind=EventKind.MALICIOUS_BEHAVIOR, node=99, t=0.0, weight=10.0))
    after = model.table(10, 0.0)
    assert after.mean == pytest.approx(before.mean, abs=1.0)
    assert after.evidence == pytest.approx(before.evidence, rel=0.1)
    knows_no_bad_marks = name in {"eigentrust", "meritrank", "sybilrank"}
    assert knows_no_bad_marks or model.score(99, 0.0).mean < 10.0
