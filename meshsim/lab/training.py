"""From a training configuration to a scorer: simulates its episodes, then lets `learn` fit on their traces."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.lab.episodes import Job, perform, workers
from meshsim.lab.progress import bar
from meshsim.learn.config import load_config
from meshsim.learn.train import train as fit_scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.learn.config import Split, Wanted
    from meshsim.learn.train import TrainResult


def train(config: Path, *, out: Path, progress: bool = True) -> TrainResult:
    """Simulates the episodes of a training configuration, trains on them and writes the artefact.

    Args:
        config: A YAML file.
        out: The artefact's folder.
        progress: Whether bars may show.

    Returns:
        What was fitted and how good it is.

    Raises:
        ConfigError: If the configuration or one of its scenarios is wrong.
        TraceError: If a graph must not be trained on.
    """
    plan = load_config(config)
    wanted = list(plan.wanted())
    with tempfile.TemporaryDirectory(prefix="meshsim-train-") as folder:
        with bar(f"simulating for {plan.name}", of=len(wanted), shown=progress) as advance:
            traces = episodes(wanted, Path(folder), advance)
        with bar(f"training {plan.name}", shown=progress) as advance:
            return fit_scorer(plan, traces=traces, out=out, progress=advance)


def episodes(wanted: Sequence[Wanted], folder: Path, advance: Callable[[float], None]) -> dict[Split, list[Path]]:
    """Simulates each wanted episode into a folder of its own below `folder`, two at a time.

    Args:
        wanted: The episodes.
        folder: Where the traces go.
        advance: Told the share done, in [0, 1].

    Returns:
        The traces of each split, in the order wanted.
    """
    jobs = [
        Job(scenario=one.scenario, seed=one.seed, out=folder / f"episode-{number:03d}", overrides=one.overrides)
        for number, one in enumerate(wanted)
    ]
    traces: dict[Split, list[Path]] = defaultdict(list)
    with workers() as pool:
        for number, (one, job, _) in enumerate(zip(wanted, jobs, pool.map(perform, jobs), strict=True), start=1):
            traces[one.split].append(job.out)
            advance(number / len(wanted))
    return dict(traces)
