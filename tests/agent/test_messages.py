from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.agent.messages import (
    DIGEST_ENTRIES,
    LINK_ENTRIES,
    MESSAGE_BYTES,
    OLDEST,
    RECEIPT_ENTRIES,
    VERSION,
    CallAccept,
    CallEnd,
    CallKeepalive,
    CallReject,
    CallReport,
    CallSetup,
    CallSwitch,
    Digest,
    Equivocation,
    Error,
    Fault,
    Hello,
    Inquiry,
    Leave,
    LinkEntry,
    LinkState,
    Message,
    Ping,
    Pong,
    Promise,
    Receipt,
    Told,
    decode,
    encode,
)
from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling
from meshsim.agent.signing import acceptance_bytes, is_signed, sign, signed_bytes
from meshsim.identity import HashSigner, HashVerifier, NodeRecord
from meshsim.mesh.errors import RemoteProtocolError, UnknownMessageError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.trust import Outcome
from meshsim.trust.abuse import Category, Ruling

nodes = st.binary(min_size=32, max_size=32).map(NodeId)
calls = st.binary(min_size=16, max_size=16).map(CallId)
signatures = st.binary(max_size=64)
times = st.integers(0, 2**62)
counts = st.integers(0, 2**53)
attempts = st.integers(0, 255)
shares = st.floats(0, 1)
texts = st.text(max_size=40)
paths = st.lists(nodes, min_size=2, max_size=6).map(tuple)
records = st.builds(
    NodeRecord,
    node=nodes,
    aura=st.just("@alice.aura"),
    role=st.sampled_from(["peer", "relay"]),
    latitude=st.floats(-90, 90),
    capacity_bps=st.floats(0, 1e12),
    max_calls=st.integers(0, 100),
    signature=signatures,
)
entries = st.builds(LinkEntry, nodes, times, times, shares, st.floats(0, 1e15))
statements = st.builds(
    LinkState,
    record=records,
    epoch=counts,
    sequence=counts,
    load=shares,
    calls=counts,
    links=st.lists(entries, max_size=3).map(tuple),
    expires_ns=times,
    signature=signatures,
)
receipts = st.builds(
    Receipt,
    call=calls,
    attempt=attempts,
    path=paths,
    signer=nodes,
    outcome=st.sampled_from(Outcome),
    mos=st.floats(1, 5),
    poor=st.booleans(),
    at_ns=times,
    loss=st.floats(0, 1),
    delay_ns=times,
    jitter_ns=times,
    carried=st.integers(0, 2**53),
    signature=signatures,
)
promises = st.builds(Promise, st.integers(0, 60 * 10**9), st.integers(0, 60 * 10**9), shares)
setups = st.builds(
    CallSetup,
    call=calls,
    attempt=attempts,
    path=paths,
    caller=st.just("@alice.aura"),
    callee=st.text(min_size=1, max_size=30),
    media=st.sampled_from(MediaType),
    aic=st.sampled_from(AicPolicy),
    expires_ns=times,
    promise=st.none() | promises,
    signature=signatures,
    standby=st.booleans(),
)
messages = st.one_of(
    st.builds(Hello, records, counts),
    st.builds(Ping, counts),
    st.builds(Pong, counts),
    statements,
    receipts,
    st.builds(
        Digest,
        st.lists(st.builds(Told, times, statements), max_size=2).map(tuple),
        st.lists(receipts, max_size=2).map(tuple),
    ),
    setups,
    st.builds(CallAccept, calls, attempts, signatures),
    st.builds(CallReject, calls, attempts, st.booleans(), nodes, texts),
    st.builds(CallKeepalive, calls, attempts, st.booleans(), counts, counts, times),
    st.builds(CallReport, calls, attempts, st.booleans(), times, shares),
    st.builds(CallSwitch, calls, attempts, st.booleans()),
    st.builds(Leave, texts),
    st.builds(Error, st.sampled_from(Fault)),
    st.builds(Equivocation, statements, statements),
    st.builds(Inquiry, nodes, st.integers(1, 3)),
    st.builds(CallEnd, calls, attempts, st.booleans(), st.booleans(), texts, st.lists(receipts, max_size=2).map(tuple)),
    st.builds(
        AbuseReport,
        reporter=nodes,
        subject=nodes,
        category=st.sampled_from(Category),
        at_ns=times,
        call=st.none() | calls,
        detail=signatures,
        signature=signatures,
    ),
    st.builds(
        AbuseRuling, moderator=nodes, subject=nodes, ruling=st.sampled_from(Ruling), at_ns=times, signature=signatures
    ),
    st.builds(AbuseAppeal, subject=nodes, at_ns=times, signature=signatures),
)

