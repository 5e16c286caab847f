"""What came of one call, on either side of a twin: measured the same way, so that it can be held against the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats import Interval, mean_interval
from meshsim.mesh.media import MediaType
from meshsim.mesh.quality import mos

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A second of one direction of a call's media.

    Attributes:
        at: Seconds since the episode began.
        delay: One-way, seconds.
        jitter: Seconds.
        loss: Share.
        packets: How many should have come; 0 where the loss is a probability and no count.
    """

    at: float
    delay: float
    jitter: float
    loss: float
    packets: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """One direction of a call, over its seconds; each with its interval.

    Attributes:
        delay: One-way, seconds.
        jitter: Seconds.
        loss: Share.
        mos: By the model of its media.
    """

    delay: Interval
    jitter: Interval
    loss: Interval
    mos: Interval

    @classmethod
    def of(cls, seconds: Sequence[Second], media: MediaType) -> Measures:
        """Means over seconds with Student's intervals; of loss the counted share where packets were counted."""
        known = [second for second in seconds if math.isfinite(second.delay)]
        delay, jitter, loss = (
            np.array([getattr(second, name) for second in known]) for name in ("delay", "jitter", "loss")
        )
        weight = np.array([second.packets for second in known])
        opinions = mos(media, delay, jitter, loss) if known else np.array([])
        shares = mean_interval(loss)
        if weight.sum() > 0.0:  # a second that was cut short counts for as many packets as it had
            middle = float(weight @ loss / weight.sum())
            shares = Interval(middle, middle - (shares.mean - shares.low), middle + (shares.high - shares.mean))
        return cls(delay=mean_interval(delay), jitter=mean_interval(jitter), loss=shares, mos=mean_interval(opinions))


@dataclass(slots=True, kw_only=True)
class Lived:
    """A call on one side.

    Attributes:
        outcome: `completed`, `failed`, `dropped`, `absent`, ...
        reason: Why it did not complete.
        media: What it carries.
        path: Rows of the nodes of its first route; empty when none stood.
        final_path: Of its last route.
        there: Seconds at the callee, on the first route.
        back: Seconds at the caller, on the first route.
        lost: When the first route was given up, seconds of the episode; NaN if it never was.
        restored: When another stood, likewise.
    """

    outcome: str
    reason: str = ""
    media: MediaType = MediaType.AUDIO
    path: tuple[int, ...] = ()
    final_path: tuple[int, ...] = ()
    there: list[Second] = field(default_factory=list)
    back: list[Second] = field(default_factory=list)
    lost: float = math.nan
    restored: float = math.nan

    @property
    def measured(self) -> bool:
        """Whether there is a second of both directions to compare."""
        return bool(self.there) and bool(self.back)

    def ways(self) -> tuple[Measures, Measures]:
        """What was measured at the callee, and at the caller."""
        return Measures.of(self.there, self.media), Measures.of(self.back, self.media)
