from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.trust import Docket, EventKind, Outcome, Rules, Statement, Verdict
from meshsim.trust.blame import PRIOR, Blame
from meshsim.trust.conduct import NO_PROMISE, credited, grade, misconduct

if TYPE_CHECKING:
    from collections.abc import Sequence

A, R, S, B = range(4)
PATH = (A, R, B)
LONG = (A, R, S, B)


def told(
    signer: int,
    outcome: Outcome = Outcome.COMPLETED,
    *,
    call: int = 0,
    path: tuple[int, ...] = PATH,
    poor: bool | None = None,
    mos: float | None = None,
    loss: float = 0.0,
    at: float = 0.0,
) -> Statement:
    failed = outcome is not Outcome.COMPLETED
    opinion = (1.0 if failed else 4.2) if mos is None else mos
    return Statement(call, 0, path, signer, outcome, opinion, failed if poor is None else poor, loss=loss, at=at)


def settled(*statements: Statement, rules: Rules | None = None) -> list[Verdict[int]]:
    docket: Docket[int] = Docket(rules)
    for statement in statements:
        docket.add(statement, 0.0)
    return docket.settle(10.0)


def about(node: int, verdicts: list[Verdict[int]]) -> list[tuple[EventKind, float]]:
    return [(verdict.events[0], verdict.weight) for verdict in verdicts if verdict.node == node]


def everybody(outcome: Outcome = Outcome.COMPLETED, path: tuple[int, ...] = PATH, call: int = 0) -> list[Statement]:
    return [told(signer, outcome, path=path, call=call) for signer in path]


def test_praise_needs_both_ends() -> None:
    assert about(R, settled(told(A), told(B))) == [
        (EventKind.SUCCESSFUL_CALL, 1.0),
        (EventKind.CONNECTION_TIMEOUT, 0.1),
    ]
    (verdict,) = settled(*everybody())
    assert verdict.events == (EventKind.SUCCESSFUL_CALL, EventKind.HELPED_RELAY, EventKind.HIGH_QUALITY_STREAM)
    assert (verdict.node, verdict.raters, verdict.grade, verdict.at) == (R, (A, B), 1.0, 0.0)
    assert about(R, settled(told(A), told(R))) == []


@pytest.mark.parametrize(
    ("callee", "weight", "raters"),
    [(Outcome.DROPPED, 1.0, (A, B)), (Outcome.COMPLETED, 0.2, (A,)), (None, 0.4, (A,))],
)
def test_failure_counts_by_who_says_it(callee: Outcome | None, weight: float, raters: tuple[int, ...]) -> None:
    said = [] if callee is None else [told(B, callee)]
    (verdict,) = settled(told(A, Outcome.DROPPED), *said)
    assert (verdict.events, verdict.weight) == ((EventKind.CALL_DROPPED,), weight)
    assert (verdict.raters, verdict.grade) == (raters, 0.0)


def test_ends_that_contradict_each_other_are_counted() -> None:
    docket: Docket[int] = Docket()
    docket.merge([told(A, Outcome.DROPPED), told(B)], 0.0)
    docket.settle(10.0)
    assert docket.disputed == 1


def test_poor_quality_in_the_words_of_one_end_is_one_sided() -> None:
    assert about(R, settled(told(A, poor=True), told(B), told(R))) == [(EventKind.POOR_QUALITY, 0.2)]
    assert about(R, settled(told(A, poor=True), told(B, poor=True), told(R))) == [(EventKind.POOR_QUALITY, 1.0)]
    assert about(R, settled(told(A, poor=True), told(R))) == []


def test_a_timeout_needs_all_who_complain_to_call_it_so() -> None:
    both = settled(told(A, Outcome.TIMEOUT), told(B, Outcome.TIMEOUT))
    assert both[0].events == (EventKind.CONNECTION_TIMEOUT,)
    assert settled(told(A, Outcome.TIMEOUT), told(B, Outcome.DROPPED))[0].events == (EventKind.CALL_DROPPED,)


def test_relays_share_blame_and_each_has_the_praise() -> None:
    failed = settled(*everybody(Outcome.DROPPED, LONG))
    assert [(verdict.node, verdict.weight) for verdict in failed] == [(R, 0.5), (S, 0.5)]
    praised = settled(*everybody(path=LONG))
    assert [(verdict.node, verdict.weight) for verdict in praised] == [(R, 1.0), (S, 1.0)]


