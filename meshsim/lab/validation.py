"""`meshsim validate`: the cases of `sim.validate`, measured in two processes, told in the one form of goals."""

from __future__ import annotations

from concurrent.futures import as_completed
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.lab.bench import answer
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.scenario.topologies.registry import data_folder
from meshsim.sim.validate import choose, drawn, known, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshsim.sim.validate import Case, Row

    Samples = dict[str, list[float]]


def list_cases() -> list[dict[str, str]]:
    """Every case with its formula and source."""
    return [
        {"case": case.slug, "formula": case.formula, "source": case.source} for case in known(data_folder()).values()
    ]


def validate(
    slugs: Sequence[str] = (), *, replications: int = 0, parallel: bool = True, progress: bool = False
) -> dict[str, Any]:
    """Measures cases and holds them to theory.

    Args:
        slugs: Which; all for none.
        replications: Of every case instead of its own number, at least 2, for a quick look; 0 takes its own.
        parallel: Whether to measure in two other processes.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals` (for each case, how many of its quantities miss), `tables` (`quantities`), `machine`, `version`.

    Raises:
        ConfigError: If there is no such case.
    """
    data = data_folder()
    cases = choose(slugs, data)
    measured: dict[str, Samples] = {}
    with bar("validating", shown=progress) as advance:
        for slug, samples in _measured(cases, data, replications, parallel=parallel):
            measured[slug] = samples
            advance(len(measured) / len(cases))
    rows = verdicts(cases, measured, drawn(known(data).values()))
    goals = [judge(case.slug, float(missed(case, rows)), "==", 0.0) for case in cases]
    return answer("validate", goals, {"quantities": [asdict(row) for row in rows]})


def missed(case: Case, rows: Sequence[Row]) -> int:
    """How many quantities of a case are not what theory says."""
    return sum(not row.passed for row in rows if row.case == case.slug)


def measure(slug: str, data: Path | None, replications: int) -> Samples:
    """One case's samples; what a worker does."""
    (case,) = choose([slug], data)
    return case.experiment.sample(replications or case.replications)


def _measured(
    cases: Sequence[Case], data: Path | None, replications: int, *, parallel: bool
) -> Iterator[tuple[str, Samples]]:
    if not parallel:
        yield from ((case.slug, measure(case.slug, data, replications)) for case in cases)
        return
    with workers() as pool:
        jobs = {pool.submit(measure, case.slug, data, replications): case.slug for case in cases}
        yield from ((jobs[job], job.result()) for job in as_completed(jobs))
