"""What another policy would have made of logged calls, from what was chosen, how likely that was, and how it went.

This is all that a mesh has in the field: of each call the outcome of the one path it took. Here the truth of every
candidate is known as well, so the estimates can be held against it.

Source: Dudik, Langford, Li, "Doubly robust policy evaluation and learning", ICML 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats import Interval, paired_difference
from meshsim.measure.trace import Trace
from meshsim.mesh import quality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.learn.dataset import Dataset, Example
    from meshsim.routing.features import Features
    from meshsim.routing.policies import Policy

    Vector = NDArray[np.float64]

LEAST_CHANCE = 0.004
"""Propensity below which a candidate counts as never tried: its weight would outdo those of hundreds of other calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """C calls as they were logged; arrays are (C,).

    Attributes:
        examples: The calls.
        taken: int64, the candidate that each took.
        chances: How likely each of its candidates was, (P,) float64 each, summing to 1.
        poor: float64, 1 where the call was poor.
        cluster: int64, what each call depends on others through: the belief it was placed on.
    """

    examples: tuple[Example, ...]
    taken: NDArray[np.int64]
    chances: tuple[Vector, ...]
    poor: Vector
    cluster: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """A policy's poor-call rate three ways, each with its 95 % interval, and what was true.

    A log tells nothing of what it never tried. Choices of the policy with a propensity below `LEAST_CHANCE` are left to
    the prediction alone, and the doubly robust interval is widened by the worst and the best that they could have been
    (Manski, "Nonparametric bounds on treatment effects", Amer. Econ. Rev. 80, 1990). All intervals are too narrow where
    `effective` is below about 50: what seldom goes wrong may not have gone wrong yet.

    Attributes:
        weighted: Outcomes where both chose alike, each over its propensity (inverse propensity weighting); without
            bias, and of great variance.
        normalised: The same over the sum of the weights; slightly biased, in [0, 1].
        doubly_robust: What is predicted of the policy's choice, corrected by the weighted errors of the prediction on
            what was logged: without bias if propensities are right, and the tighter the better the prediction is.
        truth: By the labels of the policy's own choices, which nobody in the field has.
        tried: Share of calls in which the policy's choice had a chance to be logged.
        alike: Calls in which both chose alike: what the estimates rest on.
        effective: How many equally weighted calls would tell as much: (sum w)^2 / sum w^2.
    """

    weighted: Interval
    normalised: Interval
    doubly_robust: Interval
    truth: Interval
    tried: float
    alike: int
    effective: float

    def row(self) -> dict[str, float]:
        """All numbers by flat names, for tables."""
        intervals = {"dr": self.doubly_robust, "snips": self.normalised, "ips": self.weighted, "truth": self.truth}
        said = {
            f"{name}{end}": value
            for name, interval in intervals.items()
            for end, value in zip(("", "_low", "_high"), interval, strict=True)
        }
        return {"tried": self.tried, "alike": self.alike, "effective": self.effective, **said}


def logged(dataset: Dataset, traces: Sequence[Path]) -> Logged:
    """The calls of `dataset` that took a path, with the propensities that stand in the `traces` it was loaded from."""
    chances = [_propensities(folder) for folder in traces]
    examples = tuple(example for example in dataset.examples if example.chosen >= 0)
    taken = np.array([example.chosen for example in examples], dtype=np.int64)
    return Logged(
        examples=examples,
        taken=taken,
        chances=tuple(chances[example.run][example.call] for example in examples),
        poor=_poor(examples, taken),
        cluster=np.array([example.view for example in examples], dtype=np.int64),
    )


def _propensities(folder: Path) -> dict[int, Vector]:
    """How likely each candidate was, in their order, by call."""
    routes = Trace(folder).columns("routes")
    order = np.lexsort((routes["candidate"], routes["call"]))
    calls, first = np.unique(routes["call"][order], return_index=True)
    return dict(zip(calls.tolist(), np.split(routes["propensity"][order], first[1:]), strict=True))


def _poor(examples: Sequence[Example], rows: NDArray[np.int64]) -> Vector:
    return np.array([not example.labels.ok[row] for example, row in zip(examples, rows, strict=True)], dtype=np.float64)


def predicted(log: Logged, model: Policy) -> tuple[Vector, ...]:
    """Probability of a poor call on each candidate of each call, by `model`; 0 or 1 of one that claims none."""
    return tuple(_poor_odds(example.features, model) for example in log.examples)


def _poor_odds(features: Features, model: Policy) -> Vector:
    scores = model.score(features)
    beyond = quality.poor(scores.rtt, scores.jitter, scores.loss, features.media).astype(np.float64)
    return np.where(np.isfinite(scores.ai_score), 1.0 - scores.ai_score / 100.0, beyond)


def choices(examples: Sequence[Example], policy: Policy) -> NDArray[np.int64]:
    """The feasible candidate of highest utility of each call; (C,). Not for policies that learn or draw."""
    chosen = []
    for example in examples:
        rows = np.flatnonzero(example.feasible)
        chosen.append(rows[np.argmax(policy.score(example.features).utility[rows])])
    return np.array(chosen, dtype=np.int64)


def estimate(log: Logged, policy: Policy, odds: Sequence[Vector]) -> Estimates:
    """The poor-call rate of `policy` on the calls of `log`.

    Args:
        log: At least one call.
        policy: Whose rate is asked for.
        odds: What is `predicted` of the candidates of each call, for the doubly robust estimate.
    """
    chosen = choices(log.examples, policy)
    expected = _at(chosen, odds)
    chance = _at(chosen, log.chances)
    tried = chance >= LEAST_CHANCE
    weight = np.where(tried & (chosen == log.taken), 1.0 / np.maximum(chance, LEAST_CHANCE), 0.0)
    corrected = expected + weight * (log.poor - expected)
    return Estimates(
        weighted=_mean(weight * log.poor, log.cluster),
        normalised=_ratio(weight * log.poor, weight, log.cluster),
        doubly_robust=_bounded(corrected, tried, log.cluster),
        truth=_mean(_poor(log.examples, chosen), log.cluster),
        tried=float(tried.mean()),
        alike=int((weight > 0.0).sum()),
        effective=float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0,
    )


def _at(rows: NDArray[np.int64], values: Sequence[Vector]) -> Vector:
    """One value of each of C arrays; (C,)."""
    return np.array([some[row] for some, row in zip(values, rows, strict=True)], dtype=np.float64)


def _bounded(values: Vector, tried: NDArray[np.bool_], cluster: NDArray[np.int64]) -> Interval:
    """The mean, with an interval that holds whatever the outcomes of what was never tried."""
    best, worst = (_mean(np.where(tried, values, end), cluster) for end in (0.0, 1.0))
    return Interval(float(values.mean()), best.low, worst.high)


def _mean(values: Vector, cluster: NDArray[np.int64]) -> Interval:
    return paired_difference(values, np.zeros(len(values)), cluster=cluster)


def _ratio(above: Vector, below: Vector, cluster: NDArray[np.int64]) -> Interval:
    """The ratio of two sums, by the delta method; NaN where the sum below is zero."""
    if not below.any():
        return Interval(np.nan, np.nan, np.nan)
    ratio = float(above.sum() / below.sum())
    return _mean(ratio + (above - ratio * below) / below.mean(), cluster)
