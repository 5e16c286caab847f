"""A log that shows tampering: each entry's hash covers the hash before it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from meshsim.mesh.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HASH_BYTES = 32

_ORIGIN = bytes(HASH_BYTES)
_ENCODER = msgspec.msgpack.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class AuditLink:
    """One entry of a chain.

    Attributes:
        payload: The entry as canonical MessagePack (keys sorted).
        hash: BLAKE2b-256 of the previous link's hash and `payload`.
    """

    payload: bytes
    hash: bytes

    def entry(self) -> object:
        """The entry, in plain values: a dict where a struct or dataclass was appended."""
        return msgspec.msgpack.decode(self.payload)


def _hash(previous: bytes, payload: bytes) -> bytes:
    return hashlib.blake2b(previous + payload, digest_size=HASH_BYTES).digest()


class AuditChain:
    """Entries in order, chained by hashes. Who knows the newest hash can check all that came before.

    Args:
        links: A chain as it was stored; `verify` tells whether it is still whole.

    >>> chain = AuditChain()
    >>> head = chain.append({"asking": "b.org", "allowed": True})
    >>> chain.verify(head)
    >>> len(chain), chain.head == head
    (1, True)
    """

    __slots__ = ("_links",)

    def __init__(self, links: Iterable[AuditLink] = ()) -> None:
        self._links = list(links)

    def append(self, entry: object) -> bytes:
        """Adds an entry of plain values, a dataclass or a msgspec struct.

        Returns:
            The new newest hash, 32 bytes.

        Raises:
            IdentityError: If the entry has no canonical form.
        """
        try:
            payload = _ENCODER.encode(entry)
        except (TypeError, ValueError, OverflowError) as error:
            raise IdentityError(f"an audit entry must be plain data: {error}") from error
        self._links.append(AuditLink(payload, _hash(self.head, payload)))
        return self.head

    @property
    def head(self) -> bytes:
        """The newest hash; zeros for an empty chain."""
        return self._links[-1].hash if self._links else _ORIGIN

    def verify(self, head: bytes | None = None) -> None:
        """Passes silently if no entry was changed, moved, added or taken out.

        Args:
            head: The newest hash as somebody else kept it; without it a shortened or wholly rewritten chain passes.

        Raises:
            IdentityError: Names the first entry that does not fit.
        """
        previous = _ORIGIN
        for index, link in enumerate(self._links):
            if link.hash != _hash(previous, link.payload):
                raise IdentityError(f"audit entry {index} does not fit the chain")
            previous = link.hash
        if head is not None and head != previous:
            raise IdentityError(f"the audit chain of {len(self)} entries does not end in the hash that was kept")

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[AuditLink]:
        return iter(self._links)
