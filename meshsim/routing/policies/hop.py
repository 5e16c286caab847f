"""Fewest hops and nothing else: what a protocol that counts hops knows (RIP, RFC 2453)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.hashing import path_draws

if TYPE_CHECKING:
    from meshsim.routing.features import Features, Scores


@POLICIES.register("hop")
class Hop:
    """Fewest hops; among equals one of no merit, always the same.

    `direct` knows the delay of equals as well. Whoever counts hops knows of none, so a hash of the path decides.
    """

    name = "hop"

    def score(self, features: Features) -> Scores:
        """Minus the hops, and less than one by the hash."""
        return believed_scores(features, path_draws(features) - features.belief.hops)
