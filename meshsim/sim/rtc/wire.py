"""Bytes of RTP headers and of what repairs media: what a capture shows."""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

from meshsim.rtc.compound import VERSION
from meshsim.sim.rtc.packet import DATA_BYTES, EXTENSION_BYTES, FEC_BYTES, PAYLOAD_TYPE, RTP_BYTES, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.rtc.packet import Packet

OPUS_TOC = bytes([9 << 3])
"""First byte of speech: SILK, wide band, one frame of 20 ms, mono (RFC 6716, section 3.1)."""

_HALF, _MANY = 1 << 16, 1 << 32
_ONE_BYTE_PROFILE = 0xBEDE
_TRANSPORT_ID = 3


def rtp(packet: Packet) -> bytes:
    """An RTP packet's bytes, without what SRTP adds: true headers, media of zeros."""
    return _header(packet) + _payload(packet)


def _header(packet: Packet) -> bytes:
    extended = packet.transport >= 0
    sources = [packet.body[0].ssrc] if packet.kind == Kind.FEC else []
    first = VERSION | (0x10 if extended else 0) | len(sources)
    second = (0x80 if packet.marker else 0) | PAYLOAD_TYPE[packet.kind]
    numbers = packet.seq % _HALF, packet.timestamp % _MANY, packet.ssrc
    head = struct.pack("!BBHII", first, second, *numbers) + b"".join(struct.pack("!I", ssrc) for ssrc in sources)
    return head + (_extension(packet.transport) if extended else b"")


def _extension(transport: int) -> bytes:
    """One-byte header extension (RFC 8285) of two bytes: the transport-wide number."""
    return struct.pack("!HHBHx", _ONE_BYTE_PROFILE, 1, _TRANSPORT_ID << 4 | 1, transport % _HALF)


def _payload(packet: Packet) -> bytes:
    if packet.kind == Kind.RTX:
        return struct.pack("!H", packet.body.seq % _HALF) + _payload(packet.body)
    if packet.kind == Kind.FEC:
        return _repair(packet.body)
    if packet.kind == Kind.DATA:
        return struct.pack("!I", packet.body % _MANY) + bytes(packet.payload - DATA_BYTES)
    if packet.kind == Kind.AUDIO:
        return OPUS_TOC + bytes(packet.payload - 1)
    return bytes(packet.payload)


def _repair(group: Sequence[Packet]) -> bytes:
    """FEC header and payload of a row of FlexFEC (RFC 8627, section 4.2.2.3): the exclusive or of what it protects.

    R = 0, F = 1: `L` packets from the base number on in one row, no column.
    """
    whole = [rtp(packet) for packet in group]
    rest = [data[RTP_BYTES:] for data in whole]
    flags = reduce(xor, (data[0] & 0x3F for data in whole)) | 0x40
    marks = reduce(xor, (data[1] for data in whole))
    length = reduce(xor, map(len, rest))
    timestamp = reduce(xor, (packet.timestamp % _MANY for packet in group))
    head = struct.pack("!BBHIHBB", flags, marks, length, timestamp, group[0].seq % _HALF, len(group), 0)
    longest = max(map(len, rest))
    total = reduce(xor, (int.from_bytes(data.ljust(longest, b"\0"), "big") for data in rest))
    return head + total.to_bytes(longest, "big")


def repair_size(group: Sequence[Packet], *, extended: bool) -> int:
    """Bytes that a repair packet has beyond an RTP header: CSRC, FEC header, the longest of what it protects.

    Args:
        group: What it protects.
        extended: Whether packets carry a header extension.
    """
    return FEC_BYTES + (EXTENSION_BYTES if extended else 0) + max(packet.payload for packet in group)
