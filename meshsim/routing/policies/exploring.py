"""A base policy that now and then tries another path, with odds that are logged exactly.

So logs also tell of what the base policy would not have chosen, and off-policy estimates stay unbiased.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree, Stream
from meshsim.routing.policies.base import POLICIES, Outcome, Policy, is_confident, is_learning, make

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features, Scores

TEMPERATURE = 0.1


@POLICIES.register("exploring")
class Exploring:
    """With probability epsilon a softmax draw over the feasible candidates, else the best of them.

    Attributes:
        base: The policy whose utilities are used.
        epsilon: Probability of exploring, in [0, 1].
        temperature: Of the softmax, on utilities scaled to a spread of one; small values keep to the better paths.
        stream: Where draws come from; request n uses draw n.
        count: Requests drawn for so far: the only state.
    """

    def __init__(
        self,
        base: Policy | str = "weighted",
        *,
        epsilon: float = 0.1,
        temperature: float = TEMPERATURE,
        stream: Stream | None = None,
        count: int = 0,
    ) -> None:
        if not 0.0 <= epsilon <= 1.0:
            raise ConfigError(f"epsilon must be in [0, 1]: {epsilon}", key="epsilon")
        if not temperature > 0.0:
            raise ConfigError(f"temperature must be positive: {temperature}", key="temperature")
        self.base = make(base) if isinstance(base, str) else base
        self.epsilon = epsilon
        self.temperature = temperature
        self.stream = SeedTree(0).stream("exploring") if stream is None else stream
        self.count = count

    @property
    def name(self) -> str:
        """`exploring-` and the base policy's name."""
        return f"exploring-{self.base.name}"

    def score(self, features: Features) -> Scores:
        """The base policy's scores: exploring changes the choice, not the opinion."""
        return self.base.score(features)

    def confidence(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        """The base policy's confidence, NaN if it claims none."""
        if is_confident(self.base):
            return self.base.confidence(ai_score)
        return np.full(len(ai_score), np.nan)

    def observe(self, outcome: Outcome) -> None:
        """Lets the base policy learn, if it does."""
        if is_learning(self.base):
            self.base.observe(outcome)

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each of K feasible candidates: (1 - epsilon) on the best plus epsilon times the softmax."""
        gap = utility - utility.max()
        spread = max(float(-gap.min()), 1e-12)
        soft = np.exp(gap / (spread * self.temperature))
        odds = self.epsilon * soft / soft.sum()
        odds[int(np.argmax(utility))] += 1.0 - self.epsilon
        return np.asarray(odds)

    def draw(self) -> float:
        """The draw of the next request."""
        self.count += 1
        return self.stream.at(self.count - 1)
