"""Ours: decayed Beta evidence, each word weighed by how credible its rater is, beginning with verified nodes.

Every rater is one of three kinds, told apart by expectation-maximisation over all opinions at once (after A. P. Dawid,
A. M. Skene, "Maximum likelihood estimation of observer error-rates using the EM algorithm", Applied Statistics 28(1),
1979; rates here belong to the nodes rated, not to the raters):

- truthful: reports a failure of node v with probability p_v, how often v fails;
- colluding: with probability q_v, what its ring says of v, the truth for all but friends and victims if it is clever;
- careless: with probability m_r, its own, whoever it speaks of (coins, spite, flattery).

A rater's words are judged by what the *others* of a kind say of the same nodes: with r's own outcomes left out,
p_v = (B_v + 2 p) / (N_v + 2), B_v failures of N_v outcomes told by the truthful, each weighing its rater's probability
to be truthful, p the mean of them all; q_v likewise from the ring, with 10 outcomes at p_v, since it is taken to be
loyal until it is heard. The sum over r's words of log p_v or log(1 - p_v) is the log-likelihood that r is truthful.

There is a ring if two camps explain raters better than one, by RING nats a rater. The camp that most anchors are in
tells the truth, so that a compromised minority of them does no harm. If there is no ring, whoever is not careless is
truthful.

The score of v is the Beta score of its outcomes, each told by r weighing c_r b_r: its probability c_r to be truthful,
times its reach b_r = min(1, REACH e_r / said_r), where e_r are outcomes in which truthful anchors were served by r or
shared a call with it, and said_r all that r told. So all words of a set of made-up raters weigh at most REACH times the
outcomes that anchors had with it, however many they are, and nothing if there were none. What the owner saw itself
counts fully, and the owner is an anchor beyond doubt.

Without anchors and without outcomes of the owner's, everybody has full reach, and what most say of a node is the truth:
only the careless are found then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.trust.beta import DAY, beta_table
from meshsim.trust.models import ReputationTable, models
from meshsim.trust.network import Networked, Web, total
from meshsim.trust.opinions import Opinions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.trust.evidence import Evidence, EvidenceColumns

STRANGER = (0.54, 0.44, 0.02)
"""How likely a stranger is truthful, colluding, careless before it is heard.

A careless share of .003 does a little better where each rater has a hundred words (AUC .984 for .982 against collusion)
and worse in young meshes (of a ring under churn 21 % of calls went over attackers in place of 12 %, experiments/04).
"""

ANCHOR = (0.78, 0.2, 0.02)
"""The same of a verified node: a third of them may turn out compromised."""

RING = 0.6
"""Nats a rater by which two camps must explain words better than one; chance alone gave .3 to .58."""

_OWNER = 0  # its place in a web
_TRUTHFUL, _COLLUDING, _CARELESS = 0, 1, 2
_STEPS = 9
_WARM = 5  # steps until likelihoods count fully: before, rates are rough
_COLD = 0.2  # what they count for at first
_SETTLING = 3  # steps after it is known which camp is the truthful one, or that there is but one
_RATE, _RATE_WORTH = 0.1, 2.0  # how often a node fails that nobody has spoken of, and the outcomes that counts for
_LOYAL = 10.0
_FLOOR, _RING_FLOOR = 1e-3, 1e-2  # of a probability: no single word convicts
_IMPARTIAL = (0.49, 0.49, 0.02)  # of anybody, while it is asked which camp is the truthful one
_CLEARLY = 0.2  # of how far the most partial anchors lean: from there on a lean is clear
_PUBLIC = 0.2  # votes of all strangers for each of an anchor's, on which camp is the truthful one
_TINY = 1e-300


class _Words(NamedTuple):
    """E words about N places, as the kinds of raters are judged by them."""

    web: Web
    number: NDArray[np.float64]  # (E,) outcomes of a word
    more: NDArray[np.float64]  # (E,) outcomes of a word beyond the first
    said: NDArray[np.float64]  # (N,) outcomes that each rater told
    careless: NDArray[np.float64]  # (N,) log-likelihood that a rater is careless
    jury: NDArray[np.bool_]  # (N,) whose word is taken from the start
    heard: Web  # the words of the jury alone, and calls that it shared

    def by_rater(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return total(self.web.rater, values, len(self.said))

    def by_node(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return total(self.web.node, values, len(self.said))


class _Rates(NamedTuple):
    """What one kind of rater says of the node of each of E words, that word's rater left out."""

    bad: NDArray[np.float64]
    known: NDArray[np.float64]
    usual: float


