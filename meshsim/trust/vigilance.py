"""Evidence that remembers badly of who changed: a detected change discounts the praise that came before it.

Decayed counts forget slowly: whoever behaved well for long may fail for long before its score tells. Here each node's
outcomes also walk a chart (`trust.change`). When the chart raises an alarm, the outcomes since it last stood at 0,
Page's estimate of when the change began, are how the node behaves now:

- of the good evidence from before, `keep` of 1 stays;
- bad evidence stays, and that since the change began, now proven, loses half its weight in `grudge` half-lives.

Evidence of a weight below 1 moves the chart by as much less. That only makes false alarms rarer: if X is a likelihood
ratio, E[X^w] <= E[X]^w = 1 for w in [0, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust.beta import DAY, beta_table
from meshsim.trust.change import CHANGED, FALSE_ALARMS, NORMAL, design
from meshsim.trust.evidence import SEVERITY_FACTORS
from meshsim.trust.models import Reputation, ReputationTable, models, observe_each
from meshsim.trust.status import Status, status_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.evidence import Evidence, EvidenceColumns

_ALL_GOOD, _GOOD, _BAD, _GOOD_SINCE, _BAD_SINCE, _PROVEN, _SUM, _ALARMS, _AT = range(9)  # rows of the state
_FADING = slice(_ALL_GOOD, _PROVEN)  # with the half-life; what is proven fades slower, sums and alarms do not fade


class Vigil:
    """Counts of outcomes by node that watch for changes. Any model may scale its good evidence by `kept`.

    The order of outcomes matters, as it must to what looks for change.

    Args:
        half_life: Seconds in which evidence loses half its weight; infinite to forget nothing.
        keep: Share of the good evidence from before a change that stays, in [0, 1].
        grudge: How many times longer proven failures are remembered, at least 1.
        normal: Share of failures of a node that behaves as ever.
        changed: Share of failures that shall be noticed soon.
        false_alarms: For each outcome of a node that behaves as ever, at most.
        levels: Steps of grades that charts see, at least 1; at 1 only whether a call failed.

    Raises:
        ValueError: If an argument is out of its range.

    >>> vigil = Vigil(half_life=math.inf)
    >>> alarms = [vigil.observe(0, good=k < 50, weight=1.0, t=0.0) for k in range(54)]
    >>> alarms.index(True), [float(count[0]) for count in vigil.counts(slice(1), now=0.0)]
    (53, [5.0, 4.0])
    """

    def __init__(
        self,
        *,
        half_life: float,
        keep: float = 0.1,
        grudge: float = 2.0,
        normal: float = NORMAL,
        changed: float = CHANGED,
        false_alarms: float = FALSE_ALARMS,
        levels: int = 1,
    ) -> None:
        if not (half_life > 0.0 and 0.0 <= keep <= 1.0 and 1.0 <= grudge < math.inf):
            raise ValueError(f"nothing to watch by: {half_life=}, {keep=}, {grudge=}")
        self.half_life = half_life
        self.keep = keep
        self.grudge = grudge
        self._binary = design(normal=normal, changed=changed, false_alarms=false_alarms)
        self._graded = design(normal=normal, changed=changed, false_alarms=false_alarms, levels=levels)
        # One sum may see both kinds of evidence: the higher limit keeps the false alarms of either.
        self._limit = max(self._binary.limit, self._graded.limit)
        self._state = np.zeros((9, 0))

    def observe(self, node: int, *, good: bool, weight: float, t: float, grade: float | None = None) -> bool:
        """Takes in one outcome and says whether it raised an alarm.

        Args:
            node: Whom it is about, an index from 0.
            good: Whether the node did its part.
            weight: How much the outcome counts, at least 0; more than 1 moves the chart no more than 1.
            t: When, monotonic seconds; earlier than the last outcome counts as if it had been told then.
            grade: How well it did its part, from 0 to 1; None where only the outcome is known.
        """
        self._grow(node)
        weight *= self._fade(node, t)
        column = self._state[:, node]
        for row in (_ALL_GOOD, _GOOD, _GOOD_SINCE) if good else (_BAD, _BAD_SINCE):
            column[row] += weight
        added = self._binary.add(float(good)) if grade is None or self.levels == 1 else self._graded.add(grade)
        column[_SUM] = max(0.0, column[_SUM] + min(weight, 1.0) * added)
        if column[_SUM] == 0.0:
            column[_GOOD_SINCE] = column[_BAD_SINCE] = 0.0
        alarm = bool(column[_SUM] >= self._limit)
        if alarm:
            self._discount(column)
        return alarm

    @property
    def levels(self) -> int:
        """Steps of grades that charts see."""
        return len(self._graded.weights) - 1

    def counts(self, nodes: slice, now: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Good and bad evidence after forgetting and discounts.

        Args:
            nodes: `slice(first, last)` of N indices, some of which may never have been heard of.
            now: Monotonic seconds; the past is as the last outcome left it.

        Returns:
            Two float64 arrays of shape (N,).
        """
        state = self._part(nodes)
        lives = np.maximum(now - state[_AT], 0.0) / self.half_life
        kept, proven = np.exp2(-lives), np.exp2(-lives / self.grudge)
        return state[_GOOD] * kept, state[_BAD] * kept + state[_PROVEN] * proven

    def kept(self, n: int) -> NDArray[np.float64]:
        """Share of the good evidence on nodes 0 to n - 1 that changes have left of it; float64, shape (n,)."""
        state = self._part(slice(n))
        return np.asarray(np.divide(state[_GOOD], state[_ALL_GOOD], out=np.ones(n), where=state[_ALL_GOOD] > 0.0))

    def alarms(self, n: int) -> NDArray[np.int64]:
        """How often nodes 0 to n - 1 were found to have changed; shape (n,)."""
        return np.asarray(self._part(slice(n))[_ALARMS], dtype=np.int64)

    def forget(self, node: int) -> None:
        """Drops all evidence on `node`; one never heard of is no error."""
        self._state[:, node : node + 1] = 0.0

    def _grow(self, node: int) -> None:
        known = self._state.shape[1]
        if node >= known:
            more = max(node + 1, 2 * known) - known
            self._state = np.concatenate([self._state, np.zeros((9, more))], axis=1)

    def _fade(self, node: int, t: float) -> float:
        """Lets the evidence on `node` fade until t, and says what evidence of t weighs by now."""
        column = self._state[:, node]
        lives = (t - column[_AT]) / self.half_life
        if lives <= 0.0:
            return float(np.exp2(lives))
        column[_FADING] *= np.exp2(-lives)
        column[_PROVEN] *= np.exp2(-lives / self.grudge)
        column[_AT] = t
        return 1.0

    def _discount(self, column: NDArray[np.float64]) -> None:
        before = max(0.0, column[_GOOD] - column[_GOOD_SINCE])
        column[_GOOD] = column[_GOOD_SINCE] + self.keep * before
        proven = min(column[_BAD_SINCE], column[_BAD])
        column[_PROVEN] += proven
        column[_BAD] -= proven
        column[_GOOD_SINCE] = column[_BAD_SINCE] = column[_SUM] = 0.0
        column[_ALARMS] += 1.0

    def _part(self, nodes: slice) -> NDArray[np.float64]:
        first, last = nodes.start or 0, nodes.stop
        known = self._state[:, first:last]
        return np.concatenate([known, np.zeros((9, last - first - known.shape[1]))], axis=1)


