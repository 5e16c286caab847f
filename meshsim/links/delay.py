"""From the last bit's departure to its arrival: propagation, jitter, and order."""

from __future__ import annotations

import math


def transit(departure: float, propagation: float, jitter_scale: float, u: float) -> float:
    """When a packet that left at `departure` arrives: never earlier than propagation allows.

    Args:
        departure: Seconds.
        propagation: One-way delay without jitter, seconds.
        jitter_scale: Mean of the exponential jitter, seconds; the jitter is cut at ten times this.
        u: A uniform draw in [0, 1).

    >>> transit(1.0, 0.02, 0.0, 0.5)
    1.02
    """
    return departure + propagation + jitter_scale * min(-math.log1p(-u), 10.0)


def ordered(arrival: float, previous_arrival: float) -> float:
    """`arrival`, put off until the packet before it has arrived: a link does not reorder.

    >>> ordered(1.00, 1.01)
    1.01
    """
    return max(arrival, previous_arrival)
