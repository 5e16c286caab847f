"""Reputation from a network of opinions: what the models share that ask who says a thing.

A model is a rule, a pure function from the web of opinions to scores, in the state that every such model needs: who
said what of whom, and whose word is taken from the start. The owner of the model is a rater like others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from meshsim.trust.beta import EXPONENT, PRIOR
from meshsim.trust.models import Reputation, ReputationTable
from meshsim.trust.opinions import Opinions
from meshsim.trust.status import Status, status_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.evidence import Evidence, EvidenceColumns

START = 50.0
"""The brief's score of a stranger."""

HALF_SHARE = 0.25
"""Of its fair share of trust a node needs so much to score 50; a fair share scores 80."""

_NOTHING = 1e-100  # of an outcome: what so little is left of is as if it had never been said
_WORTH = sum(PRIOR)  # outcomes that the start counts for


class Web(NamedTuple):
    """E opinions among N places: place 0 is the owner of the model, place i + 1 is node i, the last is a stranger.

    Attributes:
        rater: (E,) int64, place of who says it; sorted.
        node: (E,) int64, place of whom it is about.
        good: (E,) float64, successes after forgetting.
        bad: (E,) float64, failures after forgetting.
        seeds: (N,) bool, whose word is taken from the start: the owner, if it saw anything itself, and verified nodes.
        known: (N,) bool, who rates, is rated or is a seed.
    """

    rater: NDArray[np.int64]
    node: NDArray[np.int64]
    good: NDArray[np.float64]
    bad: NDArray[np.float64]
    seeds: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def trusted(self) -> NDArray[np.bool_]:
        """(N,) bool, where trust starts: the seeds, or everybody known where there are none.

        An owner that praises nobody, while others do speak, is no start. It has seen a proof against somebody, which
        takes no trust from anybody else: or one caught liar would make strangers of all. Nor is a proof an outcome that
        the words of others could be measured by: those whom the caught one served well would seem to lie.
        """
        own = self.rater == 0
        if (self.good[own] > 0.0).any() or own.all():
            return self.seeds
        verified = self.seeds.copy()
        verified[0] = False
        return verified if verified.any() else self.known

    @property
    def praise(self) -> NDArray[np.float64]:
        """(E,) float64, by how much successes outnumber failures, at least 0: EigenTrust's local trust s_ij."""
        return np.maximum(self.good - self.bad, 0.0)


class Rule(Protocol):
    """How a model scores; a frozen dataclass of its parameters."""

    def rate(self, web: Web) -> ReputationTable:
        """The scores of all N places of `web`; a pure function."""


class Networked:
    """A reputation model that scores a web of opinions by a rule. Without seeds, all known nodes are trusted alike.

    Args:
        rule: How it scores.
        half_life: Seconds in which evidence loses half its weight.
        minimum: Evidence from which on the interval's lower bound decides the status.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(self, rule: Rule, *, half_life: float, minimum: float) -> None:
        if not minimum >= 0.0:
            raise ValueError(f"not a model of reputation: {minimum=}")
        self.rule = rule
        self.half_life = half_life
        self.minimum = minimum
        self._opinions = Opinions(half_life)
        self._anchors: set[int] = set()
        self._rated: tuple[tuple[int, int, float], ReputationTable] | None = None

    def observe(self, node: int, evidence: Evidence) -> None:
        """Counts the outcome, if the event has one, as the word of its raters."""
        self._opinions.hear(node, evidence)

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes at once."""
        self._opinions.hear_many(columns)

    def anchor(self, node: int) -> None:
        """Makes `node` a seed."""
        self._anchors.add(node)

    def score(self, node: int, now: float) -> Reputation:
        """The score of one node; one never heard of has that of a stranger."""
        table = self._rate(now)
        row = min(node, len(table.mean) - 1)
        mean, low, high, evidence = (float(column[row]) for column in table)
        return Reputation(mean, low, high, evidence, status_of(low) if evidence >= self.minimum else Status.NEW)

    def table(self, n: int, now: float) -> ReputationTable:
        """The scores of nodes 0 to n - 1."""
        table = self._rate(now)
        row = np.minimum(np.arange(n), len(table.mean) - 1)
        return ReputationTable(*(column[row] for column in table))

    def forget(self, node: int) -> None:
        """Drops what was said of `node`, what it said, and that it was verified."""
        self._opinions.forget(node)
        self._anchors.discard(node)

    def web(self, now: float) -> Web:
        """The opinions as they weigh at `now`."""
        edges = self._opinions.edges(now)
        kept = np.flatnonzero(edges.good + edges.bad > _NOTHING)
        rater, node, good, bad = edges.rater[kept] + 1, edges.node[kept] + 1, edges.good[kept], edges.bad[kept]
        seats = np.array(sorted(self._anchors), dtype=np.int64) + 1
        n = 2 + int(max(rater.max(initial=0), node.max(initial=0), seats.max(initial=0)))
        seeds = np.zeros(n, dtype=np.bool_)
        seeds[seats] = True
        seeds[0] = len(rater) > 0 and rater[0] == 0
        known = seeds.copy()
        known[rater] = known[node] = True
        return Web(rater, node, good, bad, seeds, known)

    def _rate(self, now: float) -> ReputationTable:
        """The scores of all nodes known, and in the last row that of a stranger."""
        key = (self._opinions.revision, len(self._anchors), now)
        if self._rated is None or self._rated[0] != key:
            table = self.rule.rate(self.web(now))
            self._rated = key, ReputationTable(*(column[1:] for column in table))
        return self._rated[1]


