"""Two runs or two batches beside each other: what came out differently, how sure that is, and what was asked for.

Batches are paired by cell and seed. Two traces of the same calls (one scenario and seed, another policy, say) are
compared in stretches of the episode: calls of one moment share their fate, so calls are no independent draws, and
means of stretches nearly are (batch means).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab import changes, contrasts, verdicts
from meshsim.lab.results import Found, find
from meshsim.measure.metrics import METRICS
from meshsim.measure.stats import Effect, Interval, effect, holm, holm_intervals, mean_p_value
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from meshsim.measure.metrics import Metric

STRETCHES = 20
"""Of an episode, equally many calls in each."""

DEFAULT = ("poor_call_rate",)
_SAME = ("call", "start_ns", "caller", "media")
"""What calls have in common that were asked for alike, whatever came of them."""

_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One metric of one cell.

    Attributes:
        cell: Which, in words; empty for traces.
        metric: Its name.
        of: Mean in the first.
        against: Mean in the second.
        gap: The first minus the second, with bounds that hold for all rows together (Holm).
        p_value: Student's, of no difference, adjusted likewise.
        effect: How large it is.
    """

    cell: str
    metric: str
    of: float
    against: float
    gap: Interval
    p_value: float
    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two folders beside each other.

    Attributes:
        of: The first folder.
        against: The second.
        pairs: What is paired: `seeds` or `stretches`.
        rows: By cell and metric.
        changes: Keys that differ, with their values in both.
        notes: What must be known to read the rows.
    """

    of: str
    against: str
    pairs: str
    rows: tuple[Row, ...]
    changes: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]

    @property
    def verdicts(self) -> list[str]:
        """A sentence for each row: which is better, by how much, how sure that is."""
        return [self._verdict(row) for row in self.rows]

    def _verdict(self, row: Row) -> str:
        where = f"{row.cell}: " if row.cell else ""
        if not (row.effect.above or row.effect.below):
            return (
                f"{where}{self.of} and {self.against} are equal on {row.metric}, in all {row.effect.pairs} {self.pairs}"
            )
        measure, gap, better, worse = contrasts.measure(row.metric), row.gap, self.of, self.against
        against = Interval(-gap.mean, -gap.high, -gap.low)
        if verdicts.beats(measure, against):
            gap, better, worse = against, worse, better
        return f"{where}{verdicts.sentence(measure, better, worse, gap)} (p = {row.p_value:.2g})"


def compare(of: Path, against: Path, metrics: Sequence[str] = DEFAULT) -> Compared:
    """Holds one folder against another.

    Args:
        of: A trace or a batch.
        against: Another of the same kind.
        metrics: Names of metrics; a batch may have them in phases.

    Raises:
        ConfigError: If a folder has no results, one is a batch and the other a trace, they share nothing to be paired,
            or a metric is unknown.
    """
    first, second = find(of), find(against)
    kinds = ["runs" in found.tables for found in (first, second)]
    if kinds[0] != kinds[1]:
        batch, trace = (of, against) if kinds[0] else (against, of)
        raise ConfigError(f"{batch} is a batch and {trace} a trace: like is compared with like", key="A B")
    return (_batches if kinds[0] else _traces)(first, second, metrics)


# Batches --------------------------------------------------------------------------------------------------------------


def _batches(first: Found, second: Found, metrics: Sequence[str]) -> Compared:
    tables = [_cells(found) for found in (first, second)]
    known = sorted(set(tables[0].columns) & set(tables[1].columns) - {"variant", "policy", "seed"})
    for metric in metrics:
        _check(metric, known)
    shared = tables[0].merge(tables[1], on=["variant", "policy", "seed"], suffixes=("", " "))
    labels = [found.path.name for found in (first, second)]
    cells = list(dict.fromkeys(zip(shared["variant"], shared["policy"], strict=True)))
    if not cells:
        said = [sorted(set(zip(table["variant"], table["policy"], strict=True))) for table in tables]
        raise ConfigError(
            f"{labels[0]} and {labels[1]} share no run: no world, policy and seed is in both",
            key="A B",
            allowed=[contrasts.name(cell) for cells in said for cell in cells],
        )
    values = {
        (contrasts.name(cell), metric): tuple(
            shared[(shared["variant"] == cell[0]) & (shared["policy"] == cell[1])][column].to_numpy(dtype=np.float64)
            for column in (metric, f"{metric} ")
        )
        for cell in cells
        for metric in metrics
    }
    attempts = [_of_cell(found.read("attempts").to_pandas(), cells[0]) for found in (first, second)]
    return Compared(
        of=labels[0],
        against=labels[1] if labels[0] != labels[1] else str(second.path),
        pairs="seeds",
        rows=tuple(_rows(values)),
        changes=tuple(_commands(attempts)),
        notes=tuple(_of_batches(attempts, tables, len(shared))),
    )


def _cells(found: Found) -> pd.DataFrame:
    table: pd.DataFrame = found.read("runs").to_pandas()
    return table if "variant" in table else table.assign(variant="")


def _of_cell(attempts: pd.DataFrame, cell: contrasts.Cell) -> pd.DataFrame:
    """The attempts at one cell: the same of both, so that what it sets is no difference."""
    told = attempts if "variant" in attempts else attempts.assign(variant="")
    return told[(told["variant"] == cell[0]) & (told["policy"] == cell[1])]


def _commands(attempts: Sequence[pd.DataFrame]) -> Iterator[tuple[str, str, str]]:
    """What the commands of one cell's runs set differently."""
    said = [dict(_set(shlex.split(table["again"].iloc[0]))) for table in attempts]
    for key in sorted(said[0].keys() | said[1].keys()):
        before, after = (one.get(key, changes.UNSAID) for one in said)
        if before != after:
            yield key, before, after


