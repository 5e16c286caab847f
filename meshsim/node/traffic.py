"""Counts of datagrams per peer, kept in a memory-mapped file so that even a killed process leaves its counts behind.

The emulator counts the same datagrams on its side; `compare_counts` holds the two against each other.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.mesh.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_NAME_BYTES = 96
_FIELDS = 4
_SLOT_BYTES = _NAME_BYTES + 8 * _FIELDS
_SLOTS = 256

DirectedLink = tuple[str, str]
"""(source name, destination name)."""


class Traffic:
    """Datagrams exchanged with one peer: ICE, DTLS, SCTP and SRTP alike.

    Args:
        numbers: Four counters to count in: packets and bytes sent, packets and bytes received; fresh ones by default.
    """

    __slots__ = ("_numbers",)

    def __init__(self, numbers: memoryview[int] | None = None) -> None:
        self._numbers = memoryview(bytearray(8 * _FIELDS)).cast("q") if numbers is None else numbers

    def count_sent(self, size: int) -> None:
        """One datagram of `size` bytes left."""
        self._numbers[0] += 1
        self._numbers[1] += size

    def count_received(self, size: int) -> None:
        """One datagram of `size` bytes came in."""
        self._numbers[2] += 1
        self._numbers[3] += size

    @property
    def sent(self) -> int:
        """Datagrams sent."""
        return self._numbers[0]

    @property
    def sent_bytes(self) -> int:
        """Bytes of UDP payload sent."""
        return self._numbers[1]

    @property
    def received(self) -> int:
        """Datagrams received."""
        return self._numbers[2]

    @property
    def received_bytes(self) -> int:
        """Bytes of UDP payload received."""
        return self._numbers[3]


class TrafficBook:
    """The `Traffic` of a node with each of its peers (at most 256), by name.

    Args:
        path: A file to keep the counters in (made anew), or None for memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._peers: dict[str, Traffic] = {}
        self._map: mmap.mmap | bytearray = bytearray(_SLOT_BYTES * _SLOTS)
        if path is not None:
            path.write_bytes(self._map)
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), 0)

    def of(self, peer: str) -> Traffic:
        """The counters for `peer`; connections one after the other share them.

        Raises:
            LocalProtocolError: If the name is longer than 96 bytes, or the book is full.
        """
        if peer not in self._peers:
            self._peers[peer] = self._open(peer)
        return self._peers[peer]

    def _open(self, peer: str) -> Traffic:
        name, start = peer.encode(), len(self._peers) * _SLOT_BYTES
        if len(name) > _NAME_BYTES or len(self._peers) == _SLOTS:
            raise LocalProtocolError(f"no room to count traffic with {peer!r}")
        self._map[start : start + len(name)] = name
        return Traffic(memoryview(self._map)[start + _NAME_BYTES : start + _SLOT_BYTES].cast("q"))

    def __iter__(self) -> Iterator[tuple[str, Traffic]]:
        return iter(self._peers.items())

    @staticmethod
    def read(path: Path) -> dict[str, Traffic]:
        """The counts that a node kept, or left behind, in the file at `path`."""
        data = bytearray(path.read_bytes())
        slots = [data[start : start + _SLOT_BYTES] for start in range(0, len(data), _SLOT_BYTES)]
        names = [bytes(slot[:_NAME_BYTES]).rstrip(b"\0").decode() for slot in slots]
        return {
            name: Traffic(memoryview(slot)[_NAME_BYTES:].cast("q"))
            for name, slot in zip(names, slots, strict=True)
            if name
        }


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A directed link on which the emulator did not see what the node sent: the run is INVALID.

    Attributes:
        link: (source, destination).
        sent: Datagrams the source counted as sent.
        received: Datagrams the emulator received.
    """

    link: DirectedLink
    sent: int
    received: int


def compare_counts(
    sent: Mapping[DirectedLink, int], received: Mapping[DirectedLink, int], *, killed: frozenset[str] = frozenset()
) -> list[Mismatch]:
    """The directed links whose counts differ; an empty list means that nothing bypassed the emulator.

    Args:
        sent: Datagrams per directed link, as the nodes counted.
        received: The same, as the emulator counted.
        killed: Names of nodes that were killed: between a datagram and its count one may be missing.

    >>> compare_counts({("a", "b"): 3}, {("a", "b"): 2})
    [Mismatch(link=('a', 'b'), sent=3, received=2)]
    """
    mismatches = []
    for link in sorted({*sent, *received}):
        ours, theirs = sent.get(link, 0), received.get(link, 0)
        allowed = 1 if link[0] in killed else 0
        if not 0 <= theirs - ours <= allowed:
            mismatches.append(Mismatch(link, ours, theirs))
    return mismatches
