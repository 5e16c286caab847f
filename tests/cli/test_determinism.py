"""Same scenario, same seed, same trace: whatever the hash seed, with one thread or two, with agents or modelled."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import pytest

from meshsim.lab.episodes import Job, perform

if TYPE_CHECKING:
    from pathlib import Path

SHORT = {
    "smoke": ["-o", "duration=24 s", "-o", "warmup=4 s"],
    "demo": ["-o", "duration=90 s", "-o", "warmup=20 s"],
}

FIXED = ["--seed", "3", "--policy", "learned", "--json"]


def traced(scenario: str, out: Path, *, hash_seed: str, threads: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), threads)
    done = subprocess.run(
        [sys.executable, "-m", "meshsim", "run", scenario, *SHORT[scenario], "--out", str(out), *FIXED],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["calls"] > 0
    return str(told["trace_sha256"])


@pytest.mark.full
@pytest.mark.parametrize(
    "scenario", [pytest.param(name, marks=[] if name == "smoke" else pytest.mark.full) for name in SHORT]
)
def test_a_trace_depends_on_scenario_and_seed_alone(scenario: str, tmp_path: Path) -> None:
    one = traced(scenario, tmp_path / "one", hash_seed="1", threads="1")
    two = traced(scenario, tmp_path / "two", hash_seed="4242", threads="2")
    assert one == two


@pytest.mark.full
def test_five_runs_under_five_hash_seeds_are_one_trace(tmp_path: Path) -> None:
    runs = [traced("smoke", tmp_path / str(n), hash_seed=str(7 * n), threads=str(1 + n % 3)) for n in range(5)]
    assert len(set(runs)) == 1


@pytest.mark.full
def test_any_number_of_workers_writes_the_same_traces(tmp_path: Path) -> None:
    found = []
    for workers in (1, 2, 3):
        jobs = [
            Job(scenario="smoke", seed=seed, out=tmp_path / f"{workers}-{seed}", overrides=("duration=40", "warmup=5"))
            for seed in (1, 2, 3)
        ]
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            found.append([done.sha256 for done in pool.map(perform, jobs)])
    assert found[0] == found[1] == found[2]
    assert len(set(found[0])) == 3
