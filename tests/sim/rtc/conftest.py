from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Seen:
    """One packet of a capture, read without meshsim."""

    interface: int
    at: float
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes


def _blocks(data: bytes) -> list[tuple[int, bytes]]:
    blocks, place = [], 0
    while place < len(data):
        kind, length = struct.unpack_from("<II", data, place)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, place + length - 4) == (length,)
        blocks.append((kind, data[place + 8 : place + length - 4]))
        place += length
    return blocks


def _sum(data: bytes) -> int:
    """RFC 1071, word by word."""
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _datagram(interface: int, at: float, frame: bytes) -> Seen:
    assert frame[12:14] == b"\x08\x00"
    header, body = frame[14:34], frame[34:]
    assert header[0] == 0x45
    assert header[9] == 17
    assert struct.unpack("!H", header[2:4]) == (len(frame) - 14,)
    assert _sum(header) == 0xFFFF
    pseudo = header[12:20] + struct.pack("!HH", 17, len(body))
    assert _sum(pseudo + body) == 0xFFFF
    source, target, length, _ = struct.unpack("!HHHH", body[:8])
    assert length == len(body)
    ends = [".".join(map(str, header[n : n + 4])) for n in (12, 16)]
    return Seen(interface, at, (ends[0], source), (ends[1], target), body[8:])


def read_capture(path: Path) -> list[Seen]:
    """All packets of a pcapng file, every length and checksum looked at."""
    seen, resolutions = [], []
    for kind, body in _blocks(path.read_bytes()):
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<I", body) == (0x1A2B3C4D,)
        elif kind == 1:
            assert struct.unpack_from("<H", body) == (1,)
            place = body.index(struct.pack("<HH", 9, 1))
            resolutions.append(10.0 ** -body[place + 4])
        elif kind == 6:
            interface, high, low, length, whole = struct.unpack_from("<IIIII", body)
            assert length == whole
            assert interface < len(resolutions)
            ticks = (high << 32 | low) - round(1.8e9 / resolutions[interface])
            seen.append(_datagram(interface, ticks * resolutions[interface], body[20 : 20 + length]))
    return seen


def rfc3550_jitter(packets: list[tuple[float, int]], clock: int) -> float:
    """Interarrival jitter by section 6.4.1, in seconds, from arrivals and timestamps."""
    jitter, before = 0.0, math.nan
    for at, timestamp in packets:
        transit = at - timestamp / clock
        if not math.isnan(before):
            jitter += (abs(transit - before) - jitter) / 16.0
        before = transit
    return jitter


@pytest.fixture
def capture_reader() -> Any:
    return read_capture


@pytest.fixture
def jitter_reader() -> Any:
    return rfc3550_jitter
