"""BCa bootstrap intervals: for statistics of few values whose distribution nobody knows.

A statistic is a function of weights: how often each of n values is counted. All ones give the estimate, a row with one
zero a jackknife value, counts of n draws a resample; so one function tells all that the interval needs, at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meshsim.measure.stats.interval import Interval, normal_quantile, normal_share, student_quantile, vector
from meshsim.mesh.seeds import SeedTree

RESAMPLES = 2000
"""Enough for the ends of a 95 % interval: about fifty resamples lie beyond each (Efron and Tibshirani, 1993, 14.3)."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From weights (W, n) to values (W,)."""


class Bootstrapped(NamedTuple):
    """An estimate with its BCa interval and what it rests on.

    Attributes:
        interval: Estimate and bounds.
        bias: z0, from the share of resamples below the estimate.
        acceleration: How fast the standard error changes with the estimate, from the jackknife.
        note: What is degenerate; empty where nothing is.
    """

    interval: Interval
    bias: float
    acceleration: float
    note: str


def of_mean(x: ArrayLike) -> Statistic:
    """The mean of n values.

    >>> of_mean([1.0, 4.0])(np.array([[1.0, 1.0], [2.0, 0.0]])).tolist()
    [2.5, 1.0]
    """
    values = vector(x)

    def mean(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        means: NDArray[np.float64] = weights @ values / weights.sum(axis=1)
        return means

    return mean


def of_ratio(above: ArrayLike, below: ArrayLike) -> Statistic:
    """The ratio of two sums over the same n units: poor calls by calls. NaN where the sum below is zero.

    >>> of_ratio([1.0, 3.0], [10.0, 10.0])(np.ones((1, 2))).tolist()
    [0.2]
    """
    numerators, denominators = vector(above), vector(below)
    if numerators.shape != denominators.shape:
        raise ValueError(f"a ratio needs equal shapes, not {numerators.shape} and {denominators.shape}")

    def ratio(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        sums = weights @ denominators
        found: NDArray[np.float64] = np.full(len(sums), math.nan)
        return np.divide(weights @ numerators, sums, out=found, where=sums != 0.0)

    return ratio


def of_quantile(x: ArrayLike, q: float) -> Statistic:
    """A quantile of n values, by the line between the two around it (R. J. Hyndman, Y. Fan, 1996, definition 7).

    Raises:
        ValueError: If q is not in [0, 1].

    >>> of_quantile([5.0, 1.0, 2.0], 0.5)(np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 0.0]])).tolist()
    [2.0, 5.0]
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"no quantile {q!r}: it must be in [0, 1]")
    values = vector(x)
    order = np.argsort(values, kind="stable")
    values = values[order]

    def quantile(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        counted = np.cumsum(weights[:, order], axis=1)
        place = (counted[:, -1] - 1.0) * q
        below = np.floor(place)
        low, high = (values[(counted <= rank[:, None]).sum(axis=1)] for rank in (below, np.ceil(place)))
        return np.asarray(low + (high - low) * (place - below))

    return quantile


def bca_interval(
    statistic: Statistic,
    n: int,
    confidence: float = 0.95,
    *,
    widened: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Bootstrapped:
    """Any statistic of n independent values, with its bias-corrected and accelerated interval.

    B. Efron, Better bootstrap confidence intervals, JASA 82, 1987, equations 2.3 and 6.6. Of few values the bootstrap
    spreads too little; widened, the normal quantile z is replaced by sqrt(n / (n - 1)) times Student's, which is exact
    for means of normal values (T. C. Hesterberg, What teachers should know about the bootstrap, Amer. Statist. 69,
    2015, section 4.3). Equal input gives equal output: the draws are a function of `seed` and n.

    Args:
        statistic: From weights to values; see `of_mean`, `of_ratio`, `of_quantile`.
        n: How many values it weighs.
        confidence: In (0, 1).
        widened: Whether to widen for few values.
        resamples: How many.
        seed: Of the draws.

    >>> bca_interval(of_mean([3.0, 3.0]), 2).note
    'no spread'
    """
    if n < 2:  # noqa: PLR2004 - one value has no spread
        alone = float(statistic(np.ones((1, n)))[0]) if n else math.nan
        return Bootstrapped(Interval(alone, math.nan, math.nan), math.nan, math.nan, "fewer than two values")
    estimate = float(statistic(np.ones((1, n)))[0])
    drawn = statistic(_counts(n, resamples, seed))
    defined = np.sort(drawn[np.isfinite(drawn)])
    if math.isnan(estimate) or not len(defined):
        return Bootstrapped(Interval(estimate, math.nan, math.nan), math.nan, math.nan, "not defined")
    slack = 1e-12 * max(abs(estimate), float(np.abs(defined).max()))
    if defined[-1] - defined[0] <= slack:
        return Bootstrapped(Interval(estimate, estimate, estimate), 0.0, 0.0, "no spread")
    bias = _bias(defined, estimate, slack)
    acceleration = _acceleration(statistic(1.0 - np.eye(n)))
    z = normal_quantile(0.5 + confidence / 2.0)
    if widened:
        z = math.sqrt(n / (n - 1)) * student_quantile(0.5 + confidence / 2.0, n - 1)
    shares = [_share(bias, acceleration, end) for end in (-z, z)]
    ranks = np.arange(1.0, len(defined) + 1.0) / (len(defined) + 1.0)
    low, high = np.interp(shares, ranks, defined)
    notes = _notes(shares, len(defined), len(drawn))
    return Bootstrapped(Interval(estimate, float(low), float(high)), bias, acceleration, notes)


@lru_cache(maxsize=64)
def _counts(n: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """How often each of n values is drawn in each resample of n; (resamples, n), rows sum to n."""
    uniform = SeedTree(seed).stream("bootstrap", n).uniform(0, resamples * n)
    flat = (uniform * n).astype(np.int64) + np.repeat(np.arange(resamples) * n, n)
    counts = np.bincount(flat, minlength=resamples * n).astype(np.float64).reshape(resamples, n)
    counts.setflags(write=False)
    return counts


def _bias(defined: NDArray[np.float64], estimate: float, slack: float) -> float:
    """z0; resamples equal to the estimate count half, the share stays off 0 and 1."""
    below = np.searchsorted(defined, estimate - slack, side="left")
    up_to = np.searchsorted(defined, estimate + slack, side="right")
    share = float(below + up_to) / 2.0 / len(defined)
    return normal_quantile(min(max(share, 1.0 / len(defined)), 1.0 - 1.0 / len(defined)))


def _acceleration(left_out: NDArray[np.float64]) -> float:
    """From the jackknife values; zero where they do not differ or are not defined."""
    pull = left_out.mean() - left_out
    squares = float(pull @ pull)
    if not squares > 0.0:
        return 0.0
    return float((pull**3).sum() / (6.0 * squares**1.5))


def _share(bias: float, acceleration: float, z: float) -> float:
    """Which share of the resamples lies below the bound; an end of them where the correction has no limit."""
    slope = 1.0 - acceleration * (bias + z)
    if slope <= 0.0:
        return 0.0 if z < 0.0 else 1.0
    return normal_share(bias + (bias + z) / slope)


def _notes(shares: list[float], defined: int, drawn: int) -> str:
    """What a reader must know of the bounds."""
    notes = []
    if min(shares) * (defined + 1) < 1.0 or (1.0 - max(shares)) * (defined + 1) < 1.0:
        notes.append("a bound lies beyond all resamples")
    if defined < drawn:
        notes.append(f"not defined on {drawn - defined} of {drawn} resamples")
    return "; ".join(notes)
