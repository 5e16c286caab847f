"""The viewer's side: packets become frames, frames are decoded in order and shown, and what is missing freezes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.rtc.delays import START, Delays

if TYPE_CHECKING:
    from meshsim.sim.rtc.packet import Piece

PATIENCE = 0.200
"""Seconds after its time to be shown until a missing frame is given up and a key frame asked for (WebRTC's wait)."""

KEY_PERIOD = 0.300
"""Seconds between two requests for a key frame, at least."""

LOSSY, LONGEST_WAIT = 10.0, 0.200
"""Seconds after a loss for which the buffer leaves time to have packets sent again, and how much at most (WebRTC)."""

FREEZE_FACTOR, FREEZE_EXTRA = 3.0, 0.150
"""A pause is a freeze if it is three times, or 150 ms, longer than the mean of the last thirty (W3C webrtc-stats).

The mean before the first pause is 0: who sees one picture and no more sees a freeze.
"""

FREEZE_WINDOW = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """What the viewer saw.

    Attributes:
        rendered: Frames shown.
        delay: Mean seconds from camera to screen.
        freezes: Pauses that are freezes.
        freeze_share: Share of the time since the first frame that was frozen.
        rate: Bits of shown frames per second of that time.
    """

    rendered: int
    delay: float
    freezes: int
    freeze_share: float
    rate: float


@dataclass(slots=True)
class Frame:
    """A frame that is being put together.

    Attributes:
        captured: When it was taken, seconds.
        parts: Packets it has.
        key: Whether it can be decoded by itself.
        here: Parts that came.
        payload: Their bytes.
        repaired: Whether one of them came by repair.
    """

    captured: float
    parts: int
    key: bool
    here: set[int] = field(default_factory=set)
    payload: int = 0
    repaired: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return len(self.here) == self.parts


class Frames:
    """One end's frames. A frame can be decoded if it is a key frame or the one before it was decoded.

    Args:
        again: Whether lost packets are asked for again, so that it pays to wait for them.

    Attributes:
        shown: When each frame shown was taken and when it was shown, seconds.
    """

    def __init__(self, *, again: bool) -> None:
        self._again = again
        self._delays = Delays()
        self._open: dict[int, Frame] = {}
        self._next = 0
        self._broken = False
        self._asked_at = self._lossy_until = -math.inf
        self._first_delay = math.nan
        self._bytes = 0
        self.shown: list[tuple[float, float]] = []

    def take(self, piece: Piece, payload: int, now: float, rtt: float, *, repaired: bool = False) -> bool:
        """A packet came, or was restored: whether it is of use.

        Args:
            piece: Its place.
            payload: Bytes.
            now: Seconds.
            rtt: Of the path, seconds.
            repaired: Whether by repair.
        """
        if math.isnan(self._first_delay):
            self._first_delay = now - piece.captured
        if piece.frame < self._next or (repaired and self._in_vain(piece, now, rtt)):
            return False
        frame = self._open.setdefault(piece.frame, Frame(piece.captured, piece.parts, piece.key))
        if piece.part in frame.here:
            return False
        frame.here.add(piece.part)
        frame.payload += payload
        frame.repaired |= repaired
        if repaired:
            self._lossy_until = now + LOSSY
        if frame.complete and not frame.repaired:
            self._delays.add(now - frame.captured, now)
        self._decode(now, rtt)
        return True

    def _in_vain(self, piece: Piece, now: float, rtt: float) -> bool:
        """Whether a repair comes when its frame is given up, or cannot be decoded any more."""
        follows_key = piece.key or any(frame.key for n, frame in self._open.items() if n < piece.frame)
        return now > self.deadline(piece, now, rtt) or (self._broken and not follows_key)

    def play_at(self, captured: float, now: float, rtt: float) -> float:
        """When a frame is to be shown that was taken at `captured`, seconds."""
        held = self._delays.target
        if math.isnan(held):
            held = self._first_delay + START
        waits = self._again and now < self._lossy_until
        return captured + held + (min(rtt, LONGEST_WAIT) if waits else 0.0)

    def deadline(self, piece: Piece, now: float, rtt: float) -> float:
        """Until when a packet of this frame is of use, seconds."""
        return self.play_at(piece.captured, now, rtt) + PATIENCE

    def noticed(self, now: float) -> None:
        """Packets are missing."""
        self._lossy_until = now + LOSSY

    def tick(self, now: float, rtt: float) -> bool:
        """Gives up what is overdue; whether a key frame is to be asked for."""
        if not self._broken and self._overdue(now, rtt):
            self._broken = True
            self._decode(now, rtt)
        wanted = self._broken and now >= self._asked_at + max(rtt, KEY_PERIOD)
        if wanted:
            self._asked_at = now
        return wanted

    def _overdue(self, now: float, rtt: float) -> bool:
        later = min(self._open, default=-1)
        if later < 0:
            return False
        captured = self._open[later].captured
        if later > self._next and self.shown:  # when the missing one was taken: between the frames around it
            before = self.shown[-1][0]
            captured = before + (captured - before) / (later - self._next + 1)
        return now > self.play_at(captured, now, rtt) + PATIENCE

    def _decode(self, now: float, rtt: float) -> None:
        """Shows all that can be decoded."""
        if self._broken:
            keys = [number for number, frame in self._open.items() if frame.key and frame.complete]
            if not keys:
                return
            self._next, self._broken = max(keys), False
            for number in [number for number in self._open if number < self._next]:
                del self._open[number]
        while (frame := self._open.get(self._next)) is not None and frame.complete:
            del self._open[self._next]
            self._next += 1
            before = self.shown[-1][1] if self.shown else now
            self.shown.append((frame.captured, max(self.play_at(frame.captured, now, rtt), now, before)))
            self._bytes += frame.payload

    def seen(self, end: float) -> Seen:
        """What was seen up to `end` seconds."""
        shown = [pair for pair in self.shown if pair[1] <= end]
        if not shown:
            return Seen(0, math.nan, 0, math.nan, 0.0)
        captured, at = np.array(shown).T
        pauses = np.diff(np.append(at, end))
        frozen = _freezes(pauses)
        whole = max(end - float(at[0]), 1e-9)
        rate = 8.0 * self._bytes / whole
        return Seen(len(shown), float((at - captured).mean()), len(frozen), sum(frozen) / whole, rate)


def _freezes(pauses: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Lengths of the pauses that are freezes, seconds."""
    frozen = []
    for n in range(len(pauses)):
        mean = float(pauses[max(n - FREEZE_WINDOW, 0) : n].mean()) if n else 0.0
        if pauses[n] >= max(FREEZE_FACTOR * mean, mean + FREEZE_EXTRA):
            frozen.append(float(pauses[n]))
    return frozen