SIGNER = HashSigner(NodeId(b"a" * 32), b"secret")
VERIFIER = HashVerifier(b"secret")


@given(messages)
def test_decoding_an_encoded_message_gives_it_back(message: Message) -> None:
    assert decode(encode(message)) == message


@given(setups, st.sampled_from([Promise(60 * 10**9 + 1, 0, 0.0), Promise(0, -1, 0.0), Promise(0, 0, 1.5)]))
def test_a_promise_beyond_its_limits_is_no_message(setup: CallSetup, promise: Promise) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(encode(msgspec.structs.replace(setup, promise=promise)))


@given(*[st.floats(0.0, 100.0)] * 3)
def test_any_expectation_makes_a_promise_within_its_limits(rtt: float, jitter: float, loss: float) -> None:
    promise = Promise.of((rtt, jitter, loss))
    assert promise is not None
    assert promise.expected == pytest.approx((min(rtt, 60.0), min(jitter, 60.0), min(loss, 1.0)), abs=1e-9)


@pytest.mark.parametrize("unknown", [math.nan, -0.1])
def test_who_expects_nothing_promises_nothing(unknown: float) -> None:
    assert Promise.of((0.1, 0.002, unknown)) is None
    assert Promise.of((unknown, 0.002, 0.0)) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        message = decode(data)
    except RemoteProtocolError:
        return
    assert decode(encode(message)) == message


