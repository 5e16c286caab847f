"""A package from outside the repository, made of the template in docs/howto-plugin.md, is installed and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def plugins(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the template was installed; nothing of it is in the repository or its environment."""
    page = (root / "docs" / "howto-plugin.md").read_text(encoding="utf-8")
    project, target = tmp_path_factory.mktemp("meshsim-mine"), tmp_path_factory.mktemp("site")
    for name, language in (("pyproject.toml", "toml"), ("meshsim_mine.py", "python")):
        (text,) = re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
        (project / name).write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, project]
    subprocess.run(command, check=True)
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


def test_without_the_package_its_policy_is_unknown(tmp_path: Path) -> None:
    done = meshsim(None, tmp_path, "run", "tiny", "--policy", "mine-quiet", "--out", "run")
    assert done.returncode == 2
    assert "mine-quiet" in done.stderr
