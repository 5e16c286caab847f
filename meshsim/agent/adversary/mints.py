"""Where liars take made-up identities from: keys that are functions of a secret and a number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from meshsim.identity.keys import Ed25519Signer, HashSigner
from meshsim.mesh.ids import NODE_ID_BYTES, NodeId


def _seed(secret: bytes, number: int) -> bytes:
    return hashlib.blake2b(
        secret + number.to_bytes(8, "big"), digest_size=NODE_ID_BYTES, person=b"meshsim/mint"
    ).digest()


@dataclass(frozen=True, slots=True)
class HashMint:
    """Made-up members of a simulation whose nodes sign with a keyed hash.

    Attributes:
        own: What the maker's identities are derived from.
        secret: Of the simulation.
    """

    own: bytes
    secret: bytes

    def signer(self, number: int) -> HashSigner:
        """The key of made-up identity `number`."""
        return HashSigner(NodeId(_seed(self.own, number)), self.secret)


@dataclass(frozen=True, slots=True)
class Ed25519Mint:
    """Made-up members of a mesh of real keys: anybody can make these.

    Attributes:
        own: What the maker's identities are derived from.
    """

    own: bytes

    def signer(self, number: int) -> Ed25519Signer:
        """The key of made-up identity `number`."""
        return Ed25519Signer.from_seed(_seed(self.own, number))
