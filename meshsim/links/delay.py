"""From the last bit's departure to its arrival: propagation, jitter, and order.

Every distribution of jitter is its inverse, taken at one uniform draw: the n-th packet's jitter is a function of n.
`jitter_delay` names them by their place in `JITTERS`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.links.gamma import gamma
from meshsim.links.normal import normal_quantile

if TYPE_CHECKING:
    from meshsim.links.arrays import Floats

JITTERS = ("none", "exponential", "normal", "uniform", "pareto", "gamma", "trace")
"""Kinds of jitter; `jitter_delay` takes the index."""

_LEAST = 1e-12
"""Keeps quantiles finite."""
_LONGEST = 10.0
"""Means at which exponential jitter is cut."""

_NONE, _EXPONENTIAL, _NORMAL, _UNIFORM, _PARETO, _GAMMA, _TRACE = range(len(JITTERS))


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
    return departure + propagation + exponential(u, jitter_scale, _LONGEST)


def ordered(arrival: float, previous_arrival: float) -> float:
    """`arrival`, put off until the packet before it has arrived: a link does not reorder.

    >>> ordered(1.00, 1.01)
    1.01
    """
    return max(arrival, previous_arrival)


def exponential(u: float, mean: float, cap: float = 0.0) -> float:
    """Exponential with mean `mean`, cut at `cap` means where cap is above 0: the share exp(-cap) of its mean is lost.

    >>> exponential(0.0, 0.01), exponential(0.9999999, 0.01, 10.0)
    (0.0, 0.1)
    """
    value = -math.log1p(-u) * mean
    return min(value, cap * mean) if cap > 0.0 else value


def remembered(u: float, mood: float, age: float, memory: float) -> tuple[float, float]:
    """A uniform draw that is close to the last one where that was a moment ago, as the waits in one queue are.

    Draws are normal quantiles in an autoregression: exp(-age / memory) is their correlation. Whatever is drawn from
    them has the same distribution as from `u`, in the long run.

    Args:
        u: A uniform draw in [0, 1).
        mood: The quantile that the last call returned; 0 before the first.
        age: Seconds since then, 0 if it was later; infinite before the first.
        memory: Correlation time, seconds; 0 for none.

    Returns:
        The draw, in [0, 1), and its quantile.

    >>> remembered(0.25, 1.0, math.inf, 0.05)[0], round(remembered(0.25, 0.0, 0.0, 0.05)[0], 6)
    (0.25, 0.5)
    """
    tie = math.exp(-max(age, 0.0) / memory) if memory > 0.0 else 0.0
    fresh = normal_quantile(min(max(u, _LEAST), 1.0 - _LEAST))
    if tie == 0.0:
        return u, fresh
    quantile = tie * mood + math.sqrt(1.0 - tie * tie) * fresh
    return min(0.5 * math.erfc(-quantile / math.sqrt(2.0)), 1.0 - _LEAST), quantile


def rectified_normal(u: float, scale: float) -> float:
    """The positive part of a normal with mean 0 and standard deviation `scale`: 0 for half of the packets.

    Its mean is scale / sqrt(2 pi), its second moment scale^2 / 2.

    >>> rectified_normal(0.3, 0.01), round(rectified_normal(0.975, 0.01), 6)
    (0.0, 0.0196)
    """
    return scale * max(0.0, normal_quantile(u))


def lomax(u: float, shape: float, scale: float) -> float:
    """Pareto that begins at 0 (Lomax): P(x) = 1 - (1 + x / scale)^-shape, mean scale / (shape - 1) for shape > 1.

    >>> round(lomax(0.75, 2.0, 0.01), 6)
    0.01
    """
    return scale * math.expm1(-math.log1p(-u) / shape)


def replayed(n: int, values: Floats, first: int, count: int) -> float:
    """The n-th value of a trace that stands at [first, first + count) and starts anew when used up.

    >>> replayed(5, [9.0, 1.0, 2.0, 3.0], 1, 3)
    3.0
    """
    return values[first + n % count]


def jitter_delay(
    kind: int, u: float, n: int, scale: float, shape: float, trace: Floats, first: int, count: int
) -> float:
    """Seconds that packet n spends beyond propagation, never negative.

    Args:
        kind: Index into `JITTERS`.
        u: A uniform draw in [0, 1).
        n: Which packet offered to the link this is, from 0.
        scale: Mean (exponential, cut at ten times this), standard deviation (normal), width (uniform) or scale (Lomax,
            gamma), seconds.
        shape: Of Lomax and gamma.
        trace: Delays, seconds; this link's stand at [first, first + count).
        first: Where its trace begins.
        count: Its length; at least 1 for a trace.

    >>> jitter_delay(JITTERS.index("uniform"), 0.5, 0, 0.01, 0.0, [], 0, 0)
    0.005
    """
    delay = 0.0
    if kind == _EXPONENTIAL:
        delay = exponential(u, scale, _LONGEST)
    elif kind == _NORMAL:
        delay = rectified_normal(u, scale)
    elif kind == _UNIFORM:
        delay = scale * u
    elif kind == _PARETO:
        delay = lomax(u, shape, scale)
    elif kind == _GAMMA:
        delay = gamma(u, shape, scale)
    elif kind == _TRACE:
        delay = replayed(n, trace, first, count)
    return delay
