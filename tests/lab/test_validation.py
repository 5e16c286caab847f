from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from meshsim.cli.app import FAILED, OK
from meshsim.cli.validate import command
from meshsim.lab import gnnet, validation
from meshsim.lab.goals import judge
from meshsim.mesh.errors import ConfigError
from meshsim.sim import validate as cases

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = ("idle_path", "emodel_delay", "drop_tail_bytes")


@pytest.fixture(autouse=True)
def _no_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESHSIM_DATA_DIR", raising=False)


def test_each_case_is_a_goal_and_each_quantity_a_row() -> None:
    answer = validation.validate(QUICK, parallel=False)
    assert [(goal["goal"], goal["value"], goal["pass"]) for goal in answer["goals"]] == [
        (slug, 0.0, True) for slug in QUICK
    ]
    rows = answer["tables"]["quantities"]
    assert len(rows) == 7
    assert {"formula", "theory", "mean", "low", "high", "passed"} <= set(rows[0])


def wrong(monkeypatch: pytest.MonkeyPatch, slug: str) -> None:
    """Plants a theory that is 3 % off; the very lookup that the command uses finds it."""
    right = cases.known()[slug]
    off = replace(right, theory=lambda: {name: 1.03 * value for name, value in right.theory().items()})
    monkeypatch.setattr(cases.networks, "CASES", (off,))


def test_a_planted_wrong_theory_misses_its_goal_and_the_command_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong(monkeypatch, "idle_path")
    answer = validation.validate(QUICK, parallel=False)
    assert {goal["goal"]: goal["pass"] for goal in answer["goals"]} == {
        "idle_path": False, "emodel_delay": True, "drop_tail_bytes": True
    }  # fmt: skip
    monkeypatch.setattr(validation, "workers", lambda: pytest.fail("nothing is to be measured elsewhere"))
    monkeypatch.setattr(validation, "_measured", lambda chosen, data, replications, parallel: here(chosen))
    result = CliRunner().invoke(command, ["--case", "idle_path"], standalone_mode=False)
    assert result.return_value == FAILED
    assert "MISS idle_path" in result.output
    assert "0 of 1 cases" in result.output
    assert "MISS delay" in result.output
    assert "allowed" in result.output
    assert "runs" in result.output


def here(chosen: list[cases.Case]) -> list[tuple[str, dict[str, list[float]]]]:
    return [(case.slug, case.experiment.sample(case.replications)) for case in chosen]


def test_the_list_names_every_case_with_its_formula() -> None:
    result = CliRunner().invoke(command, ["--list", "--json"], standalone_mode=False)
    listed = json.loads(result.output)
    assert result.return_value == OK
    assert [row["case"] for row in listed] == list(cases.known())
    assert all(row["formula"] for row in listed)


def test_samples_without_a_folder_are_refused() -> None:
    assert "--samples goes with --gnnet" in CliRunner().invoke(command, ["--samples", "2"]).output


def test_cases_and_published_samples_are_not_asked_for_at_once(tmp_path: Path) -> None:
    for more in (["--case", "little"], ["--list"]):
        result = CliRunner().invoke(command, ["--gnnet", str(tmp_path), *more])
        assert result.exit_code != OK
        assert "leave out --case and --list" in result.output


def test_a_case_alone_is_held_to_the_interval_it_has_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = {"duplicated": [0.0299, 0.0300, 0.0302]}
    monkeypatch.setattr(validation, "_measured", lambda *_arguments, parallel: [("duplicates", samples)])
    (row,) = validation.validate(["duplicates"])["tables"]["quantities"]
    (alone,) = cases.verdicts(cases.choose(["duplicates"]), {"duplicates": samples})
    assert row["low"] < alone.low < alone.high < row["high"]


def test_a_folder_without_samples_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="samples"):
        CliRunner().invoke(command, ["--gnnet", str(tmp_path)], standalone_mode=False, catch_exceptions=False)


def test_people_are_told_each_sample_as_it_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"sample": "s7", "year": 2021, "packet_delay_mape": 0.0123, "mm1_delay_mape": 0.4, "packet_loss_error": 0.0}
    answer = {"goals": [judge("g", 1.0, "<=", 0.5)], "tables": {"samples": [row]}}

    def compare(_folder: Path, *, samples: int, workers: int, progress: Callable[[dict[str, object]], None]) -> object:
        assert (samples, workers) == (3, 1)
        progress(row)
        return answer

    monkeypatch.setattr(gnnet, "compare", compare)
    result = CliRunner().invoke(
        command, ["--gnnet", str(tmp_path), "--samples", "3", "--workers", "1"], standalone_mode=False
    )
    assert result.return_value == FAILED
    assert "2021 s7: mean delay off by packet 1.23%, mm1 40.00%" in result.output
    assert "packet_loss_error" not in result.output


def test_only_a_folder_that_is_there_brings_published_vectors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert validation.data_folder() is None
    monkeypatch.setenv("MESHSIM_DATA_DIR", str(tmp_path / "absent"))
    assert validation.data_folder() is None
    monkeypatch.setenv("MESHSIM_DATA_DIR", str(tmp_path))
    assert validation.data_folder() == tmp_path


@pytest.mark.full
def test_the_command_measures_in_two_processes_and_is_green() -> None:
    result = CliRunner().invoke(command, ["--case", "idle_path", "--case", "mm1_50", "--json"], standalone_mode=False)
    assert result.return_value == OK
    answer = json.loads(result.output)
    assert [goal["pass"] for goal in answer["goals"]] == [True, True]
    assert answer["name"] == "validate"
