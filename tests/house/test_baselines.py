"""Benchmarks against what they were."""

from __future__ import annotations

import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tool(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("baselines", root / "tools" / "baselines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("before", "now", "op", "share"),
    [
        (2.0, 3.0, "<=", 0.5),
        (2.0, 3.0, ">=", -0.5),
        (2.0, 1.0, ">=", 0.5),
        (0.0, 0.0, "<=", 0.0),
        (0.0, 1.0, "<=", float("inf")),
    ],
)
def test_worse_is_more_where_less_is_better_and_less_where_more_is(
    tool: Any, before: float, now: float, op: str, share: float
) -> None:
    assert tool.worse(before, now, op) == share


def test_only_what_is_worse_by_more_than_a_quarter_is_told(tool: Any) -> None:
    kept = {name: {"value": 4.0, "date": "2026-11-23"} for name in ("a", "b", "c")}
    goals = [
        {"goal": name, "value": value, "op": "<="} for name, value in (("a", 5.0), ("b", 5.1), ("c", 1.0), ("new", 9.0))
    ]
    assert tool.compared(goals, kept) == ["b: 5.1, it was 4 (2026-11-23)"]


def test_every_stored_value_says_when_where_and_at_which_commit_it_was_measured(root: Path) -> None:
    kept = json.loads((root / "benchmarks" / "baselines.json").read_text(encoding="utf-8"))
    assert kept
    for goals in kept.values():
        for entry in goals.values():
            assert entry.keys() == {"value", "op", "target", "commit", "date", "machine"}


def test_what_the_make_target_checks_has_a_baseline(root: Path) -> None:
    kept = json.loads((root / "benchmarks" / "baselines.json").read_text(encoding="utf-8"))
    text = (root / "Makefile").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if "baselines.py check" in line]
    assert set(kept) == {"packet", "elastic", "batch", "trust --scale"}
    assert all(name in line for name in kept)