class BetaCusum:
    """The model `beta` over counts that watch for changes: on-off attackers do not live on old praise.

    Args:
        half_life: Seconds in which evidence loses half its weight.
        minimum: Evidence from which on the interval's lower bound decides the status.
        keep: Share of the good evidence from before a change that stays, in [0, 1].
        grudge: How many times longer proven failures are remembered, at least 1.
        false_alarms: For each outcome of a node that behaves as ever, at most.
        levels: Steps of grades that charts see; at 1 only whether a call failed.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        *,
        half_life: float = DAY,
        minimum: float = 20.0,
        keep: float = 0.1,
        grudge: float = 2.0,
        false_alarms: float = FALSE_ALARMS,
        levels: float = 1.0,
    ) -> None:
        if not minimum >= 0.0:
            raise ValueError(f"evidence is at least 0: {minimum=}")
        if not float(levels).is_integer():
            raise ValueError(f"levels are counted: {levels=}")
        self.vigil = Vigil(half_life=half_life, keep=keep, grudge=grudge, false_alarms=false_alarms, levels=int(levels))
        self.half_life = half_life * grudge  # of what is remembered longest
        self.minimum = minimum

    def observe(self, node: int, evidence: Evidence) -> None:
        """Counts the outcome, if the event has one and somebody else than the node tells it."""
        outcome = evidence.outcome
        if outcome is None or evidence.raters == (node,):
            return
        weight = evidence.weight * (1.0 if outcome else SEVERITY_FACTORS[evidence.severity])
        self.vigil.observe(node, good=outcome, weight=weight, t=evidence.t, grade=evidence.grade)

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, in order."""
        observe_each(self, columns)

    def anchor(self, node: int) -> None:
        """No matter: the scheme does not ask who says a thing."""

    def score(self, node: int, now: float) -> Reputation:
        """The score of one node, its interval and the status that the lower bound gives it."""
        table = beta_table(*self.vigil.counts(slice(node, node + 1), now))
        mean, low, high, evidence = (float(column[0]) for column in table)
        status = status_of(low) if evidence >= self.minimum else Status.NEW
        return Reputation(mean, low, high, evidence, status)

    def table(self, n: int, now: float) -> ReputationTable:
        """The scores of nodes 0 to n - 1."""
        return beta_table(*self.vigil.counts(slice(n), now))

    def forget(self, node: int) -> None:
        """Drops all evidence on `node`; one never heard of is no error."""
        self.vigil.forget(node)


models.add("beta-cusum", BetaCusum)
