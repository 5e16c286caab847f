"""A rate-limited drop-tail FIFO, kept as one number: the time at which it will be empty."""

from __future__ import annotations

import math


def fifo(
    arrival: float, size_bytes: float, rate_bps: float, free_at: float, limit_bytes: float
) -> tuple[float, float, bool]:
    """One packet through a FIFO by busy-until: exact for drop-tail, with no event while the packet waits.

    Args:
        arrival: When the packet joins the queue, seconds; never before the previous packet's.
        size_bytes: Its size on the wire.
        rate_bps: The rate at which the queue is served, above 0.
        free_at: When all that was accepted so far will have been sent, seconds.
        limit_bytes: Bytes that may wait or be in service at once, this packet included.

    Returns:
        When its last bit leaves (infinite for a dropped packet), the new `free_at`, and whether it was dropped.

    >>> fifo(0.0, 1250.0, 1e6, 0.005, 10_000.0)
    (0.015, 0.015, False)
    >>> fifo(0.0, 1250.0, 1e6, 0.080, 10_000.0)
    (inf, 0.08, True)
    """
    backlog = max(0.0, free_at - arrival) * rate_bps / 8.0
    if backlog + size_bytes > limit_bytes:
        return math.inf, free_at, True
    departure = max(arrival, free_at) + size_bytes * 8.0 / rate_bps
    return departure, departure, False
