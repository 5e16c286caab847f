"""Quantiles of the Beta distribution with NumPy alone, for many nodes at once.

With y = log(x / (1 - x)) the density of Beta(a, b) becomes exp(g(y)), g(y) = a log x + b log(1 - x): smooth, unimodal,
with exponential tails. There the trapezoid rule with an end correction (Euler-Maclaurin) finds the distribution in a
few array operations, instead of a continued fraction and a bisection for each node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POINTS = 256
_DROP = 24.0  # the grid ends where the density has fallen by exp(-24); beyond, the tails are exponential
_HALF = 0.5
_NEWTON_STEPS = 10
_ROWS = 1024  # distributions at once, so that their grids stay in the cache


def beta_quantiles(
    a: NDArray[np.float64], b: NDArray[np.float64], probabilities: tuple[float, ...]
) -> tuple[NDArray[np.float64], ...]:
    """Quantiles of N Beta distributions.

    Args:
        a: Successes and prior, above 0; shape (N,).
        b: Failures and prior, above 0; shape (N,).
        probabilities: Of the quantiles wanted, each in (0, 1).

    Returns:
        One (N,) float64 array in [0, 1] for each probability; the error is below 2e-6 for a, b >= 1.

    >>> low, high = beta_quantiles(np.array([1.0]), np.array([1.0]), (0.25, 0.75))
    >>> round(float(low[0]), 6), round(float(high[0]), 6)
    (0.25, 0.75)
    """
    parts = [_quantiles(a[k : k + _ROWS], b[k : k + _ROWS], probabilities) for k in range(0, max(len(a), 1), _ROWS)]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _quantiles(
    a: NDArray[np.float64], b: NDArray[np.float64], probabilities: tuple[float, ...]
) -> list[NDArray[np.float64]]:
    mode = np.log(a / b)
    left, right = np.split(_reach(np.concatenate([a, b]), np.concatenate([b, a])), 2)
    start, width = mode - left, (left + right) / (_POINTS - 1)
    y = start[:, None] + width[:, None] * np.arange(_POINTS)
    density, slope = _density(y, mode, a[:, None], b[:, None])
    tail_left, tail_right = density[:, 0] / (a * width), density[:, -1] / (b * width)
    mass = np.cumsum(density, axis=1) - 0.5 * (density + density[:, :1])
    mass += tail_left[:, None] - (width[:, None] / 12.0) * (slope - slope[:, :1])
    whole = mass[:, -1] + tail_right
    return [_logistic(start + width * _invert(density, mass, whole, q)) for q in probabilities]


def _reach(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far left of its mode the density has fallen by `_DROP`; with a and b exchanged, how far right; shape (N,)."""
    total = a + b
    p, q = a / total, b / total
    # The fall at distance d is a d + total log(q + p e^-d): convex and rising, so Newton from above cannot overshoot.
    d = (_DROP - total * np.log(q)) / a
    for _ in range(_NEWTON_STEPS):
        shrunk = p * np.exp(-d)
        left = q + shrunk
        d -= (a * d + total * np.log(left) - _DROP) / (a - total * shrunk / left)
    return d


def _density(
    y: NDArray[np.float64], mode: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The density at y relative to its peak, and its derivative; shapes (N, points)."""
    softplus = np.logaddexp(0.0, y)
    peak = a * mode[:, None] - (a + b) * np.logaddexp(0.0, mode)[:, None]
    density = np.exp(a * y - (a + b) * softplus - peak)
    return density, density * (a - (a + b) * np.exp(y - softplus))


def _invert(
    density: NDArray[np.float64], mass: NDArray[np.float64], whole: NDArray[np.float64], probability: float
) -> NDArray[np.float64]:
    """The fractional grid index at which the mass reaches `probability` of the `whole`; shape (N,).

    Interpolates the index as a function of the logarithm of the nearer tail's mass, which is all but linear far out:
    cubic Hermite, since the derivatives are known.
    """
    rows = np.arange(len(whole))
    left = np.clip((mass < (probability * whole)[:, None]).sum(axis=1) - 1, 0, _POINTS - 2)
    lower = probability < _HALF
    log_tails, slopes = [], []
    for column in (left, left + 1):
        tail = mass[rows, column] if lower else whole - mass[rows, column]
        log_tails.append(np.log(tail))
        slopes.append(tail / density[rows, column] * (1.0 if lower else -1.0))
    step = log_tails[1] - log_tails[0]
    t = (np.log((probability if lower else 1.0 - probability) * whole) - log_tails[0]) / step
    bend = t * (1.0 - t) * step * ((1.0 - t) * slopes[0] - t * slopes[1])
    return np.asarray(left + t * t * (3.0 - 2.0 * t) + bend)


def _logistic(y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0.0, -y)))
