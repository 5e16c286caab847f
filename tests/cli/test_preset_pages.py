"""Every preset has a page, and what the page tells a person to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from meshsim import scenario
from meshsim.measure.trace import Trace
from meshsim.scenario import compile_plan, load
from meshsim.scenario.topologies import registry
from meshsim.sim import simulate

PAGES = Path(__file__).parents[2] / "docs" / "presets"
MEASURED = {"city_mesh", "global_relay"}


def commands(name: str) -> list[list[str]]:
    """The `meshsim run` lines of a page, without the comments."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return [shlex.split(line, comments=True) for line in re.findall(r"^    (meshsim run .*)$", text, re.MULTILINE)]


def overrides(words: list[str]) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == "-o"]


def test_every_preset_has_a_page_and_a_line_in_the_index() -> None:
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES.glob("*.md")} == {"README", *scenario.presets()}
    for name in scenario.presets():
        assert f"[{name}]({name}.md)" in index


@pytest.mark.parametrize("name", scenario.presets())
def test_the_commands_of_a_page_name_its_preset_and_take_their_options(name: str) -> None:
    lines = commands(name)
    assert lines
    for words in lines:
        assert words[2] == name
        assert load(name, overrides(words)).name == name


@pytest.mark.full
@pytest.mark.parametrize("name", scenario.presets())
def test_a_first_look_completes_calls(name: str, tmp_path: Path) -> None:
    if name in MEASURED and registry.data_folder() is None:
        pytest.skip("MESHSIM_DATA_DIR is not set: no measured data")
    plan = compile_plan(load(name, overrides(commands(name)[-1])), 1)
    calls = Trace(simulate(plan, tmp_path / "run").trace).columns("calls")
    assert sum(outcome == "completed" for outcome in calls["outcome"]) > 0
