"""Equal-cost multipath: calls are spread by hashing over paths whose delays count as equal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.hashing import path_draws

if TYPE_CHECKING:
    from meshsim.routing.features import Features, Scores

TOLERANCE = 0.010
"""Seconds of RTT: less than jitter hides, so nobody would tell two such paths apart."""


@POLICIES.register("ecmp")
class Ecmp:
    """Least delay in whole units of `tolerance`; among equals the call's hash decides.

    Costs are whole numbers, as those of OSPF are, so that there are equals at all: two paths are equal if their RTTs
    round down to the same multiple of `tolerance`. It keeps no state: a call takes the same path whenever it asks, and
    other calls between the same ends take others (RFC 2992: "Analysis of an equal-cost multi-path algorithm").

    Args:
        tolerance: Seconds of RTT that make one unit of cost.

    Raises:
        ConfigError: If the tolerance is not positive.
    """

    name = "ecmp"

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        if not tolerance > 0.0:
            raise ConfigError(f"tolerance must be positive: {tolerance}", key="tolerance")
        self.tolerance = tolerance

    def score(self, features: Features) -> Scores:
        """Minus the cost, and less than one by the hash."""
        cost = np.floor(features.belief.rtt / self.tolerance)
        return believed_scores(features, path_draws(features, features.flow) - cost)
