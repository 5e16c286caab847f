"""The episodes of a suite, simulated once: two at a time, and kept by what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.lab.batch import code_fingerprint, key_of
from meshsim.lab.episodes import Job, perform, workers
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from meshsim.lab.suites.definitions import Case

DONE = "header.json"


def lacking(case: Case) -> str:
    """Why the graph of a world cannot be read here (measured ones lie in a folder of data); nothing if it can."""
    try:
        load(case.scenario, case.overrides).topology(case.seeds[0])
    except ConfigError as error:
        return error.message
    return ""


def simulated(cases: Sequence[Case], folder: Path, advance: Callable[[float], None]) -> list[tuple[Case, Path]]:
    """A trace for each seed of each case, in their order; those that `folder` holds are not made again.

    Args:
        cases: Worlds.
        folder: Where traces go, each under the key of its world, its seed and the code.
        advance: Told the share done, in [0, 1].
    """
    wanted = [
        (case, Job(scenario=case.scenario, seed=seed, out=_place(folder, case, seed), overrides=case.overrides))
        for case in cases
        for seed in case.seeds
    ]
    perform_all([job for _, job in wanted], advance)
    return [(case, job.out) for case, job in wanted]


def perform_all(jobs: Iterable[Job], advance: Callable[[float], None]) -> None:
    """Performs those jobs whose traces are not there yet."""
    left = [job for job in jobs if not (job.out / DONE).exists()]
    if len(left) == 1:  # a process of its own would take longer to begin than it saves
        perform(left[0])
        advance(1.0)
        return
    with workers() as pool:
        for number, _ in enumerate(pool.map(perform, left), start=1):
            advance(number / len(left))


def _place(folder: Path, case: Case, seed: int) -> Path:
    said = {"scenario": case.scenario, "overrides": list(case.overrides), "seed": seed, "code": code_fingerprint()}
    return folder / key_of(said)
