"""How late packets come beyond the quickest: what a receiver's buffer holds back to have them all in time."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

BASE_WINDOW = 2.0
"""Seconds within which the quickest arrival counts as the path's delay, as in WebRTC's NetEq."""

WINDOW = 10.0
"""Seconds of arrivals that the quantile is taken of: a burst of delay is forgotten after this."""

QUANTILE = 0.997
"""Share of arrivals that the buffer waits for."""

FLOOR = 0.020
"""Seconds that a buffer holds at least."""

START, FEW = 0.040, 25
"""Seconds that it holds at least until so many arrivals tell."""


class Delays:
    """The delays of what arrived, of late.

    As NetEq does, the buffer holds a quantile of the recent delays. It is a high one, because what is late is lost here
    and not stretched for, and of a window that ends, because a high quantile of a histogram is slow to forget.

    Args:
        floor: Least that is held, seconds.
    """

    def __init__(self, floor: float = FLOOR) -> None:
        self._floor = floor
        self._quickest: deque[tuple[float, float]] = deque()
        self._recent: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self._count = 0

    @property
    def base(self) -> float:
        """Delay of the quickest, by the clocks of sender and receiver, seconds; NaN before the first."""
        return self._quickest[0][1] if self._quickest else math.nan

    @property
    def target(self) -> float:
        """Delay at which nearly all would come in time, seconds by both clocks; NaN before the first."""
        if not self._sorted:
            return math.nan
        nearly_all = self._sorted[math.ceil(QUANTILE * len(self._sorted)) - 1]
        return max(nearly_all, self.base + (self._floor if self._count >= FEW else max(START, self._floor)))

    def add(self, delay: float, now: float) -> None:
        """Something arrived now, `delay` seconds after it was taken."""
        quickest, recent = self._quickest, self._recent
        while quickest and quickest[-1][1] >= delay:
            quickest.pop()
        quickest.append((now, delay))
        while quickest[0][0] < now - BASE_WINDOW:
            quickest.popleft()
        recent.append((now, delay))
        insort(self._sorted, delay)
        while recent[0][0] < now - WINDOW:
            del self._sorted[bisect_left(self._sorted, recent.popleft()[1])]
        self._count += 1
