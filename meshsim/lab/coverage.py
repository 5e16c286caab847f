"""How often intervals hold what they say: experiments made up by the thousand, whose truth is known.

Behind `meshsim validate --statistics` and the tables of `docs/statistics.md`. A world makes the values of one
experiment: what a seed tells of a metric, or the difference of two policies on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshsim.lab.bench import answer
from meshsim.lab.episodes import workers
from meshsim.lab.goals import judge
from meshsim.lab.progress import bar
from meshsim.measure.stats import (
    Interval,
    bca_interval,
    enough,
    fixed_width,
    mean_interval,
    of_mean,
    of_quantile,
    of_ratio,
    quantile_interval,
)
from meshsim.measure.stats.interval import normal_quantile
from meshsim.measure.stats.replication import AT_LEAST
from meshsim.mesh.seeds import SeedTree

EXPERIMENTS = 2000
"""For each row: the share that covers is then known to half a point (one standard error)."""

SEEDS = (5, 8, 20, 30)
"""Seeds of an experiment."""

MARGIN = 0.02
"""Goal: how far from 95 % the coverage of a 95 % interval may be."""

Sample = NDArray[np.float64]
Method = Callable[[Sample], Interval]

Draw = Callable[[np.random.Generator, tuple[int, int]], Sample]
"""From the shape (R, n) of R experiments of n seeds to values (R, n), or (R, n, 2) for ratios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Experiments whose truth is known.

    Attributes:
        name: Short.
        text: What a seed tells.
        draw: The values of many experiments.
        truth: What intervals are to cover.
        methods: Ways to make an interval, by name, from the values of one experiment.
        told: Which of them is the one that is told of such values.
        held: From how many seeds on it is held to the goal; more than all where it falls short, as is told.
    """

    name: str
    text: str
    draw: Draw
    truth: float
    methods: Mapping[str, Method]
    told: str
    held: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured.

    Attributes:
        world: Its name.
        method: Whose interval.
        seeds: Of each experiment; their mean number where they are taken one by one.
        covered: Share of the experiments whose interval covers the truth.
        width: Mean width of the intervals beside that of the first method's; of stopped ones beside what was asked for.
        held: Whether it is held to the goal.
    """

    world: str
    method: str
    seeds: float
    covered: float
    width: float
    held: bool


# Worlds ---------------------------------------------------------------------------------------------------------------


