from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import meshsim
from meshsim.cli.extras import EXTRAS

MEGABYTE = 1_000_000
NODE_STAYS_FREE_OF = {"torch", "pandas", "simpy", "numba", "jupyterlab", "matplotlib", "scipy"}


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture(scope="module")
def tool(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("environment", root / "tools" / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_environment_yml_equals_what_pyproject_says(root: Path, tool: Any) -> None:
    assert (root / "environment.yml").read_text(encoding="utf-8") == tool.environment(root)


def test_doctor_knows_the_packages_of_every_extra(project: dict[str, Any]) -> None:
    declared = {
        extra: names(requirements) - {"meshsim"}
        for extra, requirements in project["optional-dependencies"].items()
        if extra not in {"all", "dev", "docs"}
    }
    assert {extra: set(packages.values()) for extra, packages in EXTRAS.items()} == declared


def test_node_brings_no_laboratory(project: dict[str, Any], tool: Any) -> None:
    assert names(tool.requirements(project, ("node",))).isdisjoint(NODE_STAYS_FREE_OF)


def test_torch_is_constrained_exactly(root: Path) -> None:
    assert "torch==2.13.0" in (root / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_constraints_pin_every_direct_requirement(root: Path, project: dict[str, Any], tool: Any) -> None:
    pinned = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower()
        for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    wanted = {re.sub(r"[-_.]+", "-", name).lower() for name in names(tool.requirements(project))}
    assert wanted <= pinned


def test_versions_of_package_citation_and_changelog_agree(root: Path) -> None:
    assert f"version: {meshsim.__version__}" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{meshsim.__version__}]" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_names_a_registry_host(root: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"https?://\S*(/simple/|/packages/)")
    readable = [root / name for name in tracked if Path(name).suffix in {".py", ".toml", ".txt", ".yml", ".sh", ".md"}]
    guilty = [str(path) for path in readable if path.exists() and pattern.search(path.read_text(encoding="utf-8"))]
    assert guilty == []


@pytest.mark.full
def test_the_wheel_is_small_and_carries_scorer_and_presets(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, root], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size <= 2 * MEGABYTE
    assert {"meshsim/_models/route-scorer/encoder.onnx", "meshsim/_models/route-scorer/head.onnx"} <= set(inside)
    assert "meshsim/_data/registry.yaml" in inside
    assert any(name.startswith("meshsim/scenario/presets/") and name.endswith(".yaml") for name in inside)