def test_what_a_node_says_of_itself_weighs_nothing() -> None:
    for outcome in Outcome:
        assert settled(told(R, outcome)) == []
        with_it, without = settled(told(A, Outcome.DROPPED), told(R, outcome)), settled(told(A, Outcome.DROPPED))
        assert with_it == without


def test_a_call_without_relays_judges_nobody() -> None:
    direct = (A, B)
    assert settled(told(A, Outcome.DROPPED, path=direct), told(B, Outcome.DROPPED, path=direct)) == []


class Fault:
    """Puts it all on the second relay."""

    def __init__(self) -> None:
        self.learned: list[tuple[tuple[int, ...], bool, float]] = []

    def shares(self, relays: Sequence[int], failed: bool, now: float) -> tuple[float, ...]:  # noqa: FBT001 - the Protocol's
        return tuple(float(place == 1) for place in range(len(relays)))

    def learn(self, relays: Sequence[int], failed: bool, now: float, weight: float) -> None:  # noqa: FBT001 - the Protocol's
        self.learned.append((tuple(relays), failed, weight))

    def forget(self, relay: int) -> None:
        raise AssertionError(relay)


def test_guilt_that_is_known_is_not_shared_evenly() -> None:
    guilt = Fault()
    docket: Docket[int] = Docket(guilt=guilt)
    docket.merge(everybody(Outcome.DROPPED, LONG) + everybody(path=LONG, call=1), 0.0)
    weights = [(verdict.node, verdict.weight) for verdict in docket.settle(10.0)]
    assert weights == [(S, 1.0), (R, 1.0), (S, 1.0)]
    assert guilt.learned == [((R, S), True, 1.0), ((R, S), False, 1.0)]


def test_guilt_is_learned_by_what_words_weigh_and_no_further_than_caps_let_them() -> None:
    guilt = Fault()
    docket: Docket[int] = Docket(Rules(pair_cap=1.0), guilt)
    for call in range(50):
        docket.add(told(A, Outcome.DROPPED, call=call, path=(A, R, S, 100 + call)), 0.0)
    docket.settle(10.0)
    assert [weight for _, _, weight in guilt.learned] == pytest.approx([0.4, 0.4, 0.2])


def test_a_lone_liar_lays_no_guilt_on_a_relay_by_numbers() -> None:
    guilt = Blame()
    docket: Docket[int] = Docket(guilt=guilt)
    for call in range(400):
        docket.add(told(A, Outcome.DROPPED, call=call, path=(A, R, 100 + call)), 0.0)
    docket.settle(10.0)
    assert guilt.rate(R, 10.0) < (PRIOR[0] + Rules().pair_cap) / (sum(PRIOR) + Rules().pair_cap)


# Receipts kept back ---------------------------------------------------------------------------------------------------


def test_a_receipt_kept_back_speaks_against_the_silent_one() -> None:
    (verdict,) = settled(told(A), told(R))
    assert (verdict.node, verdict.events, verdict.weight) == (B, (EventKind.CONNECTION_TIMEOUT,), 0.1)
    assert (verdict.raters, verdict.grade) == ((A,), None)


@pytest.mark.parametrize(
    "statements", [[told(A)], [told(R)], [told(R, path=LONG), told(S, path=LONG)], [told(A, Outcome.DROPPED), told(R)]]
)
def test_nobody_is_silent_where_nothing_shows_that_a_call_was_completed(statements: list[Statement]) -> None:
    verdicts = settled(*statements)
    assert all(verdict.weight != 0.1 for verdict in verdicts)


# Bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (told(S), "off_path"),
        (told(A, path=(A, R, R, B)), "off_path"),
        (told(A, path=(A, *range(10, 15), B)), "oversized"),
        (told(A, at=61.0), "future"),
        (told(A, at=-901.0), "expired"),
        (told(A, at=math.nan), "expired"),
        (told(A, Outcome.DROPPED, mos=4.0), "contradictory"),
        (told(A, Outcome.TIMEOUT, poor=False), "contradictory"),
        (told(A, loss=0.6), "contradictory"),
        (told(A, loss=math.nan), "contradictory"),
        (told(A)._replace(jitter=math.inf), "contradictory"),
        (told(A)._replace(delay=-1.0), "contradictory"),
        (told(A)._replace(mos=9.0), "contradictory"),
        (told(A)._replace(carried=-1), "contradictory"),
    ],
)
def test_a_statement_that_does_not_hold_is_refused_counted_and_moves_nothing(bad: Statement, reason: str) -> None:
    docket: Docket[int] = Docket()
    assert docket.add(bad, 0.0) == reason
    assert docket.refused == {reason: 1}
    assert docket.next_settling() is None
    assert docket.settle(100.0) == []


