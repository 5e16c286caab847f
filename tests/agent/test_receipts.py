from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent import AgentConfig
from meshsim.agent import receipts as module
from meshsim.agent.core import Core
from meshsim.agent.messages import Outcome, Receipt, sign
from meshsim.agent.receipts import Ledger, Verdict
from meshsim.identity import HashSigner, HashVerifier, NodeRecord
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.trust import EventKind

SECRET = b"s"
SIGNERS = [HashSigner(NodeId(bytes([i]) * 32), SECRET) for i in range(6)]
A, R, B, S = (SIGNERS[i].node_id for i in range(4))
UNIX = 1e9


def now(t: float = 0.0) -> Instant:
    return Instant(t, UNIX + t)


def ledger(**config: float) -> Ledger:
    record = NodeRecord(node=SIGNERS[5].node_id, aura="@x.aura")
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
    mos: float = 4.2,
    poor: bool = False,
    lifetime: float = 300.0,
) -> Receipt:
    unsigned = Receipt(
        call=CallId(call.to_bytes(16, "big")),
        attempt=0,
        path=path,
        signer=SIGNERS[signer].node_id,
        outcome=outcome,
        mos=mos,
        poor=poor,
        expires_ns=int((UNIX + lifetime) * 1e9),
    )
    return sign(unsigned, SIGNERS[signer])


def test_success_counts_when_both_ends_report_it() -> None:
    book = ledger()
    assert book.add(receipt(0), now())
    assert book.settle(now()) == []
    assert book.add(receipt(2), now())
    (verdict,) = book.settle(now())
    assert (verdict.node, verdict.weight) == (R, 1.0)
    assert verdict.events[0] is EventKind.SUCCESSFUL_CALL


def test_success_of_one_end_alone_never_counts() -> None:
    book = ledger()
    book.add(receipt(0), now())
    book.add(receipt(1), now())
    assert book.next_settling() == 10.0
    assert book.settle(now(10.0)) == []
    assert book.next_settling() is None
    book.add(receipt(2), now(11.0))
    assert book.settle(now(30.0)) == []


@pytest.mark.parametrize(
    ("both", "weight"),
    [
        ((Outcome.DROPPED, Outcome.DROPPED), 1.0),
        ((Outcome.DROPPED, Outcome.COMPLETED), 0.4),
        ((Outcome.DROPPED, None), 0.4),
    ],
)
def test_failure_counts_in_full_only_when_both_ends_report_it(
    both: tuple[Outcome, Outcome | None], weight: float
) -> None:
    book = ledger()
    for signer, outcome in zip((0, 2), both, strict=True):
        if outcome is not None:
            book.add(receipt(signer, outcome=outcome), now())
    assert book.settle(now(10.0)) == [Verdict(node=R, events=(EventKind.CALL_DROPPED,), weight=weight)]


def test_relays_of_one_route_share_the_blame() -> None:
    book = ledger()
    for signer in (0, 2):
        book.add(receipt(signer, path=(A, R, S, B), outcome=Outcome.DROPPED), now())
    assert [(verdict.node, verdict.weight) for verdict in book.settle(now())] == [(R, 0.5), (S, 0.5)]


def test_a_timeout_is_a_timeout_and_poor_quality_is_poor_quality() -> None:
    book = ledger()
    book.add(receipt(0, call=1, outcome=Outcome.TIMEOUT, mos=1.0, poor=True), now())
    for signer, poor in ((0, False), (2, True)):
        book.add(receipt(signer, call=2, poor=poor), now())
    events = [verdict.events for verdict in book.settle(now(10.0))]
    assert events == [(EventKind.CONNECTION_TIMEOUT,), (EventKind.POOR_QUALITY,)]


def test_a_direct_call_judges_nobody() -> None:
    book = ledger()
    for signer in (0, 2):
        book.add(receipt(signer, path=(A, B)), now())
    assert book.settle(now()) == []


def test_a_receipt_counts_once_however_often_it_comes() -> None:
    book = ledger()
    for _ in range(3):
        book.add(receipt(0), now())
        book.add(receipt(2), now())
    assert len(book.settle(now())) == 1
    assert not book.add(receipt(0), now(1.0))
    assert book.settle(now(20.0)) == []
    assert book.revision == 2


