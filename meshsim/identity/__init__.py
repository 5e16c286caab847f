"""Identity: a node's keys and signed record."""

from __future__ import annotations

from meshsim.identity.keys import Ed25519Signer, Ed25519Verifier, HashSigner, HashVerifier, Signer, Verifier
from meshsim.identity.records import ROLES, NodeRecord, decode_record, encode_record, sign_record, verify_record

__all__ = [
    "ROLES",
    "Ed25519Signer",
    "Ed25519Verifier",
    "HashSigner",
    "HashVerifier",
    "NodeRecord",
    "Signer",
    "Verifier",
    "decode_record",
    "encode_record",
    "sign_record",
    "verify_record",
]
