"""From scores to probabilities: what `ai_score` and `confidence` claim is fitted on episodes never trained on.

What is fitted here is `routing.calibration`'s to apply.

`ai_score` is Platt scaling of the head's log-odds (Platt, "Probabilistic outputs for support vector machines", 1999);
`confidence` is an isotonic map of the chosen path's ai_score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.learn.losses import TAIL
from meshsim.routing.calibration import BUCKETS, ConfidenceMap, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR_BEST = 0.2
"""MOS within which a chosen path counts as good as the best candidate: what `confidence` is the probability of."""

LEAST_OUTCOMES = 400
"""Outcomes that a bucket needs for margins of its own: 20 beyond each end."""

BINS = 10
CONFIDENCE_STEPS = 20
_STEPS = 50
_RIDGE = 1e-6


def fit_platt(logit: NDArray[np.float64], ok: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope a and offset b for which sigmoid(a logit + b) is the frequency of `ok`, by Newton's method; (K,), (K,).

    The targets are Platt's smoothed ones, so that a perfectly separable sample still gives a finite slope.

    Raises:
        ValueError: If there is nothing to fit.
    """
    if not len(logit):
        raise ValueError("no outcomes to calibrate on")
    good, bad = float(np.sum(ok)), float(np.sum(~ok))
    target = np.where(ok, (good + 1.0) / (good + 2.0), 1.0 / (bad + 2.0))
    design = np.stack([np.asarray(logit, dtype=np.float64), np.ones(len(logit))], axis=1)
    weights = np.array([1.0, 0.0])
    for _ in range(_STEPS):
        p = sigmoid(design @ weights)
        gradient = design.T @ (p - target)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights = weights - np.clip(step, -1.0, 1.0)
    return max(float(weights[0]), 1e-3), float(weights[1])


def isotonic(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest non-decreasing sequence in weighted least squares, by pooling adjacent violators; (K,) -> (K,).

    >>> isotonic(np.array([1.0, 3.0, 2.0]), np.ones(3)).tolist()
    [1.0, 2.5, 2.5]
    """
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        block = (float(value), float(weight), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, mass, count = blocks.pop()
            total = mass + block[1]
            block = ((mean * mass + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks]) if blocks else np.empty(0)


def fit_confidence(score: NDArray[np.float64], near_best: NDArray[np.bool_]) -> ConfidenceMap:
    """The frequency of `near_best` over quantile bins of the chosen path's ai_score, made non-decreasing; (K,), (K,).

    Raises:
        ValueError: If there is nothing to fit.
    """
    if not len(score):
        raise ValueError("no outcomes to calibrate on")
    edges = np.unique(np.quantile(score, np.linspace(0, 1, CONFIDENCE_STEPS + 1)[1:-1]))
    place = np.searchsorted(edges, score, side="right")
    count = np.bincount(place, minlength=len(edges) + 1).astype(np.float64)
    hits = np.bincount(place, weights=near_best.astype(np.float64), minlength=len(edges) + 1)
    filled = np.flatnonzero(count)
    edges = edges[filled[1:] - 1]
    usual = (near_best.sum() + 1.0) / (len(near_best) + 2.0)  # what a step with few calls leans on
    values = isotonic((hits[filled] + 2.0 * usual) / (count[filled] + 2.0), count[filled])
    return ConfidenceMap(ai_score=tuple(map(float, edges)), values=tuple(map(float, values)))


def fit_margins(
    spread: NDArray[np.float64], error: NDArray[np.float64], bucket: NDArray[np.int64]
) -> tuple[tuple[float, float, float, float, float, float], ...]:
    """By how much the ends of intervals are to be moved outwards, so that each is exceeded in 5 % of calls.

    Conformalised quantile regression, one end at a time (Romano, Patterson, Candes, NeurIPS 2019): the margin is the
    (1 - 5 %)(1 + 1/K) quantile of how far outcomes lie beyond the end. A bucket with few outcomes takes all of them.

    Args:
        spread: (K, 6), how far the ends lie below and above the middle, of each of three measures.
        error: (K, 3), measured minus middle.
        bucket: (K,), which of `BUCKETS` each belongs to.
    """
    sides = np.stack([-error, error], axis=2).reshape(-1, 6)  # (K, 6): how far below and above
    beyond = sides - spread
    rows = [beyond[bucket == place] for place in range(BUCKETS)]
    ends = (_ends(some if len(some) >= LEAST_OUTCOMES else beyond) for some in rows)
    return tuple(ends)


def _ends(beyond: NDArray[np.float64]) -> tuple[float, float, float, float, float, float]:
    if not len(beyond):
        return (0.0,) * 6
    level = min((1.0 - TAIL) * (1.0 + 1.0 / len(beyond)), 1.0)
    one, two, three, four, five, six = np.quantile(beyond, level, axis=0).tolist()
    return one, two, three, four, five, six


def calibration_error(probability: NDArray[np.float64], outcome: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error over equal-width bins: |frequency - mean probability|, by count; (K,), (K,).

    >>> calibration_error(np.array([0.0, 1.0]), np.array([False, True]))
    0.0
    """
    if not len(probability):
        return float("nan")
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    gap = np.bincount(place, weights=probability - outcome, minlength=bins)
    return float(np.abs(gap).sum() / len(probability))


def auc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive outscores a negative, ties counting half; NaN when one kind is absent; (K,), (K,).

    >>> auc(np.array([0.1, 0.9, 0.9]), np.array([False, True, False]))
    0.75
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - 0.5 * (count - 1))[inverse]
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))
