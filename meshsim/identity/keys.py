"""Who signed what: Ed25519 for nodes, a keyed hash for large simulations, behind the same two protocols."""

from __future__ import annotations

import functools
import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import NodeId, node_id

SEED_BYTES = 32
SIGNATURE_BYTES = 64
HASH_SIGNATURE_BYTES = 16


class Signer(Protocol):
    """Signs as one node."""

    @property
    def node_id(self) -> NodeId:
        """The node that signs."""

    def sign(self, data: bytes) -> bytes:
        """The node's signature of `data`."""


class Verifier(Protocol):
    """Checks any node's signatures."""

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is `node`'s, of `data`. Malformed input is a False, never an error."""


class Ed25519Signer:
    """A node's private key (RFC 8032).

    Copies and pickles hold the secret seed: treat a checkpoint of a node with real keys as a key file.

    Args:
        key: The private key.

    >>> signer = Ed25519Signer.from_seed(bytes(32))
    >>> Ed25519Verifier().verify(signer.node_id, b"hello", signer.sign(b"hello"))
    True
    """

    __slots__ = ("_key", "_node")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._node = node_id(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Ed25519Signer:
        """A new key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> Ed25519Signer:
        """The key that belongs to 32 secret bytes: the same seed, the same node.

        Raises:
            IdentityError: Unless `seed` has 32 bytes.
        """
        if len(seed) != SEED_BYTES:
            raise IdentityError(f"a key's seed has {SEED_BYTES} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Ed25519Signer:
        """The key in a PEM file as `to_file` writes it.

        Raises:
            IdentityError: If the file cannot be read or holds no unencrypted Ed25519 key.
        """
        try:
            key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
        except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise IdentityError(f"no usable private key in {os.fspath(path)!r}: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise IdentityError(f"the key in {os.fspath(path)!r} is not an Ed25519 key")
        return cls(key)

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Writes the key as PEM (PKCS 8) to a new file that only its owner can read.

        Raises:
            IdentityError: If the file exists (a lost key is a lost identity) or cannot be written.
        """
        pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise IdentityError(f"cannot write a new key to {os.fspath(path)!r}: {error.strerror}") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)

    @property
    def node_id(self) -> NodeId:
        """The public key."""
        return self._node

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature of `data`."""
        return self._key.sign(data)

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Ed25519Signer.from_seed, (self._key.private_bytes_raw(),)

    def __repr__(self) -> str:
        return f"Ed25519Signer({self._node.hex()[:8]})"


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """Checks Ed25519 signatures: a node's id is its public key, so nothing has to be looked up.

    By libsodium where PyNaCl is installed, in half the time, else by OpenSSL. Both take every signature that RFC 8032
    makes; libsodium also refuses keys of small order, which nobody generates and anybody could sign with.
    """

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is `node`'s, of `data`."""
        return _checker()(node, data, signature)


Check = Callable[[bytes, bytes, bytes], bool]
"""Whether a signature is a key's: key, data, signature."""


@functools.cache
def _checker() -> Check:
    try:
        from nacl.bindings import crypto_sign_open  # noqa: PLC0415 - not needed, and only where signatures are checked
        from nacl.exceptions import CryptoError  # noqa: PLC0415 - as above
    except ImportError:
        return check_by_openssl

    def check_by_sodium(key: bytes, data: bytes, signature: bytes) -> bool:
        # the two go in as one, so their border must be where it should
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            crypto_sign_open(signature + data, key)
        except (CryptoError, ValueError):
            return False
        return True

    return check_by_sodium


def check_by_openssl(key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `key`, of `data`, in the eyes of OpenSSL."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _keyed_hash(secret: bytes, node: NodeId, data: bytes) -> bytes:
    return hashlib.blake2b(node + data, digest_size=HASH_SIGNATURE_BYTES, key=secret).digest()


@dataclass(frozen=True, slots=True)
class HashSigner:
    """Signs by a hash keyed with a secret that all nodes of one simulation share: cheap, and no protection outside it.

    Attributes:
        node_id: The node that signs; any 32 bytes.
        secret: Up to 64 bytes.
    """

    node_id: NodeId
    secret: bytes

    def sign(self, data: bytes) -> bytes:
        """The 16-byte signature of `data`."""
        return _keyed_hash(self.secret, self.node_id, data)


@dataclass(frozen=True, slots=True)
class HashVerifier:
    """Checks what `HashSigner` signed.

    Attributes:
        secret: The simulation's secret.
    """

    secret: bytes

    def verify(self, node: NodeId, data: bytes, signature: bytes) -> bool:
        """Whether `signature` is `node`'s, of `data`."""
        return hmac.compare_digest(_keyed_hash(self.secret, node, data), signature)
