"""Signed offers and answers: who may open a connection to whom, and which DTLS certificate is theirs.

The envelope binds a node's Ed25519 key to the fingerprint of its DTLS certificate, so neither the registry that carries
it nor anyone on the path can stand in between. How envelopes travel is the caller's.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import NodeId, short

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshsim.identity import Signer, Verifier

SIGNAL_BYTES = 16_384
"""No encoded envelope is longer."""
LIFETIME = 15.0
"""Seconds from signing to expiry."""
LONGEST_LIFETIME = 120.0
"""Seconds: an envelope valid for longer than this is refused, so nonces need not be kept for longer."""
_NONCES_KEPT = 4096
_NONCE_BYTES = 16
_CONTEXT = b"meshsim/signal/1\0"
_FINGERPRINT = re.compile(r"^a=fingerprint:sha-256 ([0-9A-Fa-f:]{95})\s*$", re.MULTILINE)

Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Nonce = Annotated[bytes, msgspec.Meta(min_length=_NONCE_BYTES, max_length=_NONCE_BYTES)]


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signed session description.

    Attributes:
        kind: Whether it asks or answers.
        sender: NodeId of who signed.
        recipient: NodeId of who may use it.
        sdp: The session description.
        fingerprint: SHA-256 of the sender's DTLS certificate, as in the SDP.
        nonce: Of the offer; an answer repeats it.
        expires_unix: End of validity, Unix seconds.
        signature: The sender's, over all the rest; b"" before signing.
    """

    kind: Literal["offer", "answer"]
    sender: Key
    recipient: Key
    sdp: Annotated[str, msgspec.Meta(max_length=12_000)]
    fingerprint: Annotated[str, msgspec.Meta(max_length=95)]
    nonce: Nonce
    expires_unix: float
    signature: Annotated[bytes, msgspec.Meta(max_length=64)] = b""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Signal)


def read_fingerprint(sdp: str) -> str:
    """The SHA-256 fingerprint of the DTLS certificate that `sdp` announces, in upper case.

    Raises:
        RemoteProtocolError: Unless there is exactly one.
    """
    found: set[str] = {match.upper() for match in _FINGERPRINT.findall(sdp)}
    if len(found) != 1:
        raise RemoteProtocolError(f"{len(found)} different SHA-256 fingerprints in the SDP, not one")
    return found.pop()


def _signed_bytes(signal: Signal) -> bytes:
    return _CONTEXT + _encoder.encode(msgspec.structs.replace(signal, signature=b""))


def sign_signal(signal: Signal, signer: Signer) -> bytes:
    """The envelope's bytes, signed by `signer`."""
    return _encoder.encode(msgspec.structs.replace(signal, signature=signer.sign(_signed_bytes(signal))))


def decode_signal(data: bytes) -> Signal:
    """The envelope in `data`; nothing is checked but its form.

    Raises:
        RemoteProtocolError: If it is none, or too long.
    """
    if len(data) > SIGNAL_BYTES:
        raise RemoteProtocolError(f"an SDP envelope has at most {SIGNAL_BYTES} bytes, not {len(data)}")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not an SDP envelope: {error}") from error