def test_a_statement_counts_once_however_often_it_comes() -> None:
    docket: Docket[int] = Docket()
    reasons = [docket.add(statement, now) for now in (0.0, 5.0, 11.0) for statement in everybody()]
    assert reasons == [""] * 3 + ["duplicate"] * 3 + ["replayed"] * 3
    assert len(docket.settle(30.0)) == 1
    assert docket.refused == {"duplicate": 3, "replayed": 3}


def test_what_comes_after_the_judgement_is_late() -> None:
    docket: Docket[int] = Docket()
    docket.add(told(A), 0.0)
    assert docket.add(told(B), 10.0) == "late"
    assert docket.settle(10.0) == []


def test_a_relay_cannot_let_the_time_of_the_ends_run_out() -> None:
    docket: Docket[int] = Docket()
    assert docket.add(told(R), 0.0) == ""
    assert docket.next_settling() is None
    assert docket.settle(11.0) == []
    docket.merge([told(A, Outcome.DROPPED, at=15.0), told(B, Outcome.DROPPED, at=15.0)], 15.0)
    assert docket.next_settling() == 25.0
    (verdict,) = docket.settle(25.0)
    assert (verdict.node, verdict.weight, verdict.at) == (R, 1.0, 15.0)


def test_what_a_relay_said_before_the_ends_still_bears_out_the_call() -> None:
    docket: Docket[int] = Docket()
    assert [docket.add(told(R), now) for now in (0.0, 12.0)] == ["", "duplicate"]
    docket.merge([told(A), told(B)], 12.0)
    assert [verdict.events[0] for verdict in docket.settle(30.0)] == [EventKind.SUCCESSFUL_CALL]


def test_memory_for_what_only_relays_speak_of_is_bounded() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=4))
    for call in range(20):
        docket.add(told(R, call=call), float(call))
    assert sorted(key[0] for key in docket._cases) == [16, 17, 18, 19]
    assert [statement.call for statement in docket.statements()] == [16, 17, 18, 19]
    docket.merge([told(A, call=16), told(B, call=16)], 20.0)
    for call in range(20, 30):
        docket.add(told(R, call=call), 20.0)
    assert [verdict.node for verdict in docket.settle(30.0)] == [R]


def test_a_judged_route_is_remembered_as_long_as_its_statements_could_come_again() -> None:
    rules = Rules(window=100.0, skew=5.0)
    docket: Docket[int] = Docket(rules)
    docket.merge([told(A, at=5.0), told(B, at=5.0)], 0.0)
    for now in np.arange(1.0, 300.0, 1.0).tolist():
        docket.settle(now)
        assert docket.add(told(A, at=5.0), now) in {"duplicate", "replayed", "expired"}
    docket.add(told(A, call=1, at=300.0), 300.0)
    docket.settle(400.0)
    assert [key[0] for key in docket._cases] == [1]


def test_equivocation_is_proven_and_neither_statement_counts() -> None:
    first, second = told(A, Outcome.DROPPED), told(A)
    docket: Docket[int] = Docket()
    assert [docket.add(one, 0.0) for one in (first, second, told(B), told(A, mos=2.0))] == ["", "", "", "duplicate"]
    verdicts = docket.settle(10.0)
    assert docket.proofs == [(first, second)]
    assert about(A, verdicts) == [(EventKind.MALICIOUS_BEHAVIOR, 10.0)]
    assert [verdict.raters for verdict in verdicts if verdict.node == A] == [()]
    assert about(R, verdicts) == []


def test_equivocation_is_proven_after_the_judgement_too() -> None:
    docket: Docket[int] = Docket()
    docket.merge(everybody(), 0.0)
    docket.settle(10.0)
    assert docket.add(told(B, Outcome.DROPPED), 20.0) == ""
    assert docket.next_settling() == -math.inf
    assert about(B, docket.settle(20.0)) == [(EventKind.MALICIOUS_BEHAVIOR, 10.0)]


def test_who_made_a_statement_is_asked_last_and_only_of_what_is_news() -> None:
    asked: list[Statement] = []

    def verify(statement: Statement) -> bool:
        asked.append(statement)
        return bool(statement.signer != A)

    docket: Docket[int] = Docket(verify=verify)
    said = [told(A), told(B), told(B), told(S), told(B, Outcome.DROPPED)]
    assert [docket.add(one, 0.0) for one in said] == ["forged", "", "duplicate", "off_path", ""]
    assert asked == [said[0], said[1], said[4]]
    assert [proof.second for proof in docket.proofs] == [said[4]]


