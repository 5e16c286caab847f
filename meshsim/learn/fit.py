"""The training loop: from examples to a fitted scorer. No framework, no globals; seeded, and the same on every run.

What is made small is told by `learn.losses`; training stops when the validation episodes say so.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from meshsim.learn.batch import Batch, batches_of, join
from meshsim.learn.config import Trees
from meshsim.learn.gnn import Prediction, RouteScorer
from meshsim.learn.losses import forgone, loss_of, poor_rate
from meshsim.mesh.errors import ConfigError
from meshsim.routing import features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshsim.learn.config import Optimisation, TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.trees import Scorer

    Progress = Callable[[float], None]

SMOOTHED = 3
"""Epochs whose mean validation is compared."""

CONSTANTS = [features.NODE.index(name) for name in ("log_max_calls", "log_capacity")]
"""Columns of a node that never change: they name it as surely as an id would."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one pass over the training episodes came to.

    Attributes:
        number: From 1.
        train: Mean training loss.
        validation: Utility that the scorer's choices forgo on the validation calls.
        poor: Share of validation calls that would have been poor by the scorer's choice.
    """

    number: int
    train: float
    validation: float
    poor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A fitted scorer.

    Attributes:
        scorer: With the parameters of the best epoch, in evaluation mode.
        history: Every epoch, in order.
        best: Number of the epoch kept: where the mean validation of the last epochs was least.
    """

    scorer: Scorer
    history: tuple[Epoch, ...]
    best: int


def predict(scorer: Scorer, batch: Batch, *, dropout: float = 0.0) -> Prediction:
    """What `scorer` says of all candidates of `batch`; in training, a share `dropout` of the embeddings is left out."""
    embedding = scorer.encoder(batch.node, batch.link, batch.link_src, batch.link_dst)  # (N, D)
    embedding = nn.functional.dropout(embedding, dropout, training=dropout > 0.0)
    said = scorer.head(embedding, batch.hop, batch.hop_src, batch.hop_dst, batch.hop_path, batch.path)
    return Prediction(*said)


@contextlib.contextmanager
def settled(seed: int, threads: int) -> Iterator[None]:
    """Torch with a seed, a number of threads and deterministic kernels; as it was before, afterwards."""
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.use_deterministic_algorithms(before[1])


def normalise(scorer: Scorer, views: Sequence[Batch]) -> None:
    """Takes what is usual from the training data."""
    scorer.encoder.node_scale.fit(torch.cat([view.node for view in views]))
    scorer.encoder.link_scale.fit(torch.cat([view.link for view in views]))
    scorer.head.hop_scale.fit(torch.cat([view.hop for view in views]))
    scorer.head.path_scale.fit(torch.cat([view.path for view in views]))


def _disguised(batch: Batch, by: Optimisation, generator: torch.Generator) -> Batch:
    """`batch` with fewer links and with blurred constants of nodes: what would let single relays be recognised."""
    node = batch.node.clone()  # (N, Fn)
    noise = torch.randn((len(node), len(CONSTANTS)), generator=generator)  # (N, 2)
    node[:, CONSTANTS] += by.blur * noise * node[:, CONSTANTS].std(0, correction=0)
    kept = torch.rand(len(batch.link), generator=generator) >= by.link_dropout  # (E,)
    return replace(
        batch, node=node, link=batch.link[kept], link_src=batch.link_src[kept], link_dst=batch.link_dst[kept]
    )


def _shuffled(views: Sequence[Batch], size: int, generator: torch.Generator) -> Iterator[Batch]:
    order = torch.randperm(len(views), generator=generator).tolist()
    for start in range(0, len(order), size):
        yield join([views[i] for i in order[start : start + size]])


def _pass(
    scorer: RouteScorer,
    views: Sequence[Batch],
    by: Optimisation,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
) -> float:
    scorer.train()
    total, calls = 0.0, 0
    for whole in _shuffled(views, by.views_per_batch, generator):
        batch = _disguised(whole, by, generator)
        optimiser.zero_grad()
        loss = loss_of(predict(scorer, batch, dropout=by.dropout), batch, by)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(scorer.parameters(), 1.0)
        optimiser.step()
        total += float(loss.detach()) * batch.calls
        calls += batch.calls
    return total / calls


@torch.no_grad()
def _judge(scorer: RouteScorer, batch: Batch, by: Optimisation) -> tuple[float, float]:
    """Utility forgone and share of poor calls; cross-entropy is left out, since calibration mends it afterwards."""
    scorer.eval()
    said = predict(scorer, batch)
    return float(forgone(said, batch, by.temperature)), poor_rate(said, batch)


def _recent(history: Sequence[Epoch]) -> float:
    """Validation over the last epochs: that of a single one is noise enough to pick an early epoch by luck."""
    last = [epoch.validation for epoch in history[-SMOOTHED:]]
    return sum(last) / len(last)


def _rate(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: a tenth of the way up in a line, the rest down a cosine."""
    rise = max(steps // 10, 1)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1.0 + float(torch.cos(torch.tensor(torch.pi * (step - rise) / max(steps - rise, 1)))))


def fit(config: TrainConfig, train: Dataset, validation: Dataset, progress: Progress | None = None) -> Fit:
    """Fits a scorer to `train`, keeping the epoch that does best on `validation`.

    Args:
        config: Sizes, losses, seed.
        train: Episodes on graphs that may train.
        validation: Other episodes; they decide when to stop and never reach a gradient.
        progress: Called after each epoch with the share done, in [0, 1].

    Raises:
        ConfigError: If there is nothing to train on or to validate with, or trees are asked for.
    """
    shape = config.model
    if isinstance(shape, Trees):
        raise ConfigError("trees are not fitted by gradients: learn.boosting grows them", key="model.kind")
    if not len(train) or not len(validation):
        raise ConfigError("training needs at least one call to train on and one to validate with", key="data")
    by = config.optimisation
    with settled(config.seed, by.threads):
        views, held_out = batches_of(train), join(batches_of(validation))
        scorer = RouteScorer(shape)
        normalise(scorer, views)
        return _epochs(scorer, views, held_out, config, progress)


def _epochs(
    scorer: RouteScorer, views: Sequence[Batch], held_out: Batch, config: TrainConfig, progress: Progress | None
) -> Fit:
    by = config.optimisation
    optimiser = torch.optim.AdamW(scorer.parameters(), lr=by.learning_rate, weight_decay=by.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: _rate(epoch, by.epochs))
    generator = torch.Generator().manual_seed(config.seed)
    history: list[Epoch] = []
    best, kept = 0, copy.deepcopy(scorer.state_dict())
    for number in range(1, by.epochs + 1):
        spent = _pass(scorer, views, by, optimiser, generator)
        schedule.step()
        judged, poor = _judge(scorer, held_out, by)
        history.append(Epoch(number=number, train=spent, validation=judged, poor=poor))
        if not best or _recent(history) < _recent(history[:best]):
            best, kept = number, copy.deepcopy(scorer.state_dict())
        if progress is not None:
            progress(number / by.epochs)
        if number - best >= by.patience:
            break
    scorer.load_state_dict(kept)
    return Fit(scorer=scorer.eval(), history=tuple(history), best=best)
