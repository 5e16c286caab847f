"""How policies that draw their choice draw it: counted draws, and odds that are known exactly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _unseeded() -> Stream:
    return SeedTree(0).stream("policy")


@dataclass(slots=True)
class Dice:
    """A stream of draws and how many were taken: request n uses draw n.

    Attributes:
        stream: Where draws come from.
        count: Draws taken so far: the only state.
    """

    stream: Stream = field(default_factory=_unseeded)
    count: int = 0

    def draw(self) -> float:
        """The next draw, in [0, 1)."""
        self.count += 1
        return self.stream.at(self.count - 1)


def epsilon_greedy(utility: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Odds of the best with probability 1 - `epsilon`, else of any alike; (K,) -> (K,), K > 0.

    >>> epsilon_greedy(np.array([3.0, 5.0]), 0.1).round(2).tolist()
    [0.05, 0.95]
    """
    odds = np.full(len(utility), epsilon / len(utility))
    odds[int(np.argmax(utility))] += 1.0 - epsilon
    return odds


def check_share(value: float, key: str) -> float:
    """`value`, if it is a share.

    Raises:
        ConfigError: If it is not in [0, 1].
    """
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{key} must be in [0, 1]: {value}", key=key)
    return value
