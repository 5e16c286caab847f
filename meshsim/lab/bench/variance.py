"""`meshsim bench variance`: what common random numbers are worth when two policies are compared.

Both policies live through the same episodes: graph, calls, churn and congestion are draws that no decision shifts. The
variance of the paired differences is held against that of differences between other seeds.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.episodes import Job, perform, workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import pairing
from meshsim.measure.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

POLICIES = ("weighted", "shortest")
PRESET = "smoke"
SEEDS = 30
METRIC = "poor_call_rate"
"""What the goal is about: the share of poor calls, which experiments compare policies by."""


def run(*, quick: bool = False, progress: bool = False) -> dict[str, Any]:
    """Lives every seed under both policies.

    Args:
        quick: Few seeds: whether everything runs.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals`, `tables`, `machine`, `version`.
    """
    seeds = range(1, (4 if quick else SEEDS) + 1)
    with bar("episodes", shown=progress) as advance, tempfile.TemporaryDirectory() as folder:
        values: dict[str, list[dict[str, float]]] = {policy: [] for policy in POLICIES}
        for done, (policy, measured) in enumerate(_episodes(seeds, Path(folder))):
            values[policy].append(measured)
            advance((done + 1) / (len(seeds) * len(POLICIES)))
    rows = compared(*values.values())
    gain = next((row["gain"] for row in rows if row["metric"] == METRIC), math.nan)
    return answer("variance", [judge("paired_variance_ratio", gain, ">=", 5.0)], {"paired": rows})


def compared(one: Sequence[dict[str, float]], other: Sequence[dict[str, float]]) -> list[dict[str, Any]]:
    """A row for each metric that varies: mean difference, its interval, and how much pairing gains.

    Args:
        one: Metrics of each seed under one policy.
        other: Of the same seeds, in the same order, under the other.
    """
    rows = []
    for metric in one[0]:
        a, b = ([float(values[metric]) for values in each] for each in (one, other))
        pairs = pairing(a, b)
        if not np.var([a, b], axis=1).any():
            continue
        rows.append(
            {
                "metric": metric,
                "goal": metric == METRIC,
                "seeds": len(a),
                "difference": pairs.difference.mean,
                "low": pairs.difference.low,
                "high": pairs.difference.high,
                "paired_variance": pairs.paired_variance,
                "unpaired_variance": pairs.unpaired_variance,
                "gain": pairs.gain,
            }
        )
    return rows


def _episodes(seeds: Sequence[int], folder: Path) -> Iterator[tuple[str, dict[str, float]]]:
    """Metrics of every episode, seed by seed, in two other processes."""
    jobs = [
        Job(scenario=PRESET, seed=seed, out=folder / f"{policy}-{seed}", overrides=(f"routing.policy={policy}",))
        for seed, policy in itertools.product(seeds, POLICIES)
    ]
    with workers() as pool:
        for job, _ in zip(jobs, pool.map(perform, jobs), strict=True):
            trace = Trace(job.out)
            values = {name: METRICS[name].value(trace) for name in METRICS}
            yield job.overrides[0].partition("=")[2], values
