from __future__ import annotations

import re
import shlex
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshsim.lab import run_report
from meshsim.lab.run import run

if TYPE_CHECKING:
    from meshsim.lab.run import Result


@pytest.fixture(scope="module")
def written(result: Result, tmp_path_factory: pytest.TempPathFactory) -> str:
    return result.report(tmp_path_factory.mktemp("report") / "run.html").read_text(encoding="utf-8")


def test_a_report_of_a_run_says_what_came_out_and_has_every_picture(result: Result, written: str) -> None:
    poor = result.metrics["poor_call_rate"]
    assert f"{100 * poor.mean:.1f} % [" in written
    assert result.trace_sha256 in written
    titles = re.findall(r"<h2[^>]*>([^<]*)</h2>", written)
    assert titles[0] == "What came out"
    assert {"The network", "How it went over time", "How calls ended", "What was configured"} <= set(titles)
    outside_the_page = re.sub(r'srcdoc="[^"]*"', "", written)
    assert outside_the_page.count("<svg") >= 3
    assert "<script" not in outside_the_page


def test_a_report_asks_nobody_outside(written: str) -> None:
    whole = unescape(written)
    assert re.findall(r'(?:src|href|action)\s*=\s*"(?:https?:)?//[^"]*"', whole) == []
    assert "url(http" not in whole
    assert "@import" not in whole


def test_the_command_in_a_report_makes_the_very_trace_again(result: Result, tmp_path: Path) -> None:
    words = shlex.split(run_report.command(result))
    assert words[:3] == ["meshsim", "run", "smoke"]
    told = {words[i]: words[i + 1] for i in range(3, len(words), 2)}
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "-o"]
    again = run(
        words[2], seed=int(told["--seed"]), policy=told["--policy"], overrides=overrides, out=tmp_path / "again"
    )
    assert again.trace_sha256 == result.trace_sha256


def test_no_command_is_claimed_for_a_scenario_that_no_preset_leads_to(result: Result) -> None:
    scenario = result.plan.scenario.model_copy(update={"name": "mine"})
    assert run_report.command(replace(result, plan=replace(result.plan, scenario=scenario))) == ""


def test_a_page_that_is_too_large_is_left_out_and_told(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_report, "PAGE_BYTES", 1000)
    text = result.report(tmp_path / "run.html").read_text(encoding="utf-8")
    assert "<iframe" not in text
    assert "meshsim view" in text


def test_equal_runs_have_equal_reports(result: Result, written: str, tmp_path: Path) -> None:
    assert result.report(tmp_path / "run.html").read_text(encoding="utf-8") == written


def test_a_run_without_calls_has_a_report_too(small: tuple[str, ...], tmp_path: Path) -> None:
    silent = run("smoke", overrides=(*small, "calls.rate=0.0001"), out=tmp_path / "run")
    assert len(silent.calls) == 0
    text = silent.report(tmp_path / "run.html").read_text(encoding="utf-8")
    assert "No call was over when the run was." in text
    assert "nan" not in re.sub(r'srcdoc="[^"]*"', "", text).lower().split()
