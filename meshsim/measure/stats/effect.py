"""How large a difference is, beside how sure: effect sizes of two treatments measured on the same seeds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.measure.stats.interval import mean_of, vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_SKEWED, _DEVIATIONS = 1.0, 2.0


class Effect(NamedTuple):
    """The size of a difference a - b over pairs.

    Attributes:
        g: Hedges' g of the pairs: in standard deviations of the differences; NaN for fewer than three.
        delta: Cliff's delta: how much oftener a value of a is above one of b than below, over all pairs of values.
        above: Pairs with a > b.
        below: Pairs with a < b.
        pairs: How many.
    """

    g: float
    delta: float
    above: int
    below: int
    pairs: int


def effect(a: ArrayLike, b: ArrayLike) -> Effect:
    """The effect sizes of a against b.

    Args:
        a: n values; shape (n,).
        b: n values on the same seeds, in the same order; shape (n,).

    Raises:
        ValueError: If the shapes differ.

    >>> effect([3.0, 4.0, 6.0], [1.0, 2.0, 7.0])[1:]
    (0.3333333333333333, 2, 1, 3)
    """
    first, second = vector(a), vector(b)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, not {first.shape} and {second.shape}")
    gaps = first - second
    return Effect(hedges_g(gaps), cliffs_delta(first, second), int((gaps > 0).sum()), int((gaps < 0).sum()), len(gaps))


def hedges_g(differences: ArrayLike) -> float:
    """Mean difference by the standard deviation of the differences, corrected for few pairs.

    Times J(m) = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)), m = n - 1 (L. V. Hedges, J. Educ. Statist. 6, 1981;
    of pairs: G. Cumming, Understanding the New Statistics, 2012, chapter 11). Infinite for a constant difference, NaN
    for fewer than three.

    Args:
        differences: n values; shape (n,).

    >>> round(hedges_g([1.0, 2.0, 3.0]), 4)
    1.1284
    """
    values = vector(differences)
    if len(values) < 3:  # noqa: PLR2004 - of two, J is zero: there is no unbiased estimate
        return math.nan
    mean, spread = mean_of(values), float(values.std(ddof=1)) if np.ptp(values) else 0.0
    if spread == 0.0:
        return math.copysign(math.inf, mean) if mean else 0.0
    m = len(values) - 1
    logarithm = math.lgamma(m / 2.0) - math.lgamma((m - 1.0) / 2.0)
    return math.exp(logarithm) / math.sqrt(m / 2.0) * mean / spread


def cliffs_delta(a: ArrayLike, b: ArrayLike) -> float:
    """P(a > b) - P(a < b) over all pairs of a value of a and one of b (N. Cliff, Psychol. Bull. 114, 1993).

    Args:
        a: n values; shape (n,).
        b: m values; shape (m,).

    >>> cliffs_delta([2.0, 3.0], [1.0, 2.0])
    0.75
    """
    first, second = vector(a), np.sort(vector(b))
    if not (len(first) and len(second)):
        return math.nan
    under = np.searchsorted(second, first, side="left").sum()
    over = (len(second) - np.searchsorted(second, first, side="right")).sum()
    return float(under - over) / (len(first) * len(second))


def is_skewed(x: ArrayLike) -> bool:
    """Whether values lean to one side so far that Student's interval of their mean is too narrow on it.

    Their skewness is beyond one, and beyond what normal values show in all but a few of a hundred samples: twice its
    standard error sqrt(6 n (n - 1) / ((n - 2) (n + 1) (n + 3))) (D. N. Joanes, C. A. Gill, The Statistician 47, 1998).

    Args:
        x: n values; shape (n,).

    >>> is_skewed([0.0] * 9 + [1.0]), is_skewed([1.0, 2.0, 3.0, 4.0])
    (True, False)
    """
    values = vector(x)
    n = len(values)
    if n < 3 or not np.ptp(values):  # noqa: PLR2004 - two values lean to neither side
        return False
    off = values - values.mean()
    skewness = math.sqrt(n * (n - 1)) / (n - 2) * float((off**3).mean()) / float((off**2).mean()) ** 1.5
    error = math.sqrt(6.0 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return bool(abs(skewness) > max(_SKEWED, _DEVIATIONS * error))
