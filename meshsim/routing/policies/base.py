"""What a policy is: something that scores candidates by their features.

Feasibility, order and fallbacks are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard, runtime_checkable

import numpy as np

from meshsim.mesh.registry import Registry
from meshsim.routing.features import Features, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
