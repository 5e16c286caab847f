"""What registry and nodes say to each other: MessagePack frames on the rendezvous socket, JSON records over HTTP."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from meshsim.identity import NodeRecord
from meshsim.mesh.errors import RemoteProtocolError

PAYLOAD_BYTES = 32_768
"""The longest payload that the rendezvous carries."""
SOCKET_BYTES = PAYLOAD_BYTES + 256
"""The longest frame on the socket."""
RECORD_BYTES = 4096
"""The longest JSON record."""
NONCE_BYTES = 32

BEAT_PERIOD = 10.0
"""Seconds between a node's heartbeats."""
BEATS_MISSED = 3
"""Heartbeats that have to be missing before a node counts as offline."""

_CONTEXT = b"meshsim/rendezvous/1\0"

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Payload = Annotated[bytes, msgspec.Meta(max_length=PAYLOAD_BYTES)]


class Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="challenge"):
    """Server: sign this to show who you are."""

    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="hello"):
    """Node: this is who I am."""

    node: Key
    signature: Annotated[bytes, msgspec.Meta(max_length=64)]


class Welcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="welcome"):
    """Server: the signature holds; frames may flow."""


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="envelope"):
    """Node: carry this to that node."""

    to: Key
    payload: Payload


class Beat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="beat"):
    """Node: I am alive."""


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="delivery"):
    """Server: this came for you."""

    source: Key
    payload: Payload


class Undelivered(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="undelivered"):
    """Server: that node is not connected, or takes no more."""

    to: Key


ServerFrame = Challenge | Welcome | Delivery | Undelivered
NodeFrame = Hello | Envelope | Beat
FrameT = TypeVar("FrameT")

encode_frame = msgspec.msgpack.Encoder().encode
_server_decoder: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)
_node_decoder: msgspec.msgpack.Decoder[NodeFrame] = msgspec.msgpack.Decoder(NodeFrame)
_record_decoder = msgspec.json.Decoder(NodeRecord)
_records_decoder = msgspec.json.Decoder(tuple[NodeRecord, ...])


def proof(nonce: bytes) -> bytes:
    """What a node signs to answer a challenge."""
    return _CONTEXT + nonce


def decode_server_frame(data: bytes | str) -> ServerFrame:
    """A frame that the server sent.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return _decode(_server_decoder, data)


def decode_node_frame(data: bytes | str) -> NodeFrame:
    """A frame that a node sent.

    Raises:
        RemoteProtocolError: If it is none.
    """
    return _decode(_node_decoder, data)


def _decode(decoder: msgspec.msgpack.Decoder[FrameT], data: bytes | str) -> FrameT:
    if isinstance(data, str):
        raise RemoteProtocolError("a text frame on the rendezvous socket")
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a rendezvous frame: {error}") from error


def record_to_json(record: NodeRecord) -> bytes:
    """The record as JSON, keys and signature in base64."""
    return msgspec.json.encode(record)


def record_from_json(data: bytes) -> NodeRecord:
    """The record in `data`; its signature is not checked.

    Raises:
        RemoteProtocolError: If it is none within the limits.
    """
    if len(data) > RECORD_BYTES:
        raise RemoteProtocolError(f"a record has at most {RECORD_BYTES} bytes of JSON, not {len(data)}")
    try:
        return _record_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a node record: {error}") from error


def records_to_json(records: tuple[NodeRecord, ...]) -> bytes:
    """Records as a JSON list."""
    return msgspec.json.encode(records)


def records_from_json(data: bytes) -> tuple[NodeRecord, ...]:
    """The records in a JSON list; their signatures are not checked.

    Raises:
        RemoteProtocolError: If it is no such list.
    """
    try:
        return _records_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a list of node records: {error}") from error