def verify_signal(signal: Signal, *, recipient: NodeId, verifier: Verifier, now_unix: float) -> Signal:
    """`signal` itself, once it is shown to be its sender's, for `recipient`, in time, and true to its SDP.

    Raises:
        RemoteProtocolError: If one of these does not hold.
    """
    if signal.recipient != recipient:
        raise RemoteProtocolError(f"an envelope for {short(NodeId(signal.recipient))}, not for this node")
    if not now_unix < signal.expires_unix <= now_unix + LONGEST_LIFETIME:
        raise RemoteProtocolError("an envelope out of its time")
    if not verifier.verify(NodeId(signal.sender), _signed_bytes(signal), signal.signature):
        raise RemoteProtocolError("an envelope not signed by its sender")
    if read_fingerprint(signal.sdp) != signal.fingerprint.upper():
        raise RemoteProtocolError("the fingerprint in the SDP is not the signed one")
    return signal


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A verified wish to connect.

    Attributes:
        peer: Who asks.
        sdp: Their session description.
        nonce: To be repeated in the answer.
    """

    peer: NodeId
    sdp: str
    nonce: bytes


def dials(own: NodeId, peer: NodeId) -> bool:
    """Whether `own` is the one that dials `peer`: of two nodes always exactly one, so their offers never cross."""
    return own < peer


class Signaling:
    """One node's offers and answers.

    Args:
        signer: The node's key.
        verifier: Checks other nodes' signatures.
        send: Carries an envelope to a node.
        clock: Unix seconds.
    """

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        send: Callable[[NodeId, bytes], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = signer
        self._verifier = verifier
        self._send = send
        self._clock = clock
        self._waiting: dict[tuple[NodeId, bytes], asyncio.Future[str]] = {}
        self._seen: dict[bytes, float] = {}

    async def offer(self, peer: NodeId, sdp: str) -> str:
        """Sends an offer and returns the SDP of the peer's verified answer; waits as long as the offer is valid.

        Raises:
            ConnectionError: If no answer comes in time, or the peer is not at the rendezvous.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[peer, nonce] = answer
        try:
            await self._send(peer, self._seal("offer", peer, sdp, nonce))
            async with asyncio.timeout(LIFETIME):
                return await answer
        except TimeoutError:
            raise ConnectionError(f"{short(peer)} did not answer the offer") from None
        finally:
            del self._waiting[peer, nonce]

    def undelivered(self, peer: NodeId) -> None:
        """The rendezvous does not know `peer`: no offer to it will be answered."""
        for (recipient, _), answer in self._waiting.items():
            if recipient == peer and not answer.done():
                answer.set_exception(ConnectionError(f"{short(peer)} is not at the rendezvous"))

    async def answer(self, offer: Offer, sdp: str) -> None:
        """Answers `offer` with our session description."""
        await self._send(offer.peer, self._seal("answer", offer.peer, sdp, offer.nonce))

    def receive(self, source: NodeId, data: bytes) -> Offer | None:
        """Takes an envelope that `source` sent: an offer is returned to be answered, an answer goes to its waiter.

        Raises:
            RemoteProtocolError: If it is malformed, forged, late, replayed, not for us, or answers nothing.
        """
        now = self._clock()
        signal = decode_signal(data)
        if signal.sender != source:
            raise RemoteProtocolError("an envelope carried by someone else than its sender")
        verify_signal(signal, recipient=self._signer.node_id, verifier=self._verifier, now_unix=now)
        if signal.kind == "answer":
            self._settle(signal)
            return None
        self._refuse_replay(signal, now)
        return Offer(peer=source, sdp=signal.sdp, nonce=signal.nonce)

    def _settle(self, signal: Signal) -> None:
        waiting = self._waiting.get((NodeId(signal.sender), signal.nonce))
        if waiting is None or waiting.done():
            raise RemoteProtocolError("an answer to no offer")
        waiting.set_result(signal.sdp)

    def _refuse_replay(self, signal: Signal, now: float) -> None:
        if signal.nonce in self._seen:
            raise RemoteProtocolError("an offer seen before")
        if len(self._seen) >= _NONCES_KEPT:
            self._seen = {nonce: expires for nonce, expires in self._seen.items() if expires > now}
        if len(self._seen) >= _NONCES_KEPT:
            raise RemoteProtocolError("too many offers at once")
        self._seen[signal.nonce] = signal.expires_unix

    def _seal(self, kind: Literal["offer", "answer"], peer: NodeId, sdp: str, nonce: bytes) -> bytes:
        signal = Signal(
            kind=kind,
            sender=self._signer.node_id,
            recipient=peer,
            sdp=sdp,
            fingerprint=read_fingerprint(sdp),
            nonce=nonce,
            expires_unix=self._clock() + LIFETIME,
        )
        return sign_signal(signal, self._signer)
