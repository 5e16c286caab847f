"""Open-loop evaluation: every policy decides the same logged calls anew, and counterfactual labels tell the outcome.

Nothing is simulated here; what a policy's own choices would have done to the network is the closed loop's question.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.learn.calibration import NEAR_BEST, auc, calibration_error
from meshsim.learn.dataset import Dataset, load
from meshsim.measure.stats import Interval, paired_difference
from meshsim.routing.policies import confidence_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.learn.dataset import Example
    from meshsim.routing.policies import Policy

ORACLE = "oracle"
"""The row of who knows every candidate's truth: the best there is among the feasible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What one policy chose for C calls; arrays are (C,).

    Attributes:
        poor: bool, the chosen path would have been poor.
        mos: float64, its MOS.
        regret: float64 >= 0, MOS below the best feasible candidate.
        ai_score: float64, what the policy claimed, NaN if nothing.
        confidence: float64, likewise.
    """

    poor: NDArray[np.bool_]
    mos: NDArray[np.float64]
    regret: NDArray[np.float64]
    ai_score: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """How well a policy's probabilities hold.

    Attributes:
        auc: Probability that a good feasible candidate has a higher ai_score than a poor one.
        score_error: Expected calibration error of ai_score over the feasible candidates.
        chosen_error: The same over the chosen ones.
        confidence_error: Expected calibration error of confidence over the chosen ones.
        confidence_low: Least confidence in a choice: as high as the next, the claim would tell nothing.
        confidence_high: Greatest.
    """

    auc: float
    score_error: float
    chosen_error: float
    confidence_error: float
    confidence_low: float
    confidence_high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """The result; intervals are at 95 % and rest on views, not calls: calls placed on one belief fare alike.

    Attributes:
        calls: Calls decided.
        refused: Calls without any feasible candidate, left out for every policy alike.
        poor_call_rate: Share of poor calls of each policy, and of `oracle`.
        regret: Mean MOS below the best feasible candidate.
        difference: Paired difference in poor calls, first minus second, for every ordered pair of policies.
        claims: Of policies that claim probabilities.
    """

    calls: int
    refused: int
    poor_call_rate: dict[str, Interval]
    regret: dict[str, Interval]
    difference: dict[tuple[str, str], Interval]
    claims: dict[str, Claims]

    def rows(self) -> list[dict[str, float | int | str]]:
        """One flat row per policy, for tables and frames."""
        return [
            {
                "policy": name,
                "calls": self.calls,
                "poor_call_rate": rate.mean,
                "poor_call_rate_low": rate.low,
                "poor_call_rate_high": rate.high,
                "regret_mos": self.regret[name].mean,
            }
            for name, rate in self.poor_call_rate.items()
        ]


def evaluate_open_loop(traces: Sequence[Path], policies: Mapping[str, Policy]) -> OpenLoop:
    """Decides every logged call of `traces` by each of `policies`; see `evaluate_dataset`."""
    return evaluate_dataset(load(traces, use="evaluate"), policies)


def evaluate_dataset(dataset: Dataset, policies: Mapping[str, Policy]) -> OpenLoop:
    """Decides every call of `dataset` by each of `policies`, among its feasible candidates.

    Args:
        dataset: Logged calls with counterfactual labels.
        policies: By the name they are reported under; `oracle` is added.

    Raises:
        ValueError: If a policy is called `oracle`, or no call can be decided.
    """
    if ORACLE in policies:
        raise ValueError(f"{ORACLE!r} is the row of the truth, no policy's name")
    decided = [example for example in dataset.examples if example.feasible.any()]
    if not decided:
        raise ValueError("no call with a feasible candidate to evaluate on")
    cluster = np.array([example.view for example in decided])
    outcomes: dict[str, Choices] = {}
    claims: dict[str, Claims] = {}
    for name, policy in policies.items():
        outcomes[name], scored = _decide(decided, policy)
        if np.isfinite(scored).all():
            claims[name] = _claims(decided, outcomes[name], scored)
    outcomes[ORACLE] = _oracle(decided)
    return OpenLoop(
        calls=len(decided),
        refused=len(dataset) - len(decided),
        poor_call_rate={name: _mean(choice.poor, cluster) for name, choice in outcomes.items()},
        regret={name: _mean(choice.regret, cluster) for name, choice in outcomes.items()},
        difference={
            (a, b): paired_difference(outcomes[a].poor, outcomes[b].poor, cluster=cluster)
            for a in outcomes
            for b in outcomes
            if a != b
        },
        claims=claims,
    )


def _mean(values: NDArray[np.generic], cluster: NDArray[np.int64]) -> Interval:
    return paired_difference(values, np.zeros(len(values)), cluster=cluster)


def _decide(decided: Sequence[Example], policy: Policy) -> tuple[Choices, NDArray[np.float64]]:
    """Choices, and the ai_score of every feasible candidate of every call."""
    chosen: list[int] = []
    scored: list[NDArray[np.float64]] = []
    claimed: list[tuple[float, float]] = []
    for example in decided:
        scores = policy.score(example.features)
        rows = np.flatnonzero(example.feasible)
        best = int(np.argmax(scores.utility[rows]))
        (sure,) = confidence_in(policy, scores, rows[[best]]).tolist()
        chosen.append(int(rows[best]))
        scored.append(scores.ai_score[rows])
        claimed.append((float(scores.ai_score[rows[best]]), sure))
    said = np.array(claimed)
    return _choices(decided, chosen, said[:, 0], said[:, 1]), np.concatenate(scored)


def _choices(
    decided: Sequence[Example], chosen: Sequence[int], score: NDArray[np.float64], confidence: NDArray[np.float64]
) -> Choices:
    mos = np.array([example.labels.mos[row] for example, row in zip(decided, chosen, strict=True)])
    best = np.array([example.labels.mos[example.feasible].max() for example in decided])
    poor = np.array([not example.labels.ok[row] for example, row in zip(decided, chosen, strict=True)])
    return Choices(poor=poor, mos=mos, regret=best - mos, ai_score=score, confidence=confidence)


def _oracle(decided: Sequence[Example]) -> Choices:
    unclaimed = np.full(len(decided), np.nan)
    return _choices(decided, [example.best for example in decided], unclaimed, unclaimed)


def _claims(decided: Sequence[Example], choices: Choices, scored: NDArray[np.float64]) -> Claims:
    ok = np.concatenate([example.labels.ok[example.feasible] for example in decided])
    sure = np.isfinite(choices.confidence)
    low, high = (min(choices.confidence[sure], default=math.nan), max(choices.confidence[sure], default=math.nan))
    return Claims(
        auc=auc(scored, ok),
        score_error=calibration_error(scored / 100.0, ok),
        chosen_error=calibration_error(choices.ai_score / 100.0, ~choices.poor),
        confidence_error=calibration_error(choices.confidence[sure], choices.regret[sure] <= NEAR_BEST),
        confidence_low=float(low),
        confidence_high=float(high),
    )
