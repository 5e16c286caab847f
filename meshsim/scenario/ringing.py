"""What a scenario says of people who are called: whether, how soon and on which device they pick up."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from meshsim.scenario.part import SHARE_TOLERANCE, Part
from meshsim.scenario.quantities import Duration, Flag, Number, PositiveDuration, Probability, refuse

_DAY = 86_400.0


class Reaction(Part):
    """Log-normal time that people take to pick up or to decline."""

    median: PositiveDuration = 7.0
    """Seconds."""
    sigma: Annotated[Number, Field(ge=0, le=4)] = 0.5
    """Standard deviation of the logarithm."""


class QuietShare(Part):
    """People whose devices stay silent for a part of the day, in their local time."""

    share: Probability = 0.0
    """Share of people who have quiet hours."""
    start: Annotated[Duration, Field(lt=_DAY)] = 79_200.0
    """When they begin, seconds after local midnight (`22h`)."""
    end: Annotated[Duration, Field(lt=_DAY)] = 25_200.0
    """When they end, seconds after local midnight (`7h`); before the start, on the next day."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.start == self.end:
            raise refuse(f"quiet hours that start and end at {self.start:g} s are empty", allowed=["two instants"])
        return self


class Ringing(Part):
    """How people answer (modelled control plane only); off, the planned device answers at once."""

    enabled: Flag = False
    """Whether calls ring at all."""
    answer: Probability = 0.8
    """Share of calls that are taken by those whom they reach."""
    decline: Probability = 0.05
    """Share of calls that are declined by those whom they reach; the rest rings out."""
    reaction: Reaction = Reaction()
    """Until a device is picked up; each device of a person takes its own time."""
    timeout: PositiveDuration = 30.0
    """Seconds until a call that nobody takes is given up."""
    patience: Duration = 0.0
    """Mean seconds until the caller hangs up (exponential); 0 waits for ever."""
    mode: Literal["all", "sequential"] = "all"
    """`all`: all devices ring at once; `sequential`: one after the other, each for an equal part of the timeout."""
    smart: Flag = True
    """Whether a device used in the last five minutes rings first, or alone."""
    busy: Literal["refuse", "ring"] = "refuse"
    """What a call meets whose callee is in another one: `refuse` ends it, `ring` lets it ring as any other."""
    do_not_disturb: Probability = 0.0
    """Share of people who take no calls."""
    quiet: QuietShare = QuietShare()
    """Who has quiet hours, and when."""
    clock: Annotated[Duration, Field(lt=_DAY)] = 43_200.0
    """Seconds after midnight UTC at which the episode begins; local time is that of the person's longitude."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        total = self.answer + self.decline
        if total > 1 + SHARE_TOLERANCE:
            raise refuse(f"the shares of calls taken and declined sum to {total:g}", allowed=["at most 1"])
        return self
