"""How a head's outputs become probabilities and an order: defined once, fitted by `learn`, served by `policies`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

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
    """

    platt: tuple[float, float]
    confidence: ConfidenceMap
    utility: UtilityWeights = UtilityWeights()

    def ai_score(self, logit_ok: NDArray[np.float64]) -> NDArray[np.float64]:
        """100 times the probability that a call meets its target; any shape."""
        slope, offset = self.platt
        return 100.0 * sigmoid(slope * logit_ok + offset)

    def order_by(self, ai_score: NDArray[np.float64], mos: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utility of paths by what is said of them, higher is better; any shape."""
        return self.utility.ok * ai_score / 100.0 + self.utility.mos * mos


__all__ = ["Calibration", "ConfidenceMap", "UtilityWeights", "sigmoid"]
