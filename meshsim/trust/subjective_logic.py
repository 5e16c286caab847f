"""Subjective logic: opinions with uncertainty, discounted by trust in who holds them, and fused.

A. Josang, "Subjective Logic: A Formalism for Reasoning Under Uncertainty", Springer 2016. With r successes and s
failures an opinion has belief b = r / (r + s + 2), disbelief d = s / (r + s + 2), uncertainty u = 2 / (r + s + 2).
Trust discounting by projected trust P gives (P b, P d, 1 - P (b + d)); cumulative fusion of independent opinions adds
up the evidence r = 2 b / u, s = 2 d / u that they stand for.

Trust in raters is an opinion too. Its evidence, which is ours, is agreement: of an outcome about a node that those one
trusts call good with probability p, a rater's word is right with probability p if it was `good`, else 1 - p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.trust.beta import DAY, PRIOR, beta_table
from meshsim.trust.models import models
from meshsim.trust.network import Networked, Web, reference, total

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.models import ReputationTable

WEIGHT = 2.0
"""W, what ignorance counts for beside evidence."""


class Opinion(NamedTuple):
    """What somebody believes; belief, disbelief and uncertainty sum to 1. Arrays of any one shape, or floats.

    Attributes:
        belief: That it is so.
        disbelief: That it is not.
        uncertainty: What evidence has not decided.
    """

    belief: NDArray[np.float64]
    disbelief: NDArray[np.float64]
    uncertainty: NDArray[np.float64]


def opinion(good: NDArray[np.float64], bad: NDArray[np.float64]) -> Opinion:
    """The opinion that evidence gives, whole numbers of outcomes or not."""
    total = good + bad + WEIGHT
    return Opinion(good / total, bad / total, WEIGHT / total)


def discounted(held: Opinion, trust: NDArray[np.float64]) -> Opinion:
    """An opinion as it is worth to one who trusts its holder with probability `trust`, in [0, 1].

    >>> [round(float(x), 3) for x in discounted(Opinion(*np.array([0.45, 0.35, 0.2])), np.array(0.5))]
    [0.225, 0.175, 0.6]
    """
    # P u + 1 - P is 1 - P (b + d) without the difference that would cancel what little uncertainty is left.
    return Opinion(trust * held.belief, trust * held.disbelief, trust * held.uncertainty + (1.0 - trust))


def evidence(held: Opinion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The successes and failures that an opinion stands for; its uncertainty must be above 0."""
    return WEIGHT * held.belief / held.uncertainty, WEIGHT * held.disbelief / held.uncertainty


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectiveLogic:
    """The rule. It has no bound on made-up raters, but those who agree with nobody trusted weigh as `base` says.

    Attributes:
        base: Base rate of trust in a rater, before anything is known of it, in [0, 1].

    Raises:
        ValueError: If the base rate is out of its range.
    """

    base: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.base <= 1.0:
            raise ValueError(f"not subjective logic: base={self.base!r}")

    def rate(self, web: Web) -> ReputationTable:
        """Scores by the projected probability of the fused opinion; the interval is the Beta distribution's."""
        trust = np.where(web.seeds, 1.0, self.trust(web))[web.rater]
        told = evidence(discounted(opinion(web.good, web.bad), trust))
        good, bad = (total(web.node, column, len(web.known)) for column in told)
        return beta_table(good, bad)

    def trust(self, web: Web) -> NDArray[np.float64]:
        """Projected trust in each place's word (N,), in [0, 1]."""
        good, bad = reference(web)
        sure = (good + bad) / (good + bad + WEIGHT)
        likely = ((good + PRIOR[0]) / (good + bad + WEIGHT))[web.node]
        right = sure[web.node] * (web.good * likely + web.bad * (1.0 - likely))
        wrong = sure[web.node] * (web.good * (1.0 - likely) + web.bad * likely)
        n = len(web.known)
        agreed, erred = (total(web.rater, column, n) for column in (right, wrong))
        believed = opinion(agreed, erred)
        return believed.belief + self.base * believed.uncertainty


def subjective_logic(*, half_life: float = DAY, base: float = 0.0, minimum: float = 20.0) -> Networked:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight.
        base: Base rate of trust in a rater.
        minimum: Discounted outcomes from which on the interval's lower bound decides the status.
    """
    return Networked(SubjectiveLogic(base=base), half_life=half_life, minimum=minimum)


models.add("subjective_logic", subjective_logic)
