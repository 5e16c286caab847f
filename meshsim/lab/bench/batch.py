"""`meshsim bench batch`: what the batch engine costs per run, and how long it takes to find out what is done.

Runs are empty, so that all time is the engine's; what a process takes to begin is left out, as it is paid once. A run
of one second (asleep, so that it needs no core) tells how well two workers are kept busy.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.lab.batch import Job, Outcome, Record, Settings, Store, chosen, key_of, perform
from meshsim.lab.batch.shard import Shard
from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

CODE = "bench"
WORKERS = 2
_GOALS = {"serial": 1e-3, "local": 1e-3, "ray": 5e-3}
_FILES = 200
_WARM = 50


def nothing(spec: float) -> Outcome:
    """Sleeps for so many seconds."""
    if spec:
        time.sleep(spec)
    return Outcome({"x": spec})


def run(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Measures overhead per executor, how well workers are used, and the scan of a batch that is done.

    Args:
        quick: Few runs: whether everything works.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`; Ray is left out where it is absent.
    """
    runs, kept, asleep = (100, 1_000, 4) if quick else (2_000, 100_000, 20)
    executors = [name for name in _GOALS if name != "ray" or importlib.util.find_spec("ray")]
    rows, goals = [], []
    with bar("batches", shown=progress) as advance, tempfile.TemporaryDirectory(prefix="meshsim-") as name:
        folder = Path(name)
        for done, executor in enumerate(executors):
            rows.append(overhead(executor, runs, folder / executor))
            goals.append(judge(f"{executor}_overhead_seconds", rows[-1]["seconds_per_run"], "<=", _GOALS[executor]))
            advance((done + 1) / (len(executors) + 2))
        share = used(asleep, 0.1 if quick else 1.0, folder / "used")
        goals.append(judge("share_of_ideal", share, ">=", 0.95))
        advance((len(executors) + 1) / (len(executors) + 2))
        seconds, files = scan(kept, folder / "scan")
        goals += [judge("scan_seconds", seconds, "<=", 1.0), judge("files", files, "<=", _FILES)]
    return answer("batch", goals, {"overhead": rows})


def overhead(executor: str, runs: int, folder: Path) -> dict[str, Any]:
    """Wall time per empty run, once all workers have begun.

    Args:
        executor: Who does them.
        runs: How many, after some to warm up.
        folder: Of the batch.
    """
    ends: list[float] = []
    workers = 1 if executor == "serial" else WORKERS
    store = Store(folder, "bench")
    used_before = time.process_time()
    settings = Settings(executor=executor, workers=workers)
    perform(nothing, _jobs(runs + _WARM), store, CODE, settings, lambda _: ends.append(time.perf_counter()))
    return {
        "executor": executor,
        "workers": workers,
        "runs": runs,
        "seconds_per_run": (ends[-1] - ends[_WARM - 1]) / runs,
        "driver_cpu_seconds_per_run": (time.process_time() - used_before) / runs,
        "fsync_seconds": _fsync(folder),
    }


def used(runs: int, seconds: float, folder: Path) -> float:
    """Share of the ideal speed at which two workers do runs that take so many seconds, each from its first run on."""
    ends: list[float] = []
    settings = Settings(executor="local", workers=WORKERS)
    perform(nothing, _jobs(runs, seconds), Store(folder, "bench"), CODE, settings, lambda _: ends.append(time.time()))
    firsts: dict[int, float] = {}
    for record in Store(folder, "bench").records():
        firsts[record.pid] = min(record.began, firsts.get(record.pid, record.began))
    return runs * seconds / sum(ends[-1] - first for first in firsts.values())


def scan(runs: int, folder: Path) -> tuple[float, int]:
    """Seconds to read a batch with so many finished runs and to choose among them, and its files.

    Args:
        runs: How many.
        folder: Of the batch.
    """
    store = Store(folder, "bench")
    _fill(store.shards, runs)
    began = time.perf_counter()
    done, _ = chosen(store.records(), CODE)
    seconds = time.perf_counter() - began
    if len(done) != runs:
        raise AssertionError(f"{len(done)} of {runs} runs were found")
    return seconds, sum(1 for path in folder.rglob("*") if path.is_file())


def _fill(shards: Path, runs: int) -> None:
    """A shard as a batch of so many runs leaves it, without waiting for the disk at each."""
    with Shard(shards, "worker-0") as shard:
        shard.extend(
            Record(
                key=job.key,
                cell=dict(job.cell),
                code=CODE,
                values={f"metric_{number}": number / 3 for number in range(20)},
                began=1.7e9 + job.spec,
                seconds=1.0,
                host="host",
                pid=1,
                again="meshsim run demo --seed 1 --set routing.policy=shortest",
            )
            for job in _jobs(runs)
        )


def _fsync(folder: Path, times: int = 100) -> float:
    """Seconds that one line takes to be on this disk."""
    with Shard(folder / "probe", "probe") as shard:
        record = Record(key="k", cell={}, code=CODE)
        began = time.perf_counter()
        for _ in range(times):
            shard.append(record)
        return (time.perf_counter() - began) / times


def _jobs(runs: int, spec: float = 0.0) -> Sequence[Job]:
    return [Job(key=key_of({"n": number}), cell={"n": number}, spec=spec) for number in range(runs)]
