"""RTCP as bytes: messages, and compounds of them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from meshsim.rtc.rtcp import Fir, Message, Nack, Pli, ReceiverReport, Remb, SenderReport, TransportFeedback

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshsim.rtc.rtcp import Block

VERSION = 2 << 6
SR, RR, SDES, RTPFB, PSFB = 200, 201, 202, 205, 206
GENERIC_NACK, TRANSPORT_WIDE, PICTURE_LOSS, FULL_INTRA, APPLICATION = 1, 15, 1, 4, 15
CNAME = 1
TICK = 250e-6
"""Seconds of a tick of transport-wide feedback; its reference times count 256 of them."""

_REFERENCE = 256
_LARGEST_SMALL = 255
_SYMBOLS = 7
_NOT, _SMALL, _LARGE = 0, 1, 2
_HALF, _MANY = 1 << 16, 1 << 32
_NACK_SPAN = 16
_REMB = b"REMB"
_MANTISSA = 18


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
    parts = [*map(encode, reports), _packet(SDES, len(reports), names), *map(encode, others)]
    return Compound(tuple(messages), b"".join(parts))


def encode(message: Message) -> bytes:  # noqa: PLR0911 - one for each kind
    """One message by itself: on the wire a packet of reduced size (RFC 5506)."""
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
        case Fir(ssrc, source, number):
            return _packet(PSFB, FULL_INTRA, struct.pack("!IIIBxxx", ssrc, 0, source, number % 256))
        case Remb(ssrc, rate, sources):
            return _packet(PSFB, APPLICATION, struct.pack("!II", ssrc, 0) + _limit(rate, sources))
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


def _limit(rate: int, sources: Sequence[int]) -> bytes:
    """How REMB writes a rate: 18 bits and an exponent, rounded down."""
    exponent = max(0, rate.bit_length() - _MANTISSA)
    word = len(sources) << 24 | exponent << _MANTISSA | rate >> exponent
    return _REMB + struct.pack("!I", word) + b"".join(struct.pack("!I", source) for source in sources)


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
