"""Training configurations: like others, and of several kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.learn.config import Shape, Trees, load_config
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
name: whole
data:
  train: [{scenario: demo, seeds: [1]}]
  calibration: [{scenario: demo, seeds: [2]}]
  validation: [{scenario: demo, seeds: [3]}]
model: {dimension: 8, rounds: 2}
optimisation: {epochs: 3, patience: 2}
"""


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "whole.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    return path


def beside(whole: Path, text: str) -> Path:
    path = whole.with_name("other.yaml")
    path.write_text(text, encoding="utf-8")
    return path


def test_a_configuration_like_another_changes_it_key_by_key(whole: Path) -> None:
    there = load_config(whole)
    here = load_config(beside(whole, "like: whole.yaml\nname: other\nmodel: {rounds: 0}\noptimisation: {epochs: 9}\n"))
    assert here.data == there.data
    assert here.model == Shape(dimension=8, rounds=0)
    assert (here.optimisation.epochs, here.optimisation.patience) == (9, 2)


def test_a_model_of_another_kind_takes_nothing_over(whole: Path) -> None:
    here = load_config(beside(whole, "like: whole.yaml\nmodel: {kind: trees, leaves: 7}\n"))
    assert here.model == Trees(kind="trees", leaves=7)


def test_a_mistake_in_what_is_said_here_has_its_line_here(whole: Path) -> None:
    path = beside(whole, "like: whole.yaml\nname: other\nmodel: {kind: trees, leafs: 7}\n")
    with pytest.raises(ConfigError, match=r"other.yaml:3: model.leafs: unknown key 'leafs'"):
        load_config(path)


def test_a_mistake_in_the_other_file_is_told_of_the_other(whole: Path) -> None:
    whole.write_text(WHOLE.replace("epochs", "epoch"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"whole.yaml:8: optimisation.epoch"):
        load_config(beside(whole, "like: whole.yaml\n"))


@pytest.mark.parametrize(
    ("like", "wrong"), [("missing.yaml", "there is no such file"), ("other.yaml", "is itself like")]
)
def test_a_configuration_is_like_a_whole_one(whole: Path, like: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"other.yaml:1: like: {wrong}"):
        load_config(beside(whole, f"like: {like}\n"))


def test_an_unknown_kind_of_model_is_refused(whole: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.kind"):
        load_config(beside(whole, "like: whole.yaml\nmodel: {kind: forest}\n"))


@pytest.mark.parametrize("said", ["regression_weight: .inf", "choice_weight: .nan", "temperature: .inf"])
def test_what_is_no_finite_number_is_refused_before_anything_is_simulated(whole: Path, said: str) -> None:
    with pytest.raises(ConfigError, match=r"other.yaml:2: optimisation\.\w+: not a finite number"):
        load_config(beside(whole, f"like: whole.yaml\noptimisation: {{{said}}}\n"))