def test_a_settled_route_is_remembered_as_long_as_its_receipts_are_valid() -> None:
    book = ledger(receipt_lifetime=10.0)
    for signer in (0, 2):
        book.add(receipt(signer, lifetime=20.0), now())
    book.settle(now())
    assert not book.add(receipt(0, lifetime=20.0), now(19.0))
    book.settle(now(21.0))
    assert not book.add(receipt(0, lifetime=20.0), now(21.0))
    assert book._core.rejected == {"expired": 1}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (receipt(0, lifetime=-1.0), "expired"),
        (receipt(0, lifetime=1e6), "expired"),
        (receipt(3), "off_path"),
        (receipt(0, path=(A, R, R, B)), "off_path"),
        (msgspec.structs.replace(receipt(0), mos=5.0), "forged"),
    ],
)
def test_a_receipt_that_does_not_hold_is_counted(bad: Receipt, reason: str) -> None:
    book = ledger()
    assert not book.add(bad, now())
    assert book._core.rejected == {reason: 1}


def test_a_relays_tale_of_another_path_does_not_stand_in_the_way_of_the_true_receipts() -> None:
    book = ledger()
    assert book.add(receipt(1, path=(A, S, R)), now())
    for signer in (0, 2):
        assert book.add(receipt(signer, outcome=Outcome.DROPPED), now())
    assert [(verdict.node, verdict.weight) for verdict in book.settle(now())] == [(R, 1.0)]


def test_one_pair_of_ends_moves_a_relay_only_so_far_in_a_window() -> None:
    book = ledger(pair_cap=3.0, receipt_lifetime=100.0)
    for call in range(10):
        for signer in (0, 2):
            book.add(receipt(signer, call=call, lifetime=150.0), now())
    assert sum(verdict.weight for verdict in book.settle(now())) == 3.0
    for signer in (0, 2):
        book.add(receipt(signer, call=99, lifetime=250.0), now(101.0))
    assert sum(verdict.weight for verdict in book.settle(now(101.0))) == 1.0


def test_one_end_with_made_up_others_moves_a_relay_no_further_than_a_pair() -> None:
    book = ledger(pair_cap=3.0)
    for call in range(50):
        made_up = NodeId(bytes([100 + call]) * 32)
        book.add(receipt(0, call=call, path=(A, R, made_up), outcome=Outcome.DROPPED), now())
    assert sum(verdict.weight for verdict in book.settle(now(20.0))) == pytest.approx(3.0)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPEN_ROUTES", "SETTLED_ROUTES", "PAIRS"):
        monkeypatch.setattr(module, name, 4)
    book = ledger()
    for call in range(20):
        book.add(receipt(0, call=call, outcome=Outcome.DROPPED), now())
    assert len(book._open) == 4
    book.settle(now(10.0))
    for call in range(100, 120):
        for signer, path in ((0, (A, R, B)), (2, (A, R, B))):
            book.add(receipt(signer, call=call, path=path), now(10.0))
        book.settle(now(10.0))
    assert len(book._settled) == 4
    ends = [(SIGNERS[a].node_id, SIGNERS[b].node_id) for a in range(6) for b in range(6) if a != b and 1 not in (a, b)]
    for call, (a, b) in enumerate(ends):
        for end in (a, b):
            book.add(receipt(end[0], call=200 + call, path=(a, R, b), outcome=Outcome.DROPPED), now(11.0))
        book.settle(now(11.0))
    assert len(book._pairs) == 4


def test_receipts_are_passed_on_in_the_order_they_came() -> None:
    book = ledger()
    for call in range(5):
        book.add(receipt(0, call=call), now())
    assert [revision for revision, _ in book.since(2)] == [3, 4, 5]


@given(
    st.permutations(
        [
            receipt(signer, call=call, outcome=outcome)
            for call, outcome in ((1, Outcome.COMPLETED), (2, Outcome.DROPPED))
            for signer in (0, 1, 2)
        ]
    )
)
def test_verdicts_do_not_depend_on_the_order_of_receipts(order: list[Receipt]) -> None:
    book = ledger()
    for one in order:
        book.add(one, now())
    weights = sorted((verdict.events[0], verdict.weight) for verdict in book.settle(now()))
    assert weights == [(EventKind.CALL_DROPPED, 1.0), (EventKind.SUCCESSFUL_CALL, 1.0)]
