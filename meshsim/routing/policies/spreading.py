"""Policies that spread calls by lot: over all relays, or over the k fastest paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.dice import Dice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import Stream
    from meshsim.routing.features import Features, Scores


@POLICIES.register("random-relay")
class RandomRelay:
    """Any feasible relayed path, all alike; the direct path only where there is none.

    The naive way to use relays: it needs to know nothing, and spreads load (compare Valiant, "A scheme for fast
    parallel communication", SIAM Journal on Computing 11(2), 1982).

    Args:
        stream: Where draws come from.
    """

    name = "random-relay"

    def __init__(self, stream: Stream | None = None) -> None:
        self.dice = Dice() if stream is None else Dice(stream)

    def score(self, features: Features) -> Scores:
        """0 for relayed paths, -1 for the direct one."""
        return believed_scores(features, np.where(features.belief.hops > 1, 0.0, -1.0))

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for each of the best of K."""
        best = utility == utility.max()
        return np.asarray(best / best.sum())

    def draw(self) -> float:
        """The draw of the next request."""
        return self.dice.draw()


@POLICIES.register("k-shortest")
class KShortest:
    """One of the k feasible paths of least delay, all alike.

    The candidates of the engine are the k shortest loopless paths (Yen, "Finding the k shortest loopless paths in a
    network", Management Science 17(11), 1971; `routing.yen` is that algorithm); spreading flows over eight of them is
    what Jellyfish does (Singla et al., NSDI 2012).

    Args:
        k: Paths to spread calls over.
        stream: Where draws come from.

    Raises:
        ConfigError: If `k` is below one.
    """

    name = "k-shortest"

    def __init__(self, k: int = 3, *, stream: Stream | None = None) -> None:
        if k < 1:
            raise ConfigError(f"k must be at least 1: {k}", key="k")
        self.k = k
        self.dice = Dice() if stream is None else Dice(stream)

    def score(self, features: Features) -> Scores:
        """Minus the believed RTT, seconds."""
        return believed_scores(features, -features.belief.rtt)

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for each of the k best of K."""
        odds = np.zeros(len(utility))
        odds[np.argsort(-utility, kind="stable")[: self.k]] = 1.0 / min(self.k, len(utility))
        return odds

    def draw(self) -> float:
        """The draw of the next request."""
        return self.dice.draw()
