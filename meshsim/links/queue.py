"""Drop-tail queues: who may join (packets, bytes, seconds), and when each leaves.

A FIFO with one server at a constant rate and with room for so many bytes is one number, the time at which it will be
empty (`fifo`): no event while a packet waits. For all other limits an engine knows what waits and asks `admits`. One
convention: a packet in service counts, one that leaves at the instant of an arrival does not.
"""

from __future__ import annotations

import math


def fifo(
    arrival: float, size_bytes: float, rate_bps: float, free_at: float, limit_bytes: float
) -> tuple[float, float, bool]:
    """One packet through a FIFO by busy-until: exact for drop-tail, with no event while the packet waits.

    Of the packet in service only the bytes still to be sent count; `admits` counts all of it.

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
    start = max(arrival, free_at)
    backlog = (start - arrival) * rate_bps / 8.0
    if backlog + size_bytes > limit_bytes:
        return math.inf, free_at, True
    departure = start + size_bytes * 8.0 / rate_bps
    return departure, departure, False


def admits(
    packets: int,
    held: float,
    wait: float,
    size_bytes: float,
    limit_packets: int,
    limit_bytes: float,
    limit_seconds: float,
) -> bool:
    """Whether a packet may join a queue.

    Args:
        packets: Waiting or in service.
        held: Their bytes.
        wait: How long the packet would wait, seconds.
        size_bytes: Its own size.
        limit_packets: Most packets, this one included; 0 sets no limit.
        limit_bytes: Most bytes, this packet's included.
        limit_seconds: Longest wait.

    >>> admits(9, 1000.0, 0.0, 100.0, 10, 1100.0, math.inf), admits(10, 1000.0, 0.0, 100.0, 10, 1100.0, math.inf)
    (True, False)
    """
    if limit_packets > 0 and packets >= limit_packets:
        return False
    return held + size_bytes <= limit_bytes and wait <= limit_seconds
