from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshsim.control.schema import BEAT_PERIOD, proof
from meshsim.control.service import MAILBOX_SIZE, FileStore, Mailbox, RegistryService
from meshsim.identity import Ed25519Signer, NodeRecord, sign_record
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID, NodeId

if TYPE_CHECKING:
    from pathlib import Path

Sign = Callable[..., NodeRecord]


def enter(service: RegistryService, signer: Ed25519Signer) -> Mailbox:
    nonce = service.challenge()
    return service.enter(signer.node_id, nonce, signer.sign(proof(nonce)))


def test_a_registered_node_is_resolved_by_its_name(signers: list[Ed25519Signer], signed: Sign) -> None:
    service = RegistryService()
    records = [signed(signers[0]), signed(signers[1]), signed(signers[2], "@bob.aura")]
    for record in records:
        service.register(record)
    assert set(service.resolve(AuraID("alice"))) == set(records[:2])
    assert sorted(record.node for record in records) == [record.node for record in service.nodes()]


def test_an_unknown_name_is_an_identity_error() -> None:
    with pytest.raises(IdentityError, match="no node serves"):
        RegistryService().resolve(AuraID("nobody"))


def test_a_record_changed_after_signing_is_refused(signers: list[Ed25519Signer], signed: Sign) -> None:
    service = RegistryService()
    with pytest.raises(IdentityError, match="not signed"):
        service.register(msgspec.structs.replace(signed(signers[0]), aura="@bob.aura"))
    assert service.nodes() == ()


def test_an_older_record_does_not_replace_a_newer_one(signers: list[Ed25519Signer], signed: Sign) -> None:
    service = RegistryService()
    newer = signed(signers[0], lifetime=200.0)
    service.register(newer)
    with pytest.raises(IdentityError, match="later record"):
        service.register(signed(signers[0], "@eve.aura", lifetime=100.0))
    assert service.nodes() == (newer,)


def test_the_same_record_again_takes_no_room(tmp_path: Path, signers: list[Ed25519Signer], signed: Sign) -> None:
    store, record = FileStore(tmp_path / "records"), signed(signers[0])
    service = RegistryService(store)
    for _ in range(3):
        service.register(record)
    assert service.nodes() == (record,)
    assert len(store.path.read_bytes().splitlines()) == 1


def test_a_node_is_forgotten_when_its_record_ends(signers: list[Ed25519Signer]) -> None:
    now = 1000.0
    service = RegistryService(clock=lambda: now)
    service.register(sign_record(NodeRecord(node=signers[0].node_id, aura="@a.aura", expires_unix=1010.0), signers[0]))
    assert len(service.resolve(AuraID("a"))) == 1
    now = 1010.0
    assert service.nodes() == ()
    with pytest.raises(IdentityError):
        service.resolve(AuraID("a"))


def test_a_full_registry_refuses_further_nodes_until_a_record_ends(signers: list[Ed25519Signer]) -> None:
    now = 1000.0
    service = RegistryService(capacity=2, clock=lambda: now)

    def register(which: int, expires: float) -> None:
        record = NodeRecord(node=signers[which].node_id, aura=f"@n{which}.aura", expires_unix=expires)
        service.register(sign_record(record, signers[which]))

    register(0, 1010.0)
    register(1, 1020.0)
    with pytest.raises(IdentityError, match="full"):
        register(2, 1020.0)
    register(0, 1011.0)  # one that is known may always renew its record
    now = 1011.0
    register(2, 1020.0)
    assert {record.node for record in service.nodes()} == {signers[1].node_id, signers[2].node_id}


def test_records_outlive_the_process_in_a_file(tmp_path: Path, signers: list[Ed25519Signer], signed: Sign) -> None:
    path = tmp_path / "nodes.jsonl"
    service = RegistryService(FileStore(path))
    service.register(signed(signers[0], lifetime=100.0))
    last = signed(signers[0], lifetime=200.0)
    service.register(last)
    service.register(signed(signers[1], "@bob.aura"))
    store = FileStore(path)
    again = RegistryService(store)
    assert again.resolve(AuraID("alice")) == (last,)
    assert again.nodes() == service.nodes()
    assert len(path.read_bytes().splitlines()) == 2
    assert store.damaged == 0


def test_a_line_cut_short_by_a_crash_costs_only_itself(
    tmp_path: Path, signers: list[Ed25519Signer], signed: Sign
) -> None:
    path = tmp_path / "nodes.jsonl"
    RegistryService(FileStore(path)).register(signed(signers[0]))
    with path.open("ab") as file:
        file.write(b'{"node":"AAA')
    store = FileStore(path)
    assert len(RegistryService(store).nodes()) == 1
    assert store.damaged == 1


