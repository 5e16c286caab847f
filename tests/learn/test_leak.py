"""Features are what a node could have known before the call: neither the truth nor the future reaches them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.learn.dataset import Dataset, Example, load
from meshsim.measure.records import TABLES
from meshsim.measure.trace import Trace, TraceWriter

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN = {
    "nodes": {"node", "node_id", "role", "nat", "latitude_degrees", "longitude_degrees", "aic", "capacity_bps"}
    | {"max_calls"},
    "views": {"view", "owner", "time_ns"},
    "view_nodes": {column.name for column in TABLES["view_nodes"]},
    "view_links": {column.name for column in TABLES["view_links"]},
    "calls": {"call", "start_ns", "media"},
    "routes": {"call", "candidate", "time_ns", "view", "path", "hop_delay_seconds", "hop_jitter_seconds", "hop_loss"}
    | {"hop_rate_bps", "hop_age_seconds", "hop_observed"},
}
"""What a node believes or is asked; every other column of a trace is truth, or what was decided and came of it."""

KEYS = {"node", "node_id", "view", "owner", "time_ns", "call", "candidate", "start_ns", "media", "path", "src", "dst"}
"""Columns that say where a row belongs: a future without them would be no trace."""


def _other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, int | np.integer):
        return int(value) + 1
    if isinstance(value, float | np.floating):
        return 0.25 if np.isnan(value) else 0.5 * float(value) + 0.125
    if isinstance(value, str | bytes):
        return value + value[:1]
    return [_other(one) for one in value]


def _rewritten(trace: Path, folder: Path, changed: Callable[[str, str, int], bool]) -> Path:
    """`trace` with other values wherever `changed(table, column, instant)`; the instant is the row's, in ns."""
    whole = Trace(trace)
    instants = _instants(whole)
    with TraceWriter(folder, {key: value for key, value in whole.header.items() if key != "schema_version"}) as writer:
        for table in TABLES:
            columns = whole.columns(table)
            if not len(next(iter(columns.values()))):
                continue
            at = instants(table, columns)
            for name, values in columns.items():
                columns[name] = [
                    _other(value) if changed(table, name, instant) else value
                    for value, instant in zip(values, at, strict=True)
                ]
            writer.append(table, **columns)
    return folder


def _instants(trace: Trace) -> Callable[[str, dict[str, Any]], list[int]]:
    """When the rows of a table became known, ns: -1 for what never changes."""
    views = trace.columns("views")
    seen = dict(zip(views["view"].tolist(), views["time_ns"].tolist(), strict=True))

    def instants(table: str, columns: dict[str, Any]) -> list[int]:
        if table in ("view_nodes", "view_links"):
            return [seen[view] for view in columns["view"].tolist()]
        name = next((name for name in ("time_ns", "start_ns") if name in columns), None)
        return [-1] * len(next(iter(columns.values()))) if name is None else columns[name].tolist()

    return instants


def _same(one: Example, other: Example) -> bool:
    ours, theirs = one.features, other.features
    belief = all(
        np.array_equal(getattr(ours.belief, field.name), getattr(theirs.belief, field.name))
        for field in fields(ours.belief)
    )
    tables = ("hop", "hop_src", "hop_dst", "hop_path", "path", "node", "link", "link_src", "link_dst")
    return belief and all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in tables)


def _by_call(dataset: Dataset) -> dict[int, Example]:
    return {example.call: example for example in dataset.examples}


def _check_truth(trace: Path, folder: Path) -> None:
    altered = _rewritten(trace, folder, lambda table, column, _: column not in KNOWN.get(table, set()))
    before, after = _by_call(load([trace])), _by_call(load([altered]))
    assert before.keys() == after.keys()
    assert all(_same(before[call], after[call]) for call in before)
    assert any(not np.array_equal(before[call].labels.rtt, after[call].labels.rtt) for call in before)


def _check_future(trace: Path, folder: Path) -> None:
    calls = Trace(trace).columns("calls")
    now = int(np.median(calls["start_ns"]))
    altered = _rewritten(trace, folder, lambda _, column, at: at > now and column not in KEYS)
    before, after = _by_call(load([trace])), _by_call(load([altered]))
    started = dict(zip(calls["call"].tolist(), calls["start_ns"].tolist(), strict=True))
    assert all(_same(before[call], after[call]) for call in before if started[call] <= now)
    assert not all(_same(before[call], after[call]) for call in before if started[call] > now)


def test_no_column_of_truth_reaches_the_features(traces: dict[int, Path], tmp_path: Path) -> None:
    _check_truth(traces[1], tmp_path / "altered")


def test_nothing_after_the_call_reaches_its_features(traces: dict[int, Path], tmp_path: Path) -> None:
    _check_future(traces[1], tmp_path / "altered")


def test_the_test_would_notice_a_belief_that_changed(traces: dict[int, Path], tmp_path: Path) -> None:
    altered = _rewritten(traces[1], tmp_path / "altered", lambda table, column, _: column == "hop_loss")
    before, after = _by_call(load([traces[1]])), _by_call(load([altered]))
    assert not any(_same(before[call], after[call]) for call in before)


@pytest.mark.full
def test_neither_truth_nor_future_reaches_the_features_of_a_simulated_episode(tmp_path: Path) -> None:
    from meshsim.lab.episodes import Job, perform  # noqa: PLC0415 - learn itself knows no simulator

    trace, overrides = tmp_path / "trace", ("duration=5 min", "warmup=1 min", "routing.policy=weighted")
    perform(Job(scenario="demo", seed=7, out=trace, overrides=overrides))
    _check_truth(trace, tmp_path / "other-truth")
    _check_future(trace, tmp_path / "other-future")
    views, routes = (Trace(trace).columns(table) for table in ("views", "routes"))
    seen = dict(zip(views["view"].tolist(), views["time_ns"].tolist(), strict=True))
    assert all(seen[view] <= at for view, at in zip(routes["view"].tolist(), routes["time_ns"].tolist(), strict=True))
