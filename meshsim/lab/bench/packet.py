"""`meshsim bench packet`: both packet engines beside SimPy's process per packet and a bare compiled event heap.

Every run is a process of its own, begun afresh, and the engines take turns: what disturbs the machine disturbs all of
them. Each engine's fastest run counts; its largest memory is that of its whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from meshsim.lab.bench import answer, reference
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.mesh.errors import MeshSimError

W1_MEAN_DELAY_MS = 26.811475
"""Mean delay of workload W1 on every engine with the same routes, milliseconds (`benchmarks/workload.py`)."""
AGREEMENT_MS = 1e-6
"""How far two engines' mean delays may lie apart, milliseconds; W1's is rounded to as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One size of the workload.

    Attributes:
        name: Of the case in the table.
        side: Nodes along each side of the grid.
        rate: Packets per second of each flow.
        seconds: How long flows send.
        engines: Who runs it.
        rounds: How often each does.
    """

    name: str
    side: int
    rate: float
    seconds: float
    engines: tuple[str, ...]
    rounds: int


W1 = Case(
    name="W1", side=20, rate=50.0, seconds=4.0, engines=("process", "callbacks", "core", "heap", "kernel"), rounds=3
)
LARGE = Case(name="71x71", side=71, rate=10.0, seconds=2.0, engines=("heap", "kernel"), rounds=3)
SMOKE = Case(name="6x6", side=6, rate=50.0, seconds=2.0, engines=W1.engines, rounds=1)


def run(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Times the packet engines.

    Args:
        quick: Only a small grid, once: whether everything runs and agrees; no ratio is judged.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.

    Raises:
        MeshSimError: If an engine fails or delivers fewer packets than set out.
    """
    if quick:
        rows = _rows(SMOKE, progress=progress)
        return answer("packet", [judge("engines_apart_ms", _apart(rows), "<=", AGREEMENT_MS)], {"engines": rows})
    rows, large = _rows(W1, progress=progress), _rows(LARGE, progress=progress)
    return answer("packet", judged(rows, large), {"engines": rows + large})


def judged(rows: list[dict[str, Any]], large: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The goals of issue 3, from the rows of W1 and of the 71x71 case.

    The mean delay is held by the farthest of the engines; rows are those of the table `engines`.
    """
    farthest = max((row["delay_mean_ms"] for row in rows), key=lambda delay: abs(delay - W1_MEAN_DELAY_MS))
    kernel = next(row for row in large if row["engine"] == "kernel")
    return [
        judge("core_vs_process", _ratio(rows, "core", "process"), ">=", 5.0),
        judge("kernel_vs_heap", _ratio(rows, "kernel", "heap"), ">=", 0.5),
        judge("kernel_vs_process", _ratio(rows, "kernel", "process"), ">=", 50.0),
        judge("w1_mean_delay_ms", round(farthest, 6), "==", W1_MEAN_DELAY_MS),
        judge("kernel_vs_heap_71", _ratio(large, "kernel", "heap"), ">=", 0.6),
        judge("kernel_71_rss_mb", kernel["rss_mb"], "<=", 500.0),
        judge("engines_apart_71_ms", _apart(large), "<=", AGREEMENT_MS),
    ]


def _apart(rows: list[dict[str, Any]]) -> float:
    """How far the engines' mean delays lie apart, milliseconds: whether they did the same work."""
    delays = [float(row["delay_mean_ms"]) for row in rows]
    return max(delays) - min(delays)


def _ratio(rows: list[dict[str, Any]], ours: str, theirs: str) -> float:
    speeds = {row["engine"]: row["hops_per_cpu_second"] for row in rows}
    return float(speeds[ours] / speeds[theirs])


def _rows(case: Case, *, progress: bool) -> list[dict[str, Any]]:
    """The fastest of each engine's runs, which take turns."""
    program = str(reference("run.py"))
    turns = case.rounds * case.engines
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in case.engines}
    with bar(f"workload {case.name}", shown=progress) as advance:
        for number, engine in enumerate(turns):
            runs[engine].append(_time(program, engine, case))
            advance((number + 1) / len(turns))
    return [_row(case, each) for each in runs.values()]


def _time(program: str, engine: str, case: Case) -> dict[str, Any]:
    size = [f"--side={case.side}", f"--rate={case.rate}", f"--seconds={case.seconds}"]
    done = subprocess.run([sys.executable, program, engine, *size], capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    if done.returncode != 0:
        raise MeshSimError(f"the engine {engine!r} failed:\n{done.stderr.strip()}")
    measured: dict[str, Any] = json.loads(done.stdout)
    if measured["delivered"] != measured["packets"]:
        raise MeshSimError(f"{engine!r} delivered {measured['delivered']} of {measured['packets']} packets")
    return measured


def _row(case: Case, runs: list[dict[str, Any]]) -> dict[str, Any]:
    fastest = min(runs, key=lambda run: float(run["cpu_seconds"]))
    slowest = max(run["cpu_seconds"] for run in runs)
    largest = max(run["rss_mb"] for run in runs)
    return {"case": case.name, **fastest, "cpu_seconds_slowest": slowest, "rss_mb": largest}
