"""PeerTrust: the share of good outcomes, each counted by how much its rater agrees with those one trusts.

L. Xiong, L. Liu, "PeerTrust: Supporting Reputation-Based Trust for Peer-to-Peer Electronic Communities", IEEE TKDE
16(7), 2004, with the personalised similarity measure (PSM):

    T(u) = sum_i S(u, i) Cr(i) / sum_i Cr(i),    Cr(v) = 1 - sqrt(mean over nodes x that both v and w rated of
                                                               (average of v for x - average of w for x)^2)

where w is whoever asks: here the owner and the verified nodes together, or everybody if there are none, in which case
the majority decides what agreement is. Two things are ours: a prior, so that strangers have a score, and that a rater
who shares no rated node with w has no credibility.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.models import models
from meshsim.trust.network import Networked, Web, rates_table, reference, total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.models import ReputationTable


@dataclass(frozen=True, slots=True)
class PeerTrust:
    """The rule; it has no parameters."""

    def rate(self, web: Web) -> ReputationTable:
        """Scores by the share of good outcomes, weighted by credibility."""
        word = np.where(web.seeds, 1.0, similarity(web))[web.rater]
        n = len(web.known)
        return rates_table(total(web.node, word * web.good, n), total(web.node, word * web.bad, n))


def similarity(web: Web) -> NDArray[np.float64]:
    """How much each place (N,) agrees with those who are trusted from the start, from 0 to 1; 0 without a measure."""
    good, bad = reference(web)
    shared = (good + bad > 0.0)[web.node]
    mine = web.good / (web.good + web.bad)
    theirs = (good / np.where(good + bad > 0.0, good + bad, 1.0))[web.node]
    n = len(web.known)
    apart = total(web.rater, np.where(shared, (mine - theirs) ** 2, 0.0), n)
    common = total(web.rater, shared.astype(np.float64), n)
    return np.where(common > 0.0, 1.0 - np.sqrt(apart / np.maximum(common, 1.0)), 0.0)


def peertrust(*, half_life: float = DAY, minimum: float = 20.0) -> Networked:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight; the paper has a window of recent transactions.
        minimum: Credible outcomes from which on a node is no longer `new`.
    """
    return Networked(PeerTrust(), half_life=half_life, minimum=minimum)


models.add("peertrust", peertrust)
