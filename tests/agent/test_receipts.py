from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.agent import AgentConfig, ReceiptSample
from meshsim.agent import receipts as module
from meshsim.agent.core import OPEN_ROUTES, Core
from meshsim.agent.effects import Emit, MediaReport
from meshsim.agent.legs import Leg
from meshsim.agent.messages import CallSetup, Receipt, decode, encode
from meshsim.agent.receipts import Ledger
from meshsim.agent.reputation import TrustBook
from meshsim.agent.signing import sign
from meshsim.identity import HashSigner, HashVerifier, NodeRecord
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.trust import EventKind, Outcome, Status, Verdict, models
from meshsim.trust.conduct import NO_PROMISE

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET = b"s"
SIGNERS = [HashSigner(NodeId(bytes([i]) * 32), SECRET) for i in range(6)]
A, R, B, S = (SIGNERS[i].node_id for i in range(4))
OWNER = SIGNERS[5].node_id
UNIX = 1e9


def now(t: float = 0.0) -> Instant:
    return Instant(t, UNIX + t)


def ledger(**config: float) -> Ledger:
    record = NodeRecord(node=OWNER, aura="@x.aura")
    core = Core(
        config=replace(AgentConfig(), **config),  # type: ignore[arg-type]
        record=record,
        signer=SIGNERS[5],
        verifier=HashVerifier(SECRET),
        stream=SeedTree(0).stream("t"),
    )
    return Ledger(core)


def receipt(
    signer: int,
    *,
    call: int = 0,
    path: tuple[NodeId, ...] = (A, R, B),
    outcome: Outcome = Outcome.COMPLETED,
    at: float = 0.0,
) -> Receipt:
    failed = outcome is not Outcome.COMPLETED
    unsigned = Receipt(
        call=CallId(call.to_bytes(16, "big")),
        attempt=0,
        path=path,
        signer=SIGNERS[signer].node_id,
        outcome=outcome,
        mos=1.0 if failed else 4.2,
        poor=failed,
        at_ns=int((UNIX + at) * 1e9),
    )
    return sign(unsigned, SIGNERS[signer])


def route(place: int, path: tuple[NodeId, ...] = (A, R, OWNER)) -> Leg:
    setup = CallSetup(
        call=CallId(bytes(16)),
        attempt=0,
        path=path,
        caller="@a.aura",
        callee="@b.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.OFF,
        expires_ns=0,
    )
    return Leg(setup=setup, place=place, opened=0.0, heard=0.0)


# Taken in -------------------------------------------------------------------------------------------------------------


def test_a_route_is_judged_when_everybody_had_time_to_report() -> None:
    book = ledger(receipt_wait=7.0)
    assert [book.add(receipt(signer), now()) for signer in (0, 1, 2)] == [True] * 3
    assert book.next_settling() == 7.0
    assert book.settle(now(6.9)) == []
    (verdict,) = book.settle(now(7.0))
    assert (verdict.node, verdict.weight, verdict.raters, verdict.at) == (R, 1.0, (A, B), 0.0)
    assert book.next_settling() is None


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (receipt(0, at=-1000.0), "expired"),
        (receipt(0, at=100.0), "future"),
        (receipt(3), "off_path"),
        (receipt(0, path=(A, R, R, B)), "off_path"),
        (sign(msgspec.structs.replace(receipt(0), loss=0.9), SIGNERS[0]), "contradictory"),
        (
            sign(
                msgspec.structs.replace(receipt(0), path=tuple(NodeId(bytes([i]) * 32) for i in range(9))), SIGNERS[0]
            ),
            "oversized",
        ),
        (msgspec.structs.replace(receipt(0), mos=5.0), "forged"),
        (msgspec.structs.replace(receipt(0), signature=receipt(2).signature), "forged"),
    ],
)
def test_a_receipt_that_does_not_hold_is_counted_and_moves_nothing(bad: Receipt, reason: str) -> None:
    book = ledger()
    assert not book.add(bad, now())
    assert book._core.rejected == book.refused == {reason: 1}
    assert (book.revision, book.settle(now(100.0))) == (0, [])


def test_a_receipt_counts_once_however_often_it_comes_and_that_is_nobodys_fault() -> None:
    book = ledger()
    for _ in range(3):
        book.add(receipt(0), now())
        book.add(receipt(2), now())
    assert book.revision == 2
    assert len([verdict for verdict in book.settle(now(10.0)) if verdict.weight == 1.0]) == 1
    assert not book.add(receipt(0), now(11.0))
    assert not book.add(receipt(1), now(11.0))
    assert book.refused == {"duplicate": 4, "replayed": 1, "late": 1}
    assert book._core.rejected == {}


