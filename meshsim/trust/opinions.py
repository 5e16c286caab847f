"""Who said what of whom: decayed counts of good and bad outcomes for each pair of rater and node.

Only the evidence is kept here; what a rater's word is worth is each model's own idea.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.trust.evidence import SEVERITY_FACTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.evidence import Evidence, EvidenceColumns

OWNER = -1
"""The rater that stands for the owner of the model."""

_BITS = 32  # a pair is one integer: the rater above, the node below, so that it sorts by rater first
_NOBODY = -1  # no pair's integer
_WAITING = 8192  # opinions told one by one that wait to be merged together, at least
_PART = 8  # a merge copies all pairs: an eighth as many wait as there are


class Edges(NamedTuple):
    """What E pairs come to, each pair once, sorted by rater, then node; every array has shape (E,).

    Attributes:
        rater: int64; -1 for the owner of the model.
        node: int64, whom it is about.
        good: float64, successes after forgetting.
        bad: float64, failures after forgetting, their severity included.
    """

    rater: NDArray[np.int64]
    node: NDArray[np.int64]
    good: NDArray[np.float64]
    bad: NDArray[np.float64]


class Opinions:
    """Counts of outcomes by rater and node, which lose half their weight in a half-life.

    A weight w told at t counts w 2^(t / half_life), kept as a number and a whole power of two for each pair. Powers of
    two scale without rounding and sums are made in the order of telling, so the same opinions in the same order give
    the same bits, however they are batched and whenever they are asked for. What nodes say of themselves is dropped.

    Args:
        half_life: Seconds in which an opinion loses half its weight; infinite to forget nothing.

    Raises:
        ValueError: If the half-life is not above 0.

    >>> opinions = Opinions(60.0)
    >>> opinions.add(7, 3, good=8.0, bad=0.0, t=0.0)
    >>> opinions.edges(60.0).good
    array([4.])
    """

    def __init__(self, half_life: float) -> None:
        if not half_life > 0.0:
            raise ValueError(f"opinions cannot be forgotten so: {half_life=}")
        self.half_life = half_life
        self.revision = 0
        """Grows with everything told or forgotten: what was made of the edges is good as long as it stays."""
        self._waiting: list[tuple[int, int, float, float, float]] = []
        self._pair = np.empty(0, dtype=np.int64)
        self._good = np.empty(0)
        self._bad = np.empty(0)
        self._power = np.empty(0)  # whole powers of two that good and bad are counted in
        self._at = np.empty(0)

    @property
    def size(self) -> int:
        """How many pairs there are opinions of."""
        self._settle()
        return len(self._pair)

    def hear(self, node: int, evidence: Evidence) -> None:
        """Takes in evidence, if it has an outcome: the owner's own, or in equal parts that of its raters."""
        outcome = evidence.outcome
        if outcome is None:
            return
        raters = evidence.raters or (OWNER,)
        weight = evidence.weight / len(raters)
        good, bad = (weight, 0.0) if outcome else (0.0, weight * SEVERITY_FACTORS[evidence.severity])
        for rater in raters:
            self.add(rater, node, good, bad, evidence.t)

    def hear_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, as if each were heard by itself, in order."""
        both = np.stack([columns.rater, columns.partner], axis=1)
        # A row has the words of both ends side by side, as `hear` tells them; an end that is nobody says nothing.
        says = np.stack([(both[:, 0] >= 0) | (both[:, 1] < 0), both[:, 1] >= 0], axis=1)
        share = 1.0 / says.sum(axis=1)
        row = np.nonzero(says)[0]
        good, bad = (columns.good * share)[row], (columns.bad * share)[row]
        self.add_many(both[says], columns.node[row], good, bad, columns.t[row])

    def add(self, rater: int, node: int, good: float, bad: float, t: float) -> None:
        """Counts one opinion.

        Args:
            rater: Whose it is; -1 for the owner of the model.
            node: Whom it is about.
            good: Weight of a success, at least 0.
            bad: Weight of a failure, at least 0.
            t: When, monotonic seconds.
        """
        self._waiting.append((rater, node, good, bad, t))
        self.revision += 1
        if len(self._waiting) >= max(_WAITING, len(self._pair) // _PART):
            self._settle()

    def add_many(
        self,
        rater: NDArray[np.int64],
        node: NDArray[np.int64],
        good: NDArray[np.float64],
        bad: NDArray[np.float64],
        t: NDArray[np.float64],
    ) -> None:
        """Counts M opinions, as if each were added by itself, in order; arguments as of `add`, shape (M,)."""
        self._settle()
        self._merge(rater, node, good, bad, t)
        self.revision += 1

    def edges(self, now: float) -> Edges:
        """All opinions as they weigh at `now`; those told later than that weigh as when they were told."""
        self._settle()
        kept = np.exp2(self._power - np.maximum(self._at, now) / self.half_life)
        rater, node = (self._pair >> _BITS) - 1, self._pair & ((1 << _BITS) - 1)
        return Edges(rater, node, self._good * kept, self._bad * kept)

    def forget(self, node: int) -> None:
        """Drops what was said of `node` and what it said: its index may come to stand for another."""
        self._settle()
        stays = ((self._pair >> _BITS) != node + 1) & ((self._pair & ((1 << _BITS) - 1)) != node)
        self._keep(stays)
        self.revision += 1

    def _settle(self) -> None:
        if self._waiting:
            (rater, node, good, bad, t), self._waiting = zip(*self._waiting, strict=True), []
            pairs = np.array(rater, dtype=np.int64), np.array(node, dtype=np.int64)
            self._merge(*pairs, np.array(good), np.array(bad), np.array(t))

    def _merge(
        self,
        rater: NDArray[np.int64],
        node: NDArray[np.int64],
        good: NDArray[np.float64],
        bad: NDArray[np.float64],
        t: NDArray[np.float64],
    ) -> None:
        told = np.flatnonzero((rater != node) & ((good > 0.0) | (bad > 0.0)))
        pair = ((rater + 1) << _BITS | node)[told]
        order = np.argsort(pair, kind="stable")  # opinions of one pair stay in order; sorted, memory is read in order
        told = told[order]
        good, bad, t, place = good[told], bad[told], t[told], self._places(pair[order])
        exact = t / self.half_life
        power = np.floor(exact)
        top = self._power.copy()
        np.maximum.at(top, place, power)
        np.maximum.at(self._at, place, t)
        weight = np.exp2(exact - power) * np.exp2(power - top[place])  # two steps, of which the second is exact
        self._good = _summed(self._good, self._power - top, place, good * weight)
        self._bad = _summed(self._bad, self._power - top, place, bad * weight)
        self._power = top

    def _places(self, pair: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each of the sorted pairs stands; pairs never heard of are put in."""
        fresh = pair[np.diff(pair, prepend=_NOBODY) > 0]
        where = np.searchsorted(self._pair, fresh)
        unheard = np.append(self._pair, _NOBODY)[where] != fresh
        fresh, where = fresh[unheard], where[unheard]
        self._pair = np.insert(self._pair, where, fresh)
        self._good, self._bad = (np.insert(column, where, 0.0) for column in (self._good, self._bad))
        self._power, self._at = (np.insert(column, where, -np.inf) for column in (self._power, self._at))
        return np.searchsorted(self._pair, pair)

    def _keep(self, stays: NDArray[np.bool_]) -> None:
        self._pair, self._good, self._bad = self._pair[stays], self._good[stays], self._bad[stays]
        self._power, self._at = self._power[stays], self._at[stays]


def _summed(
    held: NDArray[np.float64], shift: NDArray[np.float64], place: NDArray[np.int64], more: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What is held, in new powers of two, and the more added one by one in order, which fixes every rounding."""
    result = held * np.exp2(shift)
    np.add.at(result, place, more)
    return result
