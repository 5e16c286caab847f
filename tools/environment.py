"""Writes environment.yml for conda users: the packages of `make setup`, as pyproject.toml and constraints.txt say.

Conda brings Python and pip; pip brings what the tests ran with. Usage: python tools/environment.py
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("sim", "learn", "node", "control", "lab", "gym", "tune", "dev")


def requirements(project: dict[str, object], extras: tuple[str, ...] = EXTRAS) -> list[str]:
    """All requirements of the base and of `extras`, references between extras resolved, sorted.

    Args:
        project: The `[project]` table of pyproject.toml.
        extras: Names of optional dependency groups.

    Returns:
        Requirement strings, each once.
    """
    base = project["dependencies"]
    optional = project["optional-dependencies"]
    if not isinstance(base, list) or not isinstance(optional, dict):
        raise TypeError("pyproject.toml: dependencies must be a list and optional-dependencies a table")
    found: set[str] = set(base)
    waiting = list(extras)
    while waiting:
        for requirement in optional[waiting.pop()]:
            reference = re.fullmatch(r"meshsim\[(.*)\]", requirement)
            if reference:
                waiting.extend(reference.group(1).split(","))
            else:
                found.add(requirement)
    return sorted(found)


def environment(root: Path = ROOT) -> str:
    """The text of environment.yml for the project at `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        "# Written by `make environment` from pyproject.toml; do not edit. Usage: conda env create -f environment.yml",
        "name: meshsim",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python{project['requires-python']}",
        "  - pip",
        "  - pip:",
        "      - --constraint constraints.txt",
        *(f'      - "{requirement}"' for requirement in requirements(project)),
        "      - --editable .",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