@settings(max_examples=300)
@given(messages, st.data())
def test_a_damaged_message_is_a_message_or_a_remote_protocol_error(message: Message, data: st.DataObject) -> None:
    raw = bytearray(encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(bytes(raw))
    except RemoteProtocolError:
        return
    assert isinstance(decoded, msgspec.Struct)


@given(st.recursive(st.none() | st.integers(0, 20), lambda inner: st.lists(inner, max_size=4)))
def test_well_formed_messagepack_that_is_no_message_is_refused(value: object) -> None:
    data = bytes([VERSION]) + msgspec.msgpack.encode(value)
    if isinstance(value, list) and len(value) == 2 and value[0] in (2, 3) and isinstance(value[1], int):
        assert decode(data) in (Ping(value[1]), Pong(value[1]))
    else:
        with pytest.raises(RemoteProtocolError):
            decode(data)


def test_nested_lists_without_end_are_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        decode(bytes([VERSION]) + b"\x91" * 50_000)


def test_an_overlong_message_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(RemoteProtocolError, match="2 to 60000 bytes"):
        decode(bytes([VERSION]) + bytes(MESSAGE_BYTES))


@pytest.mark.parametrize("version", [0, OLDEST - 1])
def test_a_version_older_than_the_last_but_one_is_no_message(version: int) -> None:
    with pytest.raises(RemoteProtocolError, match="version"):
        decode(bytes([version]) + encode(Ping(1))[1:])


def test_a_later_version_is_told_apart_from_nonsense() -> None:
    with pytest.raises(UnknownMessageError, match="version"):
        decode(bytes([VERSION + 1]) + encode(Ping(1))[1:])


@pytest.mark.parametrize("version", [OLDEST, VERSION])
def test_a_kind_that_is_not_known_is_told_apart_from_nonsense(version: int) -> None:
    with pytest.raises(UnknownMessageError, match="kind 99"):
        decode(bytes([version]) + msgspec.msgpack.encode([99, "whatever", [1, 2]]))


@given(messages)
def test_a_message_says_the_version_that_first_knew_it_and_both_versions_read_what_both_know(message: Message) -> None:
    data = encode(message)
    is_new = isinstance(message, (CallSwitch, Leave, Error, Equivocation, Inquiry))
    is_new |= isinstance(message, CallSetup) and message.standby
    assert data[0] == (VERSION if is_new else OLDEST)
    other = bytes([VERSION + OLDEST - data[0]]) + data[1:]
    if is_new:
        with pytest.raises(RemoteProtocolError, match="cannot say this"):
            decode(other)
    else:
        assert decode(other) == message


@given(setups)
def test_what_was_signed_before_second_routes_were_known_still_holds(setup: CallSetup) -> None:
    setup = msgspec.structs.replace(setup, standby=False, signature=b"")
    fields = [7, *(getattr(setup, name) for name in CallSetup.__struct_fields__ if name != "standby")]
    assert signed_bytes(setup) == b"meshsim/CallSetup/4\0" + msgspec.msgpack.encode(fields)
    assert signed_bytes(msgspec.structs.replace(setup, standby=True)) != signed_bytes(setup)


@pytest.mark.parametrize("loss", [float("nan"), -0.1, 1.1])
def test_a_loss_that_is_no_probability_is_refused(loss: float) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(encode(CallReport(CallId(bytes(16)), 0, True, 0, loss)))


def biggest_digest() -> Digest:
    """One whose every field is as long as it may be."""
    domain = ".".join(["d" * 63] * 3 + ["d" * 61])
    record = NodeRecord(
        node=b"a" * 32,
        aura=f"@{'x' * 32}.aura:{domain}",
        role="super_node",
        domain=domain,
        address="é" * 256,
        nat="é" * 16,
        latitude=1.5,
        longitude=1.5,
        capacity_bps=1e15,
        max_calls=1_000_000,
        expires_unix=1e12,
        signature=b"s" * 64,
    )
    entry = LinkEntry(NodeId(b"n" * 32), 2**62, 2**62, 0.5, 1e9)
    statement = LinkState(
        record=record,
        epoch=2**53,
        sequence=2**53,
        load=0.5,
        calls=2**53,
        links=(entry,) * LINK_ENTRIES,
        expires_ns=2**62,
        signature=b"s" * 64,
    )
    return Digest((Told(2**62, statement),) * DIGEST_ENTRIES)


def test_a_full_digest_fits_into_a_message() -> None:
    digest = biggest_digest()
    assert decode(encode(digest)) == digest


def test_a_digest_with_one_statement_too_many_is_refused() -> None:
    told = biggest_digest().entries[0]
    small = Told(0, msgspec.structs.replace(told.statement, links=()))
    with pytest.raises(RemoteProtocolError):
        decode(encode(Digest((small,) * (DIGEST_ENTRIES + 1))))


@given(receipts.filter(lambda receipt: len(receipt.path) == 6))
@settings(max_examples=10)
def test_a_message_full_of_receipts_fits(receipt: Receipt) -> None:
    end = CallEnd(receipt.call, 0, True, False, "hung up", (receipt,) * RECEIPT_ENTRIES)
    assert decode(encode(end)) == end


@given(setups)
def test_a_signature_survives_the_wire_and_covers_every_field(setup: CallSetup) -> None:
    signed = sign(setup, SIGNER)
    received = decode(encode(signed))
    assert isinstance(received, CallSetup)
    assert is_signed(received, SIGNER.node_id, VERIFIER)
    changed = msgspec.structs.replace(received, attempt=received.attempt ^ 1)
    assert not is_signed(changed, SIGNER.node_id, VERIFIER)
    assert not is_signed(received, NodeId(b"b" * 32), VERIFIER)


@given(setups)
def test_an_acceptance_answers_one_set_up_only(setup: CallSetup) -> None:
    other = msgspec.structs.replace(setup, attempt=setup.attempt ^ 1)
    assert acceptance_bytes(setup) != acceptance_bytes(other)
    assert acceptance_bytes(setup) != signed_bytes(setup)


def test_a_statement_names_its_origin_and_version() -> None:
    statement = biggest_digest().entries[0].statement
    assert statement.origin == b"a" * 32
    assert statement.version == (2**53, 2**53)
