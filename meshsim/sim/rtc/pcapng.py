"""A pcapng file: section, interfaces, packets with nanoseconds (draft-ietf-opsawg-pcapng), and Ethernet frames for it.

Only what a capture of UDP between two hosts needs.
"""

from __future__ import annotations

import struct
from typing import IO, NamedTuple

ETHERNET = 1
"""Link type."""

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_ORDER = 0x1A2B3C4D
_COMMENT, _APPLICATION, _NAME, _RESOLUTION = 1, 4, 2, 9
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_NANOSECONDS = bytes([9])
_IPV4, _UDP = 0x0800, 17
_TTL = 64
_ONES = 0xFFFF


class Host(NamedTuple):
    """An end of packets.

    Attributes:
        mac: Six bytes.
        address: IPv4, four bytes.
    """

    mac: bytes
    address: bytes


class Writer:
    """Writes packets to a file.

    Args:
        file: Open for bytes.
        interfaces: Names of those that packets are seen on.
        comment: What the file holds, for people.
    """

    def __init__(self, file: IO[bytes], interfaces: tuple[str, ...], comment: str) -> None:
        self._file = file
        options = _option(_COMMENT, comment.encode()) + _option(_APPLICATION, b"meshsim") + _option(0, b"")
        self._block(_SECTION, struct.pack("<IHHQ", _ORDER, 1, 0, _UNKNOWN_LENGTH) + options)
        for name in interfaces:
            options = _option(_NAME, name.encode()) + _option(_RESOLUTION, _NANOSECONDS) + _option(0, b"")
            self._block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, 0) + options)

    def packet(self, interface: int, nanoseconds: int, frame: bytes) -> None:
        """Writes one packet.

        Args:
            interface: Its number.
            nanoseconds: Since 1970.
            frame: From the Ethernet header on.
        """
        high, low = divmod(nanoseconds, 1 << 32)
        self._block(_PACKET, struct.pack("<IIIII", interface, high, low, len(frame), len(frame)) + _padded(frame))

    def _block(self, kind: int, body: bytes) -> None:
        length = len(body) + 12
        self._file.write(struct.pack("<II", kind, length) + body + struct.pack("<I", length))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def datagram(source: Host, target: Host, ports: tuple[int, int], payload: bytes, number: int) -> bytes:
    """An Ethernet frame with an IPv4 UDP datagram, checksums and all.

    Args:
        source: Who sends.
        target: To whom.
        ports: Of source and target.
        payload: Of UDP.
        number: IP identification.
    """
    length = len(payload) + 8
    pseudo = source.address + target.address + struct.pack("!HH", _UDP, length)
    udp = struct.pack("!HHHH", *ports, length, 0) + payload
    total = checksum(pseudo + udp) or _ONES  # zero would mean that there is none (RFC 768)
    head = struct.pack("!BBHHHBBH", 0x45, 0, length + 20, number % (1 << 16), 0x4000, _TTL, _UDP, 0)
    addresses = source.address + target.address
    head = head[:10] + struct.pack("!H", checksum(head + addresses)) + addresses
    ethernet = target.mac + source.mac + struct.pack("!H", _IPV4)
    return ethernet + head + udp[:6] + struct.pack("!H", total) + payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): a sum of ones' complements is a rest modulo 65535.

    >>> hex(checksum(bytes.fromhex("45000073000040004011") + bytes.fromhex("0000c0a80001c0a800c7")))
    '0xb861'
    """
    rest = int.from_bytes(data + bytes(len(data) % 2), "big") % _ONES
    return (_ONES - rest) % _ONES
