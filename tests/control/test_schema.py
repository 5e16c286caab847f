from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.control.schema import (
    PAYLOAD_BYTES,
    RECORD_BYTES,
    Delivery,
    Envelope,
    Hello,
    Undelivered,
    decode_node_frame,
    decode_server_frame,
    encode_frame,
    record_from_json,
    record_to_json,
    records_from_json,
    records_to_json,
)
from meshsim.identity import NodeRecord
from meshsim.mesh.errors import RemoteProtocolError

keys = st.binary(min_size=32, max_size=32)
payloads = st.binary(max_size=200)


@given(st.builds(Envelope, keys, payloads) | st.builds(Hello, keys, st.binary(max_size=64)))
def test_node_frames_survive_the_wire(frame: Envelope | Hello) -> None:
    assert decode_node_frame(encode_frame(frame)) == frame


@given(st.builds(Delivery, keys, payloads) | st.builds(Undelivered, keys))
def test_server_frames_survive_the_wire(frame: Delivery | Undelivered) -> None:
    assert decode_server_frame(encode_frame(frame)) == frame


@given(st.binary(max_size=100) | st.text(max_size=20))
def test_any_bytes_are_a_frame_or_a_remote_protocol_error(data: bytes | str) -> None:
    for decode in (decode_node_frame, decode_server_frame):
        try:
            frame = decode(data)
        except RemoteProtocolError:
            continue
        assert decode(encode_frame(frame)) == frame


@pytest.mark.parametrize(
    "frame",
    [Envelope(bytes(31), b""), Envelope(bytes(33), b""), Envelope(bytes(32), bytes(PAYLOAD_BYTES + 1))],
    ids=["short key", "long key", "long payload"],
)
def test_frames_beyond_the_limits_are_refused(frame: Envelope) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_node_frame(encode_frame(frame))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_record_or_a_remote_protocol_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        record_from_json(data)


def test_records_survive_json() -> None:
    record = NodeRecord(node=bytes(range(32)), aura="@bob.aura", signature=bytes(64))
    assert record_from_json(record_to_json(record)) == record
    assert records_from_json(records_to_json((record, record))) == (record, record)


def test_a_record_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match="at most"):
        record_from_json(b" " * (RECORD_BYTES + 1))


def test_a_list_with_a_bad_record_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="list"):
        records_from_json(b'[{"node": 1}]')
