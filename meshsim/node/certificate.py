"""Which certificates a DTLS connection really used: asked of OpenSSL, not of any session description."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256

from meshsim.mesh.errors import LocalProtocolError

if TYPE_CHECKING:
    from aiortc import RTCDtlsTransport


def used_fingerprints(dtls: RTCDtlsTransport) -> tuple[bytes, bytes]:
    """SHA-256 of this end's certificate and of the other's, 32 bytes each.

    Raises:
        LocalProtocolError: If the connection does not stand.
    """
    ssl = dtls._ssl  # noqa: SLF001 - aiortc tells nobody what the handshake used
    own = None if ssl is None else ssl.get_certificate(as_cryptography=True)
    theirs = None if ssl is None else ssl.get_peer_certificate(as_cryptography=True)
    if own is None or theirs is None:
        raise LocalProtocolError("a connection without two certificates")
    return own.fingerprint(SHA256()), theirs.fingerprint(SHA256())
