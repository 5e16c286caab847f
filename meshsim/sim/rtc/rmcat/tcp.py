"""A TCP sender as others on a bottleneck feel it: slow start, additive increase, halving at losses, timeouts.

Segments are numbered by transmission; which bytes they carry does not matter, so a lost one is simply one more to send.
Every segment is acknowledged by itself and loss is told by three later ones (RFC 6675 in effect, RFC 5681 for the
window, RFC 6298 for the timeout).
"""

from __future__ import annotations

import math
from collections import deque

MSS = 1460
"""Bytes of data in a segment."""

FIRST_WINDOW = 10.0
OVERTAKEN = 3
LEAST_TIMEOUT = 1.0


class Tcp:
    """One transfer.

    Args:
        total: Bytes to deliver; may be infinite.

    Attributes:
        window: Segments that may be under way.
        delivered: Segments acknowledged.
        deadline: When the oldest unacknowledged segment is given up, seconds.
        armed: Whether somebody will look at the deadline.
    """

    def __init__(self, total: float = math.inf) -> None:
        self.window, self.delivered = FIRST_WINDOW, 0
        self.deadline, self.armed = math.inf, False
        self._segments = total / MSS if math.isinf(total) else math.ceil(total / MSS)
        self._threshold = math.inf
        self._next = self._recover = 0
        self._away: deque[int] = deque()
        self._smoothed, self._varied = math.nan, 0.0

    @property
    def done(self) -> bool:
        """Whether all has been delivered."""
        return self.delivered >= self._segments

    @property
    def timeout(self) -> float:
        """Seconds without an acknowledgement after which all under way is taken for lost (RFC 6298)."""
        return LEAST_TIMEOUT if math.isnan(self._smoothed) else max(self._smoothed + 4 * self._varied, LEAST_TIMEOUT)

    def may_send(self) -> bool:
        """Whether the window has room and there is something to send."""
        return len(self._away) < int(self.window) and self.delivered + len(self._away) < self._segments

    def send(self, now: float) -> int:
        """Takes note of a transmission; returns its number."""
        if not self._away:
            self.deadline = now + self.timeout
        self._away.append(self._next)
        self._next += 1
        return self._next - 1

    def acknowledge(self, number: int, now: float, rtt: float) -> None:
        """A segment arrived."""
        if number not in self._away:
            return
        self._measure(rtt)
        self._away.remove(number)
        self.delivered += 1
        self.deadline = now + self.timeout
        self.window += 1.0 if self.window < self._threshold else 1.0 / self.window
        lost = False
        while self._away and self._away[0] + OVERTAKEN <= number:
            lost |= self._away.popleft() >= self._recover
        if lost:  # once for all losses of one window
            self._threshold = self.window = max(self.window / 2.0, 2.0)
            self._recover = self._next

    def expire(self, now: float) -> None:
        """Nothing came back in time: what is under way is lost, and the window starts anew."""
        self._threshold, self.window = max(self.window / 2.0, 2.0), 1.0
        self._away.clear()
        self._recover = self._next
        self.deadline = now + 2.0 * self.timeout

    def _measure(self, rtt: float) -> None:
        if math.isnan(self._smoothed):
            self._smoothed, self._varied = rtt, rtt / 2
            return
        self._varied = 0.75 * self._varied + 0.25 * abs(self._smoothed - rtt)
        self._smoothed = 0.875 * self._smoothed + 0.125 * rtt