def test_what_is_forged_opens_no_case() -> None:
    docket: Docket[int] = Docket(verify=lambda _: False)
    assert docket.add(told(A), 0.0) == "forged"
    assert docket.next_settling() is None


def test_the_same_words_with_another_date_are_no_equivocation() -> None:
    docket: Docket[int] = Docket()
    assert [docket.add(told(A, at=at), 0.0) for at in (0.0, 1.0)] == ["", "duplicate"]


def test_a_tale_of_another_path_does_not_stand_in_the_way_of_the_true_statements() -> None:
    verdicts = settled(told(R, path=(A, S, R)), *everybody(Outcome.DROPPED))
    assert about(R, verdicts) == [(EventKind.CALL_DROPPED, 1.0)]


# Bytes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "uncarried"),
    [
        ((4000, 8000, 4000), 0),
        ((4000, 4000, 4000), 0),
        ((4000, 3999, 4000), 1),
        ((4000, 0, 4000), 1),
        ((0, 0, 4000), 0),
        ((4000, 10**15, 4000), 0),
    ],
)
def test_what_a_relay_did_not_carry_is_counted_and_moves_no_verdict(counts: tuple[int, ...], uncarried: int) -> None:
    said = [one._replace(carried=count) for one, count in zip(everybody(), counts, strict=True)]
    docket: Docket[int] = Docket()
    docket.merge(said, 0.0)
    assert docket.settle(10.0) == settled(*everybody())
    assert docket.uncarried == uncarried


def test_bytes_of_a_route_that_failed_or_of_silent_relays_are_not_compared() -> None:
    docket: Docket[int] = Docket()
    docket.merge((one._replace(carried=1 + 999 * (one.signer != R)) for one in everybody(Outcome.DROPPED)), 0.0)
    docket.merge((told(end, call=1)._replace(carried=1000) for end in (A, B)), 0.0)
    docket.settle(10.0)
    assert docket.uncarried == 0


# Bounds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.DROPPED])
def test_one_pair_of_ends_moves_a_relay_only_so_far_in_a_window(outcome: Outcome) -> None:
    docket: Docket[int] = Docket(Rules(pair_cap=3.0, window=100.0))
    docket.merge((one for call in range(10) for one in everybody(outcome, call=call)), 0.0)
    docket.merge(everybody(Outcome.DROPPED, call=50) + everybody(call=51), 0.0)
    verdicts = docket.settle(10.0)
    for kind in {verdict.events[0] for verdict in verdicts}:
        capped = sum(weight for event, weight in about(R, verdicts) if event is kind)
        assert capped == (3.0 if kind is verdicts[0].events[0] else 1.0)
    docket.merge((one._replace(at=150.0) for one in everybody(outcome, call=99)), 150.0)
    assert [verdict.weight for verdict in docket.settle(160.0)] == [1.0]


@pytest.mark.parametrize("denying", [False, True])
def test_one_end_with_made_up_others_moves_a_relay_no_further_than_a_pair(*, denying: bool) -> None:
    docket: Docket[int] = Docket(Rules(pair_cap=3.0))
    for call in range(100):
        path = (A, R, 100 + call)
        docket.add(told(A, Outcome.DROPPED, call=call, path=path), 0.0)
        if denying:
            docket.add(told(100 + call, call=call, path=path), 0.0)
    assert sum(verdict.weight for verdict in docket.settle(20.0)) == pytest.approx(3.0)


@pytest.mark.parametrize("outcome", [Outcome.COMPLETED, Outcome.DROPPED])
def test_one_end_with_partners_who_sign_moves_a_relay_no_further_than_four_pairs(outcome: Outcome) -> None:
    docket: Docket[int] = Docket(Rules(pair_cap=3.0, partners=4.0))
    for call in range(100):
        path = (A, R, 100 + call % 50)
        docket.merge((told(signer, outcome, call=call, path=path) for signer in path), 0.0)
    assert sum(verdict.weight for verdict in docket.settle(10.0)) == pytest.approx(12.0)
    docket.merge(everybody(outcome, (S, R, B), call=500), 10.0)
    assert [verdict.weight for verdict in docket.settle(20.0)] == [1.0]


