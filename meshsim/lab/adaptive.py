"""Points where a metric crosses a threshold: each round halves the gaps in which it does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Self

from pydantic import Field, model_validator

from meshsim.lab.axes import Point, Range, make_point
from meshsim.measure.stats import Interval
from meshsim.scenario.quantities import refuse


class Adaptive(Range):
    """Where on a range a metric crosses a threshold: gaps in which it does are halved until they are told or narrow."""

    key: Annotated[str, Field(min_length=1)]
    """Of the scenario."""
    metric: str = "poor_call_rate"
    """Whose mean over seeds is watched, for every policy."""
    threshold: float
    """In the metric's unit: `0.05`."""
    start: Annotated[int, Field(ge=2, le=1000)] = 5
    """Points of the first round, evenly spread, both ends included."""
    points: Annotated[int, Field(ge=2, le=1000)] = 16
    """Most points of all rounds together."""
    resolution: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """Gaps narrower than this share of the range are left as they are."""

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.points < self.start:
            raise refuse(
                f"{self.points} points are fewer than the {self.start} of the start", allowed=["start <= points"]
            )
        return self


def first(adaptive: Adaptive) -> list[Point]:
    """The points of the first round."""
    return [_placed(adaptive, value) for value in _spread(adaptive)]


def _spread(adaptive: Adaptive) -> list[float]:
    shares = [i / (adaptive.start - 1) for i in range(adaptive.start)]
    return list(dict.fromkeys(_between(adaptive, adaptive.low, adaptive.high, share) for share in shares))


def _placed(adaptive: Adaptive, value: float) -> Point:
    made = make_point([adaptive.key], [adaptive.written(value)])
    return replace(made, values={adaptive.key: value})


def _between(adaptive: Adaptive, low: float, high: float, share: float) -> float:
    """The number at a share of the way, both ends included."""
    value = low ** (1 - share) * high**share if adaptive.scale == "log" else low + share * (high - low)
    return round(value) if adaptive.whole else adaptive.rounded(value)


def refine(adaptive: Adaptive, told: Mapping[float, Sequence[Interval]]) -> list[Point]:
    """The points of the next round, ascending; none where the crossings are told, or the points are used up.

    A gap is halved where the mean of some policy changes sides in it, unless the intervals at both of its ends hold the
    threshold: there more points tell nothing, more seeds would. Wide gaps come first.

    Args:
        adaptive: What is asked.
        told: Intervals of the metric, one for each policy, by value of the key, of all points so far.

    >>> from meshsim.measure.stats import Interval
    >>> asked = Adaptive(key="calls.rate", low=0, high=4, threshold=0.5, start=3)
    >>> told = {0.0: [Interval(0.1, 0.0, 0.2)], 2.0: [Interval(0.2, 0.1, 0.3)], 4.0: [Interval(0.9, 0.8, 1.0)]}
    >>> [point.name for point in refine(asked, told)]
    ['rate=3']
    """
    places = sorted(told)
    gaps = [
        (low, high)
        for low, high in itertools.pairwise(places)
        if any(_worth(adaptive.threshold, a, b) for a, b in zip(told[low], told[high], strict=True))
    ]
    wide = sorted(
        (gap for gap in gaps if _width(adaptive, *gap) > adaptive.resolution), key=lambda g: (-_width(adaptive, *g), g)
    )
    middles = [_between(adaptive, low, high, 0.5) for low, high in wide[: max(adaptive.points - len(told), 0)]]
    return [_placed(adaptive, value) for value in sorted(set(middles) - set(places))]


def crossings(adaptive: Adaptive, told: Mapping[float, Sequence[Interval]], which: int = 0) -> list[Interval]:
    """Where a policy's metric crosses the threshold: by the line between two means, with what brackets it.

    Args:
        adaptive: What is asked.
        told: As in `refine`.
        which: The policy's position.

    Returns:
        For each crossing, ascending: the value, and the nearest ones on either side whose intervals exclude the
        threshold; NaN where there is none.
    """
    found = {place: told[place][which] for place in sorted(told)}
    sure = [place for place, one in found.items() if _sided(one, adaptive.threshold)]
    return [
        Interval(
            low + (high - low) * (adaptive.threshold - a.mean) / (b.mean - a.mean),
            max((place for place in sure if place <= low), default=math.nan),
            min((place for place in sure if place >= high), default=math.nan),
        )
        for (low, a), (high, b) in itertools.pairwise(found.items())
        if _crosses(adaptive.threshold, a, b)
    ]


def _sided(found: Interval, threshold: float) -> bool:
    return found.low > threshold or found.high < threshold


def _worth(threshold: float, a: Interval, b: Interval) -> bool:
    """Whether a policy crosses the threshold between two points, and more points would tell where."""
    return _crosses(threshold, a, b) and (_sided(a, threshold) or _sided(b, threshold))


def _crosses(threshold: float, a: Interval, b: Interval) -> bool:
    known = math.isfinite(a.mean) and math.isfinite(b.mean)
    return known and (a.mean > threshold) != (b.mean > threshold)


def _width(adaptive: Adaptive, low: float, high: float) -> float:
    """Of a gap, as a share of the range."""
    if adaptive.scale == "log":
        return math.log(high / low) / math.log(adaptive.high / adaptive.low)
    return (high - low) / (adaptive.high - adaptive.low)
