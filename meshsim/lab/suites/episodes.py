"""The episodes of a suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.lab.kept import kept_job, perform_all
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshsim.lab.suites.definitions import Case


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
    wanted = [(case, kept_job(folder, case.scenario, case.overrides, seed)) for case in cases for seed in case.seeds]
    perform_all([job for _, job in wanted], advance)
    return [(case, job.out) for case, job in wanted]
