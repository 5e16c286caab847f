"""Means and rates with their uncertainty: no number of an experiment is told without an interval."""

from __future__ import annotations

import importlib
import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import ArrayLike, NDArray


class Interval(NamedTuple):
    """An estimate with its confidence interval.

    Attributes:
        mean: The estimate; NaN without data.
        low: Lower bound; NaN where the data are too few to tell.
        high: Upper bound; likewise.
    """

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside: the sign of the estimate is established. False for unknown bounds."""
        return self.low > 0.0 or self.high < 0.0

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def mean_interval(x: ArrayLike, confidence: float = 0.95) -> Interval:
    """The mean of independent values, with Student's interval.

    Args:
        x: n values; shape (n,).
        confidence: In (0, 1).

    >>> print(mean_interval([1.0, 2.0, 3.0]))
    2 [-0.4841, 4.484]
    """
    values = vector(x)
    return _clustered(values, np.arange(len(values)), confidence)


def paired_difference(
    a: ArrayLike, b: ArrayLike, confidence: float = 0.95, *, cluster: ArrayLike | None = None
) -> Interval:
    """The mean of a - b over pairs: both measured on the same call, seed or graph.

    Args:
        a: n values; shape (n,).
        b: n values, in the same order; shape (n,).
        confidence: In (0, 1).
        cluster: What each pair belongs to (a call, a seed), shape (n,): pairs of one cluster may depend on each other.
            The interval then rests on clusters, not pairs (the cluster-robust variance with G / (G - 1); A. C. Cameron,
            D. L. Miller, J. Human Resources 50, 2015).

    Raises:
        ValueError: If the shapes differ.

    >>> paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]).low
    1.0
    """
    first, second = vector(a), vector(b)
    labels = np.arange(len(first)) if cluster is None else np.asarray(cluster)
    if not first.shape == second.shape == labels.shape:
        raise ValueError(f"pairs need equal shapes, not {first.shape}, {second.shape} and cluster {labels.shape}")
    return _clustered(first - second, labels, confidence)


def bootstrap_interval(
    x: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float],
    generator: np.random.Generator,
    confidence: float = 0.95,
    *,
    resamples: int = 2000,
) -> Interval:
    """Any statistic of independent values, with the percentile bootstrap interval (B. Efron, Ann. Statist. 7, 1979).

    Args:
        x: n values; shape (n,).
        statistic: From (n,) values to a number; `np.median`, say.
        generator: Draws the resamples.
        confidence: In (0, 1).
        resamples: How many.

    >>> bootstrap_interval([1.0, 1.0], np.median, np.random.default_rng(1)).low
    1.0
    """
    values = vector(x)
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    draws = [float(statistic(generator.choice(values, len(values)))) for _ in range(resamples)]
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return Interval(float(statistic(values)), float(low), float(high))


def proportion_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """A rate of independent yes-or-no outcomes, with Wilson's interval (E. B. Wilson, JASA 22, 1927).

    Args:
        successes: How many of the n.
        n: Trials.
        confidence: In (0, 1).

    Raises:
        ValueError: Unless 0 <= successes <= n.

    >>> print(proportion_interval(0, 10))
    0 [0, 0.2775]
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    if n == 0:
        return Interval(math.nan, math.nan, math.nan)
    z = normal_quantile(0.5 + confidence / 2.0)
    share, shrink = successes / n, 1.0 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    half = z / shrink * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    # At the ends of the scale Wilson's bound is the share itself; rounding may put it an ulp beyond.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high)


def quantile_interval(x: ArrayLike, q: float, confidence: float = 0.95) -> Interval:
    """A quantile of independent values, bounded by two of them, whatever their distribution.

    The number of values below the quantile is binomial, so the ranks that hold it with at least `confidence` are known
    (H. A. David, H. N. Nagaraja, Order Statistics, section 7.1). A bound is NaN where no rank is far enough out.

    Args:
        x: n values; shape (n,).
        q: Which quantile, in (0, 1).
        confidence: In (0, 1).

    Raises:
        ValueError: If q is not in (0, 1).

    >>> print(quantile_interval(range(1, 12), 0.5))
    6 [2, 10]
    """
    if not 0.0 < q < 1.0:
        raise ValueError(f"no quantile {q!r}: it must be in (0, 1)")
    values = np.sort(vector(x))
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    tail = (1.0 - confidence) / 2.0
    at_most = _special().bdtr(np.arange(len(values)), len(values), q)  # P(B <= k), k = 0 ... n - 1
    low = int(np.count_nonzero(at_most <= tail)) - 1
    high = int(np.searchsorted(at_most, 1.0 - tail))
    return Interval(
        float(np.quantile(values, q)),
        float(values[low]) if low >= 0 else math.nan,
        float(values[high]) if high < len(values) else math.nan,
    )


def vector(x: ArrayLike) -> NDArray[np.float64]:
    """`x` as one-dimensional floats.

    Raises:
        ValueError: If it has another shape.

    >>> vector([1, 2]).tolist()
    [1.0, 2.0]
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"expected a vector, not shape {values.shape}")
    return values


def mean_of(values: NDArray[np.float64]) -> float:
    """The mean; of equal values that very value, which rounding may miss: without spread, it would be told apart.

    >>> mean_of(np.full(3, 0.1))
    0.1
    """
    return float(values[0] if values.min() == values.max() else values.mean())


def student_tail(t: float, degrees: int) -> float:
    """Probability that Student's t is beyond `t`.

    >>> round(student_tail(0.0, 7), 3)
    0.5
    """
    return float(_special().stdtr(degrees, -t))


def student_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t.

    >>> round(student_quantile(0.975, 9), 3)
    2.262
    """
    return float(_special().stdtrit(degrees, probability))


def normal_quantile(probability: float) -> float:
    """The quantile of the standard normal distribution.

    >>> round(normal_quantile(0.975), 3)
    1.96
    """
    return NormalDist().inv_cdf(probability)


def normal_share(z: float) -> float:
    """Probability that a standard normal value is at most `z`.

    >>> normal_share(0.0)
    0.5
    """
    return NormalDist().cdf(z)


def _clustered(values: NDArray[np.float64], labels: NDArray[np.generic], confidence: float) -> Interval:
    """The mean, with an interval from its residuals' sums by cluster; Student's own where each value is a cluster."""
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    mean = mean_of(values)
    _, members = np.unique(labels, return_inverse=True)
    sums = np.bincount(members, weights=values - mean)
    groups = len(sums)
    if groups < 2:  # noqa: PLR2004 - one value has no spread
        return Interval(mean, math.nan, math.nan)
    error = math.sqrt(groups / (groups - 1) * float(sums @ sums)) / len(values)
    half = student_quantile(0.5 + confidence / 2.0, groups - 1) * error
    return Interval(mean, mean - half, mean + half)


def _special() -> ModuleType:
    try:
        return importlib.import_module("scipy.special")  # nodes need no scipy
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
