"""Pages of presets: there is one for each, and what they tell to run can be run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from meshsim import scenario
from meshsim.cli import main
from meshsim.cli.run import command
from meshsim.scenario import topologies
from meshsim.scenario.topologies import registry

PAGES = Path(__file__).parents[2] / "docs" / "presets"
LINE = re.compile(r"^    meshsim run (.+?)(?:\s+#.*)?$", re.MULTILINE)
IN_TEXT = re.compile(r"`meshsim run ([a-z0-9_]+[^`]*)`")


def lines(name: str) -> list[list[str]]:
    """What follows `meshsim run` in each line of the page that can be copied."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    return [shlex.split(line) for line in (*LINE.findall(text), *IN_TEXT.findall(text))]


def on_measured(name: str) -> bool:
    topology = scenario.load(name).underlay.topology
    return isinstance(topology, str) and topology.split("/")[0] in {"measured", "freifunk", "nycmesh"}


def test_every_preset_has_a_page_and_every_page_a_preset() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"README"} == set(scenario.presets())


def test_the_index_names_every_page() -> None:
    linked = re.findall(r"\]\(([a-z0-9_]+)\.md\)", (PAGES / "README.md").read_text(encoding="utf-8"))
    assert sorted(linked) == sorted(scenario.presets())


@pytest.mark.parametrize("name", scenario.presets())
def test_a_page_begins_with_its_name_and_a_question(name: str) -> None:
    title, _, question = (PAGES / f"{name}.md").read_text(encoding="utf-8").splitlines()[:3]
    assert title == f"# {name}"
    assert question.endswith("?**")


@pytest.mark.parametrize("name", scenario.presets())
def test_every_line_of_a_page_is_a_command_on_a_scenario_that_is_one(name: str) -> None:
    found = lines(name)
    assert [name] in found
    for line in found:
        with command.make_context("run", line.copy()) as context:
            given = context.params
        assert given["scenario"] == name
        assert scenario.load(name, given["overrides"]).name == name


@pytest.mark.parametrize("name", scenario.presets())
def test_no_preset_is_on_a_graph_that_is_for_evaluation_alone(name: str) -> None:
    topology = scenario.load(name).underlay.topology
    named = topology if isinstance(topology, str) else f"generated/{topology.generator}"
    assert topologies.allowed_for(named) != "evaluate"


@pytest.mark.full
@pytest.mark.parametrize("name", scenario.presets())
def test_a_first_look_at_a_preset_completes_calls(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if on_measured(name) and registry.data_folder() is None:
        pytest.skip(f"{registry.VARIABLE} is not set")
    assert main(["run", *lines(name)[-1], "--json", "--out", str(tmp_path / "trace")]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"]["completed"] > 0
