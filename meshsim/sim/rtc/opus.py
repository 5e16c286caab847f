"""A voice as Opus sends it: frames of 20 ms, talk spurts, discontinuous transmission, in-band redundancy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from meshsim.links.normal import normal_quantile
from meshsim.sim.packets.draws import Draws

if TYPE_CHECKING:
    from meshsim.mesh.seeds import SeedTree

FRAME = 0.020
"""Seconds of speech in a packet."""

TALK, PAUSE = 1.004, 1.587
"""Mean seconds of a talk spurt and of a pause (ITU-T P.59, as recalled in the data folder's `params`).

Both are drawn exponential, each end by itself.
"""

SILENCE_FRAMES, SILENCE_BYTES = 20, 2
"""While nobody talks one small packet is sent in so many frames: 400 ms, as libopus does (RFC 6716, section 2.1.9)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opus:
    """An Opus stream.

    Attributes:
        bitrate: Bits per second of payload while somebody talks.
        variation: Standard deviation of the logarithm of packet sizes; 0 is constant bit rate.
        dtx: Whether pauses of talk spurts are not sent.
        fec: Whether each packet carries the frame before it once more, coarser (RFC 6716, section 2.1.7); the bits come
            out of the same bit rate.
    """

    bitrate: float = 24e3
    variation: float = 0.0
    dtx: bool = False
    fec: bool = False


class Spoken(NamedTuple):
    """One frame to send.

    Attributes:
        payload: Bytes.
        first: Whether a talk spurt begins with it.
    """

    payload: int
    first: bool


class Voice:
    """One end's voice, frame by frame.

    Args:
        codec: How it is sent.
        seeds: Root of the draws.
        index: Names its streams of draws.
    """

    def __init__(self, codec: Opus, seeds: SeedTree, index: int) -> None:
        self._codec = codec
        self._sizes, self._turns = (Draws(seeds.stream(f"rtc.{name}", index)) for name in ("speech", "talk"))
        self._turn = -1
        self._until = 0.0
        self._first = True

    @property
    def talking(self) -> bool:
        """Whether the present turn is a talk spurt."""
        return self._turn % 2 == 0

    def frame(self, n: int) -> Spoken | None:
        """Frame n, to be asked for in order; None if nothing is sent for it."""
        if not self._codec.dtx:
            return Spoken(self._size(n), n == 0)
        while n * FRAME >= self._until:
            self._turn += 1
            self._until += -math.log1p(-self._turns.at(self._turn)) * (TALK if self.talking else PAUSE)
            self._first = self._first or self.talking
        if self.talking:
            first, self._first = self._first, False
            return Spoken(self._size(n), first)
        return Spoken(SILENCE_BYTES, first=False) if n % SILENCE_FRAMES == 0 else None

    def _size(self, n: int) -> int:
        mean, spread = self._codec.bitrate * FRAME / 8.0, self._codec.variation
        if spread <= 0.0:
            return round(mean)
        z = normal_quantile(self._sizes.at(n))
        return max(round(mean * math.exp(spread * z - spread**2 / 2.0)), SILENCE_BYTES + 1)
