"""Signed offers and answers: who may open a connection to whom, and which DTLS certificate is theirs.

The envelope binds a node's Ed25519 key to the fingerprint of its DTLS certificate, so neither the registry that carries
it nor anyone on the path can stand in between. How envelopes travel is the caller's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import NodeId, short

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterator

    from meshsim.identity import Signer, Verifier

SIGNAL_BYTES = 16_384
"""No encoded envelope is longer."""
LIFETIME = 15.0
"""Seconds from signing to expiry."""
HAND_LIFETIME = 110.0
"""Seconds that an envelope is valid which a person carries."""
MESH_PATIENCE = 1.0
"""Seconds without an answer after which an offer that went through the mesh also goes to the registry."""
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
        by_mesh: Whether it came through the mesh, so that the answer should too.
    """

    peer: NodeId
    sdp: str
    nonce: bytes
    by_mesh: bool = False


def _nobody(peer: NodeId, data: bytes) -> bool:  # noqa: ARG001 - the default of a way
    return False


def dials(own: NodeId, peer: NodeId) -> bool:
    """Whether `own` is the one that dials `peer`: of two nodes always exactly one, so their offers never cross."""
    return own < peer


class Signaling:
    """One node's offers and answers.

    Args:
        signer: The node's key.
        verifier: Checks other nodes' signatures.
        send: Carries an envelope to a node, by the registry.
        by_mesh: Carries it through the mesh, which is tried first; False if that cannot be.
        clock: Unix seconds.
    """

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        send: Callable[[NodeId, bytes], Awaitable[None]],
        *,
        by_mesh: Callable[[NodeId, bytes], bool] = _nobody,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = signer
        self._verifier = verifier
        self._send = send
        self._by_mesh = by_mesh
        self._clock = clock
        self._waiting: dict[tuple[NodeId, bytes], asyncio.Future[str]] = {}
        self._elsewhere: set[tuple[NodeId, bytes]] = set()
        self._seen: dict[bytes, float] = {}

    async def offer(self, peer: NodeId, sdp: str) -> str:
        """Sends an offer and returns the SDP of the peer's verified answer; waits as long as the offer is valid.

        Raises:
            ConnectionError: If no answer comes in time, or the peer is not at the rendezvous.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        with self._await_answer(peer, nonce) as answer:
            async with asyncio.timeout(LIFETIME):
                await self._post(peer, self._seal("offer", peer, sdp, nonce), (peer, nonce))
                return await answer

    async def offer_by_hand(self, peer: NodeId, sdp: str, carry: Callable[[bytes], Awaitable[bytes]]) -> str:
        """Hands our offer to `carry`, which brings the peer's answer; its SDP, verified.

        Raises:
            ConnectionError: If no answer comes in time.
            RemoteProtocolError: If what is brought is not the answer.
        """
        nonce = secrets.token_bytes(_NONCE_BYTES)
        with self._await_answer(peer, nonce) as answer:
            async with asyncio.timeout(HAND_LIFETIME):
                self.receive(peer, await carry(self._seal("offer", peer, sdp, nonce, HAND_LIFETIME)))
                if not answer.done():
                    raise RemoteProtocolError("an offer was brought, not the answer to ours")
                return answer.result()

    def undelivered(self, peer: NodeId) -> None:
        """The registry does not know `peer`: no offer that it was given will be answered."""
        self._fail(peer, f"{short(peer)} is not at the rendezvous", but=self._elsewhere)

    def give_way(self, peer: NodeId) -> None:
        """`peer` asks for the link as well, and its offer counts: nobody will answer ours."""
        self._fail(peer, f"{short(peer)} dials us itself", but=set())

    async def answer(self, offer: Offer, sdp: str) -> None:
        """Answers `offer` with our session description, the way it came, or else the other.

        Raises:
            ConnectionError: If there is neither.
        """
        envelope = self._seal("answer", offer.peer, sdp, offer.nonce)
        if offer.by_mesh and self._by_mesh(offer.peer, envelope):
            return
        try:
            await self._send(offer.peer, envelope)
        except ConnectionError:
            if offer.by_mesh or not self._by_mesh(offer.peer, envelope):
                raise

    def answer_by_hand(self, offer: Offer, sdp: str) -> bytes:
        """The envelope that a person brings back."""
        return self._seal("answer", offer.peer, sdp, offer.nonce, HAND_LIFETIME)

    @contextmanager
    def _await_answer(self, peer: NodeId, nonce: bytes) -> Iterator[asyncio.Future[str]]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[peer, nonce] = answer
        try:
            yield answer
        except TimeoutError:
            raise ConnectionError(f"{short(peer)} did not answer the offer") from None
        finally:
            del self._waiting[peer, nonce]
            self._elsewhere.discard((peer, nonce))
            if answer.done() and not answer.cancelled():
                answer.exception()

    async def _post(self, peer: NodeId, envelope: bytes, waiting: tuple[NodeId, bytes]) -> None:
        """Through the mesh if there is a way; by the registry if there is none, or nothing comes back for a while."""
        if not self._by_mesh(peer, envelope):
            await self._send(peer, envelope)
            return
        self._elsewhere.add(waiting)
        done, _ = await asyncio.wait({self._waiting[waiting]}, timeout=MESH_PATIENCE)
        if not done:
            self._elsewhere.discard(waiting)
            with contextlib.suppress(ConnectionError):
                await self._send(peer, envelope)

    def _fail(self, peer: NodeId, reason: str, *, but: Container[tuple[NodeId, bytes]]) -> None:
        for waiting, answer in self._waiting.items():
            if waiting[0] == peer and waiting not in but and not answer.done():
                answer.set_exception(ConnectionError(reason))

    def receive(self, source: NodeId, data: bytes, *, by_mesh: bool = False) -> Offer | None:
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
        return Offer(peer=source, sdp=signal.sdp, nonce=signal.nonce, by_mesh=by_mesh)

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

    def _seal(
        self, kind: Literal["offer", "answer"], peer: NodeId, sdp: str, nonce: bytes, lifetime: float | None = None
    ) -> bytes:
        signal = Signal(
            kind=kind,
            sender=self._signer.node_id,
            recipient=peer,
            sdp=sdp,
            fingerprint=read_fingerprint(sdp),
            nonce=nonce,
            expires_unix=self._clock() + (LIFETIME if lifetime is None else lifetime),
        )
        return sign_signal(signal, self._signer)