def test_a_receipt_is_dated_by_the_clocks_of_the_wall_and_waits_by_that_of_the_node() -> None:
    book = ledger()
    assert book.add(receipt(0, at=800.0), Instant(5000.0, UNIX + 800.0))
    assert book.next_settling() == 5010.0


def test_two_different_receipts_of_one_signer_prove_that_it_lies_and_are_passed_on() -> None:
    book = ledger()
    told = [receipt(0), receipt(0, outcome=Outcome.DROPPED)]
    assert [book.add(one, now()) for one in told] == [True, True]
    assert book.proofs == [tuple(told)]
    assert [passed for _, passed in book.since(0)] == told
    (verdict,) = book.settle(now())
    assert (verdict.node, verdict.events, verdict.raters) == (A, (EventKind.MALICIOUS_BEHAVIOR,), ())


def test_a_forged_contradiction_convicts_nobody() -> None:
    book = ledger()
    assert book.add(receipt(0), now())
    assert not book.add(msgspec.structs.replace(receipt(0), mos=1.5), now())
    assert (book.proofs, book._core.rejected) == ([], {"forged": 1})


def test_receipts_are_passed_on_in_the_order_they_came() -> None:
    book = ledger()
    for call in range(5):
        book.add(receipt(0, call=call), now())
    book.add(receipt(0, call=9, path=(A, B)), now())
    assert [revision for revision, _ in book.since(2)] == [3, 4, 5]


def test_a_neighbour_that_floods_a_node_with_receipts_closes_no_route_of_others() -> None:
    book = ledger()
    book.add(receipt(0, outcome=Outcome.DROPPED), now(), A)
    for call in range(1, OPEN_ROUTES + 200):
        book.add(receipt(3, call=call, path=(S, B, R), outcome=Outcome.DROPPED), now(1.0), S)
    assert book.add(receipt(2, outcome=Outcome.DROPPED), now(2.0), B)
    judged = [verdict for verdict in book.settle(now(10.0)) if verdict.node == R]
    assert [(verdict.weight, verdict.raters) for verdict in judged] == [(1.0, (A, B))]


def test_receipts_are_given_out_for_a_log_only_where_one_is_kept() -> None:
    for logs in (False, True):
        book = ledger(logs_receipts=logs)
        for one in (receipt(0), receipt(0), receipt(3)):
            book.add(one, now(3.0))
        told = [effect.sample for effect in book._core.outbox if isinstance(effect, Emit)]
        assert told == [ReceiptSample(at=now(3.0), receipt=receipt(0))] * logs


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_receipt_is_refused_and_moves_no_score(data: st.DataObject) -> None:
    whole = bytearray(encode(receipt(0, outcome=Outcome.DROPPED)))
    place = data.draw(st.integers(1, len(whole) - 1))  # the byte before says in which version, and is not signed
    whole[place] ^= data.draw(st.integers(1, 255))
    book = ledger()
    try:
        damaged = decode(bytes(whole))
    except RemoteProtocolError:
        return
    assert isinstance(damaged, Receipt)
    assert not book.add(damaged, now())
    assert sum(book.refused.values()) == 1
    assert book.settle(now(100.0)) == []


# Written --------------------------------------------------------------------------------------------------------------


def test_a_node_says_one_thing_only_of_a_route_whatever_it_is_asked_later() -> None:
    book = ledger()
    first = book.write(route(2), Outcome.COMPLETED, now(1.0))
    assert book.write(route(2), Outcome.DROPPED, now(2.0)) is first
    assert book.add(first, now(2.0))
    assert first.at_ns == int((UNIX + 1.0) * 1e9)


def test_what_is_written_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITTEN_RECEIPTS", 2)
    book = ledger()
    for one in (A, R, B, S):
        book.write(route(2, (one, NodeId(b"r" * 32), OWNER)), Outcome.COMPLETED, now())
    assert len(book._written) == 2


@pytest.mark.parametrize(
    ("loss", "rtt", "promised", "poor"),
    [
        (0.0, 0.1, (0.1, 0.002, 0.0), False),
        (0.2, 0.1, (0.1, 0.002, 0.0), True),
        (0.2, 0.1, (0.1, 0.002, 0.2), False),
        (0.0, 0.9, (0.8, 0.002, 0.0), False),
        (0.0, 0.9, (0.1, 0.002, 0.0), True),
        (0.0, 0.9, NO_PROMISE, False),
        (0.2, 0.9, NO_PROMISE, True),
    ],
)
def test_relays_are_blamed_for_loss_and_broken_promises_not_for_distance(
    loss: float, rtt: float, promised: tuple[float, float, float], *, poor: bool
) -> None:
    book, leg = ledger(), route(2)
    leg.promised = promised
    leg.quality.add(MediaReport(label=1, jitter=0.002, loss=loss, rtt=rtt))
    told = book.write(leg, Outcome.COMPLETED, now())
    assert (told.poor, told.loss, told.delay, told.jitter) == (poor, loss, rtt / 2, 0.002)
    assert told.mos > 1.0
    assert book.add(told, now())


