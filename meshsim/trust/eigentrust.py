"""EigenTrust: a node is as trustworthy as those say who are trustworthy themselves.

S. D. Kamvar, M. T. Schlosser, H. Garcia-Molina, "The EigenTrust Algorithm for Reputation Management in P2P Networks",
WWW 2003: t = (1 - a) C^T t + a p, where row i of C is how rater i divides its trust and p is pre-trust. Those who
praise nobody divide their trust as p. It knows no bad marks: a failure only takes back praise of the same rater.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.models import models
from meshsim.trust.network import Networked, Web, fair_shares, outward, shares_table, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.models import ReputationTable

_TOLERANCE = 1e-9  # of all trust that there is


@dataclass(frozen=True, slots=True, kw_only=True)
class EigenTrust:
    """The rule. The mass of any set S of nodes that are no seeds is at most (1 - a) / a times what flows into it.

    Attributes:
        alpha: The share a of trust that always returns to the seeds, above 0 and below 1.

    Raises:
        ValueError: If alpha is out of its range.
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"not EigenTrust: alpha={self.alpha!r}")

    def rate(self, web: Web) -> ReputationTable:
        """Scores by each node's share of trust."""
        start = web.trusted / max(1, int(web.trusted.sum()))
        trust = self.trust(web, web.praise, start)
        return shares_table(web, fair_shares(trust, spread(web, outward(web, web.praise)[0], trust)))

    def trust(self, web: Web, local: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """The global trust values t.

        Args:
            web: Who rates whom.
            local: (E,) float64, local trust s_ij, at least 0.
            start: (N,) float64, pre-trust p, which sums to 1.

        Returns:
            (N,) float64 that sums to 1; the iteration stops within 1e-9 of the fixed point, all nodes together.
        """
        weight, silent = outward(web, local)
        trust = start
        # Each step shrinks the error by 1 - a at least, so that the loop ends even if rounding keeps the change up.
        for _ in range(math.ceil(math.log(_TOLERANCE) / math.log1p(-self.alpha))):
            passed = spread(web, weight, trust) + float(trust[silent].sum()) * start
            before, trust = trust, (1.0 - self.alpha) * passed + self.alpha * start
            if float(np.abs(trust - before).sum()) < _TOLERANCE * self.alpha:
                break
        return trust


def eigentrust(*, half_life: float = DAY, alpha: float = 0.2, minimum: float = 20.0) -> Networked:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight; the paper has no forgetting.
        alpha: The share of trust that always returns to the seeds.
        minimum: Outcomes told by trusted raters from which on a node is no longer `new`.

    >>> from meshsim.trust import EventKind, Evidence
    >>> model = eigentrust()
    >>> model.anchor(0)
    >>> for node in (1, 2):
    ...     model.observe(node, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=0.0, raters=(0,), weight=30.0))
    >>> model.score(1, now=0.0).status
    <Status.TRUSTED: 'trusted'>
    """
    return Networked(EigenTrust(alpha=alpha), half_life=half_life, minimum=minimum)


models.add("eigentrust", eigentrust)
