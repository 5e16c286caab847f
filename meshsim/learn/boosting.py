"""How trees are grown: LightGBM on the table of all candidates of all calls, one booster for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from meshsim.learn.batch import batches_of, join
from meshsim.learn.config import Trees
from meshsim.learn.course import Epoch
from meshsim.learn.fit import Fit, normalise, predict, settled
from meshsim.learn.losses import TAIL, forgone, poor_rate
from meshsim.learn.trees import BELIEVED, MEASURED, REFERENCE, Boosted, TreeScorer, raw, table_of
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import lightgbm
    import numpy as np
    from numpy.typing import NDArray

    from meshsim.learn.batch import Batch
    from meshsim.learn.config import TrainConfig
    from meshsim.learn.dataset import Dataset
    from meshsim.learn.fit import Progress

_PLAN: tuple[dict[str, Any], ...] = (
    {"objective": "binary"},
    *[{"objective": "huber"}] * 4,
    *[{"objective": "quantile", "alpha": alpha} for alpha in (TAIL, 1.0 - TAIL)] * 3,
)
"""What each output is fitted for, in the order of `trees.OUTPUTS`."""


class _Lesson(NamedTuple):
    """Rows of the trees' table with what is to be learnt of them.

    Attributes:
        table: (P, F) float32.
        target: (5, P), whether the call would be good, and by how much its measures exceed the belief.
        weight: (5, P), 1 where a row counts.
    """

    table: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


def grow(config: TrainConfig, train: Dataset, validation: Dataset, progress: Progress | None = None) -> Fit:
    """Grows the trees that `config.model` asks for.

    Each booster is grown on `train` and stops when it does no better on `validation`.

    Args:
        config: How many trees and how large, seed, threads.
        train: Episodes on graphs that may train.
        validation: Other episodes; they decide when to stop.
        progress: Called after each booster with the share done, in [0, 1].

    Raises:
        ConfigError: If there is nothing to train on or to validate with, no trees are asked for, or LightGBM cannot be
            loaded.
    """
    shape = config.model
    if not isinstance(shape, Trees):
        raise ConfigError("only trees are grown: learn.fit fits the others", key="model.kind")
    if not len(train) or not len(validation):
        raise ConfigError("training needs at least one call to train on and one to validate with", key="data")
    with settled(config.seed, config.optimisation.threads):
        learnt, held_out = join(_drawn(batches_of(train), shape.candidates)), join(batches_of(validation))
        boosters = []
        for booster in _boosters(config, shape, _lesson(learnt), _lesson(held_out)):
            boosters.append(booster)
            if progress is not None:
                progress(len(boosters) / len(_PLAN))
        scorer = TreeScorer(Boosted(tuple(boosters)))
        normalise(scorer, [learnt])
        return Fit(scorer=scorer.eval(), history=(_told(scorer, learnt, held_out, config),), best=1)


@torch.no_grad()
def _told(scorer: TreeScorer, learnt: Batch, held_out: Batch, config: TrainConfig) -> Epoch:
    by = config.optimisation.temperature
    told = predict(scorer, held_out)
    spent = float(forgone(predict(scorer, learnt), learnt, by))
    return Epoch(number=1, train=spent, validation=float(forgone(told, held_out, by)), poor=poor_rate(told, held_out))


def _drawn(views: Sequence[Batch], candidates: int) -> list[Batch]:
    """Views by lot, by torch's seed, until they hold so many `candidates`; all if they hold no more."""
    kept: list[int] = []
    for view in torch.randperm(len(views)).tolist():
        if candidates <= 0:
            break
        kept.append(view)
        candidates -= len(views[view].path)
    return [views[view] for view in sorted(kept)]


def _lesson(batch: Batch) -> _Lesson:
    measured = torch.stack([batch.log_rtt, batch.log_jitter, batch.logit_loss, batch.mos], dim=1)  # (P, 4)
    beyond = measured - batch.path[:, BELIEVED] - torch.tensor(REFERENCE)  # (P, 4)
    counts = torch.stack([batch.feasible, *[batch.connected] * 4])  # (5, P)
    return _Lesson(
        table=table_of(batch.node, batch.hop, batch.hop_dst, batch.hop_path, batch.path).numpy(),
        target=torch.cat([batch.ok.float()[None], beyond.T]).numpy(),
        weight=counts.float().numpy(),
    )


def _boosters(config: TrainConfig, shape: Trees, *lessons: _Lesson) -> Iterator[lightgbm.Booster]:
    """The boosters of `_PLAN`, one after another, on two tables that are sorted into bins once."""
    try:
        import lightgbm  # noqa: PLC0415 - half a second that only trees pay
    except OSError as error:
        raise ConfigError(f"LightGBM lacks a library of the system: {error}", key="model.kind") from error
    parameters = _parameters(config, shape)
    first = lightgbm.Dataset(lessons[0].table, params=parameters, free_raw_data=False)
    rows = (first, first.create_valid(lessons[1].table))
    grown: list[lightgbm.Booster] = []
    for number, objective in enumerate(_PLAN):
        column = number if number < MEASURED else 1 + (number - MEASURED) // 2
        for data, lesson in zip(rows, lessons, strict=True):
            known = 0.0 if number < MEASURED else raw(grown[column], lesson.table)
            data.set_label(lesson.target[column] - known).set_weight(lesson.weight[column])
        stop = lightgbm.early_stopping(shape.patience, verbose=False)
        grown.append(lightgbm.train(parameters | objective, first, shape.most, [rows[1]], callbacks=[stop]))
        yield grown[-1]


def _parameters(config: TrainConfig, shape: Trees) -> dict[str, Any]:
    """What LightGBM calls them; one order of sums, so that the same seed grows the same trees."""
    return {
        "num_leaves": shape.leaves,
        "learning_rate": shape.learning_rate,
        "min_data_in_leaf": shape.least,
        "feature_fraction": shape.share,
        "bagging_fraction": shape.share,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "seed": config.seed,
        "num_threads": config.optimisation.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