def _set(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The scenario and the overrides of a command `meshsim run SCENARIO ... -o KEY=VALUE`."""
    yield "scenario", words[2]
    for flag, word in pairwise(words):
        if flag == "-o":
            key, _, value = word.partition("=")
            yield key, value


def _of_batches(attempts: Sequence[pd.DataFrame], tables: Sequence[pd.DataFrame], shared: int) -> Iterator[str]:
    codes = [set(table["code"]) for table in attempts]
    if codes[0] != codes[1]:
        yield "The two were run by different code."
    alone = sum(len(table) for table in tables) - 2 * shared
    if alone:
        yield f"{alone} runs have no partner in the other and are left out."


# Traces ---------------------------------------------------------------------------------------------------------------


def _traces(first: Found, second: Found, metrics: Sequence[str]) -> Compared:
    traces = [Trace(found.path) for found in (first, second)]
    for metric in metrics:
        _check(metric, sorted(METRICS))
    calls = [trace.columns("calls") for trace in traces]
    if not all(np.array_equal(np.asarray(calls[0][name]), np.asarray(calls[1][name])) for name in _SAME):
        raise ConfigError(
            f"{first.path} and {second.path} are not of the same calls, so nothing is paired; batches of seeds may be",
            key="A B",
            allowed=["runs of one scenario and seed that differ in policy, trust, control or media"],
        )
    labels = [found.path.name for found in (first, second)]
    values = {("", name): tuple(_stretched(METRICS[name], trace) for trace in traces) for name in metrics}
    headers = [trace.header for trace in traces]
    return Compared(
        of=labels[0],
        against=labels[1] if labels[0] != labels[1] else str(second.path),
        pairs="stretches",
        rows=tuple(_rows(values)),
        changes=tuple(_headers(headers)),
        notes=("One seed: another world may turn out otherwise; meshsim exp asks several.",),
    )


def _stretched(metric: Metric, trace: Trace) -> NDArray[np.float64]:
    """Means of a metric in stretches of the episode with equally many rows, (STRETCHES,); NaN where nothing tells."""
    columns = metric.columns(trace)
    rows = len(next(iter(columns.values())))
    parts = np.array_split(np.arange(rows), STRETCHES)
    told = [metric.of({name: _taken(column, part) for name, column in columns.items()}) for part in parts]
    return np.array([float(values.mean()) if len(values) else np.nan for values in told])


def _taken(column: Any, rows: NDArray[np.int64]) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows.tolist()]


def _headers(headers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    """The keys of the scenarios that differ, and who chose."""
    said = [{**header["scenario"], "chosen by": header.get("policy")} for header in headers]
    keys, values = changes.differing({str(number): one for number, one in enumerate(said)})
    yield from zip(keys, *values, strict=True)


# Both -----------------------------------------------------------------------------------------------------------------


def _check(metric: str, known: Sequence[str]) -> None:
    if metric not in known:
        near = nearest(metric, known)
        raise ConfigError(f"unknown metric {metric!r}", key="--metric", allowed=list(known), nearest=near)


def _rows(values: Mapping[tuple[str, str], Sequence[NDArray[np.float64]]]) -> Iterator[Row]:
    """A row for each cell and metric of which at least two pairs tell."""
    kept = {}
    for key, (a, b) in values.items():
        both = np.isfinite(a) & np.isfinite(b)
        if both.sum() >= _FEWEST:
            kept[key] = a[both], b[both]
    if not kept:
        problem = f"fewer than {_FEWEST} pairs tell of {', '.join(sorted({metric for _, metric in values}))}"
        raise ConfigError(problem, key="--metric")
    gaps = [a - b for a, b in kept.values()]
    intervals = holm_intervals(gaps, np.zeros(len(gaps)), contrasts.CONFIDENCE)
    p_values = holm([mean_p_value(gap, 0.0) for gap in gaps])
    for ((cell, metric), (a, b)), gap, p_value in zip(kept.items(), intervals, p_values, strict=True):
        yield Row(
            cell=cell,
            metric=metric,
            of=float(a.mean()),
            against=float(b.mean()),
            gap=gap,
            p_value=float(p_value),
            effect=effect(a, b),
        )