def flood(docket: Docket[int], now: float = 0.0, routes: int = 100) -> None:
    for call in range(1000, 1000 + routes):
        path = (call, call + 2000, call + 4000)
        docket.add(told(path[0], Outcome.DROPPED, call=call, path=path, at=now), now, source="eve")


def test_who_floods_a_docket_closes_early_nothing_but_what_it_brought() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=8))
    for call in range(4):
        docket.add(told(A, Outcome.DROPPED, call=call), 0.0, source="ann")
    flood(docket)
    for call in range(4):
        assert docket.add(told(B, Outcome.DROPPED, call=call), 5.0, source="bob") == ""
    flood(docket, 5.0)
    weights = [verdict.weight for verdict in docket.settle(10.0) if verdict.node == R]
    assert weights == [1.0] * 4


def test_who_floods_a_docket_makes_it_forget_no_word_that_others_brought_early() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=8))
    docket.add(told(R), 0.0, source="ann")
    for call in range(1000, 1100):
        docket.add(told(R, call=call), 0.0, source="eve")
    docket.merge([told(A), told(B)], 5.0)
    assert [verdict.events[0] for verdict in docket.settle(15.0)] == [EventKind.SUCCESSFUL_CALL]


def test_who_floods_a_docket_makes_it_judge_nothing_twice_and_forget_no_cap() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=8, judged_routes=16, pairs=64, pair_cap=2.0))
    for call in range(3):
        docket.merge(everybody(Outcome.DROPPED, call=call), 0.0)
    assert sum(verdict.weight for verdict in docket.settle(10.0) if verdict.node == R) == 2.0
    flood(docket, 10.0, 400)
    docket.settle(20.0)
    assert [docket.add(told(A, Outcome.DROPPED, call=call), 20.0) for call in range(3)] == ["replayed"] * 3
    docket.merge((one._replace(at=20.0) for one in everybody(Outcome.DROPPED, call=9)), 20.0)
    assert [verdict for verdict in docket.settle(30.0) if verdict.node == R] == []


def test_without_sources_the_oldest_route_is_judged_early() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=2))
    for call in range(3):
        docket.add(told(A, Outcome.DROPPED, call=call), float(call))
    assert [docket.add(told(B, Outcome.DROPPED, call=call), 3.0) for call in range(3)] == ["late", "", ""]


def test_memory_is_bounded() -> None:
    docket: Docket[int] = Docket(Rules(open_routes=4, judged_routes=4, pairs=4))
    for call in range(20):
        docket.add(told(A, Outcome.DROPPED, call=call, path=(A, 100 + call, B)), 0.0)
    assert len(docket._open) == 4
    assert len(docket.settle(0.0)) == 16
    docket.settle(10.0)
    assert len(docket._cases) == len(docket._judged) == 4
    assert 0 < len(docket._caps) <= 4


def test_proofs_are_bounded() -> None:
    docket: Docket[int] = Docket(Rules(judged_routes=3))
    for call in range(9):
        docket.merge([told(A, call=call), told(A, Outcome.DROPPED, call=call)], 0.0)
    assert [proof.first.call for proof in docket.proofs] == [6, 7, 8]


# Properties -----------------------------------------------------------------------------------------------------------

statements = st.builds(
    told,
    st.sampled_from(LONG),
    st.sampled_from(list(Outcome)),
    call=st.integers(0, 2),
    path=st.sampled_from([PATH, LONG, (B, S, A)]),
    loss=st.sampled_from([0.0, 0.01]),
)
heaps = st.lists(statements, max_size=14)


def judged(said: list[Statement]) -> list[Verdict[int]]:
    verdicts = settled(*said, rules=Rules(pair_cap=0.7))
    return sorted(verdicts, key=lambda verdict: (verdict.node, verdict.events, verdict.weight, verdict.raters))


@given(heaps, st.integers(0, 2**32))
def test_verdicts_do_not_depend_on_the_order_of_statements(said: list[Statement], seed: int) -> None:
    other = [said[place] for place in np.random.default_rng(seed).permutation(len(said))]
    assert judged(said) == judged(other)


@given(heaps)
def test_repeating_everything_changes_no_verdict(said: list[Statement]) -> None:
    assert judged(said) == judged(said + said)


@given(heaps, heaps, heaps)
def test_merging_is_commutative_and_associative(
    one: list[Statement], two: list[Statement], three: list[Statement]
) -> None:
    assert judged(one + two) == judged(two + one)
    assert judged((one + two) + three) == judged(one + (two + three))
    merged: Docket[int] = Docket(Rules(pair_cap=0.7))
    for part in (three, one, two):
        docket: Docket[int] = Docket()
        docket.merge(part, 0.0)
        merged.merge(docket.statements(), 0.0)
    assert sorted(merged.settle(10.0), key=repr) == sorted(judged(one + two + three), key=repr)


