"""Kills a batch a hundred times, in whatever it is at, and holds what comes out to a batch that nobody touched.

make chaos, or: python benchmarks/chaos.py [--kills 100] [--ray-kills 10] [--runs 500] [--seed 1] [--json]

Kinds: `driver` and `worker` are SIGKILLs from outside; `mid-write` is a process that is killed with half a record
written; `full disk` is a process whose disk takes a part of a record and no more (RLIMIT_FSIZE); `node` ends a node of
a Ray cluster of two. Every start of a run is written down, so that what was lost can be counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from meshsim.lab.batch import Job, Outcome, Record, Settings, Store, chosen, hold, key_of, perform, tables
from meshsim.lab.batch.tables import Column
from meshsim.lab.goals import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("driver", "worker", "mid-write", "full disk")
RAY_KINDS = ("driver", "worker", "node")
WORKERS = 2
SERIAL = 0.2
"""Share of resumes in which one process does it alone."""

RUN_SECONDS = 0.02
PATIENCE = 120.0
"""Seconds within which something must come of a batch that runs."""

NAME, CODE = "chaos", "none"
KEYS = (Column("n", "1", "number of the run", pa.int64()),)
COLUMNS = (Column("x", "1", "what came out of it", pa.float64()), Column("y", "1", "or nothing", pa.float64()))


def dice(seed: int) -> random.Random:
    """Numbers that seem to be chance."""
    return random.Random(seed)  # noqa: S311 - nobody's secret depends on it


# What runs ------------------------------------------------------------------------------------------------------------


def light(spec: tuple[int, str]) -> Outcome:
    """A run of 20 ms that writes down that it began, and meets the accident that waits for it."""
    number, folder = spec
    with Path(folder, "started").open("ab", buffering=0) as started:
        started.write(b"%d %d\n" % (number, os.getpid()))
    _meet_accident(Path(folder), number)
    time.sleep(RUN_SECONDS)
    drawn = dice(number)
    return Outcome({"x": drawn.gauss(0.0, 1.0), "y": float("nan") if number % 7 == 0 else drawn.random() / 3.0})


def _meet_accident(folder: Path, number: int) -> None:
    """Takes the accident that waits, if any: of processes that look at the same time one gets it."""
    for accident in ("mid-write", "full disk"):
        try:
            (folder / accident).unlink()
        except FileNotFoundError:
            continue
        if accident == "mid-write":
            _die_writing(number)
        else:
            largest = max((path.stat().st_size for path in (folder / "batch" / "shards").glob("*")), default=0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 40, resource.RLIM_INFINITY))


def _die_writing(number: int) -> None:
    """Has the next record of this process cut off anywhere, and the process killed."""
    write = os.write

    def torn(file: int, data: bytes) -> int:
        write(file, data[: dice(number).randrange(len(data))])
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    os.write = torn  # type: ignore[assignment]


def _jobs(runs: int, folder: Path) -> list[Job]:
    return [
        Job(key=key_of({"n": number}), cell={"n": number}, spec=(number, str(folder)), again=f"run {number}")
        for number in range(runs)
    ]


def drive(folder: Path, executor: str, runs: int) -> None:
    """Goes on with the batch, as `meshsim exp resume` does, and writes its table when all is done."""
    jobs, store = _jobs(runs, folder), Store(folder / "batch", NAME)
    with hold(store.folder):
        store.tidy()
        done, _ = chosen(store.records(), CODE)
        workers = None if executor == "ray" else WORKERS
        settings = Settings(executor=executor, workers=workers, retries=3)
        failed = perform(light, [job for job in jobs if job.key not in done], store, CODE, settings)
        store.compact()
        if failed:
            raise SystemExit(f"{len(failed)} runs failed: {failed[0].failure}")
        done, _ = chosen(store.records(), CODE)
        tables.write(tables.runs(KEYS, COLUMNS, jobs, done), store.folder / "runs.parquet")


# What kills -----------------------------------------------------------------------------------------------------------


class Batch:
    """A batch that is killed and resumed.

    Args:
        folder: Of it and of what is written down about it.
        runs: How many.
        drawn: What decides whom it hits, and when.
    """

    def __init__(self, folder: Path, runs: int, drawn: random.Random) -> None:
        self.folder, self.runs, self._drawn = folder, runs, drawn
        self.kills: Counter[str] = Counter()
        self.resumes = self.files = 0
        self.driver: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        (folder / "started").touch()

    def begin(self, executor: str) -> subprocess.Popen[bytes]:
        """Goes on with the batch."""
        self.resumes += 1
        command = [sys.executable, __file__, "--drive", str(self.folder), executor, "--runs", str(self.runs)]
        with (self.folder / "log").open("ab") as log:
            self.driver = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - this program itself
        return self.driver

    def finish(self, executor: str) -> None:
        """Lets it come to its end."""
        driver = self.driver if self.driver is not None and self.driver.poll() is None else self.begin(executor)
        if driver.wait() != 0 and self.begin(executor).wait() != 0:
            raise SystemExit(f"the batch does not come to its end; see {self.folder / 'log'}")
        self.count_files()

    def hit(self, kind: str, executor: str) -> bool:
        """Kills something, if the batch is not done before."""
        driver = self.driver if self.driver is not None and self.driver.poll() is None else self.begin(executor)
        began = len(self.starts)
        self.wait_for(lambda: len(self.starts) >= began + self._drawn.randint(1, 4) or driver.poll() is not None)
        time.sleep(self._drawn.random() * 1.5 * RUN_SECONDS)
        if driver.poll() is not None:
            return False
        done = {"driver": self._kill_driver, "worker": self._kill_worker}.get(kind, self._leave_accident)
        hit = done(driver, kind)
        self.kills[kind] += hit
        self.count_files()
        return hit

    def _kill_driver(self, driver: subprocess.Popen[bytes], kind: str) -> bool:
        del kind
        driver.kill()
        driver.wait()
        return True

    def _kill_worker(self, driver: subprocess.Popen[bytes], kind: str) -> bool:
        del kind
        pid = self.starts[-1][1]
        if pid == driver.pid:
            return self._kill_driver(driver, "driver")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def _leave_accident(self, driver: subprocess.Popen[bytes], kind: str) -> bool:
        waiting = self.folder / kind
        waiting.touch()
        self.wait_for(lambda: not waiting.exists() or driver.poll() is not None)
        if waiting.exists():
            waiting.unlink()
            return False
        if kind == "full disk":
            self.wait_for(lambda: driver.poll() is not None)
        return True

    @property
    def starts(self) -> list[tuple[int, int]]:
        """The number and process of every run that began."""
        lines = (self.folder / "started").read_text().splitlines()
        return [(int(number), int(pid)) for number, _, pid in (line.partition(" ") for line in lines)]

    def wait_for(self, told: Any) -> None:
        """Waits until something holds.

        Raises:
            SystemExit: If it never does.
        """
        until = time.monotonic() + PATIENCE
        while not told():
            if time.monotonic() > until:
                raise SystemExit(f"nothing came of the batch; see {self.folder / 'log'}")
            time.sleep(0.002)

    def count_files(self) -> None:
        """Notes how many files its folder has at most."""
        self.files = max(self.files, sum(1 for path in (self.folder / "batch").rglob("*") if path.is_file()))

    def told(self) -> dict[str, Any]:
        """What became of it."""
        store = Store(self.folder / "batch", NAME)
        records = [record for record in store.records() if record.is_final]
        table = (store.folder / "runs.parquet").read_bytes()
        rows = pa.parquet.read_table(store.folder / "runs.parquet").to_pylist()
        lost = self._lost(records)
        return {
            "kills": dict(sorted(self.kills.items())),
            "resumes": self.resumes,
            "began": len(self.starts),
            "lost": sum(lost.values()),
            "lost_per_worker": max(lost.values(), default=0),
            "cut_records": len(store.damages),
            "rows": len(rows),
            "duplicates": len(rows) - len({row["n"] for row in rows}),
            "twice_done": len(records) - len({record.key for record in records}),
            "files": self.files,
            "table_sha256": hashlib.sha256(table).hexdigest(),
        }

    def _lost(self, records: list[Record]) -> Counter[int]:
        """Runs that began in a process and of which nothing was kept, by process."""
        kept = {(record.cell["n"], record.pid) for record in records}
        return Counter(pid for number, pid in self.starts if (number, pid) not in kept)


# Ray ------------------------------------------------------------------------------------------------------------------


@contextmanager
def two_nodes() -> Iterator[Any]:
    """A Ray cluster of two nodes on this machine, that drivers find by RAY_ADDRESS; yields what ends the second."""
    from meshsim.lab.batch.ray import _ray  # noqa: PLC0415 - Ray may be absent, and is told what a cluster of ours is

    _ray()
    from ray.cluster_utils import Cluster  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=2)]
    os.environ["RAY_ADDRESS"] = cluster.address

    def end_one() -> None:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        nodes.append(cluster.add_node(num_cpus=2))

    try:
        yield end_one
    finally:
        del os.environ["RAY_ADDRESS"]
        cluster.shutdown()


def under_ray(folder: Path, runs: int, kills: int, drawn: random.Random) -> dict[str, Any]:
    """Kills a batch on a cluster of two nodes."""
    batch = Batch(folder, runs, drawn)
    with two_nodes() as end_one:
        while batch.kills.total() < kills:
            kind = RAY_KINDS[batch.kills.total() % len(RAY_KINDS)]
            if kind != "node":
                going = batch.hit(kind, "ray")
            elif going := _running(batch):
                end_one()
                batch.kills["node"] += 1
            if not going and batch.driver is not None and batch.driver.poll() == 0:
                break
        batch.finish("ray")
    return batch.told()


def _running(batch: Batch) -> bool:
    """Whether the batch runs, begun if it did not."""
    driver = batch.driver if batch.driver is not None and batch.driver.poll() is None else batch.begin("ray")
    began = len(batch.starts)
    batch.wait_for(lambda: len(batch.starts) > began or driver.poll() is not None)
    return driver.poll() is None


# All of it ------------------------------------------------------------------------------------------------------------


def untouched(folder: Path, runs: int) -> dict[str, Any]:
    """A batch in one process that nobody kills."""
    batch = Batch(folder, runs, dice(0))
    batch.finish("serial")
    return batch.told()


def under_fire(folder: Path, runs: int, kills: int, drawn: random.Random) -> dict[str, Any]:
    """Kills a batch in this machine's processes; now and then one process does it alone."""
    batch = Batch(folder, runs, drawn)
    while batch.kills.total() < kills:
        executor = "serial" if drawn.random() < SERIAL else "local"
        if not batch.hit(drawn.choice(KINDS), executor) and batch.driver is not None and batch.driver.poll() == 0:
            break
    batch.finish("local")
    return batch.told()


