"""MeritRank: walks from the seeds along praise, which tire with each step and at each bridge.

B. Nasrulin, G. Ishmaev, J. Pouwelse, "MeritRank: Sybil Tolerant Reputation for Merit-based Tokenomics", BRAINS 2022
(arXiv:2207.09950). A walk goes on with probability 1 - alpha (transitivity decay); a node that is reached almost only
through one other node loses a share beta (connectivity decay); old opinions fade (epoch decay, here a half-life).

The paper samples walks. Here what walks do on average is computed, so that no draw stands behind a score: expected
visits instead of sampled ones, and the share of them that came through another node.
"""

from __future__ import annotations

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
_PHASES = 64  # where more are needed nobody hangs on a bridge; in meshes of calls three or four are enough
_ROUNDING = 1e-9


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
        left = np.where(bridged, 1.0 - self.beta, 1.0)
        return shares_table(web, fair_shares(left * visits, left * spread(web, weight, visits)))

    def visits(self, web: Web, weight: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected visits (N,) of one walk that begins at a random seed and goes from i to j with `weight` (E,)."""
        wave = web.trusted / max(1, int(web.trusted.sum()))
        visits = wave
        while float(wave.sum()) > _TOLERANCE:  # which shrinks by alpha at each step at least
            wave = (1.0 - self.alpha) * spread(web, weight, wave)
            visits = visits + wave
        return visits


def bridges(web: Web, flow: NDArray[np.float64], threshold: float) -> NDArray[np.int64]:
    """Through which single place, no seed, what reaches each place has come; -1 for none.

    Of what flows into a place the least is left out, less than 1 - threshold of it in all. Along the rest a place
    hangs on a bridge if every way from the seeds leads over it; of several the first is told. Seeds are no bridges.

    Args:
        web: Who rates whom.
        flow: (E,) float64, what flows along each opinion.
        threshold: Above one half, at most 1.

    Returns:
        (N,) int64.
    """
    places = np.arange(len(web.known))
    kept = np.flatnonzero(_heavy(web, flow, 1.0 - threshold) & ~web.trusted[web.node])
    source, target = web.rater[kept], web.node[kept]
    free = web.trusted.copy()
    free[target[web.trusted[source]]] = True
    for _ in range(_PHASES):
        label, torn = _labels(source, target, free, np.where(free & ~web.trusted, places, _NONE))
        free |= torn
        if not torn.any():
            break
        open_ways = ~free[target]
        source, target = source[open_ways], target[open_ways]
    else:
        free[:] = True
    return np.where(free, _NONE, label)


def _heavy(web: Web, flow: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """(E,) which opinions are not among the smallest, which carry less than the share `least` into their node.

    Of opinions that carry the same all are kept or none, so that numbers of nodes are no matter.
    """
    order = np.lexsort((flow, web.node))
    node, carried = web.node[order], flow[order]
    begins = np.diff(node, prepend=_NONE) != 0
    run = np.cumsum(carried)
    before = (run - carried)[begins][np.cumsum(begins) - 1]
    alike = np.flatnonzero(begins | (np.diff(carried, prepend=0.0) > _ROUNDING * carried))
    ends = np.append(alike, len(run))
    until = np.repeat(run[ends[1:] - 1], np.diff(ends))
    into = total(web.node, flow, len(web.known))[node]
    heavy = np.empty(len(flow), dtype=np.bool_)
    heavy[order] = (carried > 0.0) & (until - before >= least * into * (1.0 + _ROUNDING))
    return heavy


def _labels(
    source: NDArray[np.int64], target: NDArray[np.int64], free: NDArray[np.bool_], label: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Each place labelled by the free place it is reached from, and which places are first reached from two.

    Those hang on neither and are free too. As soon as there are any the labels behind them are void.

    Args:
        source: Where ways lead from.
        target: Where they lead to, places that are not free.
        free: (N,) who hangs on nobody.
        label: (N,) itself for free places that are no seeds, -1 for all others.
    """
    n = len(free)
    while True:
        said = label[source]
        lowest, highest = np.full(n, n), np.full(n, _NONE)
        reached = said != _NONE
        np.minimum.at(lowest, target[reached], said[reached])
        np.maximum.at(highest, target[reached], said[reached])
        found = ~free & (highest != _NONE)
        torn = found & (lowest != highest)
        fresh = found & (label == _NONE)
        if torn.any() or not fresh.any():
            return label, torn
        label = np.where(fresh, highest, label)


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
