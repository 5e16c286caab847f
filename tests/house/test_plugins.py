"""A package from outside the repository, made of the template in docs/howto-plugin.md, is installed and used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshsim.measure.trace import Trace

pytestmark = pytest.mark.full

TESTS = "test_mine.py"
"""The tests of the template."""


@pytest.fixture(scope="module")
def plugins(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the template was installed; nothing of it is in the repository or its environment."""
    page = (root / "docs" / "howto-plugin.md").read_text(encoding="utf-8")
    project, target = tmp_path_factory.mktemp("meshsim-mine"), tmp_path_factory.mktemp("site")
    for name, language, number in (
        ("pyproject.toml", "toml", 0),
        ("meshsim_mine.py", "python", 0),
        (TESTS, "python", 1),
    ):
        text = re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)[number]
        (project / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, project]
    subprocess.run(command, check=True)
    shutil.copy(project / TESTS, target)
    return target


def meshsim(plugins: Path | None, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if plugins is not None:
        environment["PYTHONPATH"] = str(plugins)
    command = [sys.executable, "-m", "meshsim", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_policy_reputation_model_and_metric_serve_a_run(plugins: Path, tmp_path: Path) -> None:
    words = ("run", "tiny", "--policy", "mine-quiet", "-o", "trust.model=mine-stern", "--out", "run", "--json")
    summary = told(meshsim(plugins, tmp_path, *words))
    assert summary["policy"] == "mine-quiet"
    assert "mine_long_way_rate" in summary["metrics"]


def test_a_scenario_may_name_the_policy(plugins: Path, tmp_path: Path) -> None:
    words = ("run", "tiny", "-o", "routing.policy=mine-quiet", "--out", "run", "--json")
    assert told(meshsim(plugins, tmp_path, *words))["policy"] == "mine-quiet"


def test_misbehaviour_serves_a_run_of_agents(plugins: Path, tmp_path: Path) -> None:
    words = ("run", "smoke", "-o", "misbehaviour=[{kind: mine-mute, share: 0.5}]", "-o", "control.mode=agents")
    summary = told(meshsim(plugins, tmp_path, *words, "-o", "duration=40s", "--out", "run", "--json"))
    assert summary["calls"] > 0


def test_a_scenario_may_name_topology_and_process(plugins: Path, tmp_path: Path) -> None:
    topology = "underlay.topology={generator: mine-star, places: 8}"
    words = ("run", "smoke", "-o", topology, "-o", "processes={mine-blackouts: {every: 5}}", "-o", "duration=60s")
    told(meshsim(plugins, tmp_path, *words, "-o", "warmup=5s", "-o", "control.mode=modelled", "--out", "run", "--json"))
    header = json.loads((tmp_path / "run" / "header.json").read_text(encoding="utf-8"))
    assert header["scenario"]["underlay"]["topology"]["generator"] == "mine-star"
    events = Trace(tmp_path / "run").columns("events")
    assert list(events["kind"]).count("down") >= 3


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("underlay.topology={generator: mine-star, place: 8}", "mine-star has no parameter 'place'"),
        ("underlay.topology={generator: mine-sta}", "did you mean: mine-star"),
        ("processes={mine-blackout: {}}", "did you mean: mine-blackouts"),
        ("processes={mine-blackouts: {evvery: 5}}", "unknown option 'evvery'"),
    ],
)
def test_mistakes_are_told_like_those_in_parts_of_the_package(
    plugins: Path, tmp_path: Path, override: str, problem: str
) -> None:
    done = meshsim(plugins, tmp_path, "run", "tiny", "-o", override, "--out", "run")
    assert done.returncode == 2
    assert problem in done.stderr


def test_the_template_passes_its_contracts(plugins: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(plugins)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(plugins / TESTS)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_without_the_package_its_policy_is_unknown(tmp_path: Path) -> None:
    done = meshsim(None, tmp_path, "run", "tiny", "--policy", "mine-quiet", "--out", "run")
    assert done.returncode == 2
    assert "mine-quiet" in done.stderr
