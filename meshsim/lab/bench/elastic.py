"""`meshsim bench elastic`: transfers that share links max-min fairly, beside SimGrid on the same arrivals.

Hosts of a star send each other transfers of exponential size at Poisson instants; each has a link up and a link down.
Both engines read the same arrivals; CPU time counts, of the run alone (SimGrid's wall time is longer: it switches
threads). SimGrid runs as it comes and in its plainest model, whose every end must be ours; its faster run is the one
we are held against.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer, reference
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.mesh.errors import MeshSimError
from meshsim.sim.fluid import run_elastic

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN_BYTES = 60.0 * 250e3
"""Mean size of a transfer: a minute at 2 Mb/s."""
LATENCY = 2e-6
"""What SimGrid's plain run adds to each end: the latency of two links, seconds."""
MODELS = ("plain", "default")
SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One size of the workload.

    Attributes:
        name: Of the case in the table.
        hosts: In the star.
        transfers: In all.
        rate: Transfers per second in all.
        bandwidth: Bytes per second of each link.
        models: SimGrid's models that run it.
    """

    name: str
    hosts: int
    transfers: int
    rate: float
    bandwidth: float
    models: tuple[str, ...] = MODELS


LIGHT = Case(name="light", hosts=5000, transfers=50_000, rate=5000 / 60, bandwidth=20e6)
CROWDED = Case(name="crowded", hosts=500, transfers=5000, rate=500 / 60, bandwidth=0.4e6)
SMOKE = Case(name="smoke", hosts=50, transfers=500, rate=200 / 60, bandwidth=1e6, models=("plain",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """F transfers between the hosts of a star.

    Attributes:
        arrivals: (F,) seconds.
        sizes: (F,) whole bytes.
        senders: (F,) hosts.
        receivers: (F,) hosts.
    """

    arrivals: NDArray[np.float64]
    sizes: NDArray[np.float64]
    senders: NDArray[np.int64]
    receivers: NDArray[np.int64]


def run(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Times the flow engine on elastic transfers.

    Args:
        quick: Only a small case: whether both engines run and agree; no ratio is judged.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`. Without SimGrid the goals that need it are missing, and the
        table `skipped` names them.
    """
    cases = (SMOKE,) if quick else (LIGHT, CROWDED)
    python, apart = find_simgrid(), 0.0
    rows: list[dict[str, Any]] = []
    with bar("transfers", shown=progress) as advance:
        for number, case in enumerate(cases):
            more, worst = _rows(case, python)
            rows, apart = rows + more, max(apart, worst)
            advance((number + 1) / len(cases))
    if python is None:
        names = ("elastic_apart_seconds",) if quick else ("elastic_vs_simgrid", "elastic_apart_seconds")
        skipped = [{"goal": name, "why": "no interpreter here can import simgrid"} for name in names]
        return answer("elastic", [], {"engines": rows, "skipped": skipped})
    goals = [judge("elastic_apart_seconds", apart, "<=", 1e-5)]
    if not quick:
        goals.insert(0, judge("elastic_vs_simgrid", min(_ahead(case, rows) for case in cases), ">=", 1.0))
    return answer("elastic", goals, {"engines": rows})


def find_simgrid() -> str | None:
    """An interpreter that has SimGrid: that of `MESHSIM_SIMGRID_PYTHON`, else the first that can import it."""
    named = os.environ.get("MESHSIM_SIMGRID_PYTHON")
    tried = (named,) if named else (sys.executable, shutil.which("python3"), "/usr/bin/python3")
    for python in tried:
        if python is not None and _imports(python):
            return python
    return None


def _imports(python: str) -> bool:
    try:
        done = subprocess.run([python, "-c", "import simgrid"], capture_output=True, timeout=60, check=False)  # noqa: S603 - an interpreter the user has
    except OSError:
        return False
    return done.returncode == 0


def make(case: Case) -> Workload:
    """The workload of a case, the same on every machine."""
    generator = np.random.Generator(np.random.Philox(SEED))
    arrivals = np.cumsum(generator.exponential(1.0 / case.rate, case.transfers))
    senders = generator.integers(0, case.hosts, case.transfers)
    receivers = generator.integers(0, case.hosts - 1, case.transfers)
    receivers += receivers >= senders
    sizes = np.ceil(generator.exponential(MEAN_BYTES, case.transfers))
    return Workload(arrivals=arrivals, sizes=sizes, senders=senders, receivers=receivers)


def ours(case: Case, made: Workload) -> tuple[NDArray[np.float64], float]:
    """When each transfer ends on our engine, and the CPU seconds that took."""
    flows = len(made.sizes)
    route = np.stack([made.senders, case.hosts + made.receivers], axis=1).ravel()
    links = np.full(2 * case.hosts, case.bandwidth)
    began = time.process_time()
    ends = run_elastic(np.arange(0, 2 * flows + 1, 2), route, links, made.arrivals, made.sizes)
    return ends, time.process_time() - began


def theirs(case: Case, made: Workload, python: str, model: str) -> tuple[NDArray[np.float64], dict[str, float]]:
    """The same on SimGrid: ends, and the CPU and wall seconds.

    Raises:
        MeshSimError: If it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        told, ends = Path(folder) / "workload", Path(folder) / "ends"
        with told.open("wb") as file:
            np.array([case.hosts, case.transfers], dtype=np.int64).tofile(file)
            np.array([case.bandwidth]).tofile(file)
            for column in (made.arrivals, made.sizes, made.senders, made.receivers):
                column.tofile(file)
        command = [python, str(reference("simgrid_flows.py")), str(told), str(ends), model]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode != 0:
            raise MeshSimError(f"SimGrid failed:\n{done.stderr.strip()}")
        return np.fromfile(ends), json.loads(done.stdout)


def _rows(case: Case, python: str | None) -> tuple[list[dict[str, Any]], float]:
    """The rows of a case, and how far the farthest end of SimGrid's plain run lies from ours."""
    ours(SMOKE, make(SMOKE))  # numba compiles, or reads what it compiled
    made = make(case)
    ends, cpu = ours(case, made)
    busy = float(np.mean(ends - made.arrivals) * case.rate)
    rows, apart = [_row(case, "meshsim", {"cpu_seconds": cpu}, busy)], 0.0
    for model in case.models if python is not None else ():
        other, seconds = theirs(case, made, str(python), model)
        rows.append(_row(case, f"simgrid {model}", seconds, float(np.mean(other - made.arrivals) * case.rate)))
        if model == "plain":
            apart = float(np.abs(other - LATENCY - ends).max())
    return rows, apart


def _row(case: Case, engine: str, seconds: dict[str, float], busy: float) -> dict[str, Any]:
    return {
        "case": case.name,
        "engine": engine,
        "hosts": case.hosts,
        "transfers": case.transfers,
        "concurrent_mean": busy,
        **seconds,
        "transfers_per_cpu_second": case.transfers / seconds["cpu_seconds"],
    }


def _ahead(case: Case, rows: list[dict[str, Any]]) -> float:
    """Our speed over that of SimGrid's faster model."""
    mine = [row for row in rows if row["case"] == case.name]
    fastest = max((row["transfers_per_cpu_second"] for row in mine if row["engine"] != "meshsim"), default=math.nan)
    return float(mine[0]["transfers_per_cpu_second"] / fastest)
