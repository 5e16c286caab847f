from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent.journal import FORMAT, Entry, Head, frame, records, replay
from meshsim.agent.messages import Receipt
from meshsim.agent.signing import sign
from meshsim.identity import HashSigner, HashVerifier
from meshsim.mesh.errors import ConfigError, RemoteProtocolError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.trust import Outcome, Rules

SIGNERS = [HashSigner(NodeId(bytes([i]) * 32), b"s") for i in range(4)]
A, R, B, OWNER = (signer.node_id for signer in SIGNERS)
VERIFIER = HashVerifier(b"s")
HEAD = Head(owner=OWNER, rules=Rules(), model="beta", anchors=(A,))
UNIX = 1e9


def entry(signer: int, t: float = 0.0, *, call: int = 0, outcome: Outcome = Outcome.COMPLETED) -> Entry:
    failed = outcome is not Outcome.COMPLETED
    receipt = Receipt(
        call=CallId(bytes([call]) * 16),
        attempt=0,
        path=(A, R, B),
        signer=SIGNERS[signer].node_id,
        outcome=outcome,
        mos=1.0 if failed else 4.2,
        poor=failed,
        at_ns=int((UNIX + t) * 1e9),
    )
    return Entry(t, UNIX + t, sign(receipt, SIGNERS[signer]))


GOOD: list[Head | Entry] = [entry(signer, call=call) for call in range(3) for signer in range(3)]


def test_a_journal_reads_back_what_was_written() -> None:
    written: list[Head | Entry] = [HEAD, *GOOD]
    assert list(records(b"".join(map(frame, written)))) == written


def test_a_frame_that_was_cut_off_is_left_out() -> None:
    whole = frame(HEAD) + b"".join(map(frame, GOOD))
    for cut in (1, 3, 5, 100):
        assert list(records(whole[:-cut])) == [HEAD, *GOOD[:-1]]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_journal_or_none(data: bytes) -> None:
    try:
        found = list(records(data))
    except RemoteProtocolError:
        return
    assert all(isinstance(record, Head | Entry) for record in found)


@pytest.mark.parametrize(
    "journal",
    [[], [GOOD[0]], [Head(format=FORMAT + 1, owner=OWNER, rules=Rules(), model="beta")]],
)
def test_what_is_no_journal_of_this_version_is_refused(journal: list[Head | Entry]) -> None:
    with pytest.raises(RemoteProtocolError):
        replay(journal, VERIFIER)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="betta"):
        replay([Head(owner=OWNER, rules=Rules(), model="betta")], VERIFIER)


def test_the_last_life_counts_and_all_of_it() -> None:
    bad = [entry(signer, call=9, outcome=Outcome.DROPPED) for signer in range(3)]
    found = replay([HEAD, *bad, HEAD, *GOOD], VERIFIER)
    assert (found.receipts, found.refused, found.at) == (9, {}, 10.0)
    assert set(found.scores) == {A, B, R}
    assert found.scores[R].evidence == pytest.approx(3.0, rel=1e-3)
    assert found.scores[R].mean > 50.0


def test_scores_can_be_taken_at_any_time() -> None:
    journal: list[Head | Entry] = [
        HEAD,
        *GOOD,
        *(entry(signer, 50.0, call=7, outcome=Outcome.DROPPED) for signer in range(3)),
    ]
    before, after = replay(journal, VERIFIER, 40.0), replay(journal, VERIFIER, 70.0)
    assert before.scores[R].mean > after.scores[R].mean
    assert (before.receipts, after.receipts) == (9, 12)


def test_what_was_put_into_a_journal_by_others_is_refused() -> None:
    forged = Entry(1.0, UNIX + 1.0, entry(0, 1.0, call=5).receipt)
    other = HashVerifier(b"another secret")
    found = replay([HEAD, forged], other)
    assert (found.receipts, found.refused, found.scores[A].evidence) == (0, {"forged": 1}, 0.0)
