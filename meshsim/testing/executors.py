"""The contract of an executor of batches, as tests: subclass `ExecutorContract` and name the executor.

class TestPool(ExecutorContract):
    executor = "pool"
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from meshsim.lab.batch import Job, Outcome, Settings, Store, chosen, key_of, perform, tables
from meshsim.lab.batch.tables import Column

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.lab.batch import Record

_KEYS = (Column("n", "1", "number of the job", pa.int64()),)
_COLUMNS = (Column("third", "1", "of its square", pa.float64()), Column("nothing", "1", "NaN", pa.float64()))
_JOBS = 12
_CODE = "contract"


def third(spec: tuple[int, str]) -> Outcome:
    """What the jobs do: a third of a square, or trouble."""
    number, trouble = spec
    if trouble == "raise":
        raise ValueError("no third of that")
    if trouble == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome({"third": number * number / 3.0, "nothing": float("nan")})


class ExecutorContract:
    """What every executor promises.

    Attributes:
        executor: Its name in `EXECUTORS`, or that of its entry point.
        outlives: Whether the batch outlives a job that kills its process; not so where that is the driver's own.
    """

    executor: ClassVar[str]
    outlives: ClassVar[bool] = True

    def test_its_table_is_that_of_one_process_byte_for_byte(self, tmp_path: Path) -> None:
        """Whoever does the jobs, in whatever order."""
        assert _performed("serial", {}, tmp_path / "serial")[:2] == _performed(self.executor, {}, tmp_path / "its")[:2]

    def test_a_job_that_fails_is_told_with_its_traceback_and_the_others_are_done(self, tmp_path: Path) -> None:
        """As often as it may be tried, and no more."""
        _, done, (failed,) = _performed(self.executor, {3: "raise"}, tmp_path / "its")
        assert (failed.cell["n"], failed.failure, failed.died) == (3, "ValueError: no third of that", False)
        assert "in third" in failed.detail
        assert (failed.attempt, done) == (2, _JOBS - 1)

    def test_a_job_that_kills_its_process_is_told_and_the_others_are_done(self, tmp_path: Path) -> None:
        """It may cost others their process, too, but never their result."""
        if self.outlives:
            _, done, (failed,) = _performed(self.executor, {5: "die"}, tmp_path / "its")
            assert (failed.cell["n"], failed.died, done) == (5, True, _JOBS - 1)


def _performed(executor: str, troubles: dict[int, str], folder: Path) -> tuple[bytes, int, list[Record]]:
    """The table of a batch, how many rows it has, and what failed for good."""
    jobs = [
        Job(key=key_of({"n": number}), cell={"n": number}, spec=(number, troubles.get(number, "")))
        for number in range(_JOBS)
    ]
    store = Store(folder, "contract")
    failed = perform(third, jobs, store, _CODE, Settings(executor=executor, workers=2, retries=1))
    done, _ = chosen(store.records(), _CODE)
    tables.write(tables.runs(_KEYS, _COLUMNS, jobs, done), folder / "runs.parquet")
    return (folder / "runs.parquet").read_bytes(), len(done), failed
