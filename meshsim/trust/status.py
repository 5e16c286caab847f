"""From a score to a word: verified, trusted, new, suspicious, banned."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """How a node may be treated."""

    VERIFIED = "verified"
    TRUSTED = "trusted"
    NEW = "new"
    SUSPICIOUS = "suspicious"
    BANNED = "banned"


THRESHOLDS = (
    (90.0, Status.VERIFIED),
    (70.0, Status.TRUSTED),
    (30.0, Status.NEW),
    (10.0, Status.SUSPICIOUS),
)
"""The brief's: the lowest score of each status, from the top; below all of them is banned."""


def status_of(score: float) -> Status:
    """The status of a score in 0..100.

    >>> status_of(69.9), status_of(70.0)
    (<Status.NEW: 'new'>, <Status.TRUSTED: 'trusted'>)
    """
    return next((status for lowest, status in THRESHOLDS if score >= lowest), Status.BANNED)