def run(runs: int, kills: int, ray_kills: int, seed: int) -> dict[str, Any]:
    """Three batches: untouched, under fire, and under fire on Ray; goals and what became of each."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        folder = Path(name)
        told = {"serial, untouched": untouched(folder / "untouched", runs)}
        told["local, under fire"] = under_fire(folder / "fire", runs, kills - ray_kills, dice(seed))
        if ray_kills:
            told["ray, under fire"] = under_ray(folder / "ray", runs, ray_kills, dice(seed + 1))
    hashes = {batch["table_sha256"] for batch in told.values()}
    goals = [
        judge("kills", sum(sum(batch["kills"].values()) for batch in told.values()), ">=", kills),
        judge("tables_that_differ", len(hashes) - 1, "==", 0),
        judge("rows_missing", sum(runs - batch["rows"] for batch in told.values()), "==", 0),
        judge("duplicates", sum(batch["duplicates"] for batch in told.values()), "==", 0),
        judge("lost_per_worker", max(batch["lost_per_worker"] for batch in told.values()), "<=", 1),
        judge("files", max(batch["files"] for batch in told.values()), "<=", 200),
    ]
    return {"name": "chaos", "runs": runs, "seed": seed, "goals": goals, "batches": told}


def main() -> int:
    """Exit code 3 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="all of them")
    parser.add_argument("--ray-kills", type=int, default=10, help="those on Ray; 0 where it is absent")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--drive", nargs=2, metavar=("FOLDER", "EXECUTOR"), help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.drive:
        drive(Path(said.drive[0]), said.drive[1], said.runs)
        return 0
    answer = run(said.runs, said.kills, said.ray_kills, said.seed)
    if said.json:
        print(json.dumps(answer))
    else:
        for name, batch in answer["batches"].items():
            print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in batch.items()))
        for goal in answer["goals"]:
            print(
                f"{'met' if goal['pass'] else 'MISSED'}: {goal['goal']} {goal['value']} {goal['op']} {goal['target']}"
            )
    return 0 if all(goal["pass"] for goal in answer["goals"]) else 3


if __name__ == "__main__":
    sys.exit(main())
