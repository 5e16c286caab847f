"""The least believed delay, whatever else is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from meshsim.routing.features import Features, Scores


@POLICIES.register("shortest")
class Shortest:
    """Least believed RTT."""

    name = "shortest"

    def score(self, features: Features) -> Scores:
        """Minus the believed RTT, seconds."""
        return believed_scores(features, -features.belief.rtt)
