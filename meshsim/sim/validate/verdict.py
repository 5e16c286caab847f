"""Theory beside what was measured, quantity by quantity, all held to one error rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.stats import Interval, holm_intervals, mean_interval
from meshsim.sim.validate.case import CORE, Case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Samples = Mapping[str, Sequence[float]]

CONFIDENCE = 0.99
"""Of all intervals of one call together (Holm)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity of one case.

    Attributes:
        case: Slug.
        quantity: Name.
        formula: The case's.
        source: The case's.
        relation: See `Case`; the comparison of the engines is `exact`.
        theory: The value expected.
        mean: Of the replications.
        low: Of the Holm-corrected interval (`near`: of an interval of its own); of what is exact or a bound, the least
            value.
        high: Likewise; the largest value.
        error: Of the mean: relative to theory for `mean` and `near`, absolute for the others.
        allowed: Largest error.
        replications: How many.
        passed: Whether measurement and theory agree.
    """

    case: str
    quantity: str
    formula: str
    source: str
    relation: str
    theory: float
    mean: float
    low: float
    high: float
    error: float
    allowed: float
    replications: int
    passed: bool


def drawn(cases: Iterable[Case]) -> int:
    """How many quantities of these cases are held to an interval."""
    return sum(len(case.theory()) for case in cases if case.relation == "mean")


def verdicts(cases: Sequence[Case], samples: Mapping[str, Samples], together: int = 0) -> list[Row]:
    """A row for every quantity of every case.

    Args:
        cases: That were measured.
        samples: By slug, what their experiments gave.
        together: How many intervals hold together, if more than those of `cases`, so that a case's verdict hangs less
            on which others were asked for; the rest counts as what theory says.

    Raises:
        ValueError: If an experiment did not measure just what theory speaks of.
    """
    quantities = [each for case in cases for each in _quantities(case, samples[case.slug])]
    held = [(x, expected) for case, name, expected, x in quantities if _relation(case, name) == "mean"]
    held += [_AS_EXPECTED] * (together - len(held))
    intervals = iter(holm_intervals([x for x, _ in held], [expected for _, expected in held], CONFIDENCE))
    return [
        _mean(case, name, expected, x, next(intervals))
        if _relation(case, name) == "mean"
        else _plain(case, name, expected, x)
        for case, name, expected, x in quantities
    ]


_AS_EXPECTED: tuple[Sequence[float], float] = ((-1.0, 1.0), 0.0)


def _quantities(case: Case, found: Samples) -> Iterator[tuple[Case, str, float, Sequence[float]]]:
    expected = dict(case.theory())
    if CORE in found:
        expected[CORE] = 0.0
    if set(expected) != set(found):
        raise ValueError(f"{case.slug}: theory of {sorted(expected)}, measured {sorted(found)}")
    for name, value in expected.items():
        yield case, name, value, found[name]


def _relation(case: Case, quantity: str) -> str:
    return "exact" if quantity == CORE else case.relation


def _mean(case: Case, quantity: str, expected: float, x: Sequence[float], interval: Interval) -> Row:
    error = interval.mean / expected - 1.0
    passed = interval.low <= expected <= interval.high and abs(error) < case.bias
    return _row(case, quantity, expected, x, interval, error, case.bias, passed=passed)


def _plain(case: Case, quantity: str, expected: float, x: Sequence[float]) -> Row:
    """What no interval decides. Every single value counts, so that NaN, too, is a miss."""
    if _relation(case, quantity) == "near":
        interval = mean_interval(x, CONFIDENCE)
        error = interval.mean / expected - 1.0
        return _row(case, quantity, expected, x, interval, error, case.bias, passed=abs(error) < case.bias)
    values = np.asarray(x, dtype=np.float64)
    interval = Interval(float(values.mean()), float(values.min()), float(values.max()))
    allowed = 0.0 if quantity == CORE or case.relation == "at_most" else case.tolerance
    beyond = values - expected if _relation(case, quantity) == "at_most" else np.abs(values - expected)
    passed = bool(np.all(beyond <= allowed + 1e-12 * abs(expected)))
    return _row(case, quantity, expected, x, interval, float(beyond.max()), allowed, passed=passed)


def _row(
    case: Case, quantity: str, expected: float, x: Sequence[float], interval: Interval, error: float, allowed: float,
    *, passed: bool,
) -> Row:  # fmt: skip
    return Row(
        case=case.slug,
        quantity=quantity,
        formula=case.formula,
        source=case.source,
        relation=_relation(case, quantity),
        theory=expected,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        error=math.nan if math.isnan(interval.mean) else error,
        allowed=allowed,
        replications=len(x),
        passed=passed,
    )