def total(place: NDArray[np.int64], value: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The sum (n,) of the values (E,) at each place (E,), added up in order."""
    return np.asarray(np.bincount(place, weights=value, minlength=n), dtype=np.float64)


def spread(web: Web, weight: NDArray[np.float64], trust: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trust passed on along all opinions once: (N,) float64, the sum over raters i of weight_ij trust_i."""
    return total(web.node, weight * trust[web.rater], len(trust))


def outward(web: Web, weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Weights (E,) scaled so that each rater's sum to 1, and who (N,) has none to give."""
    given = total(web.rater, weight, len(web.known))
    silent = given <= 0.0
    return weight / np.where(silent, 1.0, given)[web.rater], silent


def shares_table(web: Web, share: NDArray[np.float64]) -> ReputationTable:
    """Scores of nodes by how much trust they hold, for models whose trust is a rank and not a rate.

    A node with x times its fair share of trust scores 100 x / (x + HALF_SHARE), blended with the start by the evidence
    of raters who are trusted themselves: an outcome told by a rater with x times its fair share counts min(1, x), by a
    seed 1. So those nobody trusts can neither praise, nor lower a stranger by praising it. These models know no
    uncertainty; the interval is empty.

    Args:
        web: The opinions.
        share: (N,) trust held, 1 for a fair share, at least 0.
    """
    word = np.where(web.seeds, 1.0, np.minimum(share, 1.0))[web.rater]
    evidence = total(web.node, word * (web.good + web.bad), len(share))
    mean = (_WORTH * START + evidence * 100.0 * share / (share + HALF_SHARE)) / (_WORTH + evidence)
    return ReputationTable(mean, mean.copy(), mean.copy(), evidence)


def fair_shares(trust: NDArray[np.float64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trust (N,) in units of what those hold, on average, to whom trust is given.

    A mean over all who are known could be moved by anybody who makes nodes up: they hold little, so that all others
    would seem to hold much. Weighed by what raters gave them, made-up nodes move it by no more than what they were
    given, however many they are; nor does it matter who only rates, or how much trust seeds start with.

    Args:
        trust: (N,) what each holds, at least 0.
        given: (N,) what of it raters gave, in any unit, at least 0.
    """
    fair = float((trust * given).sum())
    return trust * (float(given.sum()) / fair) if fair > 0.0 else np.zeros_like(trust)


def rates_table(good: NDArray[np.float64], bad: NDArray[np.float64]) -> ReputationTable:
    """Scores of nodes by their credible outcomes, without an interval, on the same scale as `Beta`; shapes (N,)."""
    mean = 100.0 * ((good + PRIOR[0]) / (good + bad + _WORTH)) ** EXPONENT
    return ReputationTable(mean, mean.copy(), mean.copy(), good + bad)


def reference(web: Web) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Successes and failures of each place, (N,) float64 each, as told by those who are trusted from the start."""
    said, n = web.trusted[web.rater], len(web.known)
    return total(web.node, said * web.good, n), total(web.node, said * web.bad, n)
