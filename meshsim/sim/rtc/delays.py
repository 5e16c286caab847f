"""How late packets come beyond the quickest: what a receiver's buffer holds back to have them all in time."""

from __future__ import annotations

from collections import deque

import numpy as np

BASE_WINDOW = 2.0
"""Seconds within which the quickest arrival counts as the path's delay, as in WebRTC's NetEq."""

BUCKET = 0.005
"""Seconds of a bucket of the histogram."""

BUCKETS = 400

FORGET = 0.998
"""Weight of the past at each arrival, once there is a past."""

QUANTILE = 0.99
"""Share of arrivals that the buffer waits for."""

FLOOR = 0.020
"""Seconds that a buffer holds at least."""

START_BUCKET = 7
"""Of what is assumed before anything came: 40 ms."""


class Delays:
    """The delays of what arrived, of late.

    As in NetEq: a histogram of delays relative to the quickest arrival of the last two seconds, that forgets, and of
    it a quantile. Finer buckets and a higher quantile, because late packets are lost here and not stretched for.

    Args:
        floor: Least that is held, seconds.

    Attributes:
        quantile: Seconds beyond the quickest within which nearly all came.
    """

    def __init__(self, floor: float = FLOOR) -> None:
        self._floor = floor
        self._quickest: deque[tuple[float, float]] = deque()
        self._shares = np.zeros(BUCKETS)
        self._shares[START_BUCKET] = 1.0
        self._count = 0
        self.quantile = (START_BUCKET + 1) * BUCKET

    @property
    def base(self) -> float:
        """Delay of the quickest, by the clocks of sender and receiver, seconds; NaN before the first."""
        return self._quickest[0][1] if self._quickest else float("nan")

    @property
    def target(self) -> float:
        """Delay at which nearly all would come in time, seconds by both clocks."""
        return self.base + max(self.quantile, self._floor)

    def add(self, delay: float, now: float) -> None:
        """Something arrived now, `delay` seconds after it was taken."""
        quickest = self._quickest
        while quickest and quickest[-1][1] >= delay:
            quickest.pop()
        quickest.append((now, delay))
        while quickest[0][0] < now - BASE_WINDOW:
            quickest.popleft()
        keep = min(FORGET, 1.0 - 2.0 / (self._count + 3.0))
        self._count += 1
        self._shares *= keep
        self._shares[min(int((delay - self.base) / BUCKET), BUCKETS - 1)] += 1.0 - keep
        within = int(np.searchsorted(np.cumsum(self._shares), QUANTILE - 1e-9))
        self.quantile = (min(within, BUCKETS - 1) + 1) * BUCKET
