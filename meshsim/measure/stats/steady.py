"""The steady state of one long run: where its warm-up ends, and an interval from its dependent values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats.interval import Interval, mean_interval, vector

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MSER_BATCH = 5


def mser5(x: ArrayLike) -> int:
    """How many values at the start of a run to leave out: MSER-5.

    The truncation d, in batches of five, that minimises the squared standard error of the mean of what is left,
    sum (Y_i - mean)^2 / (m - d)^2, over the first half of the m batches (K. P. White, Simulation 69(6), 1997; batches
    of five: K. P. White, M. J. Cobb, S. C. Spratt, WSC 2000).

    Args:
        x: n values in the order they were measured; shape (n,).

    >>> mser5([9.0] * 10 + [1.0, 2.0, 3.0, 2.0, 1.0, 3.0] * 20)
    10
    """
    values = vector(x)
    batches = len(values) // MSER_BATCH
    if not batches:
        return 0
    y = values[: batches * MSER_BATCH].reshape(batches, MSER_BATCH).mean(axis=1)
    y -= y.mean()  # keeps the sums of squares below from cancelling
    left = np.arange(batches, 0, -1)
    sums, squares = _tail_sums(y), _tail_sums(y * y)
    error = (squares - sums * sums / left) / left.astype(np.float64) ** 2
    return MSER_BATCH * int(np.argmin(error[: batches // 2 + 1]))


def welch(replications: ArrayLike, window: int = 5) -> int:
    """How many values at the start of each run to leave out: Welch's graphical procedure made a rule.

    The mean over the runs, smoothed by a moving average, is plotted and the warm-up ends where it flattens (P. D.
    Welch, in Lavenberg (ed.), Computer Performance Modeling Handbook, 1983). Flat is what its second half is: the level
    is that half's mean, the band its largest deviation. Counted is from the first index inside the band after the last
    one beyond twice the band, so that neither a slow approach nor an overshoot ends the warm-up early.

    Args:
        replications: Values of R runs, n each; shape (R, n).
        window: Values on either side that the moving average takes in.

    Raises:
        ValueError: Unless `replications` is a matrix longer than two windows.

    >>> welch([[9.0, 5.0, 3.0] + [2.0, 1.0] * 20] * 3, window=1)
    4
    """
    runs = np.asarray(replications, dtype=np.float64)
    if runs.ndim != 2 or runs.shape[1] <= 2 * (2 * window + 1):  # noqa: PLR2004 - a matrix
        raise ValueError(f"Welch's procedure needs runs of more than {2 * (2 * window + 1)} values, not {runs.shape}")
    smooth = _smoothed(runs.mean(axis=0), window)
    second = smooth[len(smooth) // 2 :]
    deviation = np.abs(smooth - second.mean())
    band = float(np.abs(second - second.mean()).max())
    beyond = np.flatnonzero(deviation > 2.0 * band)
    first = int(beyond[-1]) + 1 if len(beyond) else 0
    return first + int(np.argmax(deviation[first:] <= band))


def batch_means(x: ArrayLike, batches: int = 20, confidence: float = 0.95) -> Interval:
    """The mean of one stationary run, with the interval from its batches' means (R. W. Conway, Mgmt. Sci. 10, 1963).

    Args:
        x: n values without their warm-up; shape (n,). The n mod `batches` first ones are left out.
        batches: Into how many batches; each must be much longer than the values remember.
        confidence: In (0, 1).

    Raises:
        ValueError: If there are fewer values than batches, or no batches.

    >>> print(batch_means(range(40), batches=2))
    19.5 [-107.6, 146.6]
    """
    values = vector(x)
    size = len(values) // batches if batches > 0 else 0
    if not size:
        raise ValueError(f"{len(values)} values make no {batches} batches")
    return mean_interval(values[len(values) - size * batches :].reshape(batches, size).mean(axis=1), confidence)


def _tail_sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.cumsum(values[::-1])[::-1]


def _smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Moving averages; near the start over as many values as there are before the middle one (Welch, 1983)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    middle = np.arange(len(values) - window)
    reach = np.minimum(middle, window)
    return np.asarray((sums[middle + reach + 1] - sums[middle - reach]) / (2 * reach + 1))
