"""The clocks of a running node. Logic goes by the monotonic one; Unix time serves only what is signed with an end.

The Unix clock of a machine may jump: it is set right, or wrong, by hand or by a server of time. A node that followed at
once would find every statement it holds expired, or none of its own believed. So Unix time here goes on from where it
stood at the start, sleep included, and follows the system only when both have disagreed for a while, and slowly.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from meshsim.mesh.time import Instant

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 1.0
"""Seconds of disagreement that are no jump: they are followed, slowly, at once."""
HOLD = 600.0
"""Seconds for which a jump must last before it is followed: as long as statements live."""
SLEW = 0.1
"""Seconds by which Unix time is moved in each second, at most."""


def seconds_with_sleep() -> float:
    """Seconds since the machine was started, those it slept included where the system counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class NodeClock:
    """Tells the time as agents want it.

    Args:
        steady: Monotonic seconds, the event loop's.
        elapsed: Seconds that only grow, sleep included.
        system: The system's Unix seconds.
    """

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        elapsed: Callable[[], float] = seconds_with_sleep,
        system: Callable[[], float] = time.time,
    ) -> None:
        self._steady = steady
        self._elapsed = elapsed
        self._system = system
        self._told = elapsed()
        self._unix = system()
        self._apart = math.nan

    def __call__(self) -> Instant:
        """Now, by both clocks."""
        return Instant(self._steady(), self.unix())

    @property
    def ahead(self) -> float:
        """Seconds by which the system's clock is ahead of this one; 0 while they agree but for `TOLERANCE`."""
        ahead = self._system() - self.unix()
        return ahead if abs(ahead) > TOLERANCE else 0.0

    def unix(self) -> float:
        """Unix seconds."""
        now = self._elapsed()
        passed, self._told = max(0.0, now - self._told), now
        self._unix += passed
        ahead = self._system() - self._unix
        if abs(ahead) <= TOLERANCE:
            self._apart = math.nan
        elif math.isnan(self._apart):
            self._apart = now
        if abs(ahead) <= TOLERANCE or now - self._apart > HOLD:
            self._unix += math.copysign(min(abs(ahead), SLEW * passed), ahead)
        return self._unix
