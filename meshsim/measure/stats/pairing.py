"""What common random numbers are worth: the variance of paired differences beside that of unpaired ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from meshsim.measure.stats.interval import Interval, paired_difference, vector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class Pairing(NamedTuple):
    """A paired comparison.

    Attributes:
        difference: Mean of a - b with its paired interval.
        paired_variance: Of the differences of pairs; NaN for fewer than two.
        unpaired_variance: Of the differences, had the two been measured on other seeds: the sum of both variances.
    """

    difference: Interval
    paired_variance: float
    unpaired_variance: float

    @property
    def gain(self) -> float:
        """How many times lower the paired variance is; infinite where pairs differ by a constant.

        As many times more runs would unpaired measuring need for an interval as narrow.
        """
        return self.unpaired_variance / self.paired_variance if self.paired_variance else math.inf


def pairing(a: ArrayLike, b: ArrayLike, confidence: float = 0.95) -> Pairing:
    """Compares two treatments measured on the same seeds.

    Args:
        a: n values; shape (n,).
        b: n values on the same seeds, in the same order; shape (n,).
        confidence: In (0, 1).

    Raises:
        ValueError: If the shapes differ.

    >>> round(pairing([1.0, 2.0, 4.0], [1.0, 2.0, 3.0]).gain, 6)
    10.0
    """
    difference = paired_difference(a, b, confidence)
    first, second = vector(a), vector(b)
    return Pairing(
        difference,
        _variance(first - second),
        _variance(first) + _variance(second),
    )


def _variance(values: NDArray[np.float64]) -> float:
    return float(values.var(ddof=1)) if len(values) > 1 else math.nan
