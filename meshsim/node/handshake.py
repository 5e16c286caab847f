"""Each end of a link shows the other that it holds the key of its node, on this very connection. No IO, no clock.

Envelopes bind a key to the fingerprint that a session description announces. This binds both keys to the two
certificates that the DTLS connection really used, and to numbers drawn for it, so that nobody stands in between and
nothing can be played again. Each end sends a `Challenge`, then a `Proof`; until the other's proof holds, nothing else
is taken.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from meshsim.mesh.errors import IdentityError, LocalProtocolError, RemoteProtocolError
from meshsim.mesh.ids import short
from meshsim.node.frames import NONCE_BYTES, Challenge, Proof, decode_frame, encode_frame

if TYPE_CHECKING:
    from meshsim.identity import Signer, Verifier
    from meshsim.mesh.ids import NodeId

CONTEXT = b"meshsim/link/1\0"
"""Begins every statement, so that no other signature of a node can stand for one."""
FINGERPRINT_BYTES = 32
"""Of a SHA-256 fingerprint."""


def statement(
    *,
    signer: NodeId,
    peer: NodeId,
    fingerprints: tuple[bytes, bytes],
    nonces: tuple[bytes, bytes],
    replaces: tuple[bool, bool],
) -> bytes:
    """What `signer` signs for `peer`; of each pair, the signer's own comes first.

    All parts have a fixed length: the context, two node ids, two fingerprints, two nonces (32 bytes each), two flags
    (one byte each).
    """
    return b"".join((CONTEXT, signer, peer, *fingerprints, *nonces, bytes(replaces)))


class Handshake:
    """One end of one link, from the first frame to the other end's proof.

    Args:
        signer: This node's key.
        verifier: Checks the other's signature.
        peer: The node that the other end must be.
        replaces: Whether there is an older link to it.
        nonce: 32 fresh bytes; drawn when None.

    Attributes:
        peer: The node that the other end must be.
        proven: Whether the other end is that node.

    Raises:
        LocalProtocolError: If `peer` is this node itself.
    """

    def __init__(
        self, signer: Signer, verifier: Verifier, peer: NodeId, *, replaces: bool = False, nonce: bytes | None = None
    ) -> None:
        if peer == signer.node_id:
            raise LocalProtocolError("a node makes no link to itself")
        self.peer = peer
        self.proven = False
        self._signer = signer
        self._verifier = verifier
        self._challenge = Challenge(secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce, replaces)
        self._fingerprints: tuple[bytes, bytes] | None = None
        self._theirs: Challenge | None = None

    @property
    def was_linked(self) -> bool:
        """Whether both ends say that this link replaces an older one."""
        return self._theirs is not None and self._theirs.replaces and self._challenge.replaces

    def begin(self, own: bytes, theirs: bytes) -> bytes:
        """The connection stands; the frame to send.

        Args:
            own: SHA-256 of the certificate that this end used.
            theirs: SHA-256 of the certificate that the other end used.

        Raises:
            LocalProtocolError: If one is no such hash, or both are the same, or it began already.
        """
        if self._fingerprints is not None:
            raise LocalProtocolError("a handshake begins once")
        if own == theirs or {len(own), len(theirs)} != {FINGERPRINT_BYTES}:
            raise LocalProtocolError("a connection has two certificates, each with a SHA-256 of its own")
        self._fingerprints = own, theirs
        return encode_frame(self._challenge)

    def receive(self, data: bytes) -> bytes | None:
        """Takes what came on the control channel; the frame to send in answer, if any.

        Raises:
            IdentityError: If the other end is not `peer`, or only repeats what it heard.
            RemoteProtocolError: If this is not its turn.
            LocalProtocolError: If it has not begun.
        """
        self._begun()
        frame = decode_frame(data)
        if isinstance(frame, Challenge) and self._theirs is None:
            return self._answer(frame)
        if isinstance(frame, Proof) and self._theirs is not None and not self.proven:
            self._check(frame, self._theirs)
            return None
        raise RemoteProtocolError(f"a {type(frame).__name__} out of its turn")

    def _answer(self, theirs: Challenge) -> bytes:
        if theirs.nonce == self._challenge.nonce:
            raise IdentityError("the other end repeats our own challenge")
        self._theirs = theirs
        own, used = self._begun()
        signed = statement(
            signer=self._signer.node_id,
            peer=self.peer,
            fingerprints=used,
            nonces=(own.nonce, theirs.nonce),
            replaces=(own.replaces, theirs.replaces),
        )
        return encode_frame(Proof(self._signer.sign(signed)))

    def _check(self, proof: Proof, theirs: Challenge) -> None:
        own, used = self._begun()
        signed = statement(
            signer=self.peer,
            peer=self._signer.node_id,
            fingerprints=(used[1], used[0]),
            nonces=(theirs.nonce, own.nonce),
            replaces=(theirs.replaces, own.replaces),
        )
        if not self._verifier.verify(self.peer, signed, proof.signature):
            raise IdentityError(f"the other end of the link does not prove to be {short(self.peer)}")
        self.proven = True

    def _begun(self) -> tuple[Challenge, tuple[bytes, bytes]]:
        if self._fingerprints is None:
            raise LocalProtocolError("a handshake that has not begun takes nothing")
        return self._challenge, self._fingerprints
