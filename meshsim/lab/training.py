"""From a training configuration to a scorer: simulates its episodes, then lets `learn` fit on their traces."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from meshsim.lab.progress import bar
from meshsim.learn.config import load_config
from meshsim.learn.train import train as fit_scorer
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

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
        with bar(f"simulating {len(wanted)} episodes", shown=progress) as advance:
            traces = episodes(wanted, Path(folder), advance)
        with bar(f"training {plan.name}", shown=progress) as advance:
            return fit_scorer(plan, traces=traces, out=out, progress=advance)


def episodes(wanted: Sequence[Wanted], folder: Path, advance: Callable[[float], None]) -> dict[Split, list[Path]]:
    """Simulates each wanted episode into a folder of its own below `folder`.

    Args:
        wanted: The episodes.
        folder: Where the traces go.
        advance: Told the share done, in [0, 1].

    Returns:
        The traces of each split, in the order wanted.
    """
    traces: dict[Split, list[Path]] = defaultdict(list)
    for number, one in enumerate(wanted):
        trace = folder / f"episode-{number:03d}"
        simulate(compile_plan(load(one.scenario, one.overrides), one.seed), trace)
        traces[one.split].append(trace)
        advance((number + 1) / len(wanted))
    return dict(traces)
