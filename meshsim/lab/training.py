"""From a training configuration to a scorer: simulates its episodes, then lets `learn` fit on their traces."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.lab.events import epoch_events
from meshsim.lab.kept import kept_job, perform_all
from meshsim.lab.progress import bar
from meshsim.learn.config import load_config
from meshsim.learn.course import How
from meshsim.learn.train import train as fit_scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.learn.config import Split, Wanted
    from meshsim.learn.train import TrainResult

EPISODES = "episodes"
"""Folder of the traces in a checkpoint's."""


def train(
    config: Path,
    *,
    out: Path,
    progress: bool = True,
    how: How | None = None,
    tensorboard: Path | None = None,
) -> TrainResult:
    """Simulates the episodes of a training configuration, trains on them and writes the artefact.

    Args:
        config: A YAML file.
        out: The artefact's folder.
        progress: Whether bars may show.
        how: On what it is fitted; with a checkpoint, episodes are kept there too and not simulated again.
        tensorboard: Folder for event files: losses of each epoch, as they come.

    Returns:
        What was fitted and how good it is.

    Raises:
        ConfigError: If the configuration or one of its scenarios is wrong.
        TraceError: If a graph must not be trained on.
        MissingExtra: If event files are wanted and tensorboard is not installed.
    """
    plan, how = load_config(config), how or How()
    how.check(plan.model.kind)
    wanted = list(plan.wanted())
    with contextlib.ExitStack() as stack:
        if tensorboard is not None:
            how = replace(how, told=stack.enter_context(epoch_events(tensorboard)))
        folder = how.checkpoint or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshsim-train-")))
        with bar(f"simulating for {plan.name}", of=len(wanted), shown=progress) as advance:
            traces = episodes(wanted, folder / EPISODES, advance)
        with bar(f"training {plan.name}", shown=progress) as advance:
            return fit_scorer(plan, traces=traces, out=out, progress=advance, how=how)


def episodes(wanted: Sequence[Wanted], folder: Path, advance: Callable[[float], None]) -> dict[Split, list[Path]]:
    """Simulates each wanted episode into a folder of its own below `folder`, two at a time; what is there is kept.

    The folder's name is a hash of scenario, seed, overrides and the code that simulates.

    Args:
        wanted: The episodes.
        folder: Where the traces go.
        advance: Told the share done, in [0, 1].

    Returns:
        The traces of each split, in the order wanted.
    """
    jobs = [kept_job(folder, one.scenario, one.overrides, one.seed) for one in wanted]
    perform_all(jobs, advance)
    traces: dict[Split, list[Path]] = defaultdict(list)
    for one, job in zip(wanted, jobs, strict=True):
        traces[one.split].append(job.out)
    return dict(traces)
