"""Bytes of RTP headers, of what repairs media, and of RTCP: what a capture shows and what compounds weigh."""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, NamedTuple

from meshsim.sim.rtc.packet import DATA_BYTES, EXTENSION_BYTES, FEC_BYTES, PAYLOAD_TYPE, RTP_BYTES, Kind
from meshsim.sim.rtc.rtcp import Message, Nack, Pli, ReceiverReport, SenderReport, TransportFeedback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshsim.sim.rtc.packet import Packet
    from meshsim.sim.rtc.rtcp import Block

VERSION = 2 << 6
SR, RR, SDES, RTPFB, PSFB = 200, 201, 202, 205, 206
GENERIC_NACK, TRANSPORT_WIDE, PICTURE_LOSS = 1, 15, 1
CNAME = 1
TICK = 250e-6
"""Seconds of a tick of transport-wide feedback; its reference times count 256 of them."""

OPUS_TOC = bytes([9 << 3])
"""First byte of speech: SILK, wide band, one frame of 20 ms, mono (RFC 6716, section 3.1)."""

_REFERENCE = 256
_LARGEST_SMALL = 255
_SYMBOLS = 7
_NOT, _SMALL, _LARGE = 0, 1, 2
_HALF, _MANY = 1 << 16, 1 << 32
_ONE_BYTE_PROFILE = 0xBEDE
_TRANSPORT_ID = 3
_NACK_SPAN = 16


class Compound(NamedTuple):
    """An RTCP compound: its messages and its bytes.

    Attributes:
        messages: A report first.
        data: As on the wire before SRTCP.
    """

    messages: tuple[Message, ...]
    data: bytes


def compound(messages: Sequence[Message], name: bytes) -> Compound:
    """A compound: reports, the canonical name of who reports, then feedback (RFC 3550, section 6.1).

    Args:
        messages: A report first.
        name: Canonical name.
    """
    reports = [message for message in messages if isinstance(message, SenderReport | ReceiverReport)]
    others = [message for message in messages if not isinstance(message, SenderReport | ReceiverReport)]
    names = b"".join(_description(report.ssrc, name) for report in reports)
    parts = [*map(_encoded, reports), _packet(SDES, len(reports), names), *map(_encoded, others)]
    return Compound(tuple(messages), b"".join(parts))


def _encoded(message: Message) -> bytes:
    match message:
        case SenderReport(ssrc, ntp, timestamp, packets, octets, blocks):
            head = struct.pack("!IQIII", ssrc, ntp, timestamp % _MANY, packets % _MANY, octets % _MANY)
            return _packet(SR, len(blocks), head + b"".join(map(_block, blocks)))
        case ReceiverReport(ssrc, blocks):
            return _packet(RR, len(blocks), struct.pack("!I", ssrc) + b"".join(map(_block, blocks)))
        case Nack(ssrc, source, missing):
            pairs = b"".join(struct.pack("!HH", pid % _HALF, mask) for pid, mask in nack_pairs(missing))
            return _packet(RTPFB, GENERIC_NACK, struct.pack("!II", ssrc, source) + pairs)
        case Pli(ssrc, source):
            return _packet(PSFB, PICTURE_LOSS, struct.pack("!II", ssrc, source))
        case TransportFeedback():
            return _packet(RTPFB, TRANSPORT_WIDE, _transport(message))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    """An RTCP packet: its body is filled up to whole words by who made it."""
    return struct.pack("!BBH", VERSION | count, kind, len(body) // 4) + body


def _block(block: Block) -> bytes:
    counted = (block.fraction << 24) | (block.lost & 0xFFFFFF)
    return struct.pack("!IIIIII", block.ssrc, counted, block.highest % _MANY, block.jitter, block.lsr, block.dlsr)


def _description(ssrc: int, name: bytes) -> bytes:
    item = struct.pack("!IBB", ssrc, CNAME, len(name)) + name
    return item + bytes(4 - len(item) % 4)  # at least one null ends the list


def nack_pairs(missing: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First number and mask of the sixteen after it, as NACKs name what is missing.

    >>> list(nack_pairs((10, 12, 26, 27)))
    [(10, 32770), (27, 0)]
    """
    left = list(missing)
    while left:
        first = left.pop(0)
        mask = 0
        while left and left[0] - first <= _NACK_SPAN:
            mask |= 1 << (left.pop(0) - first - 1)
        yield first, mask


def _transport(message: TransportFeedback) -> bytes:
    """The feedback's body: reference time, a chunk for each seven packets, the time of each that came."""
    ticks = message.ticks
    reference = next((tick for tick in ticks if tick >= 0), 0) // _REFERENCE
    last, symbols, deltas = reference * _REFERENCE, [], b""
    for tick in ticks:
        if tick < 0:
            symbols.append(_NOT)
            continue
        delta, last = tick - last, tick
        small = 0 <= delta <= _LARGEST_SMALL
        symbols.append(_SMALL if small else _LARGE)
        deltas += struct.pack("!B" if small else "!h", delta)
    head = struct.pack("!IIHH", message.ssrc, message.source, message.base % _HALF, len(ticks))
    head += struct.pack("!I", (reference % (1 << 24)) << 8 | message.number % 256)
    body = head + b"".join(map(_chunk, range(0, len(symbols), _SYMBOLS), [symbols] * len(symbols))) + deltas
    return body + bytes(-len(body) % 4)


def _chunk(first: int, symbols: Sequence[int]) -> bytes:
    """A status vector chunk of two-bit symbols: 1, 1, then seven of them."""
    bits = 0b11
    for place in range(first, first + _SYMBOLS):
        bits = bits << 2 | (symbols[place] if place < len(symbols) else _NOT)
    return struct.pack("!H", bits)


# RTP ------------------------------------------------------------------------------------------------------------------


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
