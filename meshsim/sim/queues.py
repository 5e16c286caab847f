"""Waiting and loss of single queues by formula: arrays in, arrays out, no state. Which flows meet, others know.

Notation: rho is load, R = E[S^2] / (2 E[S]) the mean residual service time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import gammainc

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Waiting(NamedTuple):
    """What customers of a queue meet; arrays of shape (Q,).

    Attributes:
        mean: Wait before service of those let in, seconds.
        variance: Of that wait, s^2.
        blocking: Share of those that find the queue full.
    """

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    blocking: NDArray[np.float64]


def mg1_wait(load: ArrayLike, residual: ArrayLike, most: float = 1.0 - 1e-9) -> NDArray[np.float64]:
    """Mean wait of M/G/1 (Pollaczek-Khinchine), seconds: rho R / (1 - rho).

    Args:
        load: rho, any shape.
        residual: R, seconds.
        most: Load that greater ones are taken for.

    >>> mg1_wait([0.5, 0.8], 0.5).round(6).tolist()
    [0.5, 2.0]
    """
    rho = np.minimum(np.asarray(load, dtype=np.float64), most)
    return np.asarray(rho * np.asarray(residual, dtype=np.float64) / (1.0 - rho))


def priority_wait(own: ArrayLike, higher: ArrayLike, busy: ArrayLike, most: float = 1.0 - 1e-9) -> NDArray[np.float64]:
    """Mean wait of a class in M/G/1 with non-preemptive priorities (A. Cobham, Operations Research 2, 1954), seconds.

    Args:
        own: Load of the class.
        higher: Load of all classes before it.
        busy: Sum over all classes of load times mean residual service time, seconds.
        most: Load of the class and those before it that greater ones are taken for.

    >>> priority_wait([0.3, 0.4], [0.0, 0.3], 0.7).round(6).tolist()
    [1.0, 3.333333]
    """
    before = np.minimum(np.asarray(higher, dtype=np.float64), most)
    upto = np.minimum(before + np.asarray(own, dtype=np.float64), most)
    return np.asarray(np.asarray(busy, dtype=np.float64) / ((1.0 - before) * (1.0 - upto)))


def mg1k(
    rate: NDArray[np.float64], times: NDArray[np.float64], shares: NDArray[np.float64], places: NDArray[np.int64]
) -> Waiting:
    """M/G/1/K with a discrete distribution of service times, by the chain at departures.

    The chain is solved by its cuts, in sums of positive terms only; blocking is 1 - 1 / (pi_0 + rho) (H. Takagi,
    Queueing Analysis 2, 1993). The variance takes the residual service as independent of the number found.

    Args:
        rate: Arrivals per second, (Q,); those of 0 wait for nothing.
        times: Service times, seconds, (Q, D).
        shares: Probability of each, (Q, D); rows sum to 1.
        places: K >= 1, the one in service included, (Q,).

    >>> one = np.ones((1, 1))
    >>> mg1k(np.array([0.5]), one, one, np.array([60])).mean.round(6).tolist()
    [0.5]
    """
    found = _found(rate, times, shares, int(places.max(initial=1)), places)
    first, second, third = (np.sum(shares * times**power, axis=1) for power in (1, 2, 3))
    blocking = np.clip(1.0 - 1.0 / (found[:, 0] + rate * first), 0.0, 1.0)
    ahead = np.maximum(np.arange(found.shape[1]) - 1.0, 0.0)
    waits = found[:, 1:].sum(axis=1)
    others, squares = found @ ahead, found @ ahead**2
    residual, residual_square = second / (2.0 * first), third / (3.0 * first)
    rough = waits * residual + others * first
    moment = waits * residual_square + 2.0 * residual * others * first + squares * first**2
    variance = moment + others * (second - first**2) - rough**2
    return Waiting(_mean_wait(found, rate, first, blocking, places), np.maximum(variance, 0.0), blocking)


def _found(
    rate: NDArray[np.float64],
    times: NDArray[np.float64],
    shares: NDArray[np.float64],
    most: int,
    places: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What those let in find, themselves left out: probabilities of 0 ... K - 1 in the system, (Q, most)."""
    expected = rate[:, np.newaxis] * times
    idle = np.sum(shares * np.exp(-expected), axis=1)
    more = np.stack([np.sum(shares * gammainc(k + 1.0, expected), axis=1) for k in range(most)], axis=1)
    found = np.zeros((len(rate), most))
    found[:, 0] = 1.0
    for state in range(most - 1):
        up = found[:, 0] * more[:, state] + np.sum(found[:, 1 : state + 1] * more[:, state:0:-1], axis=1)
        found[:, state + 1] = np.where(state + 1 < places, up / idle, 0.0)
        found[:, : state + 2] /= np.maximum(found[:, : state + 2].max(axis=1), 1.0)[:, np.newaxis]
    return np.asarray(found / found.sum(axis=1)[:, np.newaxis])


def _mean_wait(
    found: NDArray[np.float64],
    rate: NDArray[np.float64],
    service: NDArray[np.float64],
    blocking: NDArray[np.float64],
    places: NDArray[np.int64],
) -> NDArray[np.float64]:
    """By Little's law, from the number in the system at any time."""
    number = (1.0 - blocking) * (found @ np.arange(found.shape[1])) + blocking * places
    entering = np.maximum(rate * (1.0 - blocking), 1e-300)
    return np.asarray(np.where(rate > 0.0, np.maximum(number / entering - service, 0.0), 0.0))