class Ratings(NamedTuple):
    """What raters are worth; N places.

    Attributes:
        truthful: (N,) probability that what a rater says is what it saw.
        reach: (N,) share of its words that count, by how well the anchors know it.
        gain: Nats a rater by which two camps explain words better than one; a ring is taken to exist above `RING`.
    """

    truthful: NDArray[np.float64]
    reach: NDArray[np.float64]
    gain: float

    @property
    def word(self) -> NDArray[np.float64]:
        """(N,) float64, what an outcome counts for that a rater tells."""
        return self.truthful * self.reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Credible:
    """The rule.

    Attributes:
        reach: Outcomes that a stranger may tell for each that an anchor had with it, above 0. The bound on made-up
            raters is this many outcomes for each that anchors had with them. With a share s of nodes verified, 4 / s is
            less than EigenTrust's bound at a = 1 / 5; the default is below it up to 8 % of anchors.

    Raises:
        ValueError: If the reach is not above 0.
    """

    reach: float = 50.0

    def __post_init__(self) -> None:
        if not self.reach > 0.0:
            raise ValueError(f"not a model of credibility: reach={self.reach!r}")

    def rate(self, web: Web) -> ReputationTable:
        """Scores by credible outcomes."""
        return self.scored(web, self.ratings(web, _none()))

    def scored(self, web: Web, ratings: Ratings) -> ReputationTable:
        """Beta scores (N,) of what raters say who are worth so much."""
        word, n = ratings.word[web.rater], len(web.known)
        return beta_table(total(web.node, word * web.good, n), total(web.node, word * web.bad, n))

    def ratings(self, web: Web, shared: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]) -> Ratings:
        """How credible each rater is.

        Args:
            web: Who says what of whom.
            shared: Calls that two places were the ends of: one end, the other, how many; both ways round.
        """
        words = _words(web, shared)
        kinds = self._camps(words)
        reach = self._reach(words, kinds)
        gain = _gain(words, kinds, reach)
        if gain > RING:
            return Ratings(kinds[:, _TRUTHFUL], reach, gain)
        # No ring: whoever is not careless is truthful.
        truthful = 1.0 - kinds[:, _CARELESS]
        for _ in range(_SETTLING):
            rates = _rates(words, truthful * reach)
            told = _likelihood(words, _share(rates), rates.known)
            odds = words.careless - told + math.log(STRANGER[_CARELESS] / (1.0 - STRANGER[_CARELESS]))
            truthful = 1.0 / (1.0 + np.exp(np.clip(odds, -50.0, 50.0)))
            truthful[_OWNER] = 1.0
            reach = self._reach(words, truthful[:, None])
        return Ratings(truthful, reach, gain)

    def _camps(self, words: _Words) -> NDArray[np.float64]:
        """Probabilities (N, 3) of the kinds of each rater; the camp of most anchors is the truthful one."""
        prior = np.where(words.web.seeds[:, None], ANCHOR, STRANGER)
        prior[_OWNER] = 1.0, 0.0, 0.0
        kinds = prior
        for step in range(_STEPS):
            weight = kinds * self._reach(words, kinds)[:, None]
            if step == 0:
                weight = weight * words.jury[:, None] * (1.0, 0.0, 0.0)
            told = _told(words, weight)
            warmth = min(1.0, _COLD + (1.0 - _COLD) * step / _WARM)
            kinds = _posterior(prior, warmth * told)
        kinds = self._labelled(words, kinds)
        for _ in range(_SETTLING):
            kinds = _posterior(prior, _told(words, kinds * self._reach(words, kinds)[:, None]))
        return kinds

    def _labelled(self, words: _Words, kinds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kinds, the two camps exchanged if most anchors, by their words alone, are clearly in the second.

        What anchors are taken for beforehand holds theirs together, whichever camp that is: it is set aside first. Then
        a member of the ring is told clearly, for it never speaks of certain failures, and an honest node by much less.
        Anchors that have spoken have a vote each; the strangers they know, all together, as many as a fifth of them.
        """
        reach, settled, spoke = self._reach(words, kinds), kinds, words.said > 0.0
        jury = words.jury & spoke
        if not jury.any():
            return kinds
        for _ in range(_SETTLING):
            settled = _posterior(np.array(_IMPARTIAL), _told(words, settled * reach[:, None]))
        told = _told(words, settled * reach[:, None])
        lean = told[:, _COLLUDING] - told[:, _TRUTHFUL]
        second = lean > _CLEARLY * np.quantile(np.abs(lean[jury]), 0.9)
        crowd = np.where(words.jury, 0.0, reach) * spoke
        votes = np.where(jury, 1.0, crowd * _PUBLIC * int(jury.sum()) / max(float(crowd.sum()), _TINY))
        if float(votes[second].sum()) <= float(votes.sum()) / 2.0:
            return kinds
        swapped = kinds[:, [_COLLUDING, _TRUTHFUL, _CARELESS]]
        swapped[_OWNER] = kinds[_OWNER]
        return swapped

    def _reach(self, words: _Words, kinds: NDArray[np.float64]) -> NDArray[np.float64]:
        heard, n = words.heard, len(words.said)
        known = total(heard.node, kinds[heard.rater, _TRUTHFUL] * (heard.good + heard.bad), n)
        return np.where(words.jury, 1.0, np.minimum(1.0, self.reach * known / np.maximum(words.said, _TINY)))


class Credibility(Networked):
    """The model: a rule, opinions, anchors, and who shared a call with whom."""

    def __init__(self, rule: Credible, *, half_life: float, minimum: float) -> None:
        super().__init__(rule, half_life=half_life, minimum=minimum)
        self._credible = rule
        self._shared = Opinions(half_life)

    def observe(self, node: int, evidence: Evidence) -> None:
        """Counts the outcome, if the event has one, as the word of its raters, who met if they are two."""
        super().observe(node, evidence)
        if evidence.outcome is not None and len(evidence.raters) > 1:
            one, other = evidence.raters[:2]
            self._shared.add(one, other, evidence.weight, 0.0, evidence.t)
            self._shared.add(other, one, evidence.weight, 0.0, evidence.t)

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes at once."""
        super().observe_many(columns)
        both = (columns.rater >= 0) & (columns.partner >= 0)
        for weight in (columns.good[both], columns.bad[both]):
            ends, t = (columns.rater[both], columns.partner[both]), columns.t[both]
            for one, other in (ends, ends[::-1]):
                self._shared.add_many(one, other, weight, np.zeros_like(weight), t)

    def forget(self, node: int) -> None:
        """Drops what was said of `node`, what it said, whom it met, and that it was verified."""
        super().forget(node)
        self._shared.forget(node)

    def ratings(self, now: float) -> Ratings:
        """What raters are worth; row 0 is the owner of the model, row i + 1 node i, the last a stranger."""
        return self._ratings(self.web(now), now)

    def _ratings(self, web: Web, now: float) -> Ratings:
        met = self._shared.edges(now)
        kept = np.flatnonzero(np.maximum(met.rater, met.node) + 1 < len(web.known))
        return self._credible.ratings(web, (met.rater[kept] + 1, met.node[kept] + 1, met.good[kept]))

    def _rate(self, now: float) -> ReputationTable:
        key = (self._opinions.revision, len(self._anchors), now)
        if self._rated is None or self._rated[0] != key:
            web = self.web(now)
            table = self._credible.scored(web, self._ratings(web, now))
            self._rated = key, ReputationTable(*(column[1:] for column in table))
        return self._rated[1]


def _none() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)


