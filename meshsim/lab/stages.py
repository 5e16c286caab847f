"""How far an experiment goes: more seeds until intervals are narrow, more worlds where a metric crosses a threshold.

What comes next follows from what is done alone, so that an experiment that was killed comes to the same end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab import adaptive, contrasts, sweeps
from meshsim.lab.questions import Experiment, spread
from meshsim.lab.stopping import seeds_more
from meshsim.measure.stats import Interval, mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from meshsim.lab.axes import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is asked so far.

    Attributes:
        whole: The experiment as it was written.
        points: Of its sweep, so far.
        seeds: Of those that it lists, so far.
    """

    whole: Experiment
    points: tuple[Point, ...]
    seeds: tuple[int, ...]

    @property
    def asked(self) -> Experiment:
        """The experiment with all worlds and seeds of this stage, and nothing left open."""
        return spread(self.whole, self.points, self.seeds)

    @property
    def half_widths(self) -> dict[str, float]:
        """By metric, the half-width that seeds were added for, where that was reached."""
        stop = self.whole.stop
        enough = stop is not None and len(self.seeds) < len(self.whole.seeds)
        return {stop.metric: stop.half_width} if stop is not None and enough else {}


def first_stage(experiment: Experiment) -> Stage:
    """What is run before anything is known."""
    points = sweeps.points(experiment.sweep) if experiment.sweep is not None else []
    stage = Stage(whole=experiment, points=tuple(points), seeds=tuple(sorted(experiment.seeds)))
    if experiment.stop is None:
        return stage
    return replace(stage, seeds=stage.seeds[: seeds_more(experiment.stop, [], 0, len(stage.seeds))])


def next_stage(stage: Stage, table: pd.DataFrame) -> Stage | None:
    """What is run when all of a stage is done; None if that was all.

    Args:
        stage: What was asked.
        table: A row for each of its runs.
    """
    seeds = sorted(stage.whole.seeds)
    if stage.whole.stop is not None:
        told = contrasts.watched(stage.asked, table, stage.whole.stop.metric)
        more = seeds_more(stage.whole.stop, told, len(stage.seeds), len(seeds))
        if more:
            return replace(stage, seeds=tuple(seeds[: len(stage.seeds) + more]))
    asked = stage.whole.sweep.adaptive if stage.whole.sweep is not None else None
    points = adaptive.refine(asked, _intervals(stage, table)) if asked is not None else []
    return replace(stage, points=(*stage.points, *points)) if points else None


def crossings(stage: Stage, table: pd.DataFrame) -> list[dict[str, Any]]:
    """Where each policy crosses the threshold of an adaptive sweep, with what brackets it; empty without one."""
    asked = stage.whole.sweep.adaptive if stage.whole.sweep is not None else None
    if asked is None or table.empty:
        return []
    told, cells = _intervals(stage, table), _cells(stage)
    return [
        {"run": contrasts.name(cell), "key": asked.key, "crosses_at": at.mean, "after": at.low, "before": at.high}
        for which, cell in enumerate(cells)
        for at in adaptive.crossings(asked, told, which)
    ]


def _cells(stage: Stage) -> list[contrasts.Cell]:
    """Variants as they were written, without their worlds, and policies."""
    return [(variant.name, policy) for variant in stage.whole.worlds for policy in stage.whole.policies]


def _intervals(stage: Stage, table: pd.DataFrame) -> dict[float, list[Interval]]:
    """By value of the swept key, the metric's interval of each cell."""
    asked = stage.whole.sweep.adaptive if stage.whole.sweep is not None else None
    assert asked is not None  # noqa: S101 - narrows the type for mypy
    return {
        float(point.values[asked.key]): [  # noqa: PD011 - no DataFrame
            _interval(table, (",".join(part for part in (variant, point.name) if part), policy), asked.metric)
            for variant, policy in _cells(stage)
        ]
        for point in stage.points
    }


def _interval(table: pd.DataFrame, cell: contrasts.Cell, metric: str) -> Interval:
    values = contrasts.per_seed(table, cell, metric)
    return mean_interval(values[np.isfinite(values)])
