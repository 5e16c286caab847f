"""Straight to the other end; relays only where that is impossible, as TURN is used today."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from meshsim.routing.features import Features, Scores


@POLICIES.register("direct")
class Direct:
    """Fewest hops, then least believed RTT."""

    name = "direct"

    def score(self, features: Features) -> Scores:
        """Minus the hops; the RTT, squeezed below one hop, decides among equals."""
        belief = features.belief
        return believed_scores(features, -belief.hops - belief.rtt / (1.0 + belief.rtt))
