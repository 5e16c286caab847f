"""Greedy rules that ask who forwards. The plain greedy rule, least believed RTT, is `shortest`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.policies.base import POLICIES, believed_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features, Scores

LEAST_TRUST = 0.01
"""Share of calls that even the worst relay is taken to forward: costs stay finite."""


@POLICIES.register("greedy-reputation")
class GreedyReputation:
    """Least believed RTT for each call that is forwarded as it should be: RTT / product of the relays' trust.

    The trust of a relay is the lower bound of its reputation over 100: how often it forwards as it should at the least,
    as far as its evidence goes. A path is as good as all its relays, so trusts multiply, and a path that serves every
    third call costs three times its RTT, as the expected transmissions of ETX do for links that lose (De Couto et al.,
    "A high-throughput path metric for multi-hop wireless routing", MobiCom 2003). By the lower bound relays of which
    little is known are passed over like bad ones; the direct path, which nobody forwards, costs its RTT.
    """

    name = "greedy-reputation"

    def score(self, features: Features) -> Scores:
        """Minus the cost, seconds."""
        trust = trusted(features, features.graph.nodes.reputation_low)
        return believed_scores(features, -features.belief.rtt / trust)


def trusted(features: Features, reputation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The product of the relays' trust, 1 for a direct path; (P,).

    Args:
        features: P candidates.
        reputation: (N,), 0..100, what is taken for the share of calls that each node forwards as it should.
    """
    relayed = features.hop_path[1:] == features.hop_path[:-1]  # where a hop is followed by another of its path
    share = reputation[features.hop_dst[:-1][relayed]] / 100.0
    trust = np.minimum(np.maximum(np.nan_to_num(share), LEAST_TRUST), 1.0)
    lost = np.bincount(features.hop_path[:-1][relayed], weights=np.log(trust), minlength=len(features))
    return np.exp(lost, dtype=np.float64)
