"""What a node says of itself, signed: who it serves, where it is reached, what it can carry, until when."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from meshsim.mesh.errors import IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, NodeId, node_id

if TYPE_CHECKING:
    from meshsim.identity.keys import Signer, Verifier

ROLES = ("edge", "peer", "relay", "super_node")
RECORD_BYTES = 2048
"""No encoded record is longer."""

_CONTEXT = b"meshsim/node-record/1\0"
_TEXT_LIMITS = {"address": 512, "nat": 32}
_RANGES = {
    "latitude": (-90.0, 90.0),
    "longitude": (-180.0, 180.0),
    "capacity_bps": (0.0, 1e15),
    "expires_unix": (0.0, 1e12),
}
_MAX_CALLS = 1_000_000
_SIGNATURE_BYTES = 64


class _BadRecordError(IdentityError, ValueError):
    """Also a ValueError, because msgspec turns those, raised while decoding, into its ValidationError."""


class NodeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node's signed self-description.

    Attributes:
        node: Its NodeId, 32 bytes.
        aura: The AuraID it serves, as text.
        role: One of `ROLES`.
        domain: The domain that holds it; "" for the home domain.
        address: Where to begin reaching it: a rendezvous hint; may be "".
        latitude: Degrees, north positive.
        longitude: Degrees, east positive.
        nat: The kind of its address translation, in the scenario's words; may be "".
        aic: Whether it can run the AIC codec profile.
        capacity_bps: What it offers to relay, bits per second.
        max_calls: Calls it will relay at once.
        expires_unix: When the record ends, Unix seconds.
        signature: The node's, over all the rest; b"" before signing.

    Raises:
        IdentityError: If a field is out of its limits.
    """

    node: bytes
    aura: str
    role: str = "peer"
    domain: str = ""
    address: str = ""
    latitude: float = 0.0
    longitude: float = 0.0
    nat: str = ""
    aic: bool = False
    capacity_bps: float = 0.0
    max_calls: int = 0
    expires_unix: float = 0.0
    signature: bytes = b""

    def __post_init__(self) -> None:
        try:
            node_id(self.node)
            AuraID(AuraID.parse(self.aura).name, self.domain)
        except IdentityError as error:
            raise _BadRecordError(str(error)) from error
        if self.role not in ROLES:
            raise _BadRecordError(f"unknown role {self.role!r}; allowed: {', '.join(ROLES)}")
        self._check_sizes()
        for name, (low, high) in _RANGES.items():
            # An int would be signed as an int and come back from the wire as a float.
            value = float(getattr(self, name))
            if not (math.isfinite(value) and low <= value <= high):
                raise _BadRecordError(f"{name} is {value!r}, not within {low:g} to {high:g}")
            msgspec.structs.force_setattr(self, name, value)

    def _check_sizes(self) -> None:
        for name, limit in _TEXT_LIMITS.items():
            # Bytes, not characters: a full digest of records has to fit into a message.
            if len(getattr(self, name).encode()) > limit:
                raise _BadRecordError(f"{name} is longer than {limit} bytes")
        if len(self.signature) > _SIGNATURE_BYTES:
            raise _BadRecordError(f"a signature has at most {_SIGNATURE_BYTES} bytes, not {len(self.signature)}")
        if not 0 <= self.max_calls <= _MAX_CALLS:
            raise _BadRecordError(f"max_calls is {self.max_calls}, not within 0 to {_MAX_CALLS}")

    @property
    def node_id(self) -> NodeId:
        """`node` by its type."""
        return NodeId(self.node)

    @property
    def aura_id(self) -> AuraID:
        """`aura` parsed, qualified by the record's domain."""
        return AuraID(AuraID.parse(self.aura).name, self.domain)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(NodeRecord)


def _signed_bytes(record: NodeRecord) -> bytes:
    return _CONTEXT + _ENCODER.encode(msgspec.structs.replace(record, signature=b""))


def sign_record(record: NodeRecord, signer: Signer) -> NodeRecord:
    """`record` with its node's signature.

    Raises:
        IdentityError: If `signer` is another node.
    """
    if record.node != signer.node_id:
        raise IdentityError("a node signs only its own record")
    return msgspec.structs.replace(record, signature=signer.sign(_signed_bytes(record)))


def verify_record(record: NodeRecord, verifier: Verifier, now_unix: float) -> NodeRecord:
    """`record` itself, once it is shown to be its node's and still valid.

    Raises:
        IdentityError: If the signature is not the node's or the record has expired.
    """
    if record.expires_unix <= now_unix:
        raise IdentityError(f"the record of {record.aura} expired {now_unix - record.expires_unix:.0f} s ago")
    if not verifier.verify(record.node_id, _signed_bytes(record), record.signature):
        raise IdentityError(f"the record of {record.aura} is not signed by its node")
    return record


def encode_record(record: NodeRecord) -> bytes:
    """The record as MessagePack."""
    return _ENCODER.encode(record)


def decode_record(data: bytes) -> NodeRecord:
    """The record in `data`; its signature is not checked.

    Raises:
        RemoteProtocolError: If `data` is no record within the limits.
    """
    if len(data) > RECORD_BYTES:
        raise RemoteProtocolError(f"a record has at most {RECORD_BYTES} bytes, not {len(data)}")
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a node record: {error}") from error
