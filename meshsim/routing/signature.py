"""Who vouches for a scorer: an operator's Ed25519 signature of its manifest, in `signature.json` beside it.

What a manifest says of files is `routing.artefact`'s; keys are those of nodes (`meshsim node keygen`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshsim.mesh.errors import ConfigError, IdentityError
from meshsim.mesh.ids import did_key, from_did_key

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.identity.keys import Signer
    from meshsim.mesh.ids import NodeId

SIGNATURE = "signature.json"

_CONTEXT = b"meshsim/ScorerManifest/1\0"
"""So that nothing else that a key ever signs can be taken for a scorer's signature."""


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `signature.json` holds.

    Attributes:
        signer: The operator's did:key.
        signature: Ed25519, in hexadecimal, of the context and the manifest's canonical bytes.
    """

    signer: str
    signature: str


def write_signature(folder: Path, manifest: bytes, signer: Signer) -> None:
    """Signs the canonical bytes of the manifest of the artefact in `folder`; an older signature is replaced."""
    made = Signature(signer=did_key(signer.node_id), signature=signer.sign(_CONTEXT + manifest).hex())
    (folder / SIGNATURE).write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")


def signer_of(folder: Path, manifest: bytes, expected: NodeId | None = None) -> NodeId | None:
    """Who signed the manifest of the artefact in `folder`; None if nobody did and nobody is expected to have.

    Args:
        folder: Holds `signature.json`, or not.
        manifest: Canonical bytes of the manifest as it is now.
        expected: Who must have signed.

    Raises:
        ConfigError: If the signature cannot be read, is not the signer's of this manifest, or is somebody else's than
            expected.
    """
    path = folder / SIGNATURE
    if not path.is_file():
        if expected is not None:
            raise ConfigError(f"unsigned, expected the signature of {did_key(expected)}", file=str(path))
        return None
    from meshsim.identity.keys import Ed25519Verifier  # noqa: PLC0415 - cryptography, which unsigned scorers go without

    signed, signer = _read(path)
    if not Ed25519Verifier().verify(signer, _CONTEXT + manifest, _bytes(signed.signature)):
        raise ConfigError(f"the signature is not that of {signed.signer} of this manifest", file=str(path))
    if expected not in (None, signer):
        raise ConfigError(f"signed by {signed.signer}, expected {did_key(expected)}", file=str(path))
    return signer


def _read(path: Path) -> tuple[Signature, NodeId]:
    try:
        signed = msgspec.json.decode(path.read_bytes(), type=Signature)
        return signed, from_did_key(signed.signer)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, IdentityError) as error:
        raise ConfigError(f"not a signature: {error}", file=str(path)) from error


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""  # no signature of anything
