"""What a fitted scorer's outputs are worth on episodes it was not trained on: probabilities, intervals, doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch

from meshsim.learn.batch import batches_of, join
from meshsim.learn.calibration import NEAR_BEST, fit_confidence, fit_margins, fit_platt
from meshsim.learn.fit import predict, settled
from meshsim.learn.losses import measured, predicted
from meshsim.mesh.errors import ConfigError
from meshsim.routing import features
from meshsim.routing.calibration import Calibration, ConfidenceMap, bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.learn.batch import Batch
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.gnn import Prediction
    from meshsim.learn.trees import Scorer

USUAL_SHARE = 0.995
"""Share of the calibration candidates that count as like those of training."""

LEAST_STRANGE = 1e-3

_MEDIA = [features.PATH.index(name) for name in ("audio", "audio_video", "data")]
_HOPS = features.PATH.index("hops")
_HOPS_UNIT = 5.0


@torch.no_grad()
def calibrate(scorer: Scorer, dataset: Dataset, *, threads: int = 1) -> Calibration:
    """What the scorer's outputs are worth as probabilities, on episodes it was not trained on.

    Args:
        scorer: Fitted.
        dataset: The calibration episodes.
        threads: Of torch.

    Raises:
        ConfigError: If no call of `dataset` has a feasible candidate.
    """
    batch = join(batches_of(dataset))
    with settled(0, threads):
        said = predict(scorer, batch)
    feasible = batch.feasible.numpy()
    if not feasible.any():
        raise ConfigError("the calibration episodes hold no feasible candidate", key="data.calibration")
    platt = fit_platt(said.logit_ok.numpy()[feasible], batch.ok.numpy()[feasible])
    usual = float(np.quantile(said.strange.double().numpy()[feasible], USUAL_SHARE))
    unsure = Calibration(
        platt=platt,
        confidence=ConfidenceMap(ai_score=(), values=(0.0,)),
        margins=_margins(said, batch),
        strange=max(usual, LEAST_STRANGE),
    )
    score = unsure.ai_score(said.logit_ok.double().numpy())
    utility = unsure.order_by(score, np.clip(said.mos.double().numpy(), 1.0, 4.5))
    return msgspec.structs.replace(unsure, confidence=fit_confidence(*_chosen(dataset, score, utility)))


def _margins(said: Prediction, batch: Batch) -> tuple[tuple[float, float, float, float, float, float], ...]:
    rows = (batch.feasible & batch.connected).numpy()
    error = (measured(batch) - predicted(said)).double().numpy()[rows]
    hops = np.rint(batch.path[:, _HOPS].numpy()[rows] * _HOPS_UNIT).astype(np.int64)
    media = batch.path[:, _MEDIA].numpy()[rows].argmax(axis=1)
    return fit_margins(said.spread.double().numpy()[rows], error, bucket(media, hops))


def _chosen(
    dataset: Dataset, score: NDArray[np.float64], utility: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """For each call that can be placed: the chosen path's ai_score, and whether it was as good as the truly best."""
    scores: list[float] = []
    near: list[bool] = []
    start = 0
    for example in (example for group in dataset.by_view() for example in group):
        rows = np.flatnonzero(example.feasible)
        if len(rows):
            best, mos = int(np.argmax(utility[start + rows])), example.labels.mos[rows]
            scores.append(float(score[start + rows[best]]))
            near.append(bool(mos[best] >= mos.max() - NEAR_BEST))
        start += len(example)
    return np.array(scores), np.array(near)
