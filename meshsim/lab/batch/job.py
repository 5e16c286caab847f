"""What is to be done, and what came of it."""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from meshsim.mesh.errors import MeshSimError

Function: TypeAlias = Callable[[Any], "Outcome"]
"""What a batch does with the `spec` of each job; it is sent to other processes, so that it has a module of its own."""

_TO_BYTES = 1 if sys.platform == "darwin" else 1024


class BatchError(MeshSimError):
    """A batch cannot go on: its folder is another's or in use, its disk is full, its function cannot be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One thing to do.

    Attributes:
        key: What it is: equal keys, equal values.
        cell: The values of the table's key columns: variant, policy, seed.
        spec: What the function is given; picklable.
        again: The command that does it once more.
        label: In words, for people.
    """

    key: str
    cell: Mapping[str, str | int]
    spec: Any
    again: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function finds out.

    Attributes:
        values: A number by column of the table.
        series: Numbers over time by metric: times in seconds and values, equally long.
    """

    values: Mapping[str, float | int]
    series: Mapping[str, tuple[list[float], list[float]]] | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came of one attempt at a job.

    It is in no cycle, so the garbage collector need not look at the hundred thousand of a large batch.

    Attributes:
        key: The job's.
        cell: The job's.
        code: Fingerprint of the code that did it.
        values: By column; None stands for NaN. Empty if it failed.
        series: Times and values by metric.
        failure: Why it failed, in one line; empty if it did not.
        detail: The traceback of a failure.
        died: Whether the process that did it died: nobody knows what would have come of it.
        attempt: Counted from 1.
        began: Unix time, seconds.
        seconds: Wall time.
        memory: Most memory that the process has had so far, bytes.
        host: Where.
        pid: Of the process.
        again: The command that does it once more.
    """

    key: str
    cell: dict[str, str | int]
    code: str
    values: dict[str, float | int | None] = {}
    series: dict[str, tuple[list[float], list[float | None]]] = {}
    failure: str = ""
    detail: str = ""
    died: bool = False
    attempt: int = 1
    began: float = 0.0
    seconds: float = 0.0
    memory: int = 0
    host: str = ""
    pid: int = 0
    again: str = ""

    @property
    def is_final(self) -> bool:
        """Whether it need not be done again: it was done, and nothing failed."""
        return not self.failure


def attempt(function: Function, job: Job, *, code: str, number: int) -> Record:
    """Does a job once; whatever it raises becomes a failed record, but for an interrupt."""
    began, started = time.time(), time.perf_counter()
    told: dict[str, Any] = {}
    try:
        outcome = function(job.spec)
        told["values"] = {name: _plain(value) for name, value in outcome.values.items()}
        told["series"] = {
            name: (times, [_plain(value) for value in values])
            for name, (times, values) in (outcome.series or {}).items()
        }
    except Exception as error:  # noqa: BLE001 - a record says what; the other jobs go on
        told["failure"] = f"{type(error).__name__}: {error}" if not isinstance(error, MeshSimError) else str(error)
        told["detail"] = traceback.format_exc()
    return Record(
        key=job.key,
        cell=dict(job.cell),
        code=code,
        attempt=number,
        began=began,
        seconds=time.perf_counter() - started,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _TO_BYTES,
        host=socket.gethostname(),
        pid=os.getpid(),
        again=job.again,
        **told,
    )


def lost(job: Job, why: str, *, died: bool, code: str, number: int, seconds: float) -> Record:
    """The record of an attempt whose process is gone: it died, or it was ended for taking too long."""
    return Record(
        key=job.key,
        cell=dict(job.cell),
        code=code,
        failure=why,
        died=died,
        attempt=number,
        began=time.time() - seconds,
        seconds=seconds,
        host=socket.gethostname(),
        again=job.again,
    )


def _plain(value: float) -> float | int | None:
    """A number as JSON has it; NaN is null.

    Raises:
        BatchError: If it is infinite: no mean over seeds could be taken of it.
    """
    if isinstance(value, int):
        return value
    number = float(value)
    if math.isinf(number):
        raise BatchError(f"infinite: {number}")
    return None if math.isnan(number) else number