def _normal(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    return generator.normal(1.0, 2.0, shape)


def _lognormal_pairs(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    """Weather that both meet, times what each makes of it: the second is a fifth worse."""
    weather = generator.lognormal(0.0, 0.5, shape)
    return np.asarray(weather * (generator.lognormal(0.0, 0.3, shape) - 1.2 * generator.lognormal(0.0, 0.3, shape)))


def _call_shares(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    """Poor calls of 200 under two policies; how bad the seed is differs by seed, the second fails seven tenths."""
    bad = generator.beta(2.0, 18.0, shape)
    return np.asarray((generator.binomial(200, bad) - generator.binomial(200, 0.7 * bad)) / 200.0)


_STEPS = np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 1.0, 2.0])


def _ties(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    return generator.choice(_STEPS, shape)


def _lognormal(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    return generator.lognormal(0.0, 1.0, shape)


def _calls(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    """Poor calls and calls; a seed has 200 calls, give or take 60."""
    return _poor_of(generator, generator.poisson(generator.gamma(11.0, 200 / 11, shape)))


def _uneven_calls(generator: np.random.Generator, shape: tuple[int, int]) -> Sample:
    """Poor calls and calls; some seeds have ten times as many calls as others."""
    return _poor_of(generator, 20 + generator.poisson(generator.gamma(2.0, 90.0, shape)))


def _poor_of(generator: np.random.Generator, calls: NDArray[np.int64]) -> Sample:
    poor = generator.binomial(calls, generator.beta(4.0, 36.0, calls.shape))
    return np.stack([poor, calls], axis=-1).astype(np.float64)


def _plain(x: Sample) -> Interval:
    return bca_interval(of_mean(x), len(x), widened=False).interval


def _widened(x: Sample) -> Interval:
    return bca_interval(of_mean(x), len(x)).interval


def _plain_ratio(x: Sample) -> Interval:
    return bca_interval(of_ratio(x[:, 0], x[:, 1]), len(x), widened=False).interval


def _widened_ratio(x: Sample) -> Interval:
    return bca_interval(of_ratio(x[:, 0], x[:, 1]), len(x)).interval


def _ordered(x: Sample) -> Interval:
    return quantile_interval(x, 0.5)


def _plain_median(x: Sample) -> Interval:
    return bca_interval(of_quantile(x, 0.5), len(x), widened=False).interval


def _widened_median(x: Sample) -> Interval:
    return bca_interval(of_quantile(x, 0.5), len(x)).interval


STUDENT, BCA, WIDENED, ORDERED = "Student", "BCa", "BCa widened", "order statistics"

_MEANS = {STUDENT: mean_interval, BCA: _plain, WIDENED: _widened}
_NEVER = SEEDS[-1] + 1


def _mean(name: str, text: str, draw: Draw, truth: float, held: int) -> World:
    return World(name=name, text=text, draw=draw, truth=truth, methods=_MEANS, told=STUDENT, held=held)


def _ratio(name: str, text: str, draw: Draw, held: int) -> World:
    methods = {BCA: _plain_ratio, WIDENED: _widened_ratio}
    return World(name=name, text=text, draw=draw, truth=0.1, methods=methods, told=WIDENED, held=held)


WORLDS = (
    _mean("normal", "normal differences", _normal, 1.0, held=5),
    _mean(
        "lognormal pairs",
        "difference of two log-normal values with shared weather",
        _lognormal_pairs,
        -0.2 * math.exp(0.5**2 / 2 + 0.3**2 / 2),
        held=5,
    ),
    _mean("shares", "difference of two shares of 200 calls", _call_shares, 0.03, held=8),
    _mean("ties", "differences 0, 0, 0, 0, 1, -1, 1, 2 with equal chance", _ties, float(_STEPS.mean()), held=8),
    _mean("skewed", "log-normal values with sigma 1, no pairs", _lognormal, math.exp(0.5), held=_NEVER),
    _ratio("ratio", "poor calls by calls, both summed over seeds of 200 calls, give or take 60", _calls, held=20),
    _ratio("uneven ratio", "the same, some seeds with ten times the calls of others", _uneven_calls, held=_NEVER),
    World(
        name="median",
        text="median of log-normal values",
        draw=_lognormal,
        truth=1.0,
        methods={ORDERED: _ordered, BCA: _plain_median, WIDENED: _widened_median},
        told=ORDERED,
        held=20,
    ),
)
"""The first four are differences of pairs; `skewed` and `uneven ratio` show what no interval mends."""

STOPPED = ("normal", "lognormal pairs", "shares")
"""Worlds in which seeds are added until it is enough."""

TARGETS = (15, 30, 60)
"""Seeds that would be enough if the spread were known: they set the half-widths asked for."""


# Measuring ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """What one worker measures at a time.

    Attributes:
        world: Its name.
        seeds: Of each experiment; where they are stopped, those enough if the spread were known.
        stopped: Whether seeds are added until it is enough.
        experiments: How many.
    """

    world: str
    seeds: int
    stopped: bool
    experiments: int


def tasks(experiments: int = EXPERIMENTS) -> list[Task]:
    """All that is measured.

    >>> len(tasks())
    41
    """
    fixed = [Task(world.name, n, False, experiments) for world in WORLDS for n in SEEDS]
    return [*fixed, *(Task(name, n, True, experiments) for name in STOPPED for n in TARGETS)]


def measure(task: Task) -> list[Row]:
    """How often each method covers the truth in a world."""
    world = next(world for world in WORLDS if world.name == task.world)
    return _measure_stopped(world, task) if task.stopped else _measure_fixed(world, task)


def _measure_fixed(world: World, task: Task) -> list[Row]:
    samples = world.draw(_generator(task), (task.experiments, task.seeds))
    found = {name: [method(sample) for sample in samples] for name, method in world.methods.items()}
    base = _width(next(iter(found.values())))
    return [
        Row(
            world.name,
            name,
            task.seeds,
            _covered(intervals, world.truth),
            _width(intervals) / base,
            held=name == world.told and task.seeds >= world.held,
        )
        for name, intervals in found.items()
    ]


FIXED = "enough, fixed width"
"""What is told of seeds that `enough` ended."""

LONGEST = 8
"""Times the seeds that should be enough, after which a sequence ends."""


def _measure_stopped(world: World, task: Task) -> list[Row]:
    """Naively after every seed from the third on, and by `enough`; what is told of the latter in two ways."""
    samples = world.draw(_generator(task), (task.experiments, LONGEST * task.seeds))
    half = normal_quantile(0.975) * float(samples.std()) / math.sqrt(task.seeds)
    naive = [sample[: _end(sample, half, at_least=3, confirm=0, batch=1)] for sample in samples]
    careful = [sample[: _end(sample, half, at_least=AT_LEAST, confirm=4, batch=4)] for sample in samples]
    told = {
        "stopped at once, Student": (naive, [mean_interval(part) for part in naive]),
        "enough, Student": (careful, [mean_interval(part) for part in careful]),
        FIXED: (careful, [fixed_width(part, half) for part in careful]),
    }
    return [
        Row(
            f"{world.name}, {task.seeds} needed",
            name,
            float(np.mean([len(part) for part in parts])),
            _covered(intervals, world.truth),
            _width(intervals) / (2.0 * half),
            held=name == FIXED,
        )
        for name, (parts, intervals) in told.items()
    ]


def _end(sample: Sample, half: float, *, at_least: int, confirm: int, batch: int) -> int:
    """How many values are taken."""
    n = at_least + confirm
    while n < len(sample) and not enough(sample[:n], half, at_least=at_least, confirm=confirm):
        n += batch
    return min(n, len(sample))


def _generator(task: Task) -> np.random.Generator:
    return SeedTree(1).generator(f"coverage/{task.world}{'/stopped' * task.stopped}", task.seeds)


def _covered(intervals: Sequence[Interval], truth: float) -> float:
    """Share; bounds that are not known cover nothing, rounding of equal bounds hides nothing."""
    slack = 1e-9 * max(abs(truth), 1.0)
    return float(np.mean([found.low - slack <= truth <= found.high + slack for found in intervals]))


def _width(intervals: Sequence[Interval]) -> float:
    return float(np.mean([found.high - found.low for found in intervals]))


def validate_statistics(
    experiments: int = EXPERIMENTS, *, parallel: bool = True, progress: bool = False
) -> dict[str, Any]:
    """Measures the coverage of every interval that is told, and of those that are not, and holds the former to 93-97 %.

    Args:
        experiments: Of each row.
        parallel: Whether to measure in two other processes.
        progress: Whether to show a bar where somebody watches.

    Returns:
        `name`, `goals` (how far each held coverage is from 95 %; after stopping, how far below), `tables` (`coverage`,
        `stopping`), `machine`, `version`.
    """
    todo = tasks(experiments)
    rows: dict[Task, list[Row]] = {}
    with bar("coverage", shown=progress) as advance:
        for task, found in _measured(todo, parallel=parallel):
            rows[task] = found
            advance(len(rows) / len(todo))
    fixed = [row for task in todo for row in rows[task] if not task.stopped]
    stopped = [row for task in todo for row in rows[task] if task.stopped]
    goals = [judge(_slug(row), abs(row.covered - 0.95), "<=", MARGIN) for row in fixed if row.held]
    goals += [judge(_slug(row), row.covered, ">=", 0.95 - MARGIN) for row in stopped if row.held]
    tables = {"coverage": [asdict(row) for row in fixed], "stopping": [asdict(row) for row in stopped]}
    return answer("validate_statistics", goals, tables)


def _measured(todo: Sequence[Task], *, parallel: bool) -> Iterator[tuple[Task, list[Row]]]:
    if not parallel:
        yield from ((task, measure(task)) for task in todo)
        return
    with workers() as pool:
        jobs = {pool.submit(measure, task): task for task in todo}
        yield from ((jobs[job], job.result()) for job in as_completed(jobs))


def _slug(row: Row) -> str:
    words = f"{row.world} {row.method} {row.seeds:.0f}" if row.world in {world.name for world in WORLDS} else row.world
    return "coverage_" + words.replace(",", "").replace(" ", "_").lower()
