"""How a head's outputs become probabilities and an order: defined once, fitted by `learn`, served by `policies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from meshsim.mesh.media import MediaType

if TYPE_CHECKING:
    from numpy.typing import NDArray


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logistic function, without overflow; any shape.

    >>> sigmoid(np.array([-1e9, 0.0])).tolist()
    [0.0, 0.5]
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64))))


class ConfidenceMap(msgspec.Struct, frozen=True, kw_only=True):
    """A step function from the chosen path's ai_score to a probability.

    Attributes:
        ai_score: Where steps are, 0..100, ascending: step i lies between number i - 1 and number i.
        values: Probability on each step, in [0, 1]; one more than `ai_score` has.

    >>> ConfidenceMap(ai_score=(50.0,), values=(0.7, 0.9)).at(np.array([20.0, 50.0])).tolist()
    [0.7, 0.9]
    """

    ai_score: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, ai_score: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability for each score; any shape."""
        return np.asarray(np.asarray(self.values)[np.searchsorted(np.asarray(self.ai_score), ai_score, side="right")])

    def fault(self) -> str:
        """Why this is no such function, or nothing."""
        if len(self.values) != len(self.ai_score) + 1 or list(self.ai_score) != sorted(self.ai_score):
            return "ai_score must ascend and have one number less than values"
        if not all(0.0 <= value <= 1.0 for value in self.values):
            return "values must be probabilities"
        return ""


MOST_HOPS = 4
"""Paths of so many hops or more share a bucket of margins."""

BUCKETS = len(MediaType) * MOST_HOPS


def bucket(media: NDArray[np.int64] | int, hops: NDArray[np.int64]) -> NDArray[np.int64]:
    """The row of `Calibration.margins` of each path, by its place in `MediaType` and its hops; (P,), (P,) -> (P,)."""
    return np.asarray(np.asarray(media) * MOST_HOPS + np.minimum(np.maximum(hops, 1), MOST_HOPS) - 1)


class UtilityWeights(msgspec.Struct, frozen=True, kw_only=True):
    """Weights of the calibrated probability of a good call and of the predicted MOS in the utility."""

    ok: float = 1.0
    mos: float = 0.05


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """How a head's outputs become probabilities; other keys of the file are the card's.

    Attributes:
        platt: a, b of `ai_score = 100 sigmoid(a logit_ok + b)` (Platt 1999).
        confidence: From the ai_score of the chosen path to the probability of being within 0.2 MOS of the best.
        utility: What paths are ordered by.
        margins: For each bucket of media and hops (`bucket`), by how much the six ends of `spread` are to be moved
            outwards so that each is exceeded in 5 % of calls (conformalised quantiles; Romano, Patterson, Candes 2019).
        strange: Strangeness up to which a path is like those of training.
    """

    platt: tuple[float, float]
    confidence: ConfidenceMap
    utility: UtilityWeights = UtilityWeights()
    margins: tuple[tuple[float, float, float, float, float, float], ...] = ((0.0,) * 6,) * BUCKETS
    strange: float = 1.0

    def ai_score(self, logit_ok: NDArray[np.float64]) -> NDArray[np.float64]:
        """100 times the probability that a call meets its target; any shape."""
        slope, offset = self.platt
        return 100.0 * sigmoid(slope * logit_ok + offset)

    def order_by(self, ai_score: NDArray[np.float64], mos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utility of paths by what is said of them, higher is better; any shape."""
        return self.utility.ok * ai_score / 100.0 + self.utility.mos * mos

    def widened(
        self, spread: NDArray[np.float64], media: NDArray[np.int64] | int, hops: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """`spread` (P, 6) with the margins of each path's bucket; no end crosses the middle."""
        return np.asarray(np.maximum(spread + np.asarray(self.margins)[bucket(media, hops)], 0.0))

    def doubt(self, strange: NDArray[np.float64]) -> NDArray[np.float64]:
        """By how much less sure a choice is for inputs so far outside of training, in [0, 1]; any shape.

        >>> plain = Calibration(platt=(1.0, 0.0), confidence=ConfidenceMap(ai_score=(), values=(1.0,)), strange=0.5)
        >>> plain.doubt(np.array([0.0, 0.5, 5.0])).tolist()
        [0.0, 0.0, 0.9]
        """
        return np.asarray(1.0 - np.minimum(self.strange / np.maximum(strange, 1e-12), 1.0))

    def fault(self) -> str:
        """Why these numbers are no calibration, or nothing."""
        if len(self.margins) != BUCKETS:
            return f"margins must have {BUCKETS} rows"
        if not self.platt[0] > 0.0:
            return "the slope of platt must be positive: otherwise worse paths would score higher"
        if not self.strange > 0.0:
            return "strange must be positive"
        return self.confidence.fault()


__all__ = ["BUCKETS", "Calibration", "ConfidenceMap", "UtilityWeights", "bucket", "sigmoid"]
