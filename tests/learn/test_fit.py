"""Training finds what no heuristic sees, twice the same, and stops when the validation episodes say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from meshsim.learn.batch import batches_of, join
from meshsim.learn.fit import SMOOTHED, fit, predict, settled
from meshsim.learn.gnn import Prediction, RouteScorer
from meshsim.learn.losses import forgone, poor_rate, spread_loss
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from meshsim.learn.batch import Batch
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


def test_a_training_that_diverges_ends_with_words(
    config: TrainConfig, training: Dataset, held_out: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshsim.learn.fit.loss_of", lambda said, batch, by: said.logit_ok.sum() * float("nan"))
    with pytest.raises(ConfigError, match="loss of epoch 1 is no number"):
        fit(config, training, held_out)


def test_nothing_to_train_on_is_said(config: TrainConfig, training: Dataset) -> None:
    with pytest.raises(ConfigError, match="at least one call"):
        fit(config, training, replace(training, examples=()))


def said_as_measured(batch: Batch) -> Prediction:
    """A prediction whose middles are the labels."""
    paths, hops = len(batch.ok), len(batch.hop)
    return Prediction(
        torch.zeros(paths),
        batch.log_rtt,
        batch.log_jitter,
        batch.logit_loss,
        batch.mos,
        torch.zeros(paths, 6),
        torch.zeros(paths),
        torch.zeros(hops, 3),
    )


def test_the_spread_that_costs_least_leaves_a_twentieth_beyond_each_end(held_out: Dataset) -> None:
    batch = join(batches_of(held_out))
    noise = torch.randn(len(batch.ok), generator=torch.Generator().manual_seed(2))
    noisy = replace(batch, log_rtt=batch.log_rtt + noise)
    widths = torch.linspace(0.8, 2.6, 37)
    told = said_as_measured(batch)
    of_rtt = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).expand(len(noise), 6)
    cost = [float(spread_loss(told._replace(spread=width * of_rtt), noisy)) for width in widths]
    assert widths[int(np.argmin(cost))] == pytest.approx(1.645, abs=0.2)  # of a normal


def test_the_truth_forgoes_nothing_and_its_opposite_much(held_out: Dataset) -> None:
    batch = join(batches_of(held_out))
    sure = torch.where(batch.ok, 20.0, -20.0)
    truth = said_as_measured(batch)._replace(logit_ok=sure)
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
