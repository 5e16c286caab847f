"""Drop-tail queues: who may join (packets, bytes, seconds) and, for one server at a constant rate, when each leaves.

A FIFO with one server is exact as one number, the time at which it will be empty (`fifo`, `fifo_time`), or as a ring
of departure times (`fifo_packets`, `clear`): no event while a packet waits. An engine that moves its queues by events
asks `admits`. One convention: a packet in service counts, one that leaves at the instant of an arrival does not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.links.arrays import Floats


def fifo(
    arrival: float, size_bytes: float, rate_bps: float, free_at: float, limit_bytes: float
) -> tuple[float, float, bool]:
    """One packet through a FIFO by busy-until: exact for drop-tail, with no event while the packet waits.

    Of the packet in service only the bytes still to be sent count; `clear` and `admits` count all of it.

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


def fifo_time(
    arrival: float, size_bytes: float, rate_bps: float, free_at: float, limit_seconds: float
) -> tuple[float, float, bool]:
    """The same with a limit in time: a packet that would wait longer than `limit_seconds` is dropped.

    >>> fifo_time(0.0, 1250.0, 1e6, 0.005, 0.005)
    (0.015, 0.015, False)
    >>> fifo_time(0.0, 1250.0, 1e6, 0.006, 0.005)
    (inf, 0.006, True)
    """
    if free_at - arrival > limit_seconds:
        return math.inf, free_at, True
    departure = max(arrival, free_at) + size_bytes * 8.0 / rate_bps
    return departure, departure, False


def fifo_packets(
    arrival: float,
    service: float,
    free_at: float,
    departures: Floats,
    first: int,
    limit: int,
    cursor: int,
) -> tuple[float, int, bool]:
    """The same with a limit in packets, in constant time: the ring holds the last `limit` departures.

    The packet that was accepted `limit` packets ago decides: while it is there, `limit` packets are.

    Args:
        arrival: When the packet joins the queue, seconds; never before the previous packet's.
        service: How long it takes to send, seconds.
        free_at: When all that was accepted so far will have been sent, seconds.
        departures: Of all links; this link's ring is [first, first + limit), filled with -inf at the start.
        first: Where the ring begins.
        limit: Packets that may wait or be in service at once, at least 1.
        cursor: Where in the ring the oldest departure stands; 0 at the start.

    Returns:
        When the packet's last bit leaves (infinite for a dropped packet; else also the new `free_at`), the new cursor,
        and whether it was dropped.

    >>> ring = [-math.inf]
    >>> fifo_packets(0.0, 1.0, -math.inf, ring, 0, 1, 0), fifo_packets(0.5, 1.0, 1.0, ring, 0, 1, 0)
    ((1.0, 0, False), (inf, 0, True))
    """
    if departures[first + cursor] > arrival:
        return math.inf, cursor, True
    departure = max(arrival, free_at) + service
    departures[first + cursor] = departure
    cursor += 1
    return departure, (0 if cursor == limit else cursor), False


def clear(
    now: float,
    departures: Floats,
    sizes: Floats,
    first: int,
    places: int,
    head: int,
    packets: int,
    held: float,
) -> tuple[int, int, float]:
    """Let go of the packets that have left by `now`: amortised constant time, exact for limits in packets and bytes.

    Args:
        now: Seconds.
        departures: When each packet in the ring leaves, ascending; this link's ring is [first, first + places).
        sizes: Their sizes, bytes, in the same places.
        first: Where the ring begins.
        places: Its length.
        head: Where in the ring the oldest packet stands.
        packets: How many are there.
        held: Their bytes.

    Returns:
        `head`, `packets` and `held` anew. A packet that joins goes to `first + (head + packets) % places`.
    """
    while packets > 0 and departures[first + head] <= now:
        held -= sizes[first + head]
        head = 0 if head + 1 == places else head + 1
        packets -= 1
    return head, packets, (held if packets > 0 else 0.0)  # no rest of rounding outlives a busy period


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
