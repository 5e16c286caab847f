"""How long runs will take of which none has been done: the first moments of a few of them tell."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.scenario import compile_plan
from meshsim.sim import begin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.lab.trial import Trial

FEW = 3
MOMENT = 1.0
"""Seconds for which each is tried."""

_STEPS = 50


def estimate(trials: Sequence[Trial]) -> float:
    """Seconds that all of `trials` take one after the other, as a few of them begin; a run may well get slower."""
    chosen = trials[:: max(1, len(trials) // FEW)][:FEW]
    # whoever is first pays for what is loaded and compiled
    _taking(chosen[0], 0.0)
    return len(trials) * sum(_taking(trial, MOMENT) for trial in chosen) / len(chosen)


def _taking(trial: Trial, moment: float) -> float:
    """Seconds that a run takes, by what it has done in a moment."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="meshsim-pilot-") as folder:
        episode = begin(compile_plan(trial.scenario, trial.seed), Path(folder) / "trace", policy=trial.policy)
        begun = time.perf_counter()
        step = trial.scenario.duration / _STEPS
        episode.advance(step)
        while not episode.over and time.perf_counter() - begun <= moment:
            episode.advance(episode.env.now + step)
        done = episode.env.now / trial.scenario.duration
        return begun - started + (time.perf_counter() - begun) / done
