"""Same scenario, same seed, same trace: whatever the hash seed, with one thread or two, with agents or modelled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SHORT = {
    "smoke": ["-o", "duration=50 s", "-o", "warmup=5 s"],
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


@pytest.mark.parametrize("scenario", list(SHORT))
def test_a_trace_depends_on_scenario_and_seed_alone(scenario: str, tmp_path: Path) -> None:
    one = traced(scenario, tmp_path / "one", hash_seed="1", threads="1")
    two = traced(scenario, tmp_path / "two", hash_seed="4242", threads="2")
    assert one == two
