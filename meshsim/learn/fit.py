"""The training loop: from examples to a fitted scorer. No framework, no globals; seeded, and the same on every run.

What is made small is told by `learn.losses`; training stops when the validation episodes say so.
"""

from __future__ import annotations

import contextlib
import copy
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from meshsim.learn.batch import Batch, batches_of, join
from meshsim.learn.config import Trees
from meshsim.learn.course import Course, Crew, Epoch, How, Keeper, State, identity
from meshsim.learn.gnn import Prediction, RouteScorer
from meshsim.learn.losses import forgone, loss_of, poor_rate
from meshsim.mesh.errors import ConfigError
from meshsim.routing import features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from meshsim.learn.config import Optimisation, Shape, TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.trees import Scorer

    Progress = Callable[[float], None]

SMOOTHED = 3
"""Epochs whose mean validation is compared."""

CONSTANTS = [features.NODE.index(name) for name in ("log_max_calls", "log_capacity")]
"""Columns of a node that never change: they name it as surely as an id would."""


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
    noise = torch.randn((len(node), len(CONSTANTS)), generator=generator).to(node.device)  # (N, 2)
    node[:, CONSTANTS] += by.blur * noise * node[:, CONSTANTS].std(0, correction=0)
    kept = (torch.rand(len(batch.link), generator=generator) >= by.link_dropout).to(node.device)  # (E,)
    return replace(
        batch, node=node, link=batch.link[kept], link_src=batch.link_src[kept], link_dst=batch.link_dst[kept]
    )


def _shuffled(views: Sequence[Batch], size: int, generator: torch.Generator) -> Iterator[list[Batch]]:
    order = torch.randperm(len(views), generator=generator).tolist()
    for start in range(0, len(order), size):
        yield [views[i] for i in order[start : start + size]]


def _pass(state: State, views: Sequence[Batch], by: Optimisation, crew: Crew) -> float:
    """One pass over the views; the gradient of each step is the mean over its parts, by how many calls each holds."""
    scorer = state.scorer.train()
    total, calls = 0.0, 0
    for step, group in enumerate(_shuffled(views, by.views_per_batch, state.generator)):
        state.optimiser.zero_grad()
        whole, spent = sum(view.calls for view in group), 0.0
        for part in crew.mine:
            if chosen := group[part :: crew.parts]:
                generator = crew.generator(state, step, part)
                batch = _disguised(join(chosen), by, generator)
                loss = loss_of(predict(scorer, batch, dropout=by.dropout), batch, by) * (batch.calls / whole)
                loss.backward()  # type: ignore[no-untyped-call]
                spent += float(loss.detach())
        total += crew.add_up(scorer, spent) * whole
        calls += whole
        nn.utils.clip_grad_norm_(scorer.parameters(), 1.0)
        state.optimiser.step()
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


def _begin(config: TrainConfig, views: Sequence[Batch], device: str) -> State:
    """Before the first epoch."""
    by, shape = config.optimisation, cast("Shape", config.model)
    scorer = RouteScorer(shape)
    normalise(scorer, views)
    scorer.to(device)
    optimiser = torch.optim.AdamW(scorer.parameters(), lr=by.learning_rate, weight_decay=by.weight_decay, fused=True)
    return State(
        scorer=scorer,
        optimiser=optimiser,
        schedule=torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: _rate(epoch, by.epochs)),
        generator=torch.Generator().manual_seed(config.seed),
        kept=copy.deepcopy(scorer.state_dict()),
    )


def _rate(step: int, steps: int) -> float:
    """Learning rate as a share of its peak: a tenth of the way up in a line, the rest down a cosine."""
    rise = max(steps // 10, 1)
    if step < rise:
        return (step + 1) / rise
    return 0.02 + 0.98 * 0.5 * (1.0 + float(torch.cos(torch.tensor(torch.pi * (step - rise) / max(steps - rise, 1)))))


def fit(
    config: TrainConfig,
    train: Dataset,
    validation: Dataset,
    progress: Progress | None = None,
    how: How | None = None,
) -> Fit:
    """Fits a scorer to `train`, keeping the epoch that does best on `validation`.

    Args:
        config: Sizes, losses, seed.
        train: Episodes on graphs that may train.
        validation: Other episodes; they decide when to stop and never reach a gradient.
        progress: Called after each epoch with the share done, in [0, 1].
        how: On what, and what is kept on the way; one process of this machine, and nothing, unless given.

    Raises:
        ConfigError: If there is nothing to train on or to validate with, trees are asked for, there is no such device,
            the checkpoint is of another training, or the loss becomes no number.
    """
    how = how or How()
    if isinstance(config.model, Trees):
        raise ConfigError("trees are not fitted by gradients: learn.boosting grows them", key="model.kind")
    if not len(train) or not len(validation):
        raise ConfigError("training needs at least one call to train on and one to validate with", key="data")
    how.check()
    keeper = (
        None if how.checkpoint is None else Keeper(how.checkpoint, identity(config, train, validation, how.processes))
    )
    with settled(config.seed, config.optimisation.threads):
        views, held_out = batches_of(train), join(batches_of(validation))
        if how.processes == 1:
            return run_epochs(config, views, held_out, Course(progress=progress, told=how.told, keeper=keeper), how)
    from meshsim.learn.parallel import fit_together  # noqa: PLC0415 - processes are rarely wanted

    return fit_together(config, views, held_out, Course(progress=progress, told=how.told, keeper=keeper), how.processes)


def run_epochs(
    config: TrainConfig, views: Sequence[Batch], held_out: Batch, course: Course, how: How, crew: Crew | None = None
) -> Fit:
    """The loop over epochs, from the beginning or from where the checkpoint stands.

    Args:
        config: As for `fit`.
        views: Of the training episodes, one batch each.
        held_out: All of the validation episodes.
        course: Who is told, and where the state is kept.
        how: The device.
        crew: Which parts of each step are this process's; all of them unless given.
    """
    by, crew = config.optimisation, crew or Crew()
    state = _begin(config, views, how.device)
    views, held_out = [view.to(how.device) for view in views], held_out.to(how.device)
    if course.keeper is not None:
        course.keeper.restore(state)
    while len(state.history) < by.epochs and len(state.history) - state.best < by.patience:
        spent = _pass(state, views, by, crew)
        if not math.isfinite(spent):
            raise ConfigError(
                f"the loss of epoch {len(state.history) + 1} is no number: the rate is too high for these data",
                key="optimisation.learning_rate",
            )
        state.schedule.step()
        judged, poor = _judge(state.scorer, held_out, by)
        epoch = Epoch(number=len(state.history) + 1, train=spent, validation=judged, poor=poor)
        state.history.append(epoch)
        if not state.best or _recent(state.history) < _recent(state.history[: state.best]):
            state.best, state.kept = epoch.number, copy.deepcopy(state.scorer.state_dict())
        course.keep(state)
        course.tell(epoch, by.epochs)
    state.scorer.load_state_dict(state.kept)
    return Fit(scorer=state.scorer.cpu().eval(), history=tuple(state.history), best=state.best)
