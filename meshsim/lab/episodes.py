"""One episode as a job for another process. Light to import: a worker needs the simulator and nothing of the lab."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from meshsim.routing.policies import load_model
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One episode to simulate, in whatever process.

    Attributes:
        scenario: A preset's name.
        seed: Of the episode.
        out: Folder of its trace.
        overrides: `key=value` each.
        model: Artefact for the learned policy; None for the scenario's own.
    """

    scenario: str
    seed: int
    out: Path
    overrides: tuple[str, ...] = ()
    model: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What a job left, and how long it took: seconds of wall time."""

    job: Job
    sha256: str
    seconds: float


def perform(job: Job) -> Simulated:
    """Simulates one episode."""
    started = time.perf_counter()
    plan = compile_plan(load(job.scenario, job.overrides), job.seed)
    result = simulate(plan, job.out, policy=None if job.model is None else load_model(job.model))
    return Simulated(job=job, sha256=result.trace_sha256, seconds=time.perf_counter() - started)


def workers() -> ProcessPoolExecutor:
    """Processes to `perform` in, begun afresh: a fork of a process that runs torch could hang."""
    return ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))
