"""`meshsim bench train`: what an epoch costs, by rounds of messages, beside what it costs one view at a time.

All in one run, on the same simulated calls and one thread. How long the shipped scorer's training would take here is
reckoned from the parts measured: simulating, loading, epochs.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.lab.bench import answer
from meshsim.lab.bench.flow import peak_rss
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.lab.training import episodes
from meshsim.learn.config import Optimisation, Shape, TrainConfig, load_config
from meshsim.learn.course import Epoch, How
from meshsim.learn.dataset import load
from meshsim.learn.fit import fit
from meshsim.routing.artefact import find_model

if TYPE_CHECKING:
    from meshsim.learn.dataset import Dataset

EPOCHS = 3
MOST_MINUTES = 60.0
_REGIME = ("routing.policy=weighted", "duration=8 min")
_GRAPHS = ("sndlib/geant", "topozoo/Internode", "topozoo/Abvt", "topozoo/Claranet")


def run(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Measures loading and epochs on eight short episodes.

    Args:
        quick: Two episodes, and no second process.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    plan = _plan(_GRAPHS[:1] if quick else _GRAPHS)
    with tempfile.TemporaryDirectory() as folder, bar("training", shown=progress) as advance:
        begun = time.perf_counter()
        traces = episodes(list(plan.wanted()), Path(folder), lambda share: advance(0.3 * share))
        simulated = time.perf_counter()
        train = load(traces["train"])
        loaded = time.perf_counter()
        held_out = load(traces["validation"], use="validate")
        memory = {"calls": len(train) + len(held_out), "peak_with_data_mb": peak_rss() / 1e6}
        rows = []
        for rounds, views, processes in _ways(quick=quick):
            seconds = _epoch(plan, train, held_out, rounds, views, processes)
            row = {"rounds": rounds, "views_per_step": views, "processes": processes}
            rows.append({**row, "seconds_per_epoch": seconds, "calls_per_second": len(train) / seconds})
            advance(0.3 + 0.7 * len(rows) / len(_ways(quick=quick)))
    memory["peak_after_epochs_mb"] = peak_rss() / 1e6
    count = sum(len(paths) for paths in traces.values())
    work = {"episode_s": (simulated - begun) / count, "call_load_s": (loaded - simulated) / len(train)}
    work |= {"call_epoch_s": 1.0 / rows[0]["calls_per_second"]}
    shipped = _shipped(work)
    goals = [
        judge("batched_over_one_view", rows[0]["calls_per_second"] / rows[1]["calls_per_second"], ">=", 1.0),
        judge("route_scorer_minutes", shipped["minutes"], "<=", MOST_MINUTES),
    ]
    return answer("train", goals, {"epochs": rows, "memory": [memory], "route_scorer": [shipped]})


def _ways(*, quick: bool) -> list[tuple[int, int, int]]:
    """Rounds, views per step and processes of each measurement; the first two are compared."""
    usual = Optimisation().views_per_batch
    ways = [(0, usual, 1), (0, 1, 1), (3, usual, 1)]
    return ways if quick else [*ways, (0, usual, 2), (3, usual, 2)]


def _plan(graphs: tuple[str, ...]) -> TrainConfig:
    train = {"scenario": "demo", "seeds": [1, 2], "regimes": ["usual"], "topologies": list(graphs)}
    other = {"scenario": "demo", "seeds": [3], "regimes": ["usual"]}
    validation = {"scenario": "validation", "seeds": [4], "regimes": ["usual"]}
    data = {"regimes": {"usual": _REGIME}, "train": [train], "calibration": [other], "validation": [validation]}
    return TrainConfig.model_validate({"name": "bench", "data": data})


def _epoch(plan: TrainConfig, train: Dataset, held_out: Dataset, rounds: int, views: int, processes: int) -> float:
    """Seconds of the fastest epoch but the first, which pays for what comes once."""
    by = plan.optimisation.model_copy(update={"epochs": EPOCHS, "patience": EPOCHS, "views_per_batch": views})
    config = plan.model_copy(update={"model": Shape(rounds=rounds), "optimisation": by})
    ends: list[float] = []

    def told(epoch: Epoch) -> None:
        del epoch
        ends.append(time.perf_counter())

    fit(config, train, held_out, how=How(processes=processes, told=told))
    return min(after - before for before, after in itertools.pairwise(ends))


def _shipped(work: dict[str, float]) -> dict[str, Any]:
    """What the training of the packaged scorer would take here, two episodes at a time, one thread for the rest."""
    folder = find_model("route-scorer")
    plan = load_config(folder / "train.yaml")
    count, calls = len(list(plan.wanted())), _calls(folder / "card.md", "train")
    seconds = {
        "simulating_s": count * work["episode_s"],
        "loading_s": calls * plan.data.every * work["call_load_s"],
        "epochs_s": plan.optimisation.epochs * calls * work["call_epoch_s"],
    }
    return {"episodes": count, "calls": calls, **seconds, "minutes": sum(seconds.values()) / 60.0}


def _calls(card: Path, split: str) -> int:
    """Calls of a split, as the card's table of data says."""
    row = next(line for line in card.read_text(encoding="utf-8").splitlines() if line.startswith(f"| {split} |"))
    return int(row.rstrip(" |").rpartition("|")[2].strip().replace(",", ""))
