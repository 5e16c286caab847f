from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from meshsim.identity import Ed25519Signer, NodeRecord, sign_record

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def signers() -> list[Ed25519Signer]:
    """Three nodes' keys."""
    return [Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4)]


@pytest.fixture
def signed() -> Callable[..., NodeRecord]:
    """Makes signed records that end in an hour."""

    def make(signer: Ed25519Signer, aura: str = "@alice.aura", *, lifetime: float = 3600.0) -> NodeRecord:
        record = NodeRecord(node=signer.node_id, aura=aura, role="relay", expires_unix=time.time() + lifetime)
        return sign_record(record, signer)

    return make
