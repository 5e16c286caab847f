"""Comparisons in plain words: who beats whom, by how much, how sure that is. What is compared: `contrasts`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.measure.stats import Effect, Interval

_SIZES = ((0.2, "very small"), (0.5, "small"), (0.8, "medium"), (1.2, "large"), (math.inf, "very large"))
"""Hedges' g below which an effect is called so (J. Cohen 1988; S. Sawilowsky, J. Mod. Appl. Stat. Methods 8, 2009)."""

_SURE = 0.0001


@dataclass(frozen=True, slots=True)
class Measure:
    """What is compared.

    Attributes:
        name: The metric, perhaps in a phase.
        unit: Written after a number, with a space before it; empty for shares and scores.
        lower_is_better: Which way is good.
    """

    name: str
    unit: str
    lower_is_better: bool

    @property
    def is_share(self) -> bool:
        """Whether it is told in points of a hundred: neither in a unit nor a score."""
        return not self.unit and not self.name.partition("@")[0].endswith("_score")


def beats(measure: Measure, gap: Interval) -> bool:
    """Whether the first clearly beats the second: all of the interval lies on the good side of zero."""
    return gap.high < 0 if measure.lower_is_better else gap.low > 0


def sentence(measure: Measure, better: str, worse: str, gap: Interval) -> str:
    """Who beats whom by how much, or that this is not clear.

    Args:
        measure: On what.
        better: Who is claimed to be.
        worse: Than whom.
        gap: The first minus the second.

    >>> from meshsim.measure.stats import Interval
    >>> share = Measure("poor_call_rate", "", lower_is_better=True)
    >>> sentence(share, "learned", "weighted", Interval(-0.041, -0.047, -0.035))
    'learned beats weighted on poor_call_rate by 4.1 ± 0.6 points'
    >>> sentence(share, "learned", "weighted", Interval(-0.004, -0.013, 0.005))
    'learned does not clearly beat weighted on poor_call_rate: difference -0.4 ± 0.9 points'
    """
    if beats(measure, gap):
        return f"{better} beats {worse} on {measure.name} by {amount(measure, gap, signed=False)}"
    return f"{better} does not clearly beat {worse} on {measure.name}: difference {amount(measure, gap, signed=True)}"


def amount(measure: Measure, gap: Interval, *, signed: bool) -> str:
    """A difference with its half-width, to the digits that the half-width leaves meaning to.

    >>> from meshsim.measure.stats import Interval
    >>> amount(Measure("rtt_seconds", " s", lower_is_better=True), Interval(0.0123, 0.0099, 0.0147), signed=True)
    '+0.0123 ± 0.0024 s'
    """
    scale, unit = (100.0, " points") if measure.is_share else (1.0, measure.unit)
    mean, half = scale * gap.mean, scale * (gap.high - gap.mean)
    decimals = _decimals(half if half > 0.0 else mean)
    shown = f"{mean:+.{decimals}f}" if signed else f"{abs(mean):.{decimals}f}"
    return f"{shown} ± {'unknown' if math.isnan(half) else f'{half:.{decimals}f}'}{unit}"


def strength(measure: Measure, effect: Effect, p_value: float) -> str:
    """How sure and how large: p-value, Hedges' g in words, and on how many seeds the first was the better one.

    >>> from meshsim.measure.stats import effect
    >>> share = Measure("poor_call_rate", "", lower_is_better=True)
    >>> strength(share, effect([0.1, 0.2, 0.1, 0.3], [0.2, 0.4, 0.2, 0.3]), 0.0917)
    'p = 0.092, g = -0.89 (large), better on 3 of 4 seeds, equal on 1'
    """
    won = effect.below if measure.lower_is_better else effect.above
    tied = effect.pairs - effect.above - effect.below
    parts = [_chance(p_value), _size(effect.g), f"better on {won} of {effect.pairs} seeds"]
    return ", ".join([*(part for part in parts if part), *([f"equal on {tied}"] if tied else [])])


def _chance(p_value: float) -> str:
    if math.isnan(p_value):
        return ""
    return f"p < {_SURE}" if p_value < _SURE else f"p = {p_value:.2g}"


def _size(g: float) -> str:
    if math.isnan(g):
        return ""
    word = next(word for limit, word in _SIZES if abs(g) < limit or math.isinf(limit))
    return f"g = {g:.2f} ({word})"


def _decimals(half: float) -> int:
    """One significant digit, two where it would be a one or a two."""
    if not (math.isfinite(half) and half != 0.0):
        return 2
    lead = math.floor(math.log10(abs(half)))
    return max(-lead + (abs(half) < 2.95 * 10.0**lead), 0)
