from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from click.testing import CliRunner

from meshsim.agent import ReceiptSample
from meshsim.agent.journal import entry_of, frame
from meshsim.agent.messages import Receipt
from meshsim.agent.signing import sign
from meshsim.cli.node import command
from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import CallId, NodeId, did_key
from meshsim.mesh.time import Instant
from meshsim.node.config import NodeConfig
from meshsim.node.journal import Journal, replay_file
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from pathlib import Path
from typing import Any

SIGNERS = sorted((Ed25519Signer.generate() for _ in range(4)), key=lambda signer: signer.node_id)
A, R, B, OWNER = (signer.node_id for signer in SIGNERS)


def untold(event: dict[str, Any]) -> None: ...


def config(path: Path | None) -> NodeConfig:
    receipts = None if path is None else str(path)
    return NodeConfig(
        aura="@alice.aura", key="k", registry="http://127.0.0.1:1", receipts=receipts, anchors=(did_key(A),)
    )


def told(signer: Ed25519Signer, outcome: Outcome) -> ReceiptSample:
    receipt = Receipt(
        call=CallId(bytes(16)),
        attempt=0,
        path=(A, R, B),
        signer=signer.node_id,
        outcome=outcome,
        mos=1.0,
        poor=True,
        at_ns=10**18,
    )
    return ReceiptSample(at=Instant(5.0, 1e9), receipt=sign(receipt, signer))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "alice.receipts"
    book = Journal(config(path), OWNER, untold)
    for signer in SIGNERS[:3]:
        book.keep(told(signer, Outcome.DROPPED))
    return path


def test_a_journal_is_replayed_worst_first(journal: Path) -> None:
    found = replay_file(journal)
    assert (found["node"], found["model"], found["receipts"], found["refused"]) == (did_key(OWNER), "beta", 3, {})
    assert [score["node"] for score in found["scores"]] == [did_key(R), did_key(A), did_key(B)]
    assert found["scores"][0]["evidence"] == pytest.approx(1.0, rel=1e-3)
    assert found["scores"][0]["score"] < 50.0


def test_a_node_that_starts_again_begins_anew_in_the_same_file(journal: Path) -> None:
    before = journal.stat().st_size
    Journal(config(journal), OWNER, untold)
    assert journal.stat().st_size > before
    assert replay_file(journal)["receipts"] == 0


def test_what_a_kill_cut_off_does_not_spoil_the_next_life(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-20])
    assert replay_file(journal)["receipts"] == 2
    book = Journal(config(journal), OWNER, untold)
    book.keep(told(SIGNERS[0], Outcome.DROPPED))
    assert replay_file(journal)["receipts"] == 1


@pytest.mark.parametrize("content", [b"x", b"my diary", frame(entry_of(told(SIGNERS[0], Outcome.DROPPED)))])
def test_what_is_no_journal_is_not_written_to(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a journal"):
        Journal(config(path), OWNER, untold)
    assert path.read_bytes() == content


def test_a_node_with_many_anchors_can_read_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "x"
    many = tuple(did_key(NodeId(number.to_bytes(32, "big"))) for number in range(300))
    Journal(msgspec.structs.replace(config(path), anchors=many), OWNER, untold)
    assert len(replay_file(path)["scores"]) == 300


def test_the_command_prints_the_scores_as_json(journal: Path) -> None:
    result = CliRunner().invoke(command, ["replay", str(journal), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["scores"][0]["node"] == did_key(R)
    earlier = CliRunner().invoke(command, ["replay", str(journal), "--at", "1", "--json"])
    assert json.loads(earlier.output)["receipts"] == 0


@pytest.mark.parametrize("at", ["nan", "inf", "-1"])
def test_scores_are_of_an_instant_of_the_clock(journal: Path, at: str) -> None:
    result = CliRunner().invoke(command, ["replay", str(journal), "--at", at, "--json"])
    assert isinstance(result.exception, ConfigError)
    assert "at: no instant" in str(result.exception)


def test_what_is_no_journal_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(9))
    with pytest.raises(ConfigError, match="not a journal"):
        replay_file(path)


def test_a_file_that_cannot_be_written_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="receipts"):
        Journal(config(tmp_path / "no" / "folder"), OWNER, untold)


def test_without_a_file_nothing_is_kept_and_receipts_are_not_given_out(tmp_path: Path) -> None:
    Journal(config(None), OWNER, untold).keep(told(SIGNERS[0], Outcome.TIMEOUT))
    assert list(tmp_path.iterdir()) == []
    assert not config(None).behaviour.logs_receipts
    assert config(tmp_path / "x").behaviour.logs_receipts


def test_an_anchor_that_is_no_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="anchors"):
        NodeConfig(aura="@alice.aura", key="k", registry="http://127.0.0.1:1", anchors=("did:key:zx",))
