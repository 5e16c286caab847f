"""What was lived, remembered in a few numbers: costs of options with their spread, and measures of segments."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.routing.policies.atlas import cost_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.media import MediaType
    from meshsim.routing.policies.base import Outcome

STEP = 0.5
"""Share of an error that segments make up for at once."""

Measures = tuple[float, float, float]
"""RTT in seconds, jitter squared, minus the logarithm of what is not lost: what adds up along a path."""

Segment = tuple[bytes, bytes]
"""Two places, in order of their bytes: a region in 8, a relay in 32."""

_MOST_LOSS = 0.999


@dataclass(slots=True)
class Tally:
    """Costs with exponential forgetting: what is one half-life old counts half.

    Attributes:
        weight: How many calls it stands for, at `at`.
        mean: Of their costs.
        square: Sum of squared deviations from it.
        at: When it was last added to, seconds.
    """

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0
    at: float = 0.0

    def add(self, cost: float, at: float, half_life: float) -> None:
        """Takes in one call (West, "Updating mean and variance estimates", CACM 22(9), 1979)."""
        kept = fading(at - self.at, half_life)
        self.weight, self.square = self.weight * kept + 1.0, self.square * kept
        step = cost - self.mean
        self.mean += step / self.weight
        self.square += step * (cost - self.mean)
        self.at = max(at, self.at)

    def weight_at(self, now: float, half_life: float) -> float:
        """How many calls it still stands for."""
        return self.weight * fading(now - self.at, half_life)

    def error(self, now: float, half_life: float, prior: float) -> float:
        """Standard error of the mean, with one call of standard deviation `prior` beside what was seen."""
        kept = fading(now - self.at, half_life)
        weight = self.weight * kept + 1.0
        return math.sqrt((self.square * kept + prior**2) / weight / weight)


def fading(age: float, half_life: float) -> float:
    """What is left of a weight after `age` seconds, in (0, 1].

    >>> fading(10.0, 5.0)
    0.25
    """
    return math.exp2(-max(age, 0.0) / half_life)


@dataclass(slots=True)
class Segments:
    """Linear tomography: paths are sums of segments, and each call tells one sum (Kaczmarz, 1937).

    VIA solves the sums of a day together; here each call corrects its own segments in equal parts, by `STEP` of what
    they are wrong by. For sums that agree with one another that tends to the same solution.

    Attributes:
        known: Measures of segments that calls have crossed.
    """

    known: dict[Segment, Measures] = field(default_factory=dict)

    def predict(self, path: Sequence[Segment], media: MediaType) -> float:
        """Cost of a path to a call of `media`; NaN if a segment was never crossed, whatever calls carried."""
        parts = [self.known.get(segment) for segment in path]
        if None in parts:
            return math.nan
        rtt, variance, loss = (sum(column) for column in zip(*(p for p in parts if p is not None), strict=True))
        return float(cost_of(rtt, math.sqrt(variance), -math.expm1(-loss), media))

    def learn(self, path: Sequence[Segment], outcome: Outcome) -> None:
        """Corrects the segments of a path by what a call lived on it; new ones take what the known ones leave."""
        told = outcome.rtt, outcome.jitter**2, -math.log1p(-min(outcome.loss, _MOST_LOSS))
        old = [self.known.get(segment) for segment in path]
        new = old.count(None)
        for segment, before in zip(path, old, strict=True):
            after = []
            for i, whole in enumerate(told):
                left = whole - sum(measures[i] for measures in old if measures is not None)
                moved = left / new if before is None else before[i] + (0.0 if new else STEP * left / len(path))
                after.append(max(moved, 0.0))
            self.known[segment] = after[0], after[1], after[2]
