"""Training finds what no heuristic sees, twice the same, and stops when the validation episodes say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from meshsim.learn.batch import batches_of, join
from meshsim.learn.fit import SMOOTHED, fit, forgone, poor_rate, predict, settled
from meshsim.learn.gnn import Prediction, RouteScorer
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from meshsim.learn.config import TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Fit


def test_training_beats_the_beliefs_on_unseen_episodes(fitted: Fit, config: TrainConfig, held_out: Dataset) -> None:
    batch = join(batches_of(held_out))
    with torch.no_grad():
        before = poor_rate(predict(RouteScorer(config.model).eval(), batch), batch)
        after = poor_rate(predict(fitted.scorer, batch), batch)
    assert after < 0.6 * before


def test_the_epoch_is_kept_whose_last_losses_are_least_on_average(fitted: Fit) -> None:
    losses = [epoch.validation for epoch in fitted.history]
    smooth = [float(np.mean(losses[max(n - SMOOTHED, 0) : n])) for n in range(1, len(losses) + 1)]
    assert smooth[fitted.best - 1] == pytest.approx(min(smooth))
    assert not fitted.scorer.training


def test_two_fits_are_the_same(config: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    short = config.model_copy(update={"optimisation": config.optimisation.model_copy(update={"epochs": 2})})
    first, second = (fit(short, training, held_out) for _ in range(2))
    assert first.history == second.history
    pairs = zip(first.scorer.state_dict().values(), second.scorer.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_patience_ends_training(config: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    hasty = config.optimisation.model_copy(update={"epochs": 50, "patience": 1, "learning_rate": 0.05})
    run = fit(config.model_copy(update={"optimisation": hasty}), training, held_out)
    assert len(run.history) == run.best + 1 < 50


def test_progress_ends_at_one(config: TrainConfig, training: Dataset, held_out: Dataset) -> None:
    short = config.model_copy(update={"optimisation": config.optimisation.model_copy(update={"epochs": 2})})
    told: list[float] = []
    fit(short, training, held_out, told.append)
    assert told == [0.5, 1.0]


def test_nothing_to_train_on_is_said(config: TrainConfig, training: Dataset) -> None:
    with pytest.raises(ConfigError, match="at least one call"):
        fit(config, training, replace(training, examples=()))


def test_the_truth_forgoes_nothing_and_its_opposite_much(held_out: Dataset) -> None:
    batch = join(batches_of(held_out))
    sure = torch.where(batch.ok, 20.0, -20.0)
    truth = Prediction(sure, batch.log_rtt, batch.log_jitter, batch.logit_loss, batch.mos)
    assert float(forgone(truth, batch, 0.01)) < 0.01
    assert float(forgone(truth._replace(logit_ok=-sure), batch, 0.01)) > 0.5
    repairable = sum(example.labels.ok.any() for example in held_out.examples)
    assert poor_rate(truth, batch) == pytest.approx(1 - repairable / len(held_out))


def test_settings_of_torch_are_given_back() -> None:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed())
    with settled(5, threads=1):
        assert torch.are_deterministic_algorithms_enabled()
        torch.rand(3)
    assert before == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.initial_seed())
