"""How many independent runs are enough: sequential stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats.interval import Interval, mean_interval, normal_quantile, student_quantile, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


AT_LEAST = 10
"""Fewest runs before a rule may stop: the interval of few is itself a matter of chance."""

CONFIRM = 2
"""Runs at the end that the width must not depend on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """What a sequence of runs came to.

    Attributes:
        interval: Of the mean.
        values: Of each run, in order.
        met: Whether the interval is as narrow as asked for; False where `at_most` runs were not enough.
    """

    interval: Interval
    values: tuple[float, ...]
    met: bool


def stop_when(
    x: ArrayLike,
    *,
    width: float = math.inf,
    relative: float = math.inf,
    confidence: float = 0.95,
    at_least: int = AT_LEAST,
) -> bool:
    """Whether independent runs suffice: the interval's half-width is within `width` and `relative` times the mean.

    To be off by no more than a share g of the true mean, the half-width must be within g / (1 + g) of the estimated
    one (A. M. Law, Simulation Modeling and Analysis, section 9.4.1).

    Args:
        x: A value of each run; shape (n,).
        width: Largest half-width, in the values' unit.
        relative: Largest half-width as a share of the mean.
        confidence: In (0, 1).
        at_least: Fewest runs: the interval of few is itself a matter of chance.

    >>> stop_when([1.0, 1.1, 0.9], relative=0.4, at_least=3), stop_when([1.0, 1.1, 0.9], width=0.1, at_least=3)
    (True, False)
    """
    values = vector(x)
    interval = mean_interval(values, confidence)
    half = interval.high - interval.mean
    share = relative if math.isinf(relative) else relative / (1.0 + relative) * abs(interval.mean)
    return len(values) >= at_least and half <= min(width, share)


def replicate(
    measure: Callable[[int], float],
    *,
    width: float = math.inf,
    relative: float = math.inf,
    confidence: float = 0.95,
    at_least: int = AT_LEAST,
    at_most: int = 1000,
) -> Replicated:
    """Runs until `stop_when` is content, or `at_most` runs were made.

    Args:
        measure: From the run's number (0, 1, ...: its seed) to the value measured.
        width: See `stop_when`.
        relative: See `stop_when`.
        confidence: In (0, 1).
        at_least: Fewest runs.
        at_most: Most runs.

    >>> replicate(lambda seed: 5.0 + seed % 2, relative=0.1, at_least=4).met
    True
    """
    values: list[float] = []
    met = False
    while not met and len(values) < at_most:
        values.append(measure(len(values)))
        met = stop_when(values, width=width, relative=relative, confidence=confidence, at_least=at_least)
    return Replicated(interval=mean_interval(values, confidence), values=tuple(values), met=met)


def enough(
    x: ArrayLike,
    half_width: float,
    *,
    confidence: float = 0.95,
    at_least: int = AT_LEAST,
    confirm: int = CONFIRM,
) -> bool:
    """Whether a sequence of runs may end, asked after each batch: its interval is narrow, and was before the last ones.

    Who stops as soon as an interval is narrow stops at samples that happen to spread little, and the interval covers
    too seldom. Two things mend it, as measured in `lab.coverage`: a first stage of `at_least` runs (Y. S. Chow, H.
    Robbins, Ann. Math. Statist. 36, 1965, for the rule; A. M. Law, Simulation Modeling and Analysis, section 9.4.1, for
    ten), and some runs more than the rule asks for (G. Simons, Ann. Math. Statist. 39, 1968). What is told then is
    `fixed_width`.

    Args:
        x: A value of each run in order, or a difference of each pair; shape (n,).
        half_width: Largest half-width, in the values' unit.
        confidence: In (0, 1).
        at_least: Fewest runs of the first stage.
        confirm: How many of the last runs must not have been needed; batches are best as large.

    >>> runs = [0.1, -0.1] * 6
    >>> enough(runs, 0.1), enough(runs[:11], 0.1), enough(runs, 0.01)
    (True, False, False)
    """
    values = vector(x)
    before = values[: max(len(values) - confirm, 0)]
    return all(stop_when(part, width=half_width, confidence=confidence, at_least=at_least) for part in (before, values))


def fixed_width(x: ArrayLike, half_width: float, confidence: float = 0.95) -> Interval:
    """The mean of runs that `enough` ended, give or take what was asked for; Student's interval where that is wider.

    Args:
        x: n values; shape (n,).
        half_width: As `enough` was told.
        confidence: In (0, 1).

    >>> print(fixed_width([0.1, -0.1] * 6, 0.1))
    0 [-0.1, 0.1]
    """
    found = mean_interval(x, confidence)
    half = max(found.high - found.mean, half_width) if math.isfinite(found.high) else math.nan
    return Interval(found.mean, found.mean - half, found.mean + half)


def seeds_needed(
    x: ArrayLike,
    half_width: float,
    *,
    confidence: float = 0.95,
    at_least: int = AT_LEAST,
    confirm: int = CONFIRM,
) -> int:
    """How many runs `enough` will about ask for, from the spread of some: the least n with t s / sqrt(n) in the width.

    Args:
        x: Values of at least two runs; shape (n,).
        half_width: As `enough` is told, more than zero.
        confidence: In (0, 1).
        at_least: As `enough` is told.
        confirm: As `enough` is told.

    Raises:
        ValueError: If the spread cannot be told or the width is not positive.

    >>> seeds_needed([0.0, 1.0, 2.0, 1.0], 0.25)
    46
    """
    values = vector(x)
    if len(values) < 2 or not np.isfinite(values).all():  # noqa: PLR2004 - one value has no spread
        raise ValueError(f"{len(values)} values do not tell their spread")
    if not half_width > 0.0:
        raise ValueError(f"no half-width {half_width!r}: it must be more than zero")
    share, spread = 0.5 + confidence / 2.0, float(values.std(ddof=1)) / half_width
    n = max(math.ceil((normal_quantile(share) * spread) ** 2), 2)
    while (student_quantile(share, n - 1) * spread) ** 2 > n:
        n += 1
    return max(n, at_least) + confirm
