from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from meshsim.lab import experiment as lab_experiment
from meshsim.lab.experiment import report_experiment, run_experiment
from meshsim.lab.trial import Trial
from meshsim.lab.trial import perform as perform_trial
from meshsim.mesh.errors import ConfigError, TraceError

if TYPE_CHECKING:
    from meshsim.lab.batch import Outcome


@pytest.fixture
def worlds(experiments: Path) -> Path:
    """The same experiment in two worlds, with a baseline."""
    file = experiments / "07_tiny_question" / "experiment.yaml"
    file.write_text(
        file.read_text(encoding="utf-8")
        + "variants: [{name: calm}, {name: busy, overrides: [calls.rate=0.9]}]\n"
        + "baseline: {policy: direct}\n",
        encoding="utf-8",
    )
    return experiments


def headings(text: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", text)


@pytest.mark.full
def test_a_report_says_first_what_held_then_shows_it_and_last_how_to_repeat_it(worlds: Path, tmp_path: Path) -> None:
    told = run_experiment("tiny-question", out=tmp_path / "out", root=worlds, keep_traces=True, progress=False)
    text = Path(told["report"]).read_text(encoding="utf-8")
    assert headings(text) == [
        "What each policy did",
        "How it went over time",
        "What differs",
        "What the worlds were",
        "Where it happened",
        "How to make this again",
    ]
    assert all(verdict in text for verdict in told["verdicts"])
    assert re.search(r"\d+ of 2 comparisons tell the two apart", text)
    assert re.search(r"<th[^>]*>calls.rate</th>(<td[^>]*>[0-9.]+</td>){2}<td[^>]*>0.9</td>", text)
    assert 'sandbox="allow-scripts"' in text
    attempts = pd.read_parquet(tmp_path / "out" / "attempts.parquet")
    for fact in (told["table_sha256"], attempts["code"].iloc[0], attempts["host"].iloc[0]):
        assert fact in text


@pytest.mark.full
def test_a_report_made_anew_is_the_same_bytes(experiments: Path, tmp_path: Path) -> None:
    told = run_experiment("tiny-question", out=tmp_path / "out", root=experiments, progress=False)
    before = Path(told["report"]).read_bytes()
    assert (
        Path(report_experiment("tiny-question", out=tmp_path / "out", root=experiments)["report"]).read_bytes()
        == before
    )


def test_a_report_of_what_failed_tells_where_it_broke_and_judges_nothing(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(trial: Trial) -> Outcome:
        if trial.seed == 2:
            raise TraceError("the disk is full")
        return perform_trial(trial)

    monkeypatch.setattr(lab_experiment, "perform_trial", broken)
    told = run_experiment("tiny-question", out=tmp_path / "out", root=experiments, progress=False)
    text = Path(told["report"]).read_text(encoding="utf-8")
    assert headings(text)[0] == "What failed"
    assert text.count("<summary>Traceback</summary>") == 2
    assert "in broken" in text
    assert "<pre>meshsim run smoke --seed 2 --policy direct" in text
    assert "2 of 4 runs are missing" in text
    assert "What differs" not in headings(text)


def test_a_report_of_nothing_but_failures_is_still_a_report(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Trial) -> Outcome:
        raise TraceError("the disk is full")

    monkeypatch.setattr(lab_experiment, "perform_trial", broken)
    told = run_experiment("tiny-question", out=tmp_path / "out", root=experiments, progress=False)
    text = Path(told["report"]).read_text(encoding="utf-8")
    assert text.count("<summary>Traceback</summary>") == 4
    assert "4 of 4 runs are missing" in text


@pytest.mark.full
def test_pictures_of_a_report_are_files_of_their_own_the_same_each_time(worlds: Path, tmp_path: Path) -> None:
    run_experiment("tiny-question", out=tmp_path / "out", root=worlds, progress=False)
    told = [
        report_experiment("tiny-question", out=tmp_path / "out", root=worlds, figures=tmp_path / name, suffix=".pdf")
        for name in ("one", "two")
    ]
    first, second = ([Path(place) for place in answer["figures"]] for answer in told)
    assert [place.name for place in first][:2] == [
        "01-poor_call_rate-mean-over-seeds-and-its-interval-by-policy.pdf",
        "02-poor_call_rate-over-time.pdf",
    ]
    assert [place.read_bytes() for place in first] == [place.read_bytes() for place in second]


@pytest.mark.full
def test_pictures_that_cannot_be_written_are_told(worlds: Path, tmp_path: Path) -> None:
    run_experiment("tiny-question", out=tmp_path / "out", root=worlds, progress=False)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be made"):
        report_experiment("tiny-question", out=tmp_path / "out", root=worlds, figures=tmp_path / "file" / "below")
