"""How load becomes delay, jitter and loss: closed formulas over arrays, no state. Who loads what lives in `world`.

Every resource (underlay edge, access link, relay) is a queue with Poisson arrivals of exponential bursts: M/M/1, the
case of Pollaczek-Khinchine with E[S^2] = 2 E[S]^2 (REFERENCE, section 1), and a finite buffer. With utilisation rho,
mean service time of a burst S and a buffer that takes B seconds to drain:

    waiting   Wq = min(S rho / (1 - rho), B)
    jitter    sd(Wq) = min(S sqrt(rho (2 - rho)) / (1 - rho), B / sqrt(12))
    blocking  P_K = (1 - rho) rho^K / (1 - rho^(K + 1)), K = 1 + B / S      (M/M/1/K)

Waiting is capped by the full buffer, its deviation by that of a uniformly filled one. Above rho = 1 the blocking
formula holds unchanged and lies above the fluid limit 1 - 1/rho. All three only grow with rho: more load never helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

NEAR_ONE = 1e-9
MOST = 1e3
"""Utilisation beyond which nothing changes any more."""


def waiting(utilisation: ArrayLike, service: ArrayLike, buffer: ArrayLike) -> NDArray[np.float64]:
    """Mean wait in the queue, seconds (M/M/1, capped by the buffer).

    Args:
        utilisation: rho >= 0, any shape.
        service: Mean service time of a burst, seconds.
        buffer: Seconds a full buffer takes to drain.

    >>> waiting([0.5, 2.0], 0.001, 0.1).tolist()
    [0.001, 0.1]
    """
    rho = np.asarray(utilisation, dtype=np.float64)
    free = np.maximum(1.0 - rho, NEAR_ONE)
    return np.asarray(np.minimum(np.asarray(service, dtype=np.float64) * rho / free, buffer))


def variation(utilisation: ArrayLike, service: ArrayLike, buffer: ArrayLike) -> NDArray[np.float64]:
    """Standard deviation of the wait, seconds (M/M/1, capped by that of a uniformly filled buffer).

    Args:
        utilisation: rho >= 0, any shape.
        service: Mean service time of a burst, seconds.
        buffer: Seconds a full buffer takes to drain.

    >>> variation([0.5], 0.001, 0.1).round(6).tolist()
    [0.001732]
    """
    rho = np.asarray(utilisation, dtype=np.float64)
    busy = np.minimum(rho, 1.0)
    free = np.maximum(1.0 - rho, NEAR_ONE)
    spread = np.asarray(service, dtype=np.float64) * np.sqrt(busy * (2.0 - busy)) / free
    return np.asarray(np.minimum(spread, np.asarray(buffer, dtype=np.float64) / np.sqrt(12.0)))


def blocking(utilisation: ArrayLike, places: ArrayLike) -> NDArray[np.float64]:
    """Probability that a burst finds the buffer full (M/M/1/K).

    Args:
        utilisation: rho >= 0, any shape.
        places: K >= 1, the burst in service included.

    >>> float(blocking(0.9, 10).round(6))
    0.050814
    """
    rho = np.minimum(np.asarray(utilisation, dtype=np.float64), MOST)
    k = np.asarray(places, dtype=np.float64)
    if rho.shape != k.shape:
        rho, k = np.broadcast_arrays(rho, k)
    # below one and above one each in the form whose powers stay in [0, 1]; few queues are above
    small = np.where(rho < 1.0 - NEAR_ONE, rho, 0.5)
    full = small**k
    blocked = np.asarray((1.0 - small) * full / (1.0 - full * small))
    high = rho >= 1.0 - NEAR_ONE
    if high.any():
        blocked[high] = _overfull(rho[high], k[high])
    return blocked


def _overfull(rho: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for rho of one and above."""
    odd = np.abs(rho - 1.0) < NEAR_ONE
    large = np.where(odd, 2.0, rho)
    rare = large**-k
    return np.where(odd, 1.0 / (k + 1.0), (1.0 - 1.0 / large) / (1.0 - rare / large))


def loss(base: ArrayLike, utilisation: ArrayLike, service: ArrayLike, buffer: ArrayLike) -> NDArray[np.float64]:
    """Loss probability: the line's own, and that of a full buffer, independent of each other.

    Args:
        base: Loss probability without load.
        utilisation: rho >= 0, any shape.
        service: Mean service time of a burst, seconds.
        buffer: Seconds a full buffer takes to drain.
    """
    places = 1.0 + np.asarray(buffer, dtype=np.float64) / np.asarray(service, dtype=np.float64)
    return np.asarray(1.0 - (1.0 - np.asarray(base, dtype=np.float64)) * (1.0 - blocking(utilisation, places)))
