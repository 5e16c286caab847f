"""SybilRank: trust wanders from the seeds for a few steps, too few to leak far over the few edges to made-up nodes.

Q. Cao, M. Sirivianos, X. Yang, T. Pregueiro, "Aiding the Detection of Fake Accounts in Large Scale Social Online
Services", NSDI 2012: power iteration on an undirected graph, ended after O(log n) steps, then divided by degree. Here
two nodes are joined by the praise that they have for each other, both directions together. It tells made-up nodes from
real ones, not good relays from bad: where everybody is joined to everybody, all have the same trust by degree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.models import models
from meshsim.trust.network import Networked, Web, fair_shares, shares_table, total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.models import ReputationTable


@dataclass(frozen=True, slots=True, kw_only=True)
class SybilRank:
    """The rule.

    Attributes:
        steps: Steps of the iteration, for each doubling of the number of nodes; above 0.

    Raises:
        ValueError: If the steps are not above 0.
    """

    steps: float = 1.0

    def __post_init__(self) -> None:
        if not self.steps > 0.0:
            raise ValueError(f"not SybilRank: steps={self.steps!r}")

    def rate(self, web: Web) -> ReputationTable:
        """Scores by trust over degree, in units of what it is where trust has come to."""
        ranks = self.ranks(web, web.praise, math.ceil(self.steps * math.log2(1 + web.known.sum())))
        return shares_table(web, fair_shares(ranks, ranks * _both(web, web.praise, np.ones_like(ranks))))

    def ranks(self, web: Web, weight: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
        """Trust over degree after so many steps, on average of the last two.

        In a graph without odd cycles, as that of one owner and the relays it knows, trust swings back and forth between
        two sides; the paper's graphs are too dense for that.

        Args:
            web: Who rates whom; the direction is no matter.
            weight: (E,) float64, at least 0.
            steps: Of the iteration.

        Returns:
            (N,) float64, 1 where trust is in proportion to degree.
        """
        n = len(web.known)
        degree = _both(web, weight, np.ones(n))
        joined = degree > 0.0
        start = web.trusted & joined
        before = trust = start / max(1, int(start.sum()))
        for _ in range(steps):
            before, trust = trust, _both(web, weight, _over(trust, degree))
        return _over((before + trust) / 2.0, degree) * float(degree.sum())


def _both(web: Web, weight: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """What places (N,) get from those that they are joined to."""
    n = len(value)
    return total(web.node, weight * value[web.rater], n) + total(web.rater, weight * value[web.node], n)


def _over(value: NDArray[np.float64], degree: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(value, degree, out=np.zeros_like(value), where=degree > 0.0)


def sybilrank(*, half_life: float = DAY, steps: float = 1.0, minimum: float = 20.0) -> Networked:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight; the paper has no forgetting.
        steps: Steps of the iteration for each doubling of the number of nodes.
        minimum: Outcomes told by trusted raters from which on a node is no longer `new`.
    """
    return Networked(SybilRank(steps=steps), half_life=half_life, minimum=minimum)


models.add("sybilrank", sybilrank)
