"""Who is who: node ids (Ed25519 public keys) and AuraIDs (`@alice.aura`). Keys and signatures live in `identity`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from meshsim.mesh.errors import IdentityError

NodeId = NewType("NodeId", bytes)
"""32 bytes: the node's raw Ed25519 public key."""

CallId = NewType("CallId", bytes)
"""16 bytes, unique per call."""

NODE_ID_BYTES = 32
CALL_ID_BYTES = 16

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_ED25519_MULTICODEC = b"\xed\x01"
_DID_DIGITS = 48
"""No 34 bytes have more digits in base 58; the time to read them grows with the square of their number."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True, slots=True, order=True)
class AuraID:
    """A person's universal name, `@name.aura`, optionally qualified by the domain that holds it.

    Attributes:
        name: 1 to 32 characters of a-z, 0-9, `-`, `_`; case-folded; starts and ends with a letter or digit.
        domain: The federated domain, or "" for the home domain.
    """

    name: str
    domain: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise IdentityError(f"not an AuraID name: {self.name!r} (1-32 of a-z 0-9 _ -, as in @alice.aura)")
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise IdentityError(f"not a domain: {self.domain!r}")

    @classmethod
    def parse(cls, text: str) -> AuraID:
        """The AuraID written as `@name.aura` or `@name.aura:domain`.

        Raises:
            IdentityError: If `text` is neither.

        >>> AuraID.parse("@Alice.aura:example.org")
        AuraID(name='alice', domain='example.org')
        """
        folded = text.strip().casefold()
        head, colon, domain = folded.partition(":")
        if not head.startswith("@") or not head.endswith(".aura") or (colon and not domain):
            raise IdentityError(f"not an AuraID: {text!r} (expected @name.aura or @name.aura:domain)")
        return cls(head[1:-5], domain)

    def __str__(self) -> str:
        return f"@{self.name}.aura" + (f":{self.domain}" if self.domain else "")


def node_id(raw: bytes) -> NodeId:
    """`raw` as a NodeId.

    Raises:
        IdentityError: Unless `raw` has 32 bytes.
    """
    if len(raw) != NODE_ID_BYTES:
        raise IdentityError(f"a node id has {NODE_ID_BYTES} bytes, not {len(raw)}")
    return NodeId(raw)


def did_key(node: NodeId) -> str:
    """The text form of a node id: W3C `did:key` with multibase base58btc (z) and the Ed25519 multicodec.

    >>> did_key(NodeId(bytes(32)))
    'did:key:z6MkeTG3bFFSLYVU7VqhgZxqr6YzpaGrQtFMh1uvqGy1vDnP'
    """
    number = int.from_bytes(_ED25519_MULTICODEC + node, "big")
    digits = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_BASE58[digit])
    return "did:key:z" + "".join(reversed(digits))


def from_did_key(text: str) -> NodeId:
    """The node id behind a `did:key`.

    Raises:
        IdentityError: If `text` is not the did:key of an Ed25519 key.
    """
    prefix = "did:key:z"
    digits = text[len(prefix) :]
    # One id has one text: a leading 1 would be a zero byte before the multicodec.
    if (
        not text.startswith(prefix)
        or not 0 < len(digits) <= _DID_DIGITS
        or digits.startswith(_BASE58[0])
        or any(c not in _BASE58 for c in digits)
    ):
        raise IdentityError(f"not an Ed25519 did:key: {text!r}")
    number = 0
    for character in digits:
        number = number * 58 + _BASE58.index(character)
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    if raw[:2] != _ED25519_MULTICODEC:
        raise IdentityError(f"not an Ed25519 did:key: {text!r}")
    return node_id(raw[2:])


def short(node: NodeId) -> str:
    """Eight hexadecimal digits that tell a person which node is meant; not unique."""
    return node[:4].hex()
