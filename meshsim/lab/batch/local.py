"""Processes on this machine, each with a shard of its own; one that dies is replaced, and costs the job it was at."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.lab.batch.job import BatchError, Record, attempt, lost
from meshsim.lab.batch.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from meshsim.lab.batch.job import Function, Job

_STILLBORN = 3
"""How many processes in a row may end before they begin; then none will: what begins them is wrong."""

_MOMENT = 0.5
"""Seconds after which clocks are looked at again."""


@dataclass(slots=True)
class _Worker:
    """A process, whether it has begun, what it is at, and since when (monotonic seconds)."""

    process: SpawnProcess
    line: Connection
    job: Job | None = None
    number: int = 0
    since: float = 0.0
    begun: bool = False


class LocalPool:
    """Does jobs in processes that are begun afresh (a fork of a process that runs torch could hang).

    Args:
        function: What is done with each job.
        shards: Folder of the records; every worker appends to a shard of its own.
        code: Fingerprint of the code.
        workers: How many processes at most; as many as there are cores when None.
        timeout: Seconds after which a job is given up and its process ended.

    Raises:
        BatchError: If the function cannot be sent to another process.
    """

    def __init__(self, function: Function, shards: Path, code: str, workers: int | None, timeout: float | None) -> None:
        _check(function)
        self._function, self._shards, self._code, self._timeout = function, shards, code, timeout
        self._context = multiprocessing.get_context("spawn")
        self._own: Shard | None = None
        self._workers: list[_Worker] = []
        self._stillborn = 0
        self.slots = workers or len(os.sched_getaffinity(0))

    @property
    def busy(self) -> int:
        """Workers that are at something."""
        return sum(worker.job is not None for worker in self._workers)

    def submit(self, job: Job, number: int) -> None:
        """Gives a job to a worker that has none; one is begun where there are not enough.

        Raises:
            BatchError: If the job cannot be sent to another process.
        """
        worker = next((worker for worker in self._workers if worker.job is None), None)
        if worker is None:
            worker = self._begin(len(self._workers))
            self._workers.append(worker)
        worker.job, worker.number, worker.since = job, number, time.monotonic()
        try:
            worker.line.send((job, number))
        except (BrokenPipeError, ConnectionResetError):
            return  # it is dead: `wait` will notice
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            worker.job = None
            raise BatchError(f"{job.label or job.key} cannot be sent to another process: {error}") from error

    def wait(self) -> list[Record]:
        """What has come of jobs since; workers that died or took too long are replaced."""
        ready = wait([part for worker in self._workers for part in (worker.line, worker.process.sentinel)], _MOMENT)
        return [record for slot, worker in enumerate(self._workers) for record in self._look(slot, worker, ready)]

    def _look(self, slot: int, worker: _Worker, ready: Sequence[Any]) -> list[Record]:
        """What has come of the job of one worker, if anything."""
        dead = worker.process.sentinel in ready
        if worker.line in ready:
            try:
                return self._heard(worker, worker.line.recv())
            except (EOFError, OSError, pickle.UnpicklingError):
                dead = True
        if dead:
            worker.process.join()
            return self._replace(slot, f"its process died ({_ending(worker.process)})", died=True)
        if self._is_late(worker):
            worker.process.kill()
            worker.process.join()
            return self._replace(slot, f"not done after {self._timeout:g} s", died=False)
        return []

    def _heard(self, worker: _Worker, told: Record | str | None) -> list[Record]:
        """Takes what a worker says: a record, why it cannot go on, or nothing but that it has begun."""
        if isinstance(told, str):
            raise BatchError(told)
        if told is None:
            worker.begun, worker.since = True, time.monotonic()
            self._stillborn = 0
            return []
        worker.job = None
        return [told]

    def _is_late(self, worker: _Worker) -> bool:
        at_it = worker.job is not None and worker.begun and self._timeout is not None
        return at_it and time.monotonic() - worker.since > (self._timeout or 0.0)

    def _replace(self, slot: int, why: str, *, died: bool) -> list[Record]:
        """Begins a worker in the place of a dead one; the record of what it was at, if anything."""
        dead = self._workers[slot]
        dead.line.close()
        self._stillborn += not dead.begun
        if self._stillborn >= _STILLBORN:
            why = _ending(dead.process)
            raise BatchError(f"processes end before they begin ({why}): can the main program be imported?")
        self._workers[slot] = self._begin(slot)
        if dead.job is None:
            return []
        seconds = time.monotonic() - dead.since
        record = lost(dead.job, why, died=died, code=self._code, number=dead.number, seconds=seconds)
        self._own = self._own or Shard(self._shards, "driver")
        self._own.append(record)
        return [record]

    def _begin(self, slot: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(self._function, self._shards, f"worker-{slot}", self._code, theirs), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def close(self) -> None:
        """Ends all processes; what they were at is lost."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.line.close()
        if self._own is not None:
            self._own.close()


def _work(function: Function, shards: Path, name: str, code: str, line: Connection) -> None:
    """What a worker does until nobody gives it anything any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver ends its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    shard = Shard(shards, name)
    line.send(None)
    while True:
        try:
            job, number = line.recv()
        except EOFError:
            return
        record = attempt(function, job, code=code, number=number)
        told: Any = record
        try:
            shard.append(record)
        except BatchError as error:
            told = str(error)
        line.send(told)


def _die_with_parent() -> None:
    """Ends this process when the driver is gone: nobody waits for what it does."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _check(function: Function) -> None:
    """Refuses a function that other processes cannot be given.

    Raises:
        BatchError: If it cannot be pickled, or is defined in a notebook or at a prompt, which no file tells.
    """
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise BatchError(f"{function!r} cannot be sent to other processes: {error}") from error
    if function.__module__ == "__main__" and not Path(getattr(sys.modules["__main__"], "__file__", "")).is_file():
        raise BatchError(f"{function!r} cannot be sent to other processes: put it into a module and import it here")


def _ending(process: SpawnProcess) -> str:
    code = process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