@given(heaps, st.lists(st.floats(0.0, 30.0), min_size=14, max_size=14), st.lists(st.floats(0.0, 60.0), max_size=6))
def test_what_is_found_does_not_depend_on_when_anybody_asks(
    said: list[Statement], arrivals: list[float], questions: list[float]
) -> None:
    def run(asked: list[float]) -> list[Verdict[int]]:
        docket: Docket[int] = Docket()
        happens = sorted(
            [*zip(sorted(arrivals), said, strict=False), *((t, None) for t in asked)], key=lambda it: it[0]
        )
        found = []
        for t, statement in happens:
            found += docket.settle(t) if statement is None else []
            if statement is not None:
                docket.add(statement, t)
        return found + docket.settle(100.0)

    assert run(questions) == run([])


@given(heaps)
def test_every_verdict_is_by_others_and_bounded(said: list[Statement]) -> None:
    for verdict in settled(*said):
        assert verdict.node not in verdict.raters
        assert 0.0 < verdict.weight <= Rules().proof_weight
        assert verdict.grade is None or 0.0 <= verdict.grade <= 1.0


# Conduct --------------------------------------------------------------------------------------------------------------


def test_distance_that_was_promised_is_no_misconduct() -> None:
    assert not misconduct(0.9, 0.001, 0.0, "audio", (0.8, 0.001, 0.0))
    assert not misconduct(0.9, 0.001, 0.0, "audio")
    assert misconduct(0.9, 0.001, 0.0, "audio", (0.3, 0.001, 0.0))


def test_a_lossy_and_jittery_route_that_was_promised_is_no_misconduct() -> None:
    assert not misconduct(0.1, 0.03, 0.05, "audio", (0.1, 0.025, 0.04))
    assert misconduct(0.1, 0.03, 0.05, "audio", (0.1, 0.025, 0.02))
    assert misconduct(0.1, 0.03, 0.05, "audio", (0.1, 0.01, 0.04))
    assert misconduct(0.1, 0.03, 0.0, "audio")


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_loss_and_jitter_that_nobody_promised_are_misconduct_at_any_distance(
    rtt: float, jitter: float, loss: float
) -> None:
    assert bool(misconduct(rtt, jitter, loss, "audio", (rtt, 0.0, 0.0))) is (jitter > 0.012 or loss > 0.012)


spans = st.floats(0.0, 2.0)
expectations = st.one_of(st.just(NO_PROMISE), st.tuples(spans, spans, st.floats(0.0, 1.0)))


@given(expectations, expectations, st.floats(0.0, 1.5))
def test_no_promise_blames_relays_for_a_round_trip_that_the_judge_expected(
    said: tuple[float, float, float], believed: tuple[float, float, float], times: float
) -> None:
    rtt = 5.0 if math.isnan(believed[0]) else times * believed[0]
    assert not misconduct(rtt, 0.0, 0.0, "audio", credited(said, believed))


@given(expectations, expectations, st.floats(0.0, 0.2), st.floats(0.0, 1.0))
def test_no_promise_absolves_relays_of_what_the_judge_did_not_expect(
    said: tuple[float, float, float], believed: tuple[float, float, float], jitter: float, loss: float
) -> None:
    if misconduct(0.1, jitter, loss, "audio", believed):
        assert misconduct(0.1, jitter, loss, "audio", credited(said, believed))


def test_a_promise_that_the_judge_believes_holds_for_both_ends() -> None:
    assert credited((0.2, 0.003, 0.02), (0.2, 0.003, 0.02)) == (0.2, 0.003, 0.02)
    assert misconduct(0.9, 0.0, 0.0, "audio", credited((0.2, 0.0, 0.0), (0.3, 0.0, 0.0)))
    assert not misconduct(0.1, 0.0, 0.06, "audio", credited((0.1, 0.0, 0.05), (0.1, 0.0, 0.08)))


def test_what_was_not_measured_blames_nobody() -> None:
    assert not misconduct(math.nan, math.nan, math.nan, "audio")


def test_grades_fall_with_loss_and_jitter() -> None:
    grades = [grade(loss, loss) for loss in (0.0, 0.01, 0.1, 1.0)]
    assert all(better > worse > 0.0 for better, worse in pairwise(grades))
    assert grades[0] == 1.0
