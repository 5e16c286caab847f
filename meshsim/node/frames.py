"""What the ends of a link say about the link itself, before and beside the agents' messages on its control channel.

A frame is the byte `MARK`, then MessagePack; no message of an agent begins with that byte. Times and decisions are
elsewhere: who is proven in `handshake`, how envelopes travel in `rendezvous`, when a link gives way in `switching`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from meshsim.mesh.errors import RemoteProtocolError

MARK = b"\0"
"""First byte of every frame: no version of the agents' messages has this number."""
FRAME_BYTES = 18_000
"""No encoded frame is longer."""
ENVELOPE_BYTES = 16_384
"""Most bytes of an envelope that travels through the mesh."""
WAY_NODES = 6
"""Most nodes of an envelope's way: five hops."""
NONCE_BYTES = 32

Node = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Challenge(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The first frame of each end.

    Attributes:
        nonce: To be signed by the other end; never used again.
        replaces: Whether the sender has an older link to the other end, which gives way to this one.
    """

    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    replaces: bool


class Proof(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """The second frame of each end: its signature of `handshake.statement`."""

    signature: Annotated[bytes, msgspec.Meta(max_length=64)]


class Last(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The last frame on a link that gives way to a newer one: what follows comes there."""


class Carried(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """An envelope on its way through the mesh.

    Attributes:
        way: From who sent it to whom it is for.
        at: Place in `way` of the node that receives this frame.
        envelope: Signed by the first node of the way, for the last.
    """

    way: Annotated[tuple[Node, ...], msgspec.Meta(min_length=3, max_length=WAY_NODES)]
    at: Annotated[int, msgspec.Meta(ge=1, lt=WAY_NODES)]
    envelope: Annotated[bytes, msgspec.Meta(max_length=ENVELOPE_BYTES)]


Frame: TypeAlias = Challenge | Proof | Last | Carried

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def is_frame(data: bytes) -> bool:
    """Whether `data` is about the link, and not a message of an agent."""
    return data[:1] == MARK


def encode_frame(frame: Frame) -> bytes:
    """`frame` for the control channel.

    >>> decode_frame(encode_frame(Last()))
    Last()
    """
    return MARK + _ENCODER.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """The frame in `data`; only its form is checked.

    Raises:
        RemoteProtocolError: If it is none, or too long.
    """
    if len(data) > FRAME_BYTES:
        raise RemoteProtocolError(f"a frame has at most {FRAME_BYTES} bytes, not {len(data)}")
    if not is_frame(data):
        raise RemoteProtocolError(f"not a frame: it begins with {data[:1]!r}")
    try:
        return _DECODER.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not a frame: {error}") from error
