from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HIDDEN = "import sys; sys.modules[{name!r}] = None; import meshsim.lab.gym"
HEAVY = ("pandas", "matplotlib", "torch", "duckdb")
LIGHT = f"import sys, meshsim.lab.gym; print(sorted({{*{HEAVY}}} & {{*sys.modules}}))"


def python(program: str, root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["gymnasium", "pettingzoo"])
def test_a_missing_package_names_the_extra_that_brings_it(name: str, root: Path) -> None:
    done = python(HIDDEN.format(name=name), root)
    assert done.returncode != 0
    assert f"{name!r} is not installed; it comes with: pip install 'meshsim[gym]'" in done.stderr


def test_agents_need_no_laboratory(root: Path) -> None:
    done = python(LIGHT, root)
    assert done.stdout.strip() == "[]", done.stderr