def _words(web: Web, shared: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]) -> _Words:
    count, n = web.good + web.bad, len(web.known)
    said, failures = total(web.rater, count, n), total(web.rater, web.bad, n)
    more = np.maximum(count - 1.0, 0.0)
    # A careless rater is judged by its other words: by how often it speaks of failures at all.
    others = said[web.rater] - count
    own = _clipped((failures[web.rater] - web.bad + _RATE_WORTH * _RATE) / (others + _RATE_WORTH), _FLOOR)
    careless = total(web.rater, _log_likelihood(web, own) / (1.0 + more / (said[web.rater] + 1.0)), n)
    jury = web.trusted | web.seeds
    by_jury, met = np.flatnonzero(jury[web.rater]), np.flatnonzero(jury[shared[0]])
    heard = Web(
        np.concatenate([web.rater[by_jury], shared[0][met]]),
        np.concatenate([web.node[by_jury], shared[1][met]]),
        np.concatenate([web.good[by_jury], shared[2][met]]),
        np.concatenate([web.bad[by_jury], np.zeros(len(met))]),
        web.seeds,
        web.known,
    )
    return _Words(web, count, more, said, careless, jury, heard)


def _rates(words: _Words, weight: NDArray[np.float64]) -> _Rates:
    """What raters of weights (N,) say of each word's node, its own rater left out."""
    web, of = words.web, weight[words.web.rater]
    bad, count = of * web.bad, of * words.number
    all_bad, all_count = words.by_node(bad), words.by_node(count)
    usual = (float(all_bad.sum()) + 10.0 * _RATE) / (float(all_count.sum()) + 10.0)
    return _Rates(np.maximum(all_bad[web.node] - bad, 0.0), np.maximum(all_count[web.node] - count, 0.0), usual)


