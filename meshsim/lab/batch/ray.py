"""A Ray cluster, or one of its own on this machine; records come back to this process, which alone writes them.

Ray itself retries nothing: a job whose worker or node is gone is told as lost, and the engine decides.
"""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshsim.lab.batch.fingerprint import code_fingerprint
from meshsim.lab.batch.job import BatchError, Record, attempt, lost
from meshsim.lab.batch.shard import Shard
from meshsim.mesh.errors import MissingExtra

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.lab.batch.job import Function, Job

ADDRESS = "RAY_ADDRESS"
"""Environment variable of the cluster to use; one is begun on this machine where it is not set."""

_MOMENT = 0.5
"""Seconds after which `wait` gives the engine a turn."""

_STORE_BYTES = 80 * 2**20
"""Ray's shared memory on this machine: nothing large goes through it, and no less is allowed."""

_SLOW_START = "100000"
"""Milliseconds that Ray's own parts may take to begin; by default a loaded machine is too slow."""


@dataclass(frozen=True, slots=True)
class _Flight:
    """A job that the cluster has, its attempt, and since when (monotonic seconds)."""

    job: Job
    number: int
    since: float


class RayCluster:
    """Does jobs on a Ray cluster, a CPU each; a node that vanishes costs the jobs it was at.

    Args:
        function: What is done with each job; importable on all nodes, or sent along.
        shards: Folder of the records, on the machine of this process.
        code: Fingerprint of the code.
        workers: Jobs at a time; as many as the cluster has CPUs when None.
        timeout: Seconds after which the process of a job ends itself.

    Raises:
        MissingExtra: If Ray is absent.
        BatchError: If the cluster cannot be reached, or the function cannot be sent there.
    """

    def __init__(self, function: Function, shards: Path, code: str, workers: int | None, timeout: float | None) -> None:
        self._ray, self._code, self._timeout = _ray(), code, timeout
        self._own: str | None = None
        self._shard = Shard(shards, "driver")
        self._flying: dict[Any, _Flight] = {}
        self._joined = not self._ray.is_initialized()
        try:
            if self._joined:
                self._join(workers)
            self._function = self._sent(function, repr(function))
            self._work = self._ray.remote(num_cpus=1, max_retries=0)(_work)
            self.slots = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        except BaseException:
            self.close()
            raise

    @property
    def busy(self) -> int:
        """Jobs that the cluster has."""
        return len(self._flying)

    def _join(self, workers: int | None) -> None:
        """Connects to the cluster that is named, or begins one."""
        address = os.environ.get(ADDRESS)
        said: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        if address:
            said |= {"address": address}
        else:
            self._own = tempfile.mkdtemp(prefix="meshsim-ray-", dir="/tmp")  # the path of a socket has 107 bytes
            said |= {"address": "local", "num_cpus": workers, "include_dashboard": False, "_temp_dir": self._own}
            said |= {"object_store_memory": _STORE_BYTES}
        try:
            self._ray.init(**said)
        except Exception as error:
            where = f"the Ray cluster at {address}" if address else "a Ray cluster on this machine"
            raise BatchError(f"{where} cannot be had: {_line(error)}{_hint(address)}") from error

    def _sent(self, thing: Any, name: str) -> Any:
        try:
            return self._ray.put(thing)
        except Exception as error:
            raise BatchError(f"{name} cannot be sent to other processes: {_line(error.__cause__ or error)}") from error

    def submit(self, job: Job, number: int) -> None:
        """Gives a job to the cluster.

        Raises:
            BatchError: If the job cannot be sent to another process.
        """
        sent = self._sent(job, job.label or job.key)
        reference = self._work.remote(self._function, sent, self._code, number, code_fingerprint(), self._timeout)
        self._flying[reference] = _Flight(job, number, time.monotonic())

    def wait(self) -> list[Record]:
        """What has come of a job since, if anything."""
        ready, _ = self._ray.wait(list(self._flying), num_returns=1, timeout=_MOMENT)
        return [self._landed(reference, self._flying.pop(reference)) for reference in ready]

    def _landed(self, reference: Any, flight: _Flight) -> Record:
        """The record of a job that has come back, or is lost.

        Raises:
            BatchError: If no job could be done there: other code, a missing module, a wrong token.
        """
        failures = self._ray.exceptions
        try:
            record: Record = self._ray.get(reference)
        except failures.RayTaskError as error:
            raise BatchError(f"a node of the cluster cannot do the jobs: {_line(error.cause)}") from error
        except (failures.AuthenticationError, failures.LocalRayletDiedError) as error:
            raise BatchError(f"the Ray cluster is gone: {_line(error)}") from error
        except failures.RayError as error:
            record = self._lost(flight, error)
        self._shard.append(record)
        return record

    def _lost(self, flight: _Flight, error: Exception) -> Record:
        """The record of a job whose process is gone: it took too long, or nobody knows why."""
        seconds = time.monotonic() - flight.since
        late = self._timeout is not None and seconds >= self._timeout
        why = f"not done after {self._timeout:g} s" if late else f"its process died ({type(error).__name__})"
        return lost(flight.job, why, died=not late, code=self._code, number=flight.number, seconds=seconds)

    def close(self) -> None:
        """Ends what is being done, lets go of the cluster, and ends it if it was begun here."""
        self._shard.close()
        for reference in self._flying:
            self._ray.cancel(reference, force=True)
        self._flying.clear()
        if self._joined:
            self._ray.shutdown()
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)


def _work(function: Function, job: Job, code: str, number: int, ours: str, timeout: float | None) -> Record:
    """What a worker of the cluster does with a job; the alarm ends the process even inside compiled code."""
    if code_fingerprint() != ours:
        raise BatchError(f"meshsim or a library is of another version on {os.uname().nodename}; install the same there")
    signal.setitimer(signal.ITIMER_REAL, timeout or 0.0)
    try:
        return attempt(function, job, code=code, number=number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _ray() -> Any:
    """The package; what it reads of the environment it reads when it is imported.

    Raises:
        MissingExtra: If it is absent.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" not in sys.modules and not os.environ.get(ADDRESS):
        _prepare()
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtra("ray", "ray") from error


def _prepare() -> None:
    """A cluster of our own stays on the loopback, has a token, as others may use this machine, and may begin slowly."""
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_agent_register_timeout_ms", _SLOW_START)
    if "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _hint(address: str | None) -> str:
    if not address:
        return ""
    return f"; {ADDRESS} names it, RAY_AUTH_MODE=token with RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH its token"


def _line(error: BaseException) -> str:
    """What an error says, in a line."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