@pytest.mark.parametrize("outcome", list(Outcome))
def test_what_a_node_writes_without_having_measured_anything_holds(outcome: Outcome) -> None:
    book = ledger()
    told = book.write(route(2), outcome, now())
    assert (told.mos, told.poor) == (1.0, outcome is not Outcome.COMPLETED)
    assert book.add(told, now())


# Reputations ----------------------------------------------------------------------------------------------------------


def verdict(node: NodeId, raters: tuple[NodeId, ...], at: float = 0.0) -> Verdict[NodeId]:
    return Verdict(node, (EventKind.SUCCESSFUL_CALL,), 1.0, raters, 0.9, at)


class Witness:
    """A model that remembers what it is shown."""

    half_life = math.inf

    def __init__(self) -> None:
        self.anchors: list[int] = []
        self.seen: list[tuple[int, tuple[int, ...], float | None, float]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(models["additive"](), name)

    def anchor(self, node: int) -> None:
        self.anchors.append(node)

    def observe(self, node: int, evidence: object) -> None:
        self.seen.append((node, evidence.raters, evidence.grade, evidence.t))  # type: ignore[attr-defined]


def witnessed(verdicts: Sequence[Verdict[NodeId]], anchors: Sequence[NodeId] = ()) -> Witness:
    model = Witness()
    book = TrustBook(model, OWNER, anchors)  # type: ignore[arg-type]
    for one in verdicts:
        book.observe(one, 50.0, tell=False)
    return model


def test_evidence_names_its_raters_and_the_time_of_its_route() -> None:
    model = witnessed([verdict(R, (A, B), at=7.0), verdict(S, (B,), at=8.0)])
    assert model.seen == [(2, (0, 1), 0.9, 7.0), (3, (1,), 0.9, 8.0)]


def test_what_the_owner_saw_itself_is_nobody_elses_word() -> None:
    assert [raters for _, raters, _, _ in witnessed([verdict(R, (A, OWNER))]).seen] == [()]


def test_anchors_are_told_to_the_model_once_and_keep_their_rows() -> None:
    model = witnessed([verdict(R, (B, A))], anchors=[A, B, A])
    assert model.anchors == [0, 1]
    assert model.seen == [(2, (1, 0), 0.9, 0.0)]


def test_anchors_are_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.agent.reputation.JUDGED_NODES", 3)
    book = TrustBook(models["beta"](), OWNER, [A])
    for i in range(30):
        book.observe(verdict(NodeId(bytes([50 + i]) * 32), (A,)), 0.0)
    assert set(book.scores(0.0)) == {A, *(NodeId(bytes([50 + i]) * 32) for i in (27, 28, 29))}
    assert book._known == 4


def node_of(number: int) -> NodeId:
    return NodeId(number.to_bytes(32, "big"))


def flooded(monkeypatch: pytest.MonkeyPatch, *, judged: bool, kept: Sequence[NodeId] = ()) -> TrustBook:
    """A book that knows R well and has heard S rate, and then a hundred made-up nodes, who rate or are rated."""
    monkeypatch.setattr("meshsim.agent.reputation.JUDGED_NODES", 16)
    book = TrustBook(models["beta"](), OWNER, (), kept)
    for at in range(5):
        book.observe(verdict(R, (S,), at=float(at)), 0.0)
    for number in range(1000, 1100):
        made_up = node_of(number)
        book.observe(verdict(made_up if judged else B, (node_of(number + 500),), at=10.0), 10.0)
    return book


@pytest.mark.parametrize("judged", [False, True])
def test_made_up_nodes_push_out_nobody_of_whom_there_is_more_evidence(
    monkeypatch: pytest.MonkeyPatch, *, judged: bool
) -> None:
    book = flooded(monkeypatch, judged=judged)
    assert book.score(R, 10.0).evidence == pytest.approx(5.0, rel=0.01)
    assert len(book.scores(10.0)) <= 16
    assert book._known <= 16
    assert S not in book.scores(10.0)


def test_whom_a_node_keeps_links_with_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    assert S in flooded(monkeypatch, judged=True, kept=[S]).scores(10.0)


def test_the_row_of_who_was_forgotten_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    book = flooded(monkeypatch, judged=True)
    assert {round(score.evidence) for node, score in book.scores(10.0).items() if node != R} == {0, 1}


def test_a_node_never_heard_of_is_new() -> None:
    book = TrustBook(models["beta"](), OWNER, [A])
    assert book.score(S, 0.0).status is Status.NEW
    assert book.table([A, S], 0.0).evidence.tolist() == [0.0, 0.0]
