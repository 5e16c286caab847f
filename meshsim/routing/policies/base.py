"""What a policy is: something that scores candidates by their features.

Feasibility, order and fallbacks are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from meshsim.mesh.registry import Registry
from meshsim.routing.features import Features, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.media import MediaType


class Policy(Protocol):
    """Scores candidates: the same features give the same scores, and permuting candidates permutes them."""

    @property
    def name(self) -> str:
        """Stable name, as it stands in traces and decisions."""
        ...

    def score(self, features: Features) -> Scores:
        """Scores of P candidates."""
        ...


@runtime_checkable
class Confident(Protocol):
    """A policy that knows how sure it is of a choice."""

    def confidence(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated probability of being within 0.2 MOS of the best if chosen, by ai_score; (K,) -> (K,)."""
        ...


@runtime_checkable
class Stochastic(Protocol):
    """A policy that draws its choice, with known propensities."""

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of choosing each of K feasible candidates; (K,) -> (K,), sums to 1."""
        ...

    def draw(self) -> float:
        """The next draw, in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call fared on one path, as its ends lived it: what learning policies are told.

    Attributes:
        path: Nodes in order, the observer's end first.
        media: What the call carried.
        rtt: Mean round-trip time, seconds; NaN if nothing was measured.
        jitter: Mean of the worse direction, seconds; NaN if nothing was measured.
        loss: Mean of the worse direction, probability; NaN if nothing was measured.
        connected: Whether media came through until the call ended or moved; False where the path failed.
        at: When this was known, monotonic seconds.
        observer: The end that tells, if it learns for itself alone; None where one controller learns for an area.
    """

    path: tuple[NodeId, ...]
    media: MediaType
    rtt: float
    jitter: float
    loss: float
    connected: bool
    at: float
    observer: NodeId | None = None

    def __post_init__(self) -> None:
        if len(self.path) < 2:  # noqa: PLR2004 - two ends
            raise ValueError(f"a path has two ends at least: {self.path}")


@runtime_checkable
class Learning(Protocol):
    """A policy whose scores follow from the outcomes it was told: the same history gives the same scores.

    Its state is plain data, for it is saved with the episode.
    """

    def observe(self, outcome: Outcome) -> None:
        """Takes in how a call fared."""
        ...


def is_learning(policy: Policy) -> TypeGuard[Learning]:
    """Whether `policy` learns from outcomes."""
    return _speaks(type(policy), Learning)


def is_confident(policy: Policy) -> TypeGuard[Confident]:
    """Whether `policy` knows how sure it is; asking the protocol itself takes 30 microseconds, each time."""
    return _speaks(type(policy), Confident)


def is_stochastic(policy: Policy) -> TypeGuard[Stochastic]:
    """Whether `policy` draws its choice."""
    return _speaks(type(policy), Stochastic)


@cache
def _speaks(kind: type, protocol: type) -> bool:
    return issubclass(kind, protocol)


POLICIES: Registry[Callable[..., Policy]] = Registry("routing policy")
"""Factories of policies by name; `make` calls them."""


def make(name: str, **options: Any) -> Policy:
    """The policy `name`, built with its own `options`.

    Raises:
        ConfigError: If the name is unknown.

    >>> make("shortest").name
    'shortest'
    """
    return POLICIES[name](**options)


def believed_scores(features: Features, utility: NDArray[np.float64]) -> Scores:
    """Scores of a policy that predicts what is believed and claims no probabilities.

    Args:
        features: P candidates.
        utility: (P,) float64, higher is better.
    """
    belief = features.belief
    unclaimed = np.full(len(features), np.nan)
    return Scores(
        utility=utility,
        ai_score=unclaimed,
        confidence=unclaimed,
        rtt=belief.rtt,
        jitter=belief.jitter,
        loss=belief.loss,
        mos=belief.mos,
    )


def confidence_in(policy: Policy, scores: Scores, rows: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """How sure a policy is of each of K paths if it is chosen: by ai_score, lowered by doubt; NaN if it never says.

    Args:
        policy: Who scored.
        scores: What it said of P paths.
        rows: (K,) places of those that are asked about.
    """
    if not is_confident(policy):
        return np.full(len(rows), np.nan)
    sure = policy.confidence(scores.ai_score[rows])
    return sure if scores.doubt is None else sure * (1.0 - scores.doubt[rows])
