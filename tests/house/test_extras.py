"""Each extra is enough for the packages that it is for: everything else is hidden, and their modules still import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from meshsim.cli.extras import EXTRAS

# The extras of an installation, and the packages that must import with the base and these alone.
SUFFICES = [
    pytest.param((), ["mesh", "links", "identity", "trust", "routing", "agent", "cli"], id="base"),
    pytest.param(("node",), ["node"], id="node"),
    pytest.param(("control",), ["control"], id="control"),
    pytest.param(("sim",), ["scenario", "measure", "sim"], id="sim", marks=pytest.mark.full),
    pytest.param(("sim", "learn"), ["learn"], id="learn", marks=pytest.mark.full),
]
BROUGHT_ALONG = {"control": {"pydantic"}}  # by FastAPI
PROGRAM = """
import importlib, json, sys
hidden, names = json.loads(sys.argv[1])
for name in hidden:
    sys.modules[name] = None
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def import_names(extra: str) -> set[str]:
    return {name.partition(".")[0] for name in EXTRAS[extra]} | BROUGHT_ALONG.get(extra, set())


def modules(root: Path, packages: list[str]) -> list[str]:
    found = [path for package in packages for path in sorted((root / "meshsim" / package).rglob("*.py"))]
    return [".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__") for path in found]


@pytest.mark.parametrize(("extras", "packages"), SUFFICES)
def test_an_extra_is_enough_for_its_packages(extras: tuple[str, ...], packages: list[str], root: Path) -> None:
    there = set().union(*(import_names(extra) for extra in extras))
    hidden = sorted(set().union(*(import_names(extra) for extra in EXTRAS)) - there)
    names = modules(root, packages)
    argument = json.dumps([hidden, names])
    done: subprocess.CompletedProcess[Any] = subprocess.run(
        [sys.executable, "-c", PROGRAM, argument], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(names)
