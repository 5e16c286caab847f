from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshsim.lab.comparing import compare
from meshsim.lab.comparison_report import write_comparison
from meshsim.lab.experiment import run_experiment
from meshsim.lab.run import Result, run


def headings(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", text)


@pytest.fixture
def other(result: Result, small: tuple[str, ...], tmp_path: Path) -> Result:
    """The same calls, routed otherwise."""
    return run("smoke", seed=result.plan.seed, overrides=small, policy="direct", out=tmp_path / "direct")


def test_a_comparison_of_runs_shows_both_over_time_and_both_networks(
    result: Result, other: Result, tmp_path: Path
) -> None:
    compared = compare(result.path, other.path, ["mos"])
    place = write_comparison(compared, result.path, other.path, tmp_path / "compared.html", "meshsim compare a b")
    text = place.read_text(encoding="utf-8")
    assert headings(text) == [
        "What came out differently",
        "How it went over time",
        "The network",
        "What was asked for differently",
        "How to make this again",
    ]
    assert text.count("<iframe") == 2
    assert all(one.trace_sha256 in text for one in (result, other))
    assert re.search(r"<th[^>]*>chosen by</th><td[^>]*>shortest</td><td[^>]*>direct</td>", text)
    again = write_comparison(compared, result.path, other.path, tmp_path / "again.html", "meshsim compare a b")
    assert again.read_bytes() == place.read_bytes()


@pytest.mark.full
def test_a_comparison_of_batches_shows_both_in_each_cell(experiments: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        run_experiment("tiny-question", out=folder, root=experiments, progress=False)
    place = write_comparison(compare(first, second), first, second, tmp_path / "c.html", "meshsim compare first second")
    text = place.read_text(encoding="utf-8")
    assert headings(text)[:2] == ["What came out differently", "How it went over time"]
    assert "first: computing time" in text
    assert "second: machines" in text
    assert "Nothing: both have the same configuration." in text
