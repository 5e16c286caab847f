"""AIC in a simulation: which calls ask for it, where it is applied, what it saves on the wire, and what it costs.

It is applied only while every node of the path in use supports it; a failover to another path drops it, or brings it.
What is compressed is coded media, never headers. Ghost probes look at candidates without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import quality
from meshsim.mesh.media import AicPolicy, demand
from meshsim.mesh.seeds import SeedTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.media import Demand, MediaType
    from meshsim.scenario.plan import Plan


class AicWishes:
    """How each planned call treats AIC: drawn from the scenario's shares, the n-th draw for the n-th call.

    Args:
        plan: The episode.
    """

    def __init__(self, plan: Plan) -> None:
        shares = plan.scenario.calls.aic.shares()
        self._bounds = np.cumsum([shares[policy] for policy in AicPolicy])[:-1]
        self._never = shares[AicPolicy.OFF] >= 1.0
        self._codec = plan.scenario.aic.codec()
        self._seeds = SeedTree(plan.seed)

    def of(self, number: int, media: MediaType) -> AicPolicy:
        """What call `number` asks for; calls of which the codec saves nothing ask for nothing."""
        if self._never or not self._codec.saves(media):
            return AicPolicy.OFF
        draw = self._seeds.stream("calls/aic").at(number)
        return tuple(AicPolicy)[int(np.searchsorted(self._bounds, draw, side="right"))]


@dataclass(slots=True)
class _Use:
    """What one call has had of AIC.

    Attributes:
        since: When it was last applied, seconds; NaN while it is not.
        links: Of the path it is applied on.
        time: Seconds for which it was applied before.
        link_time: The same, times links.
    """

    since: float
    links: int
    time: float = 0.0
    link_time: float = 0.0

    def end(self, t: float) -> None:
        """It is not applied any more."""
        self.time += t - self.since
        self.link_time += (t - self.since) * self.links
        self.since = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What AIC made of a call.

    Attributes:
        aic: Whether it was ever applied.
        saved_bytes: On all links of its paths, both directions.
        mos: The call's opinion, the codec's costs in it; None where it was never applied.
        poor: Likewise.
    """

    aic: bool = False
    saved_bytes: float = 0.0
    mos: float | None = None
    poor: bool | None = None


_PLAIN = Verdict()


class Compression:
    """The calls of an episode that have AIC.

    Args:
        plan: The episode.
    """

    def __init__(self, plan: Plan) -> None:
        self._wishes, self._codec = AicWishes(plan), plan.scenario.aic.codec()
        self._able = plan.nodes.aic
        self._used: dict[int, _Use] = {}

    def applies(self, number: int, media: MediaType, path: Sequence[int]) -> bool:
        """Whether call `number` has AIC on `path`: it asks for it, and every node supports it."""
        return self._wishes.of(number, media) is not AicPolicy.OFF and bool(self._able[list(path)].all())

    def demand(self, number: int, media: MediaType, path: Sequence[int]) -> Demand:
        """What call `number` puts on each link of `path`."""
        return self._codec.compressed(media) if self.applies(number, media, path) else demand(media)

    def begin(self, number: int, media: MediaType, path: Sequence[int], t: float) -> None:
        """Media of a call flow on `path` from `t` seconds on."""
        if not self.applies(number, media, path):
            return
        use = self._used.setdefault(number, _Use(t, 0))
        use.since, use.links = t, len(path) - 1

    def end(self, number: int, t: float) -> None:
        """They do not any more."""
        use = self._used.get(number)
        if use is not None and not math.isnan(use.since):
            use.end(t)

    def judge(
        self, number: int, media: MediaType, lived: tuple[float, float, float], share: float, time: float
    ) -> Verdict:
        """What AIC made of a call that is over; told once.

        The codec's delay counts in both directions, its cost in the opinion, both for the part of the call that had it.

        Args:
            number: Of the call.
            media: What it carried.
            lived: Its mean rtt, jitter (seconds) and loss.
            share: Of its full rate that it sent.
            time: Seconds for which media flowed.
        """
        use = self._used.pop(number, None)
        if use is None or time <= 0.0:
            return _PLAIN
        part = min(use.time / time, 1.0)
        rtt, jitter, loss = lived
        heard = rtt + 2.0 * part * self._codec.delay
        opinion = float(quality.mos(media, heard / 2.0, jitter, loss, share)) - part * self._codec.quality_cost
        return Verdict(
            aic=True,
            saved_bytes=2.0 * self._codec.saved_bps(media) * share * use.link_time / 8.0,
            mos=max(opinion, 1.0),
            poor=bool(quality.poor(heard, jitter, loss, media, share=share)),
        )
