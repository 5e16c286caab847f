from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import meshsim
from meshsim.cli import main, options
from meshsim.lab import bench
from meshsim.lab.bench import packet
from meshsim.mesh.errors import MeshSimError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def workload(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("workload", root / "benchmarks" / "workload.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "workload", module)
    spec.loader.exec_module(module)
    return module


def rows(case: str, **speeds: float) -> list[dict[str, Any]]:
    return [
        {
            "case": case,
            "engine": engine,
            "hops_per_cpu_second": speed,
            "delay_mean_ms": packet.W1_MEAN_DELAY_MS + 4e-7,
            "rss_mb": 300.0,
        }
        for engine, speed in speeds.items()
    ]


def verdicts(w1: list[dict[str, Any]], large: list[dict[str, Any]]) -> dict[str, bool]:
    return {goal["goal"]: goal["pass"] for goal in packet.judged(w1, large)}


def test_the_workload_is_the_reference_one(workload: ModuleType) -> None:
    made = workload.make(20, 50.0, 4.0)
    assert (made.links, made.packets, made.hops) == (1520, 80_235, 1_055_012)
    times, flows = made.merged()
    assert (np.diff(times) >= 0.0).all()
    assert np.bincount(flows).tolist() == [len(each) for each in made.times]


def test_routes_run_along_the_row_and_then_the_column(workload: ModuleType) -> None:
    made = workload.make(4, 5.0, 1.0)
    ends = {number: pair for pair, number in workload._number_links(4).items()}
    for source, route in enumerate(made.routes):
        nodes = [ends[link][0] for link in route] + [ends[route[-1]][1]]
        assert nodes[0] == source
        assert [ends[link][1] for link in route] == nodes[1:]
        turned = [abs(b - a) == 4 for a, b in itertools.pairwise(nodes)]
        assert turned == sorted(turned)


def test_the_goals_are_met_by_ratios_and_missed_below_them() -> None:
    fast = rows("W1", process=1.0, core=5.0, heap=100.0, kernel=50.0)
    slow = rows("W1", process=1.0, core=4.9, heap=100.0, kernel=49.0)
    large, larger = rows("71x71", heap=10.0, kernel=6.0), rows("71x71", heap=10.0, kernel=5.9)
    assert all(verdicts(fast, large).values())
    missed = {goal for goal, met in verdicts(slow, larger).items() if not met}
    assert missed == {"core_vs_process", "kernel_vs_heap", "kernel_vs_process", "kernel_vs_heap_71"}


def test_another_mean_delay_or_too_much_memory_is_a_missed_goal() -> None:
    w1, large = rows("W1", process=1.0, core=9.0, heap=100.0, kernel=90.0), rows("71x71", heap=1.0, kernel=1.0)
    w1[1]["delay_mean_ms"] += 1e-5
    large[1]["rss_mb"] = 501.0
    assert {goal for goal, met in verdicts(w1, large).items() if not met} == {"w1_mean_delay_ms", "kernel_71_rss_mb"}


def test_engines_that_did_not_do_the_same_work_miss_a_goal() -> None:
    w1, large = rows("W1", process=1.0, core=9.0, heap=100.0, kernel=90.0), rows("71x71", heap=1.0, kernel=1.0)
    large[1]["delay_mean_ms"] += 1e-5
    assert {goal for goal, met in verdicts(w1, large).items() if not met} == {"engines_apart_71_ms"}


def test_a_wheel_says_that_it_has_no_reference_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshsim, "__file__", str(tmp_path / "meshsim" / "__init__.py"))
    with pytest.raises(MeshSimError, match="a wheel does not carry"):
        bench.reference("run.py")


def test_an_engine_that_fails_is_named_with_what_it_said() -> None:
    case = packet.Case(name="none", side=2, rate=5.0, seconds=1.0, engines=("nonsense",), rounds=1)
    with pytest.raises(MeshSimError, match=r"(?s)'nonsense' failed.*invalid choice"):
        packet._rows(case, progress=False)


@pytest.mark.full
def test_the_quick_benchmark_runs_every_engine_and_finds_them_agreed(capsys: Capture) -> None:
    assert main(["bench", "packet", "--quick", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["engine"] for row in told["tables"]["engines"]] == ["process", "callbacks", "core", "heap", "kernel"]
    assert {row["delivered"] for row in told["tables"]["engines"]} == {told["tables"]["engines"][0]["packets"]}
    assert [goal["goal"] for goal in told["goals"]] == ["engines_apart_ms"]


def test_people_are_shown_tables(capsys: Capture) -> None:
    w1, large = rows("W1", process=1.0, core=9.0, heap=1.0, kernel=90.0), rows("71x71", heap=1.0, kernel=1.0)
    answer = bench.answer("packet", packet.judged(w1, large), {"engines": w1})
    assert options.emit_goals(answer, json_wanted=False) == 0
    shown = capsys.readouterr().out
    assert "core_vs_process" in shown
    assert "yes" in shown
