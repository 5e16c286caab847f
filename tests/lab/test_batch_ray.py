from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: meshsim[ray]"),
]

PROGRAM = """
import json, os, signal, sys
from pathlib import Path
from meshsim.lab.batch import Job, Outcome, Settings, Store, chosen, perform

def square(spec):
    number, trouble = spec
    if trouble == "raise":
        raise ValueError("no square of that")
    if trouble == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome({"square": number * number / 3.0})

if __name__ == "__main__":
    jobs = [Job(key=str(n), cell={"n": n}, spec=(n, {2: "raise", 3: "die"}.get(n, ""))) for n in range(30)]
    told = {}
    for executor in ("serial", "ray"):
        store = Store(Path(sys.argv[1]) / executor, "x")
        some = jobs if executor == "ray" else [job for job in jobs if job.cell["n"] != 3]
        failed = perform(square, some, store, "c", Settings(executor=executor, workers=2, retries=1))
        done, _ = chosen(store.records(), "c")
        told[executor] = {
            "values": sorted((key, record.values["square"]) for key, record in done.items()),
            "failed": sorted((record.cell["n"], record.failure, record.died) for record in failed),
        }
    print(json.dumps(told))
"""


def test_ray_gives_what_one_process_gives_and_outlives_a_worker_that_dies(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ray"]["values"] == told["serial"]["values"]
    assert told["serial"]["failed"] == [[2, "ValueError: no square of that", False]]
    assert told["ray"]["failed"] == [
        [2, "ValueError: no square of that", False],
        [3, "its process died (WorkerCrashedError)", True],
    ]


def test_a_batch_on_two_nodes_outlives_drivers_workers_and_a_node(root: Path) -> None:
    command = [sys.executable, "benchmarks/chaos.py", "--kills", "6", "--ray-kills", "3", "--runs", "120", "--json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [goal for goal in answer["goals"] if not goal["pass"]] == []
    assert set(answer["batches"]["ray, under fire"]["kills"]) == {"driver", "worker", "node"}
