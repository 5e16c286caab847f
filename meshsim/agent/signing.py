"""What of a message is signed, and whether it is: one canonical form, that of the wire, whoever brings the message."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshsim.agent.messages import CallSetup, LinkState, Receipt, canonical
from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling

if TYPE_CHECKING:
    from meshsim.agent.messages import Signable
    from meshsim.identity.keys import Signer, Verifier
    from meshsim.mesh.ids import NodeId

SIGNED_VERSION = 4
"""Of what is signed: it stays while layouts do. What later versions append is left out where it says nothing new."""

Signed = TypeVar("Signed", LinkState, Receipt, CallSetup, AbuseReport, AbuseRuling, AbuseAppeal)


def signed_bytes(message: Signable) -> bytes:
    """What a signature of `message` covers: its kind, version and every other field."""
    context = f"meshsim/{type(message).__name__}/{SIGNED_VERSION}\0".encode()
    return context + canonical(msgspec.structs.replace(message, signature=b""))


def acceptance_bytes(setup: CallSetup) -> bytes:
    """What the callee signs to accept `setup`."""
    return b"meshsim/CallAccept/1\0" + signed_bytes(setup) + setup.signature


def sign(message: Signed, signer: Signer) -> Signed:
    """`message` with the signature of `signer`."""
    return msgspec.structs.replace(message, signature=signer.sign(signed_bytes(message)))


def is_signed(message: Signable, by: NodeId, verifier: Verifier) -> bool:
    """Whether `message` carries the signature of node `by`."""
    if isinstance(verifier, Remembering):
        return verifier.holds(message, by)
    return verifier.verify(by, signed_bytes(message), message.signature)


class Remembering:
    """A verifier for many agents in one process, which hand each other the very same objects: each is checked once.

    Messages never change, so one that was found signed stays so. What was found forged is checked again.

    Args:
        verifier: Checks signatures.
        most: Messages remembered; the one found signed longest ago is forgotten for a new one.
    """

    def __init__(self, verifier: Verifier, most: int = 16_384) -> None:
        self._verifier = verifier
        self._most = most
        self._held: dict[int, tuple[Signable, NodeId]] = {}

    def __reduce__(self) -> tuple[type[Remembering], tuple[Verifier, int]]:
        # identities mean nothing in a copy
        return Remembering, (self._verifier, self._most)

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is `node`'s, of `data`."""
        return self._verifier.verify(node, data, signature)

    def holds(self, message: Signable, by: NodeId) -> bool:
        """Whether `message` carries the signature of node `by`."""
        held = self._held.get(id(message))
        if held is not None and held[1] == by:
            return True
        if not self._verifier.verify(by, signed_bytes(message), message.signature):
            return False
        self._held[id(message)] = message, by
        if len(self._held) > self._most:
            del self._held[next(iter(self._held))]
        return True
