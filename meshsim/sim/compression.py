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
    """What one call that wants AIC has had of it.

    Attributes:
        label: Of the route in use.
        since: Since when media flow on it, seconds; NaN while none do.
        links: Of the route where AIC is applied on it, else 0.
        flowed: Seconds for which media flowed before.
        applied: Seconds of them with AIC.
        link_time: The same, times links.
    """

    label: int = 0
    since: float = math.nan
    links: int = 0
    flowed: float = 0.0
    applied: float = 0.0
    link_time: float = 0.0

    def begin(self, label: int, links: int, t: float) -> None:
        """Media flow on another route."""
        self.end(t)
        self.label, self.links, self.since = label, links, t

    def end(self, t: float) -> None:
        """Media flow no more."""
        if math.isnan(self.since):
            return
        time, self.since = t - self.since, math.nan
        self.flowed += time
        self.applied += time if self.links else 0.0
        self.link_time += time * self.links


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What AIC made of a call.

    Attributes:
        aic: Whether it was ever applied.
        saved_bytes: On all links of its paths, both directions.
        mos: The call's opinion, the codec's costs in it; None where it was never applied or nothing was measured.
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

    def begin(self, number: int, media: MediaType, path: Sequence[int], t: float, label: int = 0) -> None:
        """Media of a call flow on `path` from `t` seconds on; `label` tells routes of a call apart that overlap."""
        if self._wishes.of(number, media) is not AicPolicy.OFF:
            links = len(path) - 1 if self.applies(number, media, path) else 0
            self._used.setdefault(number, _Use()).begin(label, links, t)

    def end(self, number: int, t: float, label: int = 0) -> None:
        """They do not any more."""
        use = self._used.get(number)
        if use is not None and use.label == label:
            use.end(t)

    def judge(
        self, number: int, media: MediaType, lived: tuple[float, float, float], t: float, share: float = 1.0
    ) -> Verdict:
        """What AIC made of a call that is over; told once.

        The codec's delay counts in both directions, its cost in the opinion, both for the part of the call that had it.

        Args:
            number: Of the call.
            media: What it carried.
            lived: Its mean rtt, jitter (seconds) and loss.
            t: Now, seconds.
            share: Of its full rate that it sent.
        """
        use = self._used.pop(number, None)
        if use is None:
            return _PLAIN
        use.end(t)
        if use.applied <= 0.0:
            return _PLAIN
        part = use.applied / use.flowed
        rtt, jitter, loss = lived
        saved = 2.0 * self._codec.saved_bps(media) * share * use.link_time / 8.0
        if math.isnan(rtt):  # too short a call for anybody to measure it
            return Verdict(aic=True, saved_bytes=saved)
        heard = rtt + 2.0 * part * self._codec.delay
        opinion = float(quality.mos(media, heard / 2.0, jitter, loss, share)) - part * self._codec.quality_cost
        spoilt = bool(quality.poor(heard, jitter, loss, media, share=share))
        return Verdict(aic=True, saved_bytes=saved, mos=max(opinion, 1.0), poor=spoilt)
