from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from click.testing import CliRunner

from meshsim.cli.validate import command
from meshsim.lab import coverage
from meshsim.lab.coverage import BCA, FIXED, STUDENT, WORLDS, Row, Task, measure, validate_statistics
from meshsim.measure.stats import Interval
from meshsim.mesh.seeds import SeedTree


def rows(world: str, seeds: int, *, stopped: bool = False, experiments: int = 600) -> dict[str, Row]:
    """What was measured, by method."""
    return {row.method: row for row in measure(Task(world, seeds, stopped, experiments))}


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_the_truth_of_a_world_is_what_its_values_come_to(world: coverage.World) -> None:
    values = world.draw(SeedTree(5).generator("truth"), (1, 400_000))[0]
    interval = next(iter(world.methods.values())) if world.name != "median" else world.methods["order statistics"]
    found = interval(values[:2000])
    exact = values.sum(axis=0)[0] / values.sum(axis=0)[1] if values.ndim > 1 else values.mean()
    if world.name == "median":
        exact = sorted(values)[len(values) // 2]
    assert exact == pytest.approx(world.truth, rel=0.02)
    assert found.low - 0.2 * abs(world.truth) < world.truth < found.high + 0.2 * abs(world.truth)


def test_students_interval_of_paired_differences_covers_and_plain_bca_of_few_does_not() -> None:
    found = rows("shares", 8, experiments=1000)
    assert found[STUDENT].covered == pytest.approx(0.945, abs=0.02)
    assert found[BCA].covered < 0.91
    assert found[BCA].width < 0.9
    assert found[STUDENT].held
    assert not found[BCA].held


def test_who_stops_at_once_covers_too_seldom_and_a_fixed_width_covers() -> None:
    found = rows("shares", 15, stopped=True, experiments=400)
    assert found["stopped at once, Student"].covered < 0.92
    assert found[FIXED].covered > 0.95
    assert found[FIXED].seeds < 25


def test_unknown_bounds_cover_nothing_and_equal_ones_the_truth_itself() -> None:
    unknown = Interval(1.0, math.nan, math.nan)
    assert coverage._covered([unknown, Interval(0.3, 0.1 + 0.2, 0.1 + 0.2)], 0.3) == 0.5


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [Task("normal", 5, False, 50), Task("normal", 15, True, 20)]
    monkeypatch.setattr(coverage, "tasks", lambda experiments: few)


@pytest.mark.full
def test_what_is_measured_is_the_same_in_any_process_and_held_to_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    here, there = (validate_statistics(parallel=parallel) for parallel in (False, True))
    assert here == there
    assert [goal["goal"] for goal in here["goals"]] == ["coverage_normal_student_5", "coverage_normal_15_needed"]
    assert len(here["tables"]["coverage"]) == len(here["tables"]["stopping"]) == 3


def test_the_command_prints_the_table_and_has_no_other_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    monkeypatch.setattr(coverage, "workers", ThreadPoolExecutor)
    found = CliRunner().invoke(command, ["--statistics"], standalone_mode=False)
    assert "coverage_normal_student_5" in found.output
    assert "BCa widened" in found.output
    for more in (["--media"], ["--list"], ["--case", "mm1_80"]):
        assert CliRunner().invoke(command, ["--statistics", *more]).exit_code == 2


@pytest.mark.full
def test_95_percent_intervals_cover_93_to_97_percent_of_2000_experiments() -> None:
    answer: dict[str, Any] = validate_statistics()
    assert [goal for goal in answer["goals"] if not goal["pass"]] == []
    assert len(answer["goals"]) == 2 * 4 + 2 * 3 + 2 + 2 + 9