def _share(rates: _Rates) -> NDArray[np.float64]:
    return _clipped((rates.bad + _RATE_WORTH * rates.usual) / (rates.known + _RATE_WORTH), _FLOOR)


def _told(words: _Words, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihoods (N, 3) of raters' words by their kind, given the weights (N, 3) of all in each kind."""
    truth, ring = _rates(words, weight[:, _TRUTHFUL]), _rates(words, weight[:, _COLLUDING])
    share = _share(truth)
    theirs = _clipped((ring.bad + _LOYAL * share) / (ring.known + _LOYAL), _RING_FLOOR)
    true, colluding = _likelihood(words, share, truth.known), _likelihood(words, theirs, ring.known + _LOYAL)
    return np.stack([true, colluding, words.careless], axis=1)


def _likelihood(words: _Words, share: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood (N,) of raters' words, if nodes fail in shares (E,) known from so many outcomes (E,).

    Outcomes of one word share the error of the estimate: n of them are worth n / (1 + (n - 1) rho) independent ones,
    rho = 1 / (known + prior + 1), the correlation within a beta-binomial draw.
    """
    worth = 1.0 + words.more / (known + _RATE_WORTH + 1.0)
    return words.by_rater(_log_likelihood(words.web, share) / worth)


def _log_likelihood(web: Web, share: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(web.bad * np.log(share) + web.good * np.log1p(-share))


def _clipped(share: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    return np.clip(share, floor, 1.0 - floor)


def _posterior(prior: NDArray[np.float64], told: NDArray[np.float64]) -> NDArray[np.float64]:
    likely = prior * np.exp(told - told.max(axis=1, keepdims=True))
    likely = np.maximum(likely, np.where(prior > 0.0, _TINY, 0.0))
    return np.asarray(likely / likely.sum(axis=1, keepdims=True))


def _gain(words: _Words, kinds: NDArray[np.float64], reach: NDArray[np.float64]) -> float:
    """By how many nats a rater two camps explain words better than one, each word by those of others."""
    both = (kinds[:, _TRUTHFUL] + kinds[:, _COLLUDING]) * reach
    one, first, second = (
        _likelihood(words, _share(rates), rates.known)
        for rates in (_rates(words, weight) for weight in (both, *(kinds[:, :2] * reach[:, None]).T))
    )
    half = STRANGER[_TRUTHFUL] / (STRANGER[_TRUTHFUL] + STRANGER[_COLLUDING])
    two = np.logaddexp(first + math.log(half), second + math.log(1.0 - half))
    weight = both * (words.said > 0.0)
    return float((weight * (two - one)).sum() / max(float(weight.sum()), _TINY))


def credibility(*, half_life: float = DAY, reach: float = 50.0, minimum: float = 20.0) -> Credibility:
    """The reputation model.

    Args:
        half_life: Seconds in which opinions lose half their weight.
        reach: Outcomes that a stranger may tell for each that an anchor had with it.
        minimum: Credible outcomes from which on a node is no longer `new`.

    >>> from meshsim.trust import EventKind, Evidence
    >>> model = credibility()
    >>> model.anchor(0)
    >>> for rater, weight in ((0, 60.0), (5, 1000.0)):  # nobody knows node 5
    ...     kind = EventKind.SUCCESSFUL_CALL if rater == 0 else EventKind.CALL_DROPPED
    ...     model.observe(1, Evidence(kind=kind, node=1, t=0.0, raters=(rater,), weight=weight))
    >>> round(model.score(1, now=0.0).evidence) <= 60
    True
    """
    return Credibility(Credible(reach=reach), half_life=half_life, minimum=minimum)


models.add("credibility", credibility)
