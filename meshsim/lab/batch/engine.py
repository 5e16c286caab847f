"""Does the jobs of a batch that are not done yet, again where they failed, until nothing is left to do."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.lab.batch.executors import EXECUTORS
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.lab.batch.executors import Executor
    from meshsim.lab.batch.job import Function, Job, Record
    from meshsim.lab.batch.store import Store

DEATHS = 3
"""How often a job may lose its process before it is given up: it may be what ends them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a batch is done.

    Attributes:
        executor: One of `EXECUTORS`.
        workers: Jobs at a time; as many as there are cores, or CPUs of the cluster, when None.
        retries: How often a job that failed is tried again.
        timeout: Seconds after which a job is given up; None for never.
        fail_fast: Whether the first job that fails for good ends the batch.
    """

    executor: str = "serial"
    workers: int | None = None
    retries: int = 0
    timeout: float | None = None
    fail_fast: bool = False

    def __post_init__(self) -> None:
        if self.timeout is not None and self.executor == "serial":
            raise ConfigError("nobody can end a job of this process", key="--timeout", allowed=["--executor local"])
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"{self.workers} workers do nothing", key="--workers", allowed=["1 or more"])


@dataclass(slots=True)
class _Tries:
    """What has become of a job so far."""

    attempts: int = 0
    failures: int = 0
    deaths: int = 0


@dataclass(slots=True)
class _Progress:
    waiting: deque[Job]
    tries: dict[str, _Tries] = field(default_factory=dict)
    failed: list[Record] = field(default_factory=list)


def perform(
    function: Function,
    jobs: Sequence[Job],
    store: Store,
    code: str,
    settings: Settings,
    advance: Callable[[Record], None] = lambda _: None,
) -> list[Record]:
    """Does all of `jobs`; their records are in the store's shards.

    Args:
        function: What is done with the `spec` of each.
        jobs: Each key once; who has been done before is not among them.
        store: Where records go.
        code: Fingerprint of the code, kept with each record.
        settings: How.
        advance: Told of each attempt when it is on the disk.

    Returns:
        The last records of the jobs that failed for good.

    Raises:
        BatchError: If the batch cannot go on; what was done is on the disk.
        ConfigError: If there is no such executor.
    """
    if not jobs:
        return []
    make = EXECUTORS[settings.executor]
    executor = make(function, store.shards, code, settings.workers, settings.timeout)
    progress = _Progress(deque(jobs))
    try:
        by_key = {job.key: job for job in jobs}
        while progress.waiting or executor.busy:
            _fill(executor, progress)
            for record in executor.wait():
                advance(record)
                _judge(record, by_key[record.key], progress, settings)
            if progress.failed and settings.fail_fast:
                break
    finally:
        executor.close()
    return progress.failed


def _fill(executor: Executor, progress: _Progress) -> None:
    while progress.waiting and executor.busy < executor.slots:
        job = progress.waiting.popleft()
        tries = progress.tries.setdefault(job.key, _Tries())
        tries.attempts += 1
        executor.submit(job, tries.attempts)


def _judge(record: Record, job: Job, progress: _Progress, settings: Settings) -> None:
    """Has a job that failed tried again, or not: a lost process is not the job's failure, until it is too often."""
    if record.is_final:
        return
    tries = progress.tries[job.key]
    tries.deaths += record.died
    tries.failures += not record.died
    if tries.failures > settings.retries or tries.deaths >= DEATHS:
        progress.failed.append(record)
    else:
        progress.waiting.append(job)
