"""How load becomes delay, jitter and loss: closed formulas, compiled, no state. Who loads what lives in `world`.

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

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

F = TypeVar("F", bound="Callable[..., object]")

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


def _inner(function: F) -> F:
    """`function`, compiled with what calls it; a division by zero gives infinity, as in NumPy."""
    return cast("F", numba.njit(error_model="numpy")(function))


def _door(function: F) -> F:
    """`function`, compiled once per machine for Python to call.

    numba keys its cache by the file that a function stands in: all that is compiled stands here, so none can be stale.
    """
    return cast("F", numba.njit(error_model="numpy", cache=True)(function))


# --- one queue --------------------------------------------------------------------------------------------------------


@_inner
def _tilted(u: float) -> tuple[float, float, float, float]:
    """Of exp(-u x) over x in [0, 1], u >= 0: its last value, its integral, and the mean and variance it gives x."""
    fade = math.exp(-u)
    if u < SMALL:
        total = 1.0 - u / 2.0 + u**2 / 6.0 - u**3 / 24.0 + u**4 / 120.0
        return fade, total, 0.5 - u / 12.0 + u**3 / 720.0, 1.0 / 12.0 - u**2 / 240.0 + u**4 / 6048.0
    gone, one = 1.0 - fade, 1.0 / u
    odds = fade / gone
    return fade, gone * one, one - odds, one**2 - odds / gone


@_inner
def _bursts(bursts: float, slowed: float, width: float) -> tuple[float, float, float]:
    """Mean, variance and blocking with fluid media; waits in buffers, `width` in bursts.

    Exponentials are scaled by the largest, so that none overflows.
    """
    tilt = (1.0 - slowed) * width
    fade, total, where, spread = _tilted(abs(tilt))
    within = slowed * width * total
    if tilt >= 0.0:
        share, beyond = within / (1.0 + within), bursts * fade
        return share * where, share * (spread + (1.0 - share) * where**2), beyond / (1.0 + within + beyond)
    full = width / (1.0 + width)
    held = full * (1.0 / 12.0 + (1.0 - full) / 4.0)
    return within / (fade + within) * (1.0 - where), held, bursts / (fade + within + bursts)


@_inner
def _queue(bursts: float, media: float, service: float, buffer: float, packet: float) -> tuple[float, float, float]:
    """Wait, its variance, and the share dropped, as `queueing` tells them."""
    load = bursts + media
    free = max(1.0 - load, NEAR_ONE)
    slowed = min(bursts / max(1.0 - media, NEAR_ONE), MOST)
    wait, variance, blocked = _bursts(bursts, slowed, buffer / service)
    wait, variance = wait * buffer, variance * buffer**2
    part = media * packet / free
    more = part / 2.0
    spread = variance + more * (more + 2.0 * wait) + part * packet / 3.0
    held = min(spread, max(variance, WIDEST * buffer**2))
    return min(wait + more, buffer), held, max(blocked, 1.0 - 1.0 / max(load, 1.0))


@_door
def _queues(asked: Any, told: Any) -> None:
    """Rows of `asked` (5, K) to rows of `told` (3, K)."""
    for k in range(asked.shape[1]):
        told[0, k], told[1, k], told[2, k] = _queue(asked[0, k], asked[1, k], asked[2, k], asked[3, k], asked[4, k])


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
    asked = np.broadcast_arrays(
        *(np.asarray(value, dtype=np.float64) for value in (bursts, media, service, buffer, packet))
    )
    told = np.empty((3, asked[0].size))
    _queues(np.stack([value.ravel() for value in asked]), told)
    return Queueing(*told.reshape(3, *asked[0].shape))


def loss(base: ArrayLike, blocked: ArrayLike) -> NDArray[np.float64]:
    """Loss probability: the line's own, and that of a full buffer, independent of each other.

    Args:
        base: Loss probability without load.
        blocked: Share that the queue drops.
    """
    return np.asarray(_lost(np.asarray(base, dtype=np.float64), np.asarray(blocked, dtype=np.float64)))


def _lost(base: Any, blocked: Any) -> Any:
    return 1.0 - (1.0 - base) * (1.0 - blocked)


_lost_once = _inner(_lost)


# --- all resources ----------------------------------------------------------------------------------------------------


class Fixed(NamedTuple):
    """The fixed properties of R resources, float64, as `resources.Resources` explains them.

    Attributes:
        relay: First resource that forwards: there the service times of packets are like those of bursts, elsewhere
            the packets of calls are short beside them.
    """

    relay: int
    capacity: NDArray[np.float64]
    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    service: NDArray[np.float64]
    buffer: NDArray[np.float64]
    packet: NDArray[np.float64]


class Now(NamedTuple):
    """R resources at present; what is `stale` is worked out when somebody looks.

    Attributes:
        background: Utilisation by background bursts.
        load: Of open flows; bits per second, calls for relaying.
        stale: Whether load or background have changed since the three below were worked out.
        delay: Seconds.
        variance: Of the delay, seconds squared.
        survival: Logarithm of the probability that a packet is not lost.
    """

    background: NDArray[np.float64]
    load: NDArray[np.float64]
    stale: NDArray[np.bool_]
    delay: NDArray[np.float64]
    variance: NDArray[np.float64]
    survival: NDArray[np.float64]


SPARSE = 8
"""Paths or hops for which so many resources each are worked out one by one; for more paths, all of them together."""
MOST_LOSS = 1.0 - 1e-12
"""Keeps logarithms of survival finite."""


@_inner
def _resource(fixed: Fixed, row: int, background: float, load: float) -> tuple[float, float, float]:
    """Delay, variance and log-survival of one resource."""
    share = load / fixed.capacity[row]
    bursts, media = (background + share, 0.0) if row >= fixed.relay else (background, share)
    wait, variance, blocked = _queue(bursts, media, fixed.service[row], fixed.buffer[row], fixed.packet[row])
    survival = math.log1p(-min(_lost_once(fixed.loss[row], blocked), MOST_LOSS))
    return fixed.delay[row] + wait, fixed.jitter[row] ** 2 + variance, survival


@_inner
def _look(fixed: Fixed, now: Now, rows: Any) -> None:
    """Works out those of `rows` that are stale."""
    # tables of arrays are counted when they are handed on: looking at many rows in one call is much cheaper
    for row in rows:
        if now.stale[row]:
            now.delay[row], now.variance[row], now.survival[row] = _resource(
                fixed, row, now.background[row], now.load[row]
            )
            now.stale[row] = False


@_door
def hops(fixed: Fixed, now: Now, resource: Any, indptr: Any, which: Any, out: Any) -> None:
    """What K of the hops are like: `out` (5, K) gets delay, variance, log-survival, spare rate and utilisation.

    Args:
        fixed: The resources.
        now: The resources.
        resource: (rows,) int64.
        indptr: int64, rows of each hop.
        which: (K,) int64 numbers of hops.
        out: Filled.
    """
    if len(which) > len(now.stale) // SPARSE:
        _look(fixed, now, np.arange(len(now.stale)))
    for k in range(len(which)):
        delay, variance, survival, rate, utilisation = 0.0, 0.0, 0.0, math.inf, 0.0
        for k_row in range(indptr[which[k]], indptr[which[k] + 1]):
            row = resource[k_row]
            if now.stale[row]:
                _look(fixed, now, resource[k_row : k_row + 1])
            delay += now.delay[row]
            variance += now.variance[row]
            survival += now.survival[row]
            used = now.background[row] + now.load[row] / fixed.capacity[row]
            rate = min(rate, max(1.0 - used, 0.0) * fixed.capacity[row])
            utilisation = max(utilisation, used)
        out[0, k], out[1, k], out[2, k], out[3, k], out[4, k] = delay, variance, survival, rate, utilisation


@_inner
def _ends(forth: Any, back: Any, dropped: float) -> tuple[float, float, float]:
    """Round trip, worse jitter and worse loss of a path by the sums of its two ways."""
    loss = -math.expm1(min(forth[2], back[2]) + dropped)
    return forth[0] + back[0], math.sqrt(max(forth[1], back[1])), loss


@_door
def probed(  # noqa: PLR0913, PLR0917 - compiled code takes columns, not objects
    fixed: Fixed,
    now: Now,
    load: Any,
    indptr: Any,
    way: Any,
    resource: Any,
    own: Any,
    sending: Any,
    dropped: Any,
    out: Any,
) -> None:
    """What a call would live through on each of P paths, its own load added to each alone.

    Args:
        fixed: The resources.
        now: The resources.
        load: (R,) what flows without the call.
        indptr: (P + 1,) rows of each path.
        way: (rows,) 0 for one direction of the path, 1 for the other.
        resource: (rows,) int64.
        own: (rows,) what the call puts on each resource.
        sending: (rows,) seconds that a packet takes to be sent.
        dropped: (P,) log-survival at the relays.
        out: (P, 3), gets rtt, jitter and loss.
    """
    total = np.zeros((2, 3))
    for path in range(len(indptr) - 1):
        total[:] = 0.0
        for k in range(indptr[path], indptr[path + 1]):
            row = resource[k]
            delay, variance, survival = _resource(fixed, row, now.background[row], load[row] + own[k])
            total[way[k], 0] += delay + sending[k]
            total[way[k], 1] += variance
            total[way[k], 2] += survival
        out[path, 0], out[path, 1], out[path, 2] = _ends(total[0], total[1], dropped[path])


@_door
def measured(  # noqa: PLR0913, PLR0917 - compiled code takes columns, not objects
    fixed: Fixed, now: Now, first: Any, last: Any, way: Any, resource: Any, sending: Any, dropped: Any, out: Any
) -> None:
    """What flows on each of P paths live through, with the load that there is.

    Args:
        fixed: The resources.
        now: The resources.
        first: (P,) where the rows of each path begin.
        last: (P,) where they end.
        way: (rows,) 0 for one direction of the path, 1 for the other.
        resource: (rows,) int64.
        sending: (rows,) seconds that a packet takes to be sent.
        dropped: (P,) log-survival at the relays.
        out: (P, 3), gets rtt, jitter and loss.
    """
    stale, delay, variance, survival = now.stale, now.delay, now.variance, now.survival
    if len(first) > len(stale) // SPARSE:
        _look(fixed, now, np.arange(len(stale)))
    for path in range(len(first)):
        there, back = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
        for k in range(first[path], last[path]):
            row = resource[k]
            if stale[row]:
                _look(fixed, now, resource[k : k + 1])
            if way[k]:
                back = back[0] + delay[row] + sending[k], back[1] + variance[row], back[2] + survival[row]
            else:
                there = there[0] + delay[row] + sending[k], there[1] + variance[row], there[2] + survival[row]
        out[path, 0], out[path, 1], out[path, 2] = _ends(there, back, dropped[path])


@_door
def put(now: Now, resource: Any, amount: Any, sign: float) -> None:
    """Adds a flow's amounts to the load, or takes them off."""
    for k in range(len(resource)):
        now.load[resource[k]] += sign * amount[k]
        now.stale[resource[k]] = True
