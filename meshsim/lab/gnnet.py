"""Our engines beside published packet-level results: `meshsim validate --gnnet DIR`.

Each sample of the GNNet challenge is run packet by packet and told by formula; each flow's mean delay, delay variance
and loss are held beside what OMNeT++ measured, per sample, next to what transmission alone, M/M/1 and M/G/1 would say.
Predictors see graph, routing and traffic, never a result.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.bench import answer
from meshsim.lab.goals import judge
from meshsim.measure.external.gnnet import POLICIES, Place, Sample, find_samples, read_sample
from meshsim.sim.gnnet import MODELS, Outcome, hops_per_second, predict_sample, simulate_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_HOPS = 6e7
"""Packet-hops that a run of a 2022 sample may take: the published spans would take up to 3e9. 2021 runs are whole."""

_2021 = (("delay_mape", 0.02), ("delay_bias", 0.005), ("loss_error", 0.005), ("variance_mape", 0.10))
_FLOW_2021, _PACKET_2022 = 0.025, 0.04
_MODERATE = 3000.0

Row = dict[str, Any]


def compare(
    folder: Path,
    *,
    samples: int | None = None,
    workers: int = 2,
    progress: Callable[[Row], None] | None = None,
) -> dict[str, Any]:
    """Hold both engines to the samples below a folder.

    Errors are means over a sample's flows; goals are means over samples. `..._mape` is a mean absolute relative error,
    `..._bias` the mean relative error, `..._loss_error` the mean absolute difference of the shares lost;
    `packet_unmeasured` counts flows that have a published delay and of which our run delivered nothing: they are left
    out of the errors of delay.

    Args:
        folder: With `results_*.tar.gz`, at any depth.
        samples: Of each folder of archives; all unless given.
        workers: Processes.
        progress: Told each row when it is there.

    Returns:
        `name`, `goals`, `tables` (`samples`), `machine`, `version`.

    Raises:
        ConfigError: If there are no samples, or one cannot be read.
    """
    rows = []
    for row in _rows(_chosen(find_samples(folder), samples), workers):
        rows.append(row)
        if progress is not None:
            progress(row)
    return answer("validate --gnnet", list(_goals(rows)), {"samples": rows})


def _chosen(places: Sequence[Place], samples: int | None) -> list[Place]:
    groups = itertools.groupby(places, key=lambda place: place.archive.parent)
    return [place for _, group in groups for place in itertools.islice(group, samples)]


def _rows(places: Sequence[Place], workers: int) -> Iterator[Row]:
    if workers <= 1:
        yield from map(compare_sample, places)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(compare_sample, places)


def compare_sample(place: Place) -> Row:
    """One sample's row: how far the packet engine, the formulas and the baselines are from what was published."""
    sample = read_sample(place)
    duration = _duration(sample)
    packet = simulate_sample(sample, duration=duration)
    row: Row = {
        "sample": sample.name,
        "year": _year(sample),
        "nodes": len(sample.routers),
        "flows": len(sample.flows),
        "intensity": sample.intensity,
        "published_seconds": sample.duration,
        "simulated_seconds": duration,
        "packet_unmeasured": _unmeasured(sample, packet),
        **{f"packet_{name}": value for name, value in _errors(sample, packet).items()},
        **{f"packet_delay_mape_{policy.lower()}": value for policy, value in _by_policy(sample, packet)},
    }
    for model in MODELS:
        errors = _errors(sample, predict_sample(sample, model))
        row |= {f"{model}_{name}": value for name, value in errors.items() if model == "flow" or name == "delay_mape"}
    return row


def _year(sample: Sample) -> int:
    """In 2021 queues held so many packets, in 2022 so many bits."""
    return 2021 if all(router.buffer_packets > 0 for router in sample.routers) else 2022


def _duration(sample: Sample) -> float:
    most = math.inf if _year(sample) == 2021 else MOST_HOPS  # noqa: PLR2004 - a year
    return min(sample.duration, most / hops_per_second(sample))


def _errors(sample: Sample, outcome: Outcome) -> dict[str, float]:
    delay = _relative(outcome.delay, sample.measured.delay)
    return {
        "delay_mape": _mean(np.abs(delay)),
        "delay_bias": _mean(delay),
        "loss_error": float(np.mean(np.abs(outcome.loss - sample.measured.loss))),
        "variance_mape": _mean(np.abs(_relative(outcome.variance, sample.measured.variance))),
    }


def _unmeasured(sample: Sample, outcome: Outcome) -> int:
    return int(np.count_nonzero((sample.measured.delay > 0.0) & np.isnan(outcome.delay)))


def _by_policy(sample: Sample, outcome: Outcome) -> Iterator[tuple[str, float]]:
    """The error over the flows that cross a queue of each policy."""
    error = np.abs(_relative(outcome.delay, sample.measured.delay))
    policies = [sample.routers[source].policy for source, _ in sample.links]
    for policy in POLICIES:
        crossing = [any(policies[link] == policy for link in flow.route) for flow in sample.flows]
        if any(crossing):
            yield policy, _mean(error[crossing])


def _relative(value: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative error where the published value is one to compare with; NaN elsewhere."""
    return np.asarray(value / np.where(truth > 0.0, truth, np.nan) - 1.0)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _goals(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Goals of the kinds of samples that are there."""
    whole = [row for row in rows if row["year"] == 2021]  # noqa: PLR2004 - a year
    if whole:
        for name, target in _2021:
            yield judge(f"gnnet_2021_packet_{name}", abs(_over(whole, f"packet_{name}")), "<=", target)
        yield judge("gnnet_2021_flow_delay_mape", _over(whole, "flow_delay_mape"), "<=", _FLOW_2021)
    moderate = [row for row in rows if row["year"] == 2022 and row["intensity"] < _MODERATE]  # noqa: PLR2004 - a year
    for intensity, policy in itertools.product(sorted({row["intensity"] for row in moderate}), POLICIES):
        key = f"packet_delay_mape_{policy.lower()}"
        values = [row for row in moderate if row["intensity"] == intensity and key in row]
        if values:
            slug = f"gnnet_2022_packet_delay_mape_{policy.lower()}_{intensity:.0f}"
            yield judge(slug, _over(values, key), "<=", _PACKET_2022)


def _over(rows: Iterable[Row], key: str) -> float:
    return _mean(np.array([row[key] for row in rows], dtype=np.float64))
