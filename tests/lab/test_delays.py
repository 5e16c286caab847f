from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from meshsim.cli.app import main
from meshsim.lab.delays import evaluate_delays, train_delays
from meshsim.mesh.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("MESHSIM_DATA_DIR", "")) / "gnnet" / "2022"
needs_data = pytest.mark.skipif("MESHSIM_DATA_DIR" not in os.environ, reason="MESHSIM_DATA_DIR is not set")

SMALL = "kind: delays\nname: small\nsamples: 6\npacket_hops: 3e4\nsteps: 40\n"


def test_published_samples_are_told_beside_every_formula(tmp_path: Path, gnnet: Callable[..., Path]) -> None:
    gnnet(tmp_path / "2022" / "b", "2022")
    answer = evaluate_delays(tmp_path)
    (row,) = answer["tables"]["samples"]
    assert {"learned", "bias", "transmission", "mm1", "mg1", "flow"} < set(row)
    (goal, mean) = answer["goals"]
    assert goal["goal"] == f"gnnet_{row['intensity']:.0f}_below_mg1"
    assert (goal["value"], goal["target"]) == (row["learned"], row["mg1"])
    assert not mean["pass"]  # no sample of the intensities that it speaks of: nothing is met


def test_a_folder_without_samples_of_the_year_is_refused(tmp_path: Path, gnnet: Callable[..., Path]) -> None:
    gnnet(tmp_path / "2021" / "b", "2021")
    with pytest.raises(ConfigError, match="no samples of 2022"):
        evaluate_delays(tmp_path)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "which MODEL?"),
        (["--gnnet", ".", "--suite", "clean"], "--suite goes with a suite"),
        (["--gnnet", ".", "--quick"], "--quick goes with a suite"),
        (["--gnnet", "nowhere"], "does not exist"),
        (["nothing", "--gnnet", "."], "no delay model here"),
    ],
)
def test_mistakes_are_told_in_words(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *words]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.full
def test_training_again_from_the_seed_gives_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "delays.yaml"
    config.write_text(SMALL, encoding="utf-8")
    first = train_delays(config, out=tmp_path / "first", progress=False)
    assert main(["train", str(config), "--out", str(tmp_path / "second"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["data"], again["networks"]) == (first["data"], 6)
    models = [(tmp_path / name / "delays.onnx").read_bytes() for name in ("first", "second")]
    assert models[0] == models[1]


@needs_data
@pytest.mark.full
def test_the_committed_model_errs_less_than_mg1_on_published_samples() -> None:
    answer = evaluate_delays(DATA / "50")
    assert [goal["pass"] for goal in answer["goals"]] == [True] * 4
