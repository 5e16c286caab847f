from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity import (
    ROLES,
    Ed25519Signer,
    Ed25519Verifier,
    HashSigner,
    HashVerifier,
    NodeRecord,
    decode_record,
    encode_record,
    sign_record,
    verify_record,
)
from meshsim.mesh.errors import IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, NodeId
from meshsim.mesh.view import Role

SECRET = b"of one simulation"
NODE = NodeId(bytes(32))
SIGNER = HashSigner(NODE, SECRET)
VERIFIER = HashVerifier(SECRET)

records = st.builds(
    NodeRecord,
    node=st.just(NODE),
    aura=st.from_regex(r"@[a-z0-9]{1,32}\.aura", fullmatch=True),
    role=st.sampled_from(ROLES),
    domain=st.sampled_from(["", "example.org"]),
    address=st.text(max_size=60),
    latitude=st.integers(-90, 90) | st.floats(-90, 90),
    longitude=st.integers(-180, 180) | st.floats(-180, 180),
    nat=st.sampled_from(["", "open", "symmetric"]),
    aic=st.booleans(),
    capacity_bps=st.integers(0, 10**10) | st.floats(0, 1e10),
    max_calls=st.integers(0, 1000),
    expires_unix=st.floats(1, 1e10),
)


def plain(**fields: object) -> NodeRecord:
    return NodeRecord(**({"node": NODE, "aura": "@alice.aura", "expires_unix": 100.0} | fields))  # type: ignore[arg-type]


@given(records)
def test_a_signed_record_still_holds_after_the_wire(record: NodeRecord) -> None:
    signed = sign_record(record, SIGNER)
    received = decode_record(encode_record(signed))
    assert received == signed
    assert verify_record(received, VERIFIER, 0.0) is received


@given(records, records)
def test_a_signature_moved_to_another_record_does_not_hold(record: NodeRecord, other: NodeRecord) -> None:
    moved = msgspec.structs.replace(other, signature=sign_record(record, SIGNER).signature)
    if msgspec.structs.replace(moved, signature=b"") != record:
        with pytest.raises(IdentityError, match="not signed"):
            verify_record(moved, VERIFIER, 0.0)


def test_real_keys_sign_records_too() -> None:
    signer = Ed25519Signer.from_seed(bytes(32))
    signed = sign_record(plain(node=signer.node_id), signer)
    assert verify_record(signed, Ed25519Verifier(), 99.0).signature == signed.signature


def test_an_expired_record_is_refused() -> None:
    with pytest.raises(IdentityError, match="expired 5 s ago"):
        verify_record(sign_record(plain(), SIGNER), VERIFIER, 105.0)


def test_a_node_signs_only_its_own_record() -> None:
    with pytest.raises(IdentityError, match="own record"):
        sign_record(plain(node=bytes([1] * 32)), SIGNER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("node", b"short"),
        ("aura", "alice"),
        ("role", "boss"),
        ("domain", "d" * 254),
        ("domain", "no domain"),
        ("address", "a" * 513),
        ("address", "é" * 257),
        ("nat", "n" * 33),
        ("latitude", 91.0),
        ("longitude", float("nan")),
        ("capacity_bps", float("inf")),
        ("max_calls", -1),
        ("expires_unix", -1.0),
        ("signature", bytes(65)),
    ],
)
def test_a_field_beyond_its_limits_is_refused_here_and_on_the_wire(field: str, value: object) -> None:
    with pytest.raises(IdentityError):
        plain(**{field: value})
    fields = msgspec.structs.asdict(plain()) | {field: value}
    with pytest.raises(RemoteProtocolError):
        decode_record(msgspec.msgpack.encode(fields))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_record_or_a_remote_error(data: bytes) -> None:
    try:
        assert isinstance(decode_record(data), NodeRecord)
    except RemoteProtocolError as error:
        assert "not a node record" in str(error)  # noqa: PT017 - one of two allowed outcomes


def test_an_oversized_or_unknown_record_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="2048"):
        decode_record(bytes(2049))
    with pytest.raises(RemoteProtocolError, match="extra"):
        decode_record(msgspec.msgpack.encode(msgspec.structs.asdict(plain()) | {"extra": 1}))


def test_a_record_knows_its_ids_by_type() -> None:
    record = plain(domain="example.org")
    assert (record.node_id, record.aura_id) == (NODE, AuraID("alice", "example.org"))


def test_the_roles_are_those_of_the_mesh() -> None:
    assert sorted(ROLES) == sorted(role.name.lower() for role in Role)
