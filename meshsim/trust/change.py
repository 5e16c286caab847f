"""When did a node begin to fail more often? Cumulative sums of log likelihood ratios, and how long they take, exactly.

After each outcome S = max(0, S + log(changed / normal)); at a limit the chart raises an alarm (E. S. Page, "Continuous
inspection schemes", Biometrika 41, 1954). An outcome is graded in `levels` steps: of that many parts of a call so many
went well. Parts of one call are alike, so their number is beta-binomial (J. G. Skellam, J. R. Stat. Soc. B 10, 1948)
with the intraclass correlation `alike`; with one level an outcome is binary and this is the Bernoulli distribution.

Weights are rounded to sixteenths of a nat: S walks on a lattice, and its run lengths are those of an absorbing Markov
chain (D. Brook, D. A. Evans, "An approach to the probability distribution of cusum run length", Biometrika 59, 1972),
without error but that of the arithmetic.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NORMAL, CHANGED = 0.05, 0.40
"""Shares of failures that are told apart unless said otherwise."""

FALSE_ALARMS = 1e-4
"""Alarms for each outcome of a node that behaves as ever, at most, unless said otherwise."""

ALIKE = 0.5
"""Correlation of the parts of one call: what goes wrong for one part of a call mostly goes wrong for the others."""

LEVELS = 20
"""Steps of a grade, unless said otherwise: parts of a few seconds in the calls that people make."""

MOST_LEVELS = 100
"""Steps of a grade at most: finer ones tell nothing, and take longer to design for."""

STEP = 1.0 / 16.0
"""The lattice: weights are whole multiples of so many nats."""

_LONGEST = 512  # steps of a limit: 32 nats, beyond which run lengths are too long for the arithmetic
_SETTLED = 1024  # outcomes after which it no longer matters where a chart began
_OUTCOMES = 1 << 20  # within which a run length's quantile is looked for


class Chart(NamedTuple):
    """A CUSUM chart: what each grade adds, and where the alarm is.

    Attributes:
        weights: What an outcome of grade k / L adds, in steps, for k = 0 .. L; falls with the grade.
        limit: The sum that raises the alarm, in steps.
    """

    weights: tuple[int, ...]
    limit: int

    def add(self, grade: float) -> int:
        """Steps that an outcome of this grade, from 0 to 1, adds.

        >>> chart = Chart(weights=(33, -7), limit=80)
        >>> chart.add(0.0), chart.add(1.0)
        (33, -7)
        """
        return self.weights[round(grade * (len(self.weights) - 1))]


class RunLength(NamedTuple):
    """How many outcomes pass until the alarm, from the outcome on that is the first of its kind.

    Attributes:
        mean: Average, the chart's ARL.
        median: Within so many outcomes half of all alarms are raised.
        p95: The same for 95 % of them.
    """

    mean: float
    median: int
    p95: int


def grade_shares(failures: float, levels: int = 1, alike: float = ALIKE) -> NDArray[np.float64]:
    """Probabilities of the grades 0, 1 / levels .. 1 where a part of a call fails with probability `failures`.

    Args:
        failures: Within (0, 1).
        levels: Parts of a call, at least 1.
        alike: Intraclass correlation of the parts, within (0, 1); without effect on one part.

    Returns:
        float64, shape (levels + 1,): beta-binomial, with a = (1 - failures) (1 / alike - 1), b likewise.

    >>> grade_shares(0.25)
    array([0.25, 0.75])
    """
    scale = 1.0 / alike - 1.0
    a, b = (1.0 - failures) * scale, failures * scale
    well = range(levels + 1)
    logs = [math.log(math.comb(levels, k)) + _log_beta(k + a, levels - k + b) - _log_beta(a, b) for k in well]
    return np.exp(logs)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


@lru_cache(maxsize=64)
def design(
    *,
    normal: float = NORMAL,
    changed: float = CHANGED,
    levels: int = 1,
    alike: float = ALIKE,
    false_alarms: float = FALSE_ALARMS,
) -> Chart:
    """The chart that tells `changed` from `normal` soonest with no more than so many false alarms.

    Args:
        normal: Share of failures before the change.
        changed: Share of failures after it, more than before.
        levels: Steps of the grade, at most `MOST_LEVELS`; 1 for binary outcomes.
        alike: See `grade_shares`.
        false_alarms: For each outcome before the change: the inverse of the mean run length without change.

    Raises:
        ValueError: If the arguments say nothing that could be told apart, or no limit keeps the false alarms.

    >>> design()
    Chart(weights=(33, -7), limit=117)
    """
    if not (
        0.0 < normal < changed < 1.0 and 1 <= levels <= MOST_LEVELS and 0.0 < alike < 1.0 and 0.0 < false_alarms < 1.0
    ):
        raise ValueError(f"no change to detect: {normal=}, {changed=}, {levels=}, {alike=}, {false_alarms=}")
    before = grade_shares(normal, levels, alike)
    ratio = np.log(grade_shares(changed, levels, alike) / before)
    weights = tuple(int(steps) for steps in np.round(ratio / STEP))

    def keeps(limit: int) -> bool:
        return mean_run(Chart(weights, limit), before) >= 1.0 / false_alarms

    enough = 1  # alarms without change grow rarer with the limit: double it, then find the first that is enough
    while not keeps(enough):
        enough *= 2
        if enough > _LONGEST:
            raise ValueError(f"no limit keeps {false_alarms=}: {normal=} and {changed=} are too near")
    return Chart(weights, bisect_left(range(enough), True, lo=enough // 2 + 1, key=keeps))


def mean_run(chart: Chart, shares: NDArray[np.float64]) -> float:
    """Outcomes until the alarm, on average, from a sum of 0.

    Args:
        chart: The chart.
        shares: Probabilities of the grades, shape (L + 1,), as `grade_shares` gives them.
    """
    moves = transitions(chart, shares)
    return float(np.linalg.solve(np.eye(len(moves)) - moves, np.ones(len(moves)))[0])


def run_length(chart: Chart, shares: NDArray[np.float64], before: NDArray[np.float64] | None = None) -> RunLength:
    """Outcomes until the alarm.

    Args:
        chart: The chart.
        shares: Probabilities of the grades from the change on, shape (L + 1,).
        before: The same before the change: the chart then starts where it stands after a long time without alarm.
            None starts it at 0.
    """
    moves = transitions(chart, shares)
    start = np.eye(len(moves))[0] if before is None else _steady(transitions(chart, before))
    mean = float(start @ np.linalg.solve(np.eye(len(moves)) - moves, np.ones(len(moves))))
    return RunLength(mean, _quantile(moves, start, 0.5), _quantile(moves, start, 0.95))


def transitions(chart: Chart, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of going from sum to sum without alarm, float64, shape (limit, limit); rows miss the alarms."""
    held = np.arange(chart.limit)
    moves = np.zeros((chart.limit, chart.limit))
    for weight, share in zip(chart.weights, shares.tolist(), strict=True):
        reached = np.maximum(0, held + weight)
        stays = reached < chart.limit
        moves[held[stays], reached[stays]] += share
    return moves


def _steady(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where a chart stands that raised no alarm for long."""
    state = np.linalg.matrix_power(moves, _SETTLED)[0]
    return np.asarray(state / state.sum())


def _quantile(moves: NDArray[np.float64], start: NDArray[np.float64], probability: float) -> int:
    """The first number of outcomes by which the alarm was raised with this probability."""
    state, passed = start, 0
    while state.sum() > 1.0 - probability and passed < _OUTCOMES:
        state, passed = state @ moves, passed + 1
    return passed
