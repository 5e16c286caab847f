"""The brief's hand-made heuristic, kept as the baseline that learning has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features, Scores

LATENCY, BANDWIDTH, REPUTATION, HOPS, AIC, UPTIME = -0.40, 0.25, 0.15, -0.10, 0.05, 0.05
"""The brief's weights, on features normalised to [0, 1]."""

WORST_RTT = 0.800
"""Seconds: twice the one-way 400 ms that ITU-T G.114 calls the limit."""

AMPLE_RATE = 10e6
"""Bits per second that no call can use up."""

MOST_HOPS = 5
HEARD_WITHIN = 300.0
"""Seconds; a relay heard of longer ago than this has no uptime to show for."""

LEAST_REPUTATION = 70.0
DIRECT_WITHIN = 5e6
"""Metres up to which the brief connects directly."""

INELIGIBLE = -2.0
"""Put on what the brief would not list; larger than all weights together, so eligible paths come first."""


@POLICIES.register("weighted")
class Weighted:
    """Weighted sum of latency, bandwidth, reputation, hops, AIC and uptime, each by a fixed reference.

    The brief lists a direct path up to 5,000 km and relays of reputation 70 or more with spare connections. What it
    does not list ranks behind what it does, rather than being refused: at the start of a mesh nobody has earned 70.
    Its route cache of 5 minutes is not part of the score; a view that is some time old has the same effect.
    """

    name = "weighted"

    def score(self, features: Features) -> Scores:
        """The weighted sum, with ineligible paths behind."""
        return believed_scores(features, _weighted_sum(features) + np.where(_eligible(features), 0.0, INELIGIBLE))


def _unit(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """`value` cut to [0, 1]; a third of the time of `np.clip` on few values."""
    return np.minimum(np.maximum(value, 0.0), 1.0)


def _weighted_sum(features: Features) -> NDArray[np.float64]:
    belief = features.belief
    return np.asarray(
        LATENCY * _unit(belief.rtt / WORST_RTT)
        + BANDWIDTH * _unit(belief.rate / AMPLE_RATE)
        + REPUTATION * _unit(belief.min_reputation / 100.0)
        + HOPS * _unit(belief.hops / MOST_HOPS)
        + AIC * belief.aic
        + UPTIME * _unit(1.0 - belief.oldest / HEARD_WITHIN)
    )


def _eligible(features: Features) -> NDArray[np.bool_]:
    belief = features.belief
    relayed = (belief.min_reputation >= LEAST_REPUTATION) & (belief.max_load < 1.0)
    return np.asarray(np.where(belief.hops == 1, belief.distance <= DIRECT_WITHIN, relayed))
