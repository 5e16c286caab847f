"""When people call, whom, and for how long: hours of the day, flash crowds, circles of acquaintances, lengths of calls.

Everyone calls as a Poisson process of their own, faster and slower by their local time; a crowd adds calls to that and
changes none. Drawing them stands in `events`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from meshsim.mesh.errors import nearest
from meshsim.scenario.part import Part
from meshsim.scenario.quantities import Aura, Count, Duration, Extent, Number, PositiveDuration, Probability, refuse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_DAYS, _WEEKEND = 7, 5
"""Days of a week, and the first of its two last."""

NAMED_DURATIONS: dict[str, dict[str, Any]] = {
    "skype": {"law": "lognormal", "median": 170.0, "sigma": 1.74},
    "pstn": {"law": "exponential", "median": 180.0 * np.log(2.0)},
}
"""skype: median 2 min 50 s, mean 773 s (Guha, Daswani, Jain, IPTPS 2006). pstn: mean 180 s, without memory."""


class CallDuration(Part):
    """Length of calls: a name (`skype`, `pstn`), or a law with its median."""

    law: Literal["lognormal", "exponential", "fixed"] = "lognormal"
    """`lognormal`; `exponential`; `fixed`: all as long as the median."""
    median: PositiveDuration = 70.0
    """Seconds."""
    sigma: Annotated[Number, Field(ge=0, le=4)] = 0.8
    """Standard deviation of the logarithm (log-normal only)."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value not in NAMED_DURATIONS:
            names = sorted(NAMED_DURATIONS)
            raise refuse(f"no length of calls is named {value!r}", allowed=names, near=nearest(value, names))
        return NAMED_DURATIONS[value]

    def draw(self, generator: np.random.Generator, size: int) -> NDArray[np.float64]:
        """(size,) lengths, seconds."""
        if self.law == "fixed":
            return np.full(size, self.median)
        if self.law == "exponential":
            return generator.exponential(self.median / np.log(2.0), size)
        return generator.lognormal(np.log(self.median), self.sigma, size)


class Diurnal(Part):
    """How calling follows the caller's local time; over a whole week the factor has mean 1."""

    depth: Probability = 0.0
    """How much fewer calls there are in the quietest hour than in the busiest; 0: all hours are alike."""
    peak: Annotated[Number, Field(ge=0, le=24)] = 14.0
    """The busiest hour, local time."""
    weekend: Probability = 0.0
    """How much fewer calls there are on Saturdays and Sundays, local time."""
    starts: Annotated[Number, Field(ge=0, le=168)] = 0.0
    """The hour of the week at which the episode starts: 0 is Monday, 0:00 UTC."""
    period: PositiveDuration = 86400.0
    """Length of a day, seconds: shorter days show in shorter episodes."""

    @property
    def flat(self) -> bool:
        """Whether all hours are alike."""
        return self.depth == 0.0 and self.weekend == 0.0

    @property
    def most(self) -> float:
        """No factor is larger."""
        return 1.0 if self.flat else (1.0 + self._swing) / self._weekly

    def factor(self, t: ArrayLike, longitude: ArrayLike) -> NDArray[np.float64]:
        """Calls of people at `longitude` at t, over their mean; shapes broadcast.

        Args:
            t: Seconds of the episode.
            longitude: Degrees; the sun needs a day for 360 of them.
        """
        days = self.starts / 24.0 + np.asarray(t) / self.period + np.asarray(longitude) / 360.0
        wave = 1.0 + self._swing * np.cos(2.0 * np.pi * (days - self.peak / 24.0))
        off = np.where(np.floor(days) % _DAYS >= _WEEKEND, 1.0 - self.weekend, 1.0)
        return np.asarray(wave * off / self._weekly)

    @property
    def _swing(self) -> float:
        # (1 - swing) / (1 + swing) = 1 - depth
        return self.depth / (2.0 - self.depth)

    @property
    def _weekly(self) -> float:
        return (_WEEKEND + (_DAYS - _WEEKEND) * (1.0 - self.weekend)) / _DAYS


class Crowd(Part):
    """Many who call at once: calls on top of the usual ones, from a region or to one person."""

    at: Duration
    """When it begins, seconds."""
    duration: PositiveDuration = 300.0
    """How long it lasts, seconds, the ramps included."""
    factor: Annotated[Number, Field(ge=1, le=1000)] = 5.0
    """How many times as many calls as usual come from its people; 1: no more than usual."""
    ramp: Duration = 0.0
    """Seconds in which it grows, and in which it ebbs at the end."""
    centre: str | Count | None = None
    """The underlay place around which its people live, by name or index; everywhere when absent."""
    radius: Extent = 300e3
    """Metres around the centre."""
    callee: Aura | None = None
    """Whom they all call; anyone when absent."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if 2.0 * self.ramp > self.duration:
            raise refuse(f"two ramps of {self.ramp:g} s do not fit into {self.duration:g} s")
        return self

    def shape(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of its full strength at t, in [0, 1]; same shape.

        Args:
            t: Seconds of the episode, while it lasts.
        """
        if self.ramp == 0.0:
            return np.ones(len(t))
        return np.clip(np.minimum(t - self.at, self.at + self.duration - t) / self.ramp, 0.0, 1.0)


class Arrivals(Part):
    """How the rate of calls changes over time."""

    diurnal: Diurnal = Diurnal()
    """By the hour of the day and the day of the week."""
    crowds: tuple[Crowd, ...] = ()
    """Flash crowds."""

    def expected(self, rate: float, duration: float) -> float:
        """How many calls are drawn at most on average, those that the hour then forbids included.

        Args:
            rate: Calls per second.
            duration: Seconds.
        """
        return rate * self.diurnal.most * (duration + sum((c.factor - 1.0) * c.duration for c in self.crowds))


class Locality(Part):
    """Whom people know: most of us call the same few, and more of them nearby than far away."""

    share: Probability = 0.0
    """Share of calls (of acquaintances, where they are counted) that stay within the radius; the rest go anywhere."""
    radius: Extent = 500e3
    """Metres around the caller; who has nobody there calls anywhere."""
    acquaintances: Annotated[Count, Field(le=10_000)] = 0
    """How many people everyone ever calls at most: so many are drawn once for each, some twice; 0 sets no limit."""
