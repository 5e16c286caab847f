"""Episodes that are simulated once: two at a time, and kept by what they are and which code made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.lab.batch import code_fingerprint, key_of
from meshsim.lab.episodes import Job, perform, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

DONE = "header.json"
"""What a trace has when it is whole."""


def kept_job(folder: Path, scenario: str, overrides: Sequence[str], seed: int) -> Job:
    """The job of an episode whose trace is kept below `folder`."""
    said = {"scenario": scenario, "overrides": list(overrides), "seed": seed, "code": code_fingerprint()}
    return Job(scenario=scenario, seed=seed, out=folder / key_of(said), overrides=tuple(overrides))


def perform_all(jobs: Iterable[Job], advance: Callable[[float], None]) -> None:
    """Performs those jobs whose traces are not there yet.

    Args:
        jobs: Each with a folder of its own.
        advance: Told the share done, in [0, 1].
    """
    left = [job for job in jobs if not (job.out / DONE).exists()]
    if len(left) == 1:  # a process of its own would take longer to begin than it saves
        perform(left[0])
        advance(1.0)
        return
    with workers() as pool:
        for number, _ in enumerate(pool.map(perform, left), start=1):
            advance(number / len(left))
