"""How well a policy does on logged calls, in sums that any resampling of episodes can add up anew.

Every metric is a function of sums over calls, kept for each view (calls placed on one belief fare alike). Intervals are
a bootstrap in two stages: episodes are drawn with replacement, then the views of each (Davison, Hinkley, "Bootstrap
methods and their application", 1997, section 3.8), so that a metric is known no better than the number of graphs
allows.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.learn.calibration import BINS, NEAR_BEST
from meshsim.measure.stats import Interval
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.policies import Outcome, confidence_in, is_learning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.learn.dataset import Example
    from meshsim.mesh.ids import NodeId
    from meshsim.routing.features import Features, Scores
    from meshsim.routing.policies import Policy

    Sums = NDArray[np.float64]

APART = 0.05
"""MOS by which two candidates must differ for their order to count."""

SLIGHT = 0.02
"""MOS of regret that nobody notices: the median is at most this where half of the calls are within it."""

DRAWS = 400
LEVEL = 0.95

MEASURES = ("rtt", "jitter", "loss")
_COLUMNS = (
    "calls",
    "poor",
    "poor_default",
    "poor_oracle",
    "regret",
    "slight",
    "agree",
    "disagree",
    "tied",
    *(f"{what}_{name}" for name in MEASURES for what in ("error", "true", "inside", "width")),
    "carried",
    "claimed",
    *(f"score_{i}" for i in range(BINS)),
    "sure",
    *(f"confidence_{i}" for i in range(BINS)),
)
_AT = {name: place for place, name in enumerate(_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Card:
    """What one policy did, by view.

    Attributes:
        sums: (V, K) the sums of each view, K as `_COLUMNS`.
        run: (V,) int64, the episode of each view.
        regret: (C,) float64, MOS below the best feasible candidate, of each call.
        of_call: (C,) int64, the view of each call.
    """

    sums: Sums
    run: NDArray[np.int64]
    regret: NDArray[np.float64]
    of_call: NDArray[np.int64]

    def of(self, runs: Iterable[int]) -> Card:
        """The part of some episodes."""
        rows = np.flatnonzero(np.isin(self.run, list(runs)))
        place = np.full(len(self.run), -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.of_call] >= 0
        return Card(self.sums[rows], self.run[rows], self.regret[kept], place[self.of_call][kept])


def poor_rate(sums: Sums) -> Sums:
    """Share of poor calls; (..., K) -> (...)."""
    return _ratio(sums, "poor", "calls")


def captured(sums: Sums) -> Sums:
    """Share of the calls that the oracle saves from the default's fate that the policy saves too."""
    gained = sums[..., _AT["poor_default"]] - sums[..., _AT["poor"]]
    could = sums[..., _AT["poor_default"]] - sums[..., _AT["poor_oracle"]]
    return np.where(could > 0, gained / np.where(could > 0, could, 1.0), np.nan)


def regret(sums: Sums) -> Sums:
    """Mean MOS below the best feasible candidate."""
    return _ratio(sums, "regret", "calls")


def slight(sums: Sums) -> Sums:
    """Share of calls at most `SLIGHT` MOS below the best feasible candidate."""
    return _ratio(sums, "slight", "calls")


def kendall(sums: Sums) -> Sums:
    """Kendall's tau-b between utility and true MOS, over pairs of a call's candidates that differ by `APART` MOS."""
    good, bad, tied = (sums[..., _AT[name]] for name in ("agree", "disagree", "tied"))
    of = np.sqrt((good + bad) * (good + bad + tied))
    return np.where(of > 0, (good - bad) / np.where(of > 0, of, 1.0), np.nan)


def wape(measure: str) -> Callable[[Sums], Sums]:
    """Weighted absolute percentage error of a measure: sum |predicted - true| over sum true, of carried candidates."""
    return lambda sums: _ratio(sums, f"error_{measure}", f"true_{measure}")


def coverage(measure: str) -> Callable[[Sums], Sums]:
    """Share of carried candidates whose measure lies in its 90 % interval; NaN where none was claimed."""
    return lambda sums: np.where(
        sums[..., _AT[f"width_{measure}"]] > 0, _ratio(sums, f"inside_{measure}", "carried"), np.nan
    )


def width(measure: str) -> Callable[[Sums], Sums]:
    """Mean width of those intervals over the mean of the measure; NaN where none was claimed."""
    return lambda sums: np.where(
        sums[..., _AT[f"width_{measure}"]] > 0, _ratio(sums, f"width_{measure}", f"true_{measure}"), np.nan
    )


