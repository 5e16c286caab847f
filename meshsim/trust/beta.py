"""Decayed Beta evidence: outcomes counted, forgotten by half-life, scored with an interval.

The expected share of outcomes in which a node did its part is E = (r + a) / (r + s + a + b) (A. Josang, R. Ismail,
"The Beta Reputation System", 15th Bled Conference, 2002), with r successes, s failures after forgetting. The prior is
worth two outcomes, as their (1, 1) is, but starts everybody at the brief's score of 50: most strangers are honest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.evidence import SEVERITY_FACTORS, Evidence, EvidenceColumns
from meshsim.trust.interval import beta_quantiles
from meshsim.trust.models import Reputation, ReputationTable, grown, models, observe_each, padded
from meshsim.trust.status import Status, status_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPONENT = math.log(0.70) / math.log(0.92)
"""Maps a share p of good outcomes to the score 100 p^EXPONENT: 8 % failures score 70, the threshold of `trusted`."""

DAY = 86400.0

_START = 0.5 ** (1.0 / EXPONENT)
PRIOR = (2.0 * _START, 2.0 * (1.0 - _START))
"""Two outcomes that score 50."""


class Beta:
    """Beta evidence with exponential forgetting. Until there is enough evidence a node is `new`, whatever its score.

    Args:
        half_life: Seconds in which evidence loses half its weight.
        prior: Successes and failures that everybody starts with, each above 0.
        confidence: Of the interval.
        minimum: Evidence from which on the interval's lower bound decides the status.

    Raises:
        ValueError: If an argument is out of its range.

    >>> from meshsim.trust.evidence import EventKind
    >>> model = Beta()
    >>> for _ in range(60):
    ...     model.observe(0, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=0, t=0.0))
    >>> model.score(0, now=0.0).status
    <Status.TRUSTED: 'trusted'>
    """

    def __init__(
        self,
        *,
        half_life: float = DAY,
        prior: tuple[float, float] = PRIOR,
        confidence: float = 0.95,
        minimum: float = 20.0,
    ) -> None:
        if not (half_life > 0.0 and min(prior) > 0.0 and 0.0 < confidence < 1.0 and minimum >= 0.0):
            raise ValueError(f"not a Beta model: {half_life=}, {prior=}, {confidence=}, {minimum=}")
        self.half_life = half_life
        self.prior = prior
        self.confidence = confidence
        self.minimum = minimum
        self._good = np.empty(0)
        self._bad = np.empty(0)
        self._at = np.empty(0)

    def observe(self, node: int, evidence: Evidence) -> None:
        """Counts the outcome, if the event has one. The times of events matter, not the order in which they come."""
        outcome = evidence.outcome
        if outcome is None:
            return
        self._good = grown(self._good, node, 0.0)
        self._bad = grown(self._bad, node, 0.0)
        self._at = grown(self._at, node, evidence.t)
        latest = max(float(self._at[node]), evidence.t)
        kept = self._fading(latest - float(self._at[node]))
        self._good[node] *= kept
        self._bad[node] *= kept
        self._at[node] = latest
        weight = evidence.weight * self._fading(latest - evidence.t)
        if outcome:
            self._good[node] += weight
        else:
            self._bad[node] += weight * SEVERITY_FACTORS[evidence.severity]

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, in order."""
        observe_each(self, columns)

    def anchor(self, node: int) -> None:
        """No matter: the scheme does not ask who says a thing."""

    def score(self, node: int, now: float) -> Reputation:
        """The score of one node, its interval and the status that the lower bound gives it."""
        here = slice(node, node + 1)
        table = self._scored(self._good[here], self._bad[here], self._at[here], 1, now)
        mean, low, high, evidence = (float(column[0]) for column in table)
        status = status_of(low) if evidence >= self.minimum else Status.NEW
        return Reputation(mean, low, high, evidence, status)

    def table(self, n: int, now: float) -> ReputationTable:
        """The scores of nodes 0 to n - 1."""
        return self._scored(self._good, self._bad, self._at, n, now)

    def forget(self, node: int) -> None:
        """Drops all evidence on `node`; one never heard of is no error."""
        for column in (self._good, self._bad, self._at):
            column[node : node + 1] = 0.0

    def _fading(self, elapsed: float) -> float:
        return math.exp2(-elapsed / self.half_life)

    def _scored(
        self,
        good: NDArray[np.float64],
        bad: NDArray[np.float64],
        at: NDArray[np.float64],
        n: int,
        now: float,
    ) -> ReputationTable:
        kept = np.exp2(-np.maximum(now - padded(at, n, now), 0.0) / self.half_life)
        good, bad = padded(good, n, 0.0) * kept, padded(bad, n, 0.0) * kept
        return beta_table(good, bad, self.prior, self.confidence)


def beta_table(
    good: NDArray[np.float64],
    bad: NDArray[np.float64],
    prior: tuple[float, float] = PRIOR,
    confidence: float = 0.95,
) -> ReputationTable:
    """Scores of nodes with so many successes and failures, as the Beta distribution has them.

    Args:
        good: Successes, at least 0, shape (N,).
        bad: Failures, at least 0, shape (N,).
        prior: Successes and failures that everybody starts with.
        confidence: Of the interval.
    """
    # Most nodes of a large mesh were never judged: they share one row, the prior's, and its interval.
    judged = np.flatnonzero(good + bad)
    row = np.full(len(good), len(judged))
    row[judged] = np.arange(len(judged))
    a, b = np.append(good[judged], 0.0) + prior[0], np.append(bad[judged], 0.0) + prior[1]
    tail = (1.0 - confidence) / 2.0
    shares = (a / (a + b), *beta_quantiles(a, b, (tail, 1.0 - tail)))
    mean, low, high = (100.0 * share[row] ** EXPONENT for share in shares)
    return ReputationTable(mean, low, high, good + bad)


models.add("beta", Beta)
