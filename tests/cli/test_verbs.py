"""Verbs against the real functions below them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshsim.cli import main
from meshsim.scenario import presets

Capture = pytest.CaptureFixture[str]


def answer(capture: Capture, *words: str) -> Any:
    assert main([*words]) == 0
    return json.loads(capture.readouterr().out)


def test_config_schema_is_a_json_schema(capsys: Capture) -> None:
    schema = answer(capsys, "config", "schema")
    assert schema["type"] == "object"
    assert "calls" in schema["properties"]


@pytest.mark.parametrize("name", presets())
def test_every_preset_is_valid_and_can_be_shown(name: str, capsys: Capture) -> None:
    assert answer(capsys, "config", "validate", name, "--json") == {"scenario": name, "valid": True}
    assert answer(capsys, "config", "show", name)["name"] == name


def test_a_wrong_scenario_key_names_file_line_key_and_nearest(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text("name: mine\nduratoin: 60s\n", encoding="utf-8")
    assert main(["config", "validate", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{file}:2: duratoin" in told.err
    assert "did you mean: duration" in told.err


def test_an_override_is_checked_like_a_file(capsys: Capture) -> None:
    assert main(["config", "validate", presets()[0], "-o", "calls.rat=1"]) == 2
    assert "rate" in capsys.readouterr().err


def test_an_unknown_model_is_refused(capsys: Capture) -> None:
    assert main(["models", "verify", "no-such-scorer"]) == 2
    assert "no-such-scorer" in capsys.readouterr().err


def test_run_writes_a_trace_and_prints_its_hash(tmp_path: Path, capsys: Capture) -> None:
    first = answer(capsys, "run", "tiny", "--seed", "1", "--out", str(tmp_path / "a"), "--json")
    second = answer(capsys, "run", "tiny", "--seed", "1", "--out", str(tmp_path / "b"), "--json")
    other = answer(capsys, "run", "tiny", "--seed", "2", "--out", str(tmp_path / "c"), "--json")
    assert len(first["trace_sha256"]) == 64
    assert first["trace_sha256"] == second["trace_sha256"] != other["trace_sha256"]


def test_run_with_a_wrong_key_leaves_no_half_written_run(tmp_path: Path, capsys: Capture) -> None:
    assert main(["run", "tiny", "-o", "calls.rat=1", "--out", str(tmp_path / "run")]) == 2
    assert "rate" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_exp_list_names_the_smoke_experiment(root: Path, capsys: Capture) -> None:
    found = answer(capsys, "exp", "list", "--root", str(root / "experiments"), "--json")
    assert "smoke" in [experiment["slug"] for experiment in found]
