"""Many comparisons at once, held to one error rate: Holm's step-down procedure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats.interval import Interval, mean_interval, mean_of, student_tail, vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def mean_p_value(x: ArrayLike, expected: float) -> float:
    """Student's two-sided p-value that independent values have the mean `expected`; NaN for fewer than two values.

    Args:
        x: n values; shape (n,).
        expected: The mean that theory says.

    >>> round(mean_p_value([1.0, 2.0, 3.0], 0.0), 4)
    0.0742
    """
    values = vector(x)
    if len(values) < 2:  # noqa: PLR2004 - one value has no spread
        return float("nan")
    mean = mean_of(values)
    error = (float(((values - mean) ** 2).sum()) / (len(values) - 1) / len(values)) ** 0.5
    distance = abs(mean - expected)
    if error == 0.0:
        return float(distance == 0.0)
    return 2.0 * student_tail(distance / error, len(values) - 1)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values of m tests: reject where they are at most the error rate wanted for all tests together.

    In order of size, the j-th smallest is multiplied by m - j + 1, never less than the one before it (S. Holm, Scand.
    J. Statist. 6, 1979).

    Args:
        p_values: shape (m,).

    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = vector(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def holm_intervals(samples: Sequence[ArrayLike], expected: ArrayLike, confidence: float = 0.99) -> list[Interval]:
    """Student intervals of m means, widened so that all expected values lie inside with `confidence`, by Holm's steps.

    An expected value lies inside its interval exactly where `holm` does not reject it: the rejected one of rank j has
    the level (1 - confidence) / (m - j + 1), all others that of the first rank not rejected.

    Args:
        samples: m samples of independent values.
        expected: What theory says of their means; shape (m,).
        confidence: Of all together, in (0, 1).

    Raises:
        ValueError: If there are not as many expected values as samples.

    >>> print(holm_intervals([[1.0, 2.0, 3.0]], [2.0], 0.95)[0])
    2 [-0.4841, 4.484]
    """
    means = vector(expected)
    if len(means) != len(samples):
        raise ValueError(f"{len(samples)} samples and {len(means)} expected values")
    p = np.array([mean_p_value(sample, mean) for sample, mean in zip(samples, means, strict=True)])
    ranks = np.empty(len(p), dtype=np.int64)
    ranks[np.argsort(p, kind="stable")] = np.arange(len(p))
    rejected = int(np.count_nonzero(holm(p) < 1.0 - confidence))
    levels = (1.0 - confidence) / (len(p) - np.minimum(ranks, rejected))
    return [mean_interval(sample, 1.0 - float(level)) for sample, level in zip(samples, levels, strict=True)]