def score_error(sums: Sums) -> Sums:
    """Expected calibration error of ai_score over feasible candidates."""
    return _gap(sums, "score", "claimed")


def confidence_error(sums: Sums) -> Sums:
    """Expected calibration error of confidence over choices."""
    return _gap(sums, "confidence", "sure")


METRICS: dict[str, Callable[[Sums], Sums]] = {
    "poor_call_rate": poor_rate,
    "captured": captured,
    "regret_mos": regret,
    "slight_regret_share": slight,
    "kendall_tau_b": kendall,
    **{f"wape_{name}": wape(name) for name in MEASURES},
    "ai_score_error": score_error,
    "confidence_error": confidence_error,
    **{f"coverage_{name}": coverage(name) for name in MEASURES},
    **{f"width_{name}": width(name) for name in MEASURES},
}
"""Metrics of a card by name; each takes sums (..., K) and gives (...)."""


def _ratio(sums: Sums, above: str, below: str) -> Sums:
    of = sums[..., _AT[below]]
    return np.where(of > 0, sums[..., _AT[above]] / np.where(of > 0, of, 1.0), np.nan)


def _gap(sums: Sums, what: str, count: str) -> Sums:
    first = _AT[f"{what}_0"]
    gap, of = np.abs(sums[..., first : first + BINS]).sum(axis=-1), sums[..., _AT[count]]
    return np.where(of > 0, gap / np.where(of > 0, of, 1.0), np.nan)


class Resampling:
    """The same draws of episodes and views for all policies, so that their differences are paired.

    Args:
        run: (V,) the episode of each view.
        draws: How many.
        seed: Of the draws.
    """

    def __init__(self, run: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0) -> None:
        generator = SeedTree(seed).generator("scorecard")
        views = [np.flatnonzero(run == one) for one in np.unique(run)]
        self.counts = np.zeros((draws, len(run)))
        for counts in self.counts:
            for episode in generator.integers(0, len(views), len(views)):
                own = views[episode]
                np.add.at(counts, own[generator.integers(0, len(own), len(own))], 1.0)

    def interval(self, card: Card, metric: Callable[[Sums], Sums]) -> Interval:
        """A metric of a card with its 95 % interval by percentiles; NaN ends where it is undefined in some draws."""
        return _interval(metric(card.sums.sum(axis=0)), metric(self.counts @ card.sums))

    def difference(self, card: Card, other: Card, metric: Callable[[Sums], Sums]) -> Interval:
        """The metric of `card` minus that of `other`, both on the same draws."""
        point = metric(card.sums.sum(axis=0)) - metric(other.sums.sum(axis=0))
        return _interval(point, metric(self.counts @ card.sums) - metric(self.counts @ other.sums))

    def quotient(self, card: Card, other: Card, metric: Callable[[Sums], Sums]) -> Interval:
        """The metric of `card` over that of `other`, both on the same draws."""
        point = metric(card.sums.sum(axis=0)) / metric(other.sums.sum(axis=0))
        return _interval(point, metric(self.counts @ card.sums) / metric(self.counts @ other.sums))


def _interval(point: Sums, drawn: Sums) -> Interval:
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail]) if np.isfinite(drawn).all() else (np.nan, np.nan)
    return Interval(mean=float(point), low=float(low), high=float(high))


class Oracle:
    """The row of who knows every candidate's truth: the best there is among the feasible."""


def cards(examples: Sequence[Example], policies: Mapping[str, Policy | Oracle], default: Policy) -> dict[str, Card]:
    """What each of `policies` does on calls with a feasible candidate, by name.

    Args:
        examples: Logged calls with counterfactual labels, in any order; each episode is decided in order of time.
        policies: By name; of one that learns, a copy begins each episode anew, and is told the truth of what it chose
            right after each call, which is sooner than anybody could know. None of them explores.
        default: What stands for doing nothing clever.
    """
    able = (example for example in examples if example.feasible.any())
    decided = sorted(able, key=lambda example: (example.run, example.at))
    oracle = np.array([example.best for example in decided])
    views, of_call = np.unique([example.view for example in decided], return_inverse=True)
    run = np.zeros(len(views), dtype=np.int64)
    run[of_call] = [example.run for example in decided]
    usual = np.array([_chosen(example, default.score(example.features)) for example in decided])
    found = {}
    for name, policy in policies.items():
        rows = np.zeros((len(decided), len(_COLUMNS)))
        for i, example in enumerate(decided):
            if not i or example.run != decided[i - 1].run:
                chooser = _anew(policy)
            chosen = _row(rows[i], example, chooser, int(oracle[i]))
            _outcome(rows[i], example, chosen, int(usual[i]), int(oracle[i]))
        sums = np.zeros((len(views), len(_COLUMNS)))
        np.add.at(sums, of_call, rows)
        found[name] = Card(sums, run, rows[:, _AT["regret"]], of_call)
    return found


