"""A link whose rate changes with time: piecewise constant, repeated with its period.

A rate trace is a list of instants, ascending from 0, and the rate that holds from each; the last instant only marks the
period. With the bits carried up to each instant (`carried_bits`) every question is two binary searches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.links.arrays import Floats


def carried_bits(times: Floats, values: Floats) -> NDArray[np.float64]:
    """Bits that a link carries from the start of the period to each instant, shape as `times`.

    Args:
        times: Instants, seconds, ascending from 0.
        values: Bits per second from each instant on; the last is not looked at.

    >>> carried_bits([0.0, 1.0, 3.0], [1e3, 2e3, 0.0]).tolist()
    [0.0, 1000.0, 5000.0]
    """
    return np.concatenate([[0.0], np.cumsum(np.asarray(values)[:-1] * np.diff(times))])


def transmit(
    start: float, bits: float, times: Floats, values: Floats, carried: Floats, first: int, count: int
) -> float:
    """When the last of `bits` leaves, if they begin to be sent at `start` and have the link to themselves.

    Args:
        start: Seconds, at least 0; the trace begins at 0 and repeats.
        bits: How many, at least 0.
        times: Instants of all links' traces; this link's stand at [first, first + count).
        values: Bits per second from each instant on.
        carried: `carried_bits` of each trace, in the same places.
        first: Where the trace begins.
        count: Its length, at least 2.

    Returns:
        Seconds; infinite for a trace that never carries anything.

    >>> trace = ([0.0, 1.0, 3.0], [1e3, 0.0, 0.0], [0.0, 1e3, 1e3])
    >>> transmit(0.5, 1000.0, *trace, 0, 3), transmit(1.0, 1000.0, *trace, 0, 3)
    (3.5, 4.0)
    """
    period, total = times[first + count - 1], carried[first + count - 1]
    if bits <= 0.0:
        return start
    if total <= 0.0:
        return math.inf
    rounds = math.floor(start / period)
    phase = start - rounds * period
    now = last_below(phase, times, first, count - 1, True)
    need = carried[now] + (phase - times[now]) * values[now] + bits
    # The last bit of a period belongs to it: it leaves before a dead stretch that ends the period, not after.
    more = math.ceil(need / total) - 1
    rest = min(need - more * total, total)
    if rest <= 0.0:  # by rounding: the end of a period, said as the beginning of the next
        more, rest = more - 1, total
    then = last_below(rest, carried, first, count - 1, False)  # in no dead stretch, for 0 < rest <= total
    at = times[then] + (rest - carried[then]) / values[then]
    return float(max(start, (rounds + more) * period + min(at, times[then + 1])))


def last_below(x: float, ascending: Floats, first: int, count: int, or_equal: bool) -> int:  # noqa: FBT001 - compiled
    """The last index in [first, first + count) whose value is below `x` (or equal to it), `first` if there is none.

    >>> last_below(2.0, [0.0, 1.0, 2.0, 2.0, 5.0], 0, 5, True), last_below(2.0, [0.0, 1.0, 2.0, 2.0, 5.0], 0, 5, False)
    (3, 1)
    """
    low, high = first, first + count
    while high - low > 1:
        middle = (low + high) // 2
        if ascending[middle] < x or (or_equal and ascending[middle] == x):
            low = middle
        else:
            high = middle
    return low