def test_expired_records_of_the_file_are_not_served(tmp_path: Path, signers: list[Ed25519Signer], signed: Sign) -> None:
    path = tmp_path / "nodes.jsonl"
    RegistryService(FileStore(path)).register(signed(signers[0], lifetime=100.0))
    assert RegistryService(FileStore(path), clock=lambda: time.time() + 101.0).nodes() == ()


def test_a_file_of_records_does_not_grow_as_nodes_renew_them(
    tmp_path: Path, signers: list[Ed25519Signer], signed: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshsim.control.service.SPARE_LINES", 5)
    now = time.time()
    store = FileStore(tmp_path / "records", clock=lambda: now)
    store.put(signed(signers[1], lifetime=10.0))
    now += 20.0
    for turn in range(50):
        store.put(signed(signers[0], lifetime=100.0 + turn))
        assert len(store.path.read_bytes().splitlines()) <= 7
    (last,) = FileStore(store.path, clock=lambda: now).load()
    assert last.node == signers[0].node_id
    assert last.expires_unix > now + 120.0


async def test_an_envelope_reaches_the_connected_node(signers: list[Ed25519Signer]) -> None:
    service = RegistryService()
    mailbox = enter(service, signers[1])
    assert service.carry(signers[0].node_id, signers[1].node_id, b"hello")
    assert await mailbox.get() == (signers[0].node_id, b"hello")
    assert (service.carried, service.undelivered, service.connected) == (1, 0, 1)


def test_who_did_not_sign_the_challenge_stays_out(signers: list[Ed25519Signer]) -> None:
    service = RegistryService()
    nonce = service.challenge()
    with pytest.raises(IdentityError, match="challenge"):
        service.enter(signers[0].node_id, nonce, signers[1].sign(proof(nonce)))
    with pytest.raises(IdentityError, match="challenge"):
        service.enter(signers[0].node_id, nonce, signers[0].sign(proof(service.challenge())))
    assert service.connected == 0


async def test_a_mailbox_is_bounded_and_says_so(signers: list[Ed25519Signer]) -> None:
    service = RegistryService()
    enter(service, signers[1])
    taken = [service.carry(signers[0].node_id, signers[1].node_id, b"x") for _ in range(MAILBOX_SIZE + 3)]
    assert taken == [True] * MAILBOX_SIZE + [False] * 3
    assert service.undelivered == 3


def test_an_envelope_for_an_absent_node_is_counted(signers: list[Ed25519Signer]) -> None:
    service = RegistryService()
    assert not service.carry(signers[0].node_id, NodeId(bytes(32)), b"x")
    assert service.undelivered == 1


async def test_a_second_connection_takes_over_from_the_first(signers: list[Ed25519Signer]) -> None:
    service = RegistryService()
    first = enter(service, signers[0])
    service.carry(signers[1].node_id, signers[0].node_id, b"old")
    second = enter(service, signers[0])
    assert await first.get() is None
    service.leave(first)
    assert service.carry(signers[1].node_id, signers[0].node_id, b"new")
    assert await second.get() == (signers[1].node_id, b"new")
    service.leave(second)
    assert service.connected == 0


def test_a_node_that_misses_three_beats_or_leaves_is_offline_and_forgotten_after_an_hour(
    signers: list[Ed25519Signer],
) -> None:
    now = 100.0
    service = RegistryService(steady=lambda: now)
    rooms = []
    for signer in signers[:2]:
        nonce = service.challenge()
        rooms.append(service.enter(signer.node_id, nonce, signer.sign(proof(nonce))))

    def online() -> list[bool]:
        told = {presence.node: presence.online for presence in service.presence()}
        return [told[signer.node_id] for signer in signers[:2]]

    assert online() == [True, True]
    now += 2.9 * BEAT_PERIOD
    service.beat(signers[1].node_id)
    now += 0.2 * BEAT_PERIOD
    assert online() == [False, True]
    service.beat(signers[0].node_id)
    assert online() == [True, True]
    service.leave(rooms[1])
    assert online() == [True, False]
    now += 3601.0
    assert service.presence() == ()


def test_a_registry_remembers_no_more_beats_than_it_has_room(signers: list[Ed25519Signer]) -> None:
    service = RegistryService(capacity=2)
    for signer in signers:
        service.beat(signer.node_id)
    assert {presence.node for presence in service.presence()} == {signer.node_id for signer in signers[1:]}
