"""Instants. Monotonic seconds drive logic; Unix seconds serve only signed expiries; int64 nanoseconds at borders."""

from __future__ import annotations

from dataclasses import dataclass

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True, order=True)
class Instant:
    """A moment, as a driver tells it to a core.

    Attributes:
        mono: Monotonic seconds: the simulator's clock, or the event loop's.
        unix: Unix seconds: only for what is signed with an expiry.
    """

    mono: float
    unix: float


def to_nanoseconds(seconds: float) -> int:
    """Seconds as int64 nanoseconds, rounded to the nearest.

    >>> to_nanoseconds(1.5)
    1500000000
    """
    return round(seconds * NANOSECONDS)


def to_seconds(nanoseconds: int) -> float:
    """Nanoseconds as float seconds."""
    return nanoseconds / NANOSECONDS
