"""Identity: keys and signed records of nodes, the directory of names, federation between domains, the audit chain.

Nothing here talks to a network or a database: `control` serves these objects, the simulator's world holds them.
"""

from __future__ import annotations

from meshsim.identity.audit import AuditChain, AuditLink
from meshsim.identity.directory import Directory, Resolver, redact
from meshsim.identity.federation import (
    Decision,
    FederationServer,
    Inquiry,
    PrivacyLevel,
    TrustLevel,
    decide,
)
from meshsim.identity.keys import Ed25519Signer, Ed25519Verifier, HashSigner, HashVerifier, Signer, Verifier
from meshsim.identity.records import ROLES, NodeRecord, decode_record, encode_record, sign_record, verify_record

__all__ = [
    "ROLES",
    "AuditChain",
    "AuditLink",
    "Decision",
    "Directory",
    "Ed25519Signer",
    "Ed25519Verifier",
    "FederationServer",
    "HashSigner",
    "HashVerifier",
    "Inquiry",
    "NodeRecord",
    "PrivacyLevel",
    "Resolver",
    "Signer",
    "TrustLevel",
    "Verifier",
    "decide",
    "decode_record",
    "encode_record",
    "redact",
    "sign_record",
    "verify_record",
]