def _anew(policy: Policy | Oracle) -> Policy | Oracle:
    """The policy for another episode: what was learnt of one network says nothing of the next."""
    learns = not isinstance(policy, Oracle) and is_learning(policy)
    return deepcopy(policy) if learns else policy


def _chosen(example: Example, scores: Scores) -> int:
    rows = np.flatnonzero(example.feasible)
    return int(rows[np.argmax(scores.utility[rows])])


def _row(row: Sums, example: Example, policy: Policy | Oracle, oracle: int) -> int:
    """Writes what the policy says of the candidates, and gives the one it takes."""
    if isinstance(policy, Oracle):
        return oracle
    scores = policy.score(example.features)
    chosen = _chosen(example, scores)
    _order(row, example, scores)
    _predictions(row, example, scores)
    _claims(row, example, policy, scores, chosen)
    if is_learning(policy):
        policy.observe(_lived(example, chosen))
    return chosen


def _outcome(row: Sums, example: Example, chosen: int, usual: int, oracle: int) -> None:
    labels = example.labels
    row[_AT["calls"]] = 1.0
    row[_AT["poor"]], row[_AT["poor_default"]] = not labels.ok[chosen], not labels.ok[usual]
    row[_AT["poor_oracle"]] = not labels.ok[oracle]
    row[_AT["regret"]] = labels.mos[example.feasible].max() - labels.mos[chosen]
    row[_AT["slight"]] = row[_AT["regret"]] <= SLIGHT


def _order(row: Sums, example: Example, scores: Scores) -> None:
    mos, utility = example.labels.mos[example.feasible], scores.utility[example.feasible]
    first, second = np.triu_indices(len(mos), 1)
    true, said = mos[first] - mos[second], utility[first] - utility[second]
    apart = np.abs(true) > APART
    sign = np.sign(true[apart]) * np.sign(said[apart])
    row[_AT["agree"]], row[_AT["disagree"]], row[_AT["tied"]] = (sign > 0).sum(), (sign < 0).sum(), (sign == 0).sum()


def _predictions(row: Sums, example: Example, scores: Scores) -> None:
    rows = np.flatnonzero(example.feasible & example.labels.connected)
    row[_AT["carried"]] = len(rows)
    for name in MEASURES:
        true, said = getattr(example.labels, name)[rows], getattr(scores, name)[rows]
        row[_AT[f"error_{name}"]], row[_AT[f"true_{name}"]] = np.abs(said - true).sum(), true.sum()
        if scores.intervals is not None:
            low, high = getattr(scores.intervals, name)[rows].T
            row[_AT[f"inside_{name}"]] = ((low <= true) & (true <= high)).sum()
            row[_AT[f"width_{name}"]] = (high - low).sum()


def _claims(row: Sums, example: Example, policy: Policy, scores: Scores, chosen: int) -> None:
    score, ok = scores.ai_score[example.feasible] / 100.0, example.labels.ok[example.feasible]
    if np.isfinite(score).all():
        row[_AT["claimed"]] = len(score)
        _binned(row, "score", score, ok)
    sure = confidence_in(policy, scores, np.array([chosen]))
    if np.isfinite(sure).all():
        near = example.labels.mos[example.feasible].max() - example.labels.mos[chosen] <= NEAR_BEST
        row[_AT["sure"]] = 1.0
        _binned(row, "confidence", sure, np.array([near]))


def _binned(row: Sums, what: str, probability: NDArray[np.float64], outcome: NDArray[np.bool_]) -> None:
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    first = _AT[f"{what}_0"]
    row[first : first + BINS] = np.bincount(place, weights=probability - outcome, minlength=BINS)


def _lived(example: Example, chosen: int) -> Outcome:
    labels = example.labels
    return Outcome(
        path=_path(example.features, chosen),
        media=example.features.media,  # type: ignore[arg-type]  # one call has one medium
        rtt=float(labels.rtt[chosen]),
        jitter=float(labels.jitter[chosen]),
        loss=float(labels.loss[chosen]),
        connected=bool(labels.connected[chosen]),
        at=example.at,
    )


def _path(features: Features, chosen: int) -> tuple[NodeId, ...]:
    own = np.flatnonzero(features.hop_path == chosen)
    places = [*features.hop_src[own].tolist(), int(features.hop_dst[own[-1]])]
    return tuple(features.graph.nodes.ids[place] for place in places)
