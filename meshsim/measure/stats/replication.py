"""How many independent runs are enough: sequential stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.measure.stats.interval import Interval, mean_interval, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


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
    at_least: int = 10,
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
    at_least: int = 10,
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
