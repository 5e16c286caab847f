"""`meshsim validate --media`: the rate control of media under the test cases of RFC 8867, in the one form of goals."""

from __future__ import annotations

import math
from concurrent.futures import as_completed
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.sim.rtc.rmcat import cases, run_case

if TYPE_CHECKING:
    from meshsim.sim.rtc.rmcat import Outcome

UTILISATION, QUEUE, FAIRNESS = 0.80, 0.100, 0.90
"""Goals: share of the capacity that is used, 95th percentile of the queueing delay in seconds, Jain's index."""

SEEDS = 5


def run_seed(seed: int) -> list[Outcome]:
    """All cases with one seed; what a worker does."""
    return [run_case(case, seed) for case in cases()]


def validate_media(seeds: int = SEEDS, *, progress: bool = False) -> dict[str, Any]:
    """Runs the cases with seeds 1 to `seeds` and holds the means to the goals.

    Args:
        seeds: How many runs of each case.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals` (utilisation, queue and fairness of each case), `tables` (`outcomes`: every run), `machine`,
        `version`.
    """
    runs: list[Outcome] = []
    with workers() as pool, bar("RFC 8867", shown=progress) as advance:
        waiting = [pool.submit(run_seed, seed) for seed in range(1, seeds + 1)]
        for done, future in enumerate(as_completed(waiting), start=1):
            runs += future.result()
            advance(done / seeds)
    runs.sort(key=lambda run: (run.case, run.utilisation))
    goals = [goal for case in cases() for goal in _goals(case.slug, [run for run in runs if run.case == case.slug])]
    return answer("validate_media", goals, {"outcomes": [asdict(run) for run in runs]})


def _goals(slug: str, runs: list[Outcome]) -> list[dict[str, Any]]:
    fairness = [run.fairness for run in runs]
    goals = [
        judge(f"rfc8867_{slug}_utilisation", float(np.mean([run.utilisation for run in runs])), ">=", UTILISATION),
        judge(f"rfc8867_{slug}_queue_p95_seconds", float(np.mean([run.queue for run in runs])), "<=", QUEUE),
    ]
    if all(map(math.isnan, fairness)):  # one flow alone
        return goals
    return [*goals, judge(f"rfc8867_{slug}_fairness", float(np.mean(fairness)), ">=", FAIRNESS)]
