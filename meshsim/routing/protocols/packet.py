"""How all protocols write messages: the packet format of RFC 3626, section 3.3, so that bytes differ by what is said.

A packet is a header of four bytes and messages of twelve and their bodies. Validity times are written as RFC 3626,
section 18.3, has them: a mantissa and an exponent in one byte.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from meshsim.mesh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1
PACKET_BYTES = 1400
"""Messages are put together into packets of at most so many bytes; a longer message goes alone and is fragmented."""

LONGEST_PACKET = 65_507
"""Bytes: no UDP datagram holds more."""

IP_BYTES, UDP_BYTES, FRAGMENT = 20, 8, 1480
"""Headers of IPv4 and UDP, and what one fragment holds on Ethernet."""

SEQUENCES = 1 << 16
ADDRESSES = 1 << 32

_PACKET = struct.Struct(">HBB")
_MESSAGE = struct.Struct(">BBHIBBH")
_SCALE = 1 / 16
"""Seconds: the constant C of RFC 3626, section 18.3."""
_LONGEST = _SCALE * (1 + 15 / 16) * 2**15


class Message(NamedTuple):
    """One message of a packet.

    Attributes:
        kind: One of the protocol's.
        origin: Who wrote it: an address, 0 to 2**32 - 1.
        sequence: Of its origin, 0 to 65,535; wraps.
        validity: Seconds for which what it says holds, as rounded by the format.
        ttl: Hops it may still go.
        hops: Hops it has gone.
        body: The rest.
    """

    kind: int
    origin: int
    sequence: int
    validity: float
    ttl: int
    hops: int
    body: bytes

    def forwarded(self) -> Message:
        """The message as it is passed on: one hop further."""
        return self._replace(ttl=self.ttl - 1, hops=min(self.hops + 1, 255))


def write_time(seconds: float) -> int:
    """`seconds` as one byte, rounded up; what is too long becomes the longest, 3,968 s.

    >>> write_time(6.0), read_time(write_time(6.0))
    (134, 6.0)
    """
    wanted = min(max(seconds, _SCALE), _LONGEST)
    exponent = int(math.log2(wanted / _SCALE))
    mantissa = math.ceil(16 * (wanted / math.ldexp(_SCALE, exponent) - 1))
    if mantissa == 16:  # noqa: PLR2004 - four bits
        exponent, mantissa = exponent + 1, 0
    return (mantissa << 4) | exponent


def read_time(byte: int) -> float:
    """Seconds that one byte stands for."""
    return math.ldexp(_SCALE * (1 + (byte >> 4) / 16), byte & 0xF)


def is_newer(a: int, b: int) -> bool:
    """Whether sequence number `a` comes after `b`, over the wrap-around (RFC 3626, section 19).

    >>> is_newer(3, 65_530), is_newer(65_530, 3)
    (True, False)
    """
    return a != b and (a - b) % SEQUENCES < SEQUENCES // 2


def encode(messages: Iterable[Message]) -> bytes:
    """One packet of `messages`.

    >>> decode(encode([Message(1, 7, 3, 6.0, 1, 0, b"body")]))
    (Message(kind=1, origin=7, sequence=3, validity=6.0, ttl=1, hops=0, body=b'body'),)
    """
    parts = [b""]
    for kind, origin, sequence, validity, ttl, hops, body in messages:
        size = _MESSAGE.size + len(body)
        parts.append(_MESSAGE.pack(kind, write_time(validity), size, origin, ttl, hops, sequence))
        parts.append(body)
    length = _PACKET.size + sum(map(len, parts))
    parts[0] = _PACKET.pack(length, VERSION, len(parts) // 2)
    return b"".join(parts)


def size(message: Message) -> int:
    """Bytes of a message in a packet."""
    return _MESSAGE.size + len(message.body)


def bundle(messages: Iterable[Message]) -> list[bytes]:
    """Packets of `messages`, in order: as few as fit `PACKET_BYTES`."""
    packets: list[list[Message]] = []
    room = 0
    for message in messages:
        needed = size(message)
        if needed > room or len(packets[-1]) == 255:  # noqa: PLR2004 - the count is one byte
            packets.append([])
            room = PACKET_BYTES - _PACKET.size
        packets[-1].append(message)
        room -= needed
    return [encode(packet) for packet in packets]


@lru_cache(maxsize=4096)  # a broadcast is read by every neighbour
def decode(payload: bytes) -> tuple[Message, ...]:
    """The messages of a packet.

    Raises:
        RemoteProtocolError: If the bytes are no packet.
    """
    if not _PACKET.size <= len(payload) <= LONGEST_PACKET:
        raise RemoteProtocolError(f"a packet of {len(payload)} bytes")
    length, version, count = _PACKET.unpack_from(payload)
    if (length, version) != (len(payload), VERSION):
        raise RemoteProtocolError(f"a packet of version {version}, {length} bytes long in {len(payload)}")
    at, messages = _PACKET.size, []
    for _ in range(count):
        message, at = _message(payload, at)
        messages.append(message)
    if at != len(payload):
        raise RemoteProtocolError(f"{len(payload) - at} bytes after the last message")
    return tuple(messages)


def _message(payload: bytes, at: int) -> tuple[Message, int]:
    """The message at byte `at`, and where the next begins."""
    if at + _MESSAGE.size > len(payload):
        raise RemoteProtocolError("a message without a header")
    kind, time, length, origin, ttl, hops, sequence = _MESSAGE.unpack_from(payload, at)
    if not _MESSAGE.size <= length <= len(payload) - at:
        raise RemoteProtocolError(f"a message of {length} bytes with {len(payload) - at} left")
    body = payload[at + _MESSAGE.size : at + length]
    return Message(kind, origin, sequence, read_time(time), ttl, hops, body), at + length


def wire_bytes(payload: int) -> int:
    """Bytes on the wire of a datagram with `payload` bytes: with the headers of UDP and of each IPv4 fragment.

    >>> wire_bytes(100), wire_bytes(2000)
    (128, 2048)
    """
    datagram = UDP_BYTES + payload
    return datagram + IP_BYTES * math.ceil(datagram / FRAGMENT)


@lru_cache(maxsize=4096)
def tally(payload: bytes) -> tuple[tuple[int, int], ...]:
    """What a packet costs on the wire by kind of message: (kind, bytes), headers shared out by size; sums to all bytes.

    Args:
        payload: A sound packet.
    """
    messages = decode(payload)
    left, rest = wire_bytes(len(payload)), sum(map(size, messages))
    shares = []
    for message in messages:
        own = left * size(message) // rest if rest else 0
        shares.append((message.kind, own))
        left, rest = left - own, rest - size(message)
    return tuple(shares)
