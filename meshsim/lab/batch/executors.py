"""Who does the jobs of a batch. Add one: a class like these, a line of `EXECUTORS.add`, and `ExecutorContract`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshsim.lab.batch.job import Record, attempt
from meshsim.lab.batch.local import LocalPool
from meshsim.lab.batch.ray import RayCluster
from meshsim.lab.batch.shard import Shard
from meshsim.mesh.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshsim.lab.batch.job import Function, Job


class Executor(Protocol):
    """Does jobs; a record that `wait` gives is on the disk."""

    @property
    def busy(self) -> int:
        """Jobs that it has taken and not yet given back."""

    @property
    def slots(self) -> int:
        """Jobs that it can do at a time."""

    def submit(self, job: Job, number: int) -> None:
        """Takes a job for its `number`-th attempt; there is a slot free."""

    def wait(self) -> Sequence[Record]:
        """Waits until something has come of a job, or a moment has passed."""

    def close(self) -> None:
        """Ends what is being done, without waiting for it."""


class Serial:
    """Does jobs in this process, one after the other.

    Args:
        function: What is done with each.
        shards: Folder of the records.
        code: Fingerprint of the code.
        workers: Not asked: there is one.
        timeout: Not held to: nobody is beside to look at the clock.
    """

    slots = 1

    def __init__(self, function: Function, shards: Path, code: str, workers: int | None, timeout: float | None) -> None:
        del workers, timeout
        self._function, self._code = function, code
        self._shard = Shard(shards, "serial")
        self._taken: tuple[Job, int] | None = None

    @property
    def busy(self) -> int:
        """One or none."""
        return int(self._taken is not None)

    def submit(self, job: Job, number: int) -> None:
        """Keeps it for `wait`."""
        self._taken = job, number

    def wait(self) -> list[Record]:
        """Does the job that was taken."""
        assert self._taken is not None  # noqa: S101 - narrows the type for mypy
        (job, number), self._taken = self._taken, None
        record = attempt(self._function, job, code=self._code, number=number)
        self._shard.append(record)
        return [record]

    def close(self) -> None:
        """Lets go of the shard."""
        self._shard.close()


EXECUTORS: Registry[Callable[[Function, Path, str, int | None, float | None], Executor]] = Registry("executor")
EXECUTORS.add("serial", Serial)
EXECUTORS.add("local", LocalPool)
EXECUTORS.add("ray", RayCluster)
