"""When nodes misbehave: in a window, in cycles, or once they are thought well of."""

from __future__ import annotations

import math
from dataclasses import dataclass

PATIENCE = 100
"""Calls that a milking node carries well before it cashes in: plain Beta evidence then calls it trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when to when.

    Attributes:
        since: Monotonic seconds.
        until: Monotonic seconds; infinite for ever.
    """

    since: float = 0.0
    until: float = math.inf

    def __contains__(self, now: float) -> bool:
        return self.since <= now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """Bad for a share of each period, good for the rest: on-off.

    Attributes:
        period: Seconds.
        duty: Share of the period in which it is bad.
        phase: Where in its cycle it is at 0, a share of the period.
    """

    period: float = 600.0
    duty: float = 0.5
    phase: float = 0.0

    def is_bad(self, now: float) -> bool:
        """Whether it misbehaves at `now` seconds."""
        return (now / self.period + self.phase) % 1.0 < self.duty

    def next_turn(self, now: float) -> float:
        """The first instant after `now` at which it turns good or bad; infinite if it never turns."""
        if not 0.0 < self.duty < 1.0:
            return math.inf
        at = now / self.period + self.phase
        turns = (math.floor(at) + step + edge for step in (0.0, 1.0) for edge in (0.0, self.duty))
        return min(instant for turn in turns if (instant := (turn - self.phase) * self.period) > now)
