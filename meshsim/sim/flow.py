"""How load becomes delay, jitter and loss: closed formulas over arrays, no state. Who loads what lives in `world`.

Every resource (underlay edge, access link, transit port, relay) is one first-come-first-served server. Background
comes in Poisson bursts of exponential length (mean service S, utilisation b); the media of calls come in packets that
are short beside a burst (service s, utilisation m), nearly a fluid. What would wait longer than B is dropped. Between
bursts the work in the queue then drains at c = 1 - m, and a burst sees an M/M/1 queue slowed down to r = b / c. With
theta = (1 - r) / S the density of the work V follows from level crossing (P. H. Brill and M. J. M. Posner, 1977; for
m = 0 it is D. Y. Barrer's queue of customers with limited patience, 1957), up to a common factor:

    P(V = 0) ~ 1,   density r / S exp(-theta x) for 0 < x <= B,   P(V > B) ~ b exp(-theta B)

From it come the mean and the variance of the wait of what is let in, and the share that is not. The packets' own
queueing adds the terms that Pollaczek and Khinchine's formulas (REFERENCE, section 1) have for them, so that without a
bound on the wait the mean is P-K's for the mixture,

    W = (b S + m s / 2) / (1 - b - m)

and without a burst all is M/D/1. Overload (b + m > 1) loses at least the fluid share 1 - 1 / (b + m). All three only
grow with load: more load never helps. The variance, which falls again once the queue is always full, is held at what
it is when full load is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

NEAR_ONE = 1e-9
SMALL = 0.05
"""Tilts below which series stand for formulas that cancel; their error is below 1e-11."""
MOST = 1e6
"""Slowed utilisation beyond which nothing changes any more."""
WIDEST = 1.0 / 9.0
"""Largest variance of a wait that is zero or anywhere in the buffer, over the square of the buffer."""


class Queueing(NamedTuple):
    """What waits in queues are like; arrays of one shape, float64.

    Attributes:
        wait: Mean of what is let in, seconds.
        variance: Of the same, seconds squared.
        blocked: Probability of not being let in.
    """

    wait: NDArray[np.float64]
    variance: NDArray[np.float64]
    blocked: NDArray[np.float64]


def queueing(
    bursts: ArrayLike, media: ArrayLike, service: ArrayLike, buffer: ArrayLike, packet: ArrayLike = 0.0
) -> Queueing:
    """Wait, its variance, and the share dropped.

    Args:
        bursts: Utilisation by bursts, >= 0, any shape.
        media: Utilisation by media packets, >= 0.
        service: Mean service time of a burst, seconds.
        buffer: Longest wait that is let in, seconds.
        packet: Service time of a media packet, seconds.

    >>> queueing([0.5], [0.0], 0.001, 0.1).wait.round(6).tolist()
    [0.001]
    >>> queueing([0.4, 0.0], [0.2, 0.5], 0.001, 1.0, 0.0001).wait.round(7).tolist()
    [0.001025, 5e-05]
    """
    b, m, s, most, own = (np.asarray(value, dtype=np.float64) for value in (bursts, media, service, buffer, packet))
    load = b + m
    free = np.maximum(1.0 - load, NEAR_ONE)
    wait, variance, blocked = _bursts(b, np.minimum(b / np.maximum(1.0 - m, NEAR_ONE), MOST), most / s)
    wait, variance = wait * most, variance * most**2
    part = m * own / free
    more = part / 2.0
    spread = variance + more * (more + 2.0 * wait) + part * own / 3.0
    return Queueing(
        wait=np.asarray(np.minimum(wait + more, most)),
        variance=np.asarray(np.minimum(spread, np.maximum(variance, WIDEST * most**2))),
        blocked=np.asarray(np.maximum(blocked, 1.0 - 1.0 / np.maximum(load, 1.0))),
    )


def _bursts(
    bursts: NDArray[np.float64], slowed: NDArray[np.float64], width: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, variance and blocking with fluid media; waits in buffers, `width` in bursts.

    Exponentials are scaled by the largest, so that none overflows.
    """
    tilt = np.asarray((1.0 - slowed) * width)
    over = tilt < 0.0
    fade, total, where, spread = _tilted(np.abs(tilt))
    within = slowed * width * total
    if not over.any():
        share = within / (1.0 + within)
        beyond = bursts * fade
        variance = share * (spread + (1.0 - share) * where**2)
        return share * where, variance, beyond / (1.0 + within + beyond)
    empty, beyond = np.where(over, fade, 1.0), bursts * np.where(over, 1.0, fade)
    where, share = np.where(over, 1.0 - where, where), within / (empty + within)
    full = width / (1.0 + width)
    held = full * (1.0 / 12.0 + (1.0 - full) / 4.0)
    variance = np.where(over, held, share * (spread + (1.0 - share) * where**2))
    return share * where, variance, beyond / (empty + within + beyond)


def _tilted(
    u: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of exp(-u x) over x in [0, 1], u >= 0: its last value, its integral, and the mean and variance it gives x."""
    safe = np.maximum(u, SMALL)
    fade = np.exp(-safe)
    gone, one = 1.0 - fade, 1.0 / safe
    odds = fade / gone
    values = fade, gone * one, one - odds, one**2 - odds / gone
    near = u < SMALL
    if not near.any():
        return values
    series = (
        np.exp(-u),
        1.0 - u / 2.0 + u**2 / 6.0 - u**3 / 24.0 + u**4 / 120.0,
        0.5 - u / 12.0 + u**3 / 720.0,
        1.0 / 12.0 - u**2 / 240.0 + u**4 / 6048.0,
    )
    return tuple(np.where(near, *pair) for pair in zip(series, values, strict=True))  # type: ignore[return-value]


def loss(base: ArrayLike, blocked: ArrayLike) -> NDArray[np.float64]:
    """Loss probability: the line's own, and that of a full buffer, independent of each other.

    Args:
        base: Loss probability without load.
        blocked: Share that the queue drops.
    """
    return np.asarray(1.0 - (1.0 - np.asarray(base, dtype=np.float64)) * (1.0 - np.asarray(blocked, dtype=np.float64)))
