"""MeritRank: walks from the seeds along praise, which tire with each step and at each bridge.

B. Nasrulin, G. Ishmaev, J. Pouwelse, "MeritRank: Sybil Tolerant Reputation for Merit-based Tokenomics", BRAINS 2022
(arXiv:2207.09950). A walk goes on with probability 1 - alpha (transitivity decay); a node that is reached almost only
through one other node loses a share beta (connectivity decay); old opinions fade (epoch decay, here a half-life).

The paper samples walks. Here what walks do on average is computed, so that no draw stands behind a score: expected
visits instead of sampled ones, and the share of them that came through another node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.models import models
from meshsim.trust.network import Networked, Web, fair_shares, outward, shares_table, spread, total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.models import ReputationTable

_TOLERANCE = 1e-9  # of all visits
_NONE = -1  # no bridge
_DEPTH = 16  # how many steps behind a bridge nodes are still found to depend on it


@dataclass(frozen=True, slots=True, kw_only=True)
class MeritRank:
    """The rule.

    Attributes:
        alpha: Probability that a walk ends at each step, above 0 and below 1.
        beta: Share of its visits that a node behind a bridge loses, in [0, 1].
        threshold: Share of a node's visits from which on another node is a bridge to it, above one half, at most 1.

    Raises:
        ValueError: If a parameter is out of its range.
    """

    alpha: float = 0.2
    beta: float = 0.8
    threshold: float = 0.95

    def __post_init__(self) -> None:
        if not (0.0 < self.alpha < 1.0 and 0.0 <= self.beta <= 1.0 and 0.5 < self.threshold <= 1.0):  # noqa: PLR2004
            raise ValueError(f"not MeritRank: alpha={self.alpha!r}, beta={self.beta!r}, threshold={self.threshold!r}")

    def rate(self, web: Web) -> ReputationTable:
        """Scores by each node's share of visits."""
        weight = outward(web, web.praise)[0]
        visits = self.visits(web, weight)
        bridged = bridges(web, weight * visits[web.rater], self.threshold) != _NONE
        return shares_table(web, fair_shares(web, np.where(bridged, 1.0 - self.beta, 1.0) * visits))

    def visits(self, web: Web, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected visits (N,) of one walk that begins at a random seed and goes from i to j with `weight` (E,)."""
        wave = web.trusted / max(1, int(web.trusted.sum()))
        visits = wave
        for _ in range(math.ceil(math.log(_TOLERANCE) / math.log1p(-self.alpha))):
            wave = (1.0 - self.alpha) * spread(web, weight, wave)
            visits = visits + wave
            if float(wave.sum()) < _TOLERANCE:
                break
        return visits


def bridges(web: Web, flow: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Through which single place, no seed, at least `threshold` of what reaches each place has come; -1 for none.

    Found from bridges outward: a place hangs on b if b and places that hang on b make up so much of its inflow, which
    is not found for places more than `_DEPTH` steps behind b. Seeds are no bridges and behind none.

    Args:
        web: Who rates whom.
        flow: (E,) float64, what flows along each opinion.
        threshold: Above one half, so that there can be one bridge only.

    Returns:
        (N,) int64.
    """
    n = len(web.known)
    into = total(web.node, flow, n)
    counts = (flow > 0.0) & ~web.trusted[web.rater] & ~web.trusted[web.node]
    share = np.where(counts, flow / np.where(into > 0.0, into, 1.0)[web.node], 0.0)
    bridge = np.full(n, _NONE, dtype=np.int64)
    alone = share >= threshold
    bridge[web.node[alone]] = web.rater[alone]
    most = np.zeros(n)
    np.maximum.at(most, web.node, share)
    for _ in range(_DEPTH):
        # Only where enough comes from one place and from places that hang on a bridge can there be a new one.
        far = np.where(bridge[web.rater] != _NONE, share, 0.0)
        enough = (bridge == _NONE) & (total(web.node, far, n) + most >= threshold)
        found = _heaviest(web, share, bridge, np.flatnonzero(enough[web.node] & counts), threshold)
        if (found == _NONE).all():
            break
        bridge = np.maximum(bridge, found)
    return bridge


def _heaviest(
    web: Web,
    share: NDArray[np.float64],
    bridge: NDArray[np.int64],
    edges: NDArray[np.int64],
    threshold: float,
) -> NDArray[np.int64]:
    """The bridge that the `edges` given reveal, by place; they come from it or from places that hang on it."""
    found = np.full(len(bridge), _NONE, dtype=np.int64)
    if not len(edges):
        return found
    node, rater, part = web.node[edges], web.rater[edges], share[edges]
    behind = bridge[rater]
    far = (behind != _NONE) & (behind != node)
    node, through, part = np.append(node, node[far]), np.append(rater, behind[far]), np.append(part, part[far])
    order = np.lexsort((through, node))
    node, through, part = node[order], through[order], part[order]
    begins = np.flatnonzero((np.diff(node, prepend=_NONE) != 0) | (np.diff(through, prepend=_NONE) != 0))
    heavy = begins[np.add.reduceat(part, begins) >= threshold]
    found[node[heavy]] = through[heavy]
    return found


def meritrank(
    *,
    half_life: float = DAY,
    alpha: float = 0.2,
    beta: float = 0.8,
    threshold: float = 0.95,
    minimum: float = 20.0,
) -> Networked:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight.
        alpha: Transitivity decay.
        beta: Connectivity decay.
        threshold: Share of visits through one node from which on connectivity decays.
        minimum: Outcomes told by trusted raters from which on a node is no longer `new`.
    """
    rule = MeritRank(alpha=alpha, beta=beta, threshold=threshold)
    return Networked(rule, half_life=half_life, minimum=minimum)


models.add("meritrank", meritrank)
