"""The import contracts hold, and a breach is seen: the package is copied, broken on purpose, and read again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import meshsim

LINT = Path(sys.executable).with_name("lint-imports")
HEAVY = {"torch", "pandas", "matplotlib", "aiortc", "ray", "numpy", "simpy", "onnxruntime", "pyarrow", "pydantic"}
# What is written at the end of which module, and the contract that must break.
BREACHES = {
    "upward": ("mesh/ids.py", "import meshsim.routing", "layers"),
    "sibling": ("sim/__init__.py", "import meshsim.learn", "layers"),
    "socket": ("agent/__init__.py", "import socket", "sans-io"),
    "time": ("links/queue.py", "import time", "sans-io"),
    "torch": ("routing/features.py", "import torch", "torch"),
    "simpy": ("node/__init__.py", "import simpy", "simpy"),
    "aiortc": ("control/service.py", "import aiortc.sdp", "aiortc"),
    "fastapi": ("node/__init__.py", "import fastapi", "servers"),
    "pandas": ("sim/__init__.py", "import pandas", "figures"),
    "onnxruntime": ("routing/engine.py", "import onnxruntime", "onnxruntime"),
    "control": ("learn/__init__.py", "import meshsim.control", "control"),
}


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [LINT, "--no-logo", "--no-cache", "--config", folder / "pyproject.toml", *chosen],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root / "meshsim", tmp_path / "meshsim", ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_import_contracts_hold(root: Path) -> None:
    done = lint(root)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("breach", BREACHES)
def test_an_import_against_the_contracts_is_refused(breach: str, copy: Path) -> None:
    module, line, contract = BREACHES[breach]
    with (copy / "meshsim" / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    done = lint(copy, contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_a_package_outside_the_layers_is_refused(copy: Path) -> None:
    (copy / "meshsim" / "extra.py").write_text("", encoding="utf-8")
    done = lint(copy, "layers")
    assert done.returncode != 0
    assert "extra" in done.stdout + done.stderr


def test_importing_meshsim_loads_nothing_heavy() -> None:
    program = (
        "import json, sys, time; start = time.perf_counter(); import meshsim; spent = time.perf_counter() - start;"
        "print(json.dumps([spent, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    spent, loaded = json.loads(done.stdout)
    print(f"import meshsim: {spent * 1000:.1f} ms")  # noqa: T201 - reported; the bound is generous for busy machines
    assert HEAVY.isdisjoint(loaded)
    assert spent < 2.0


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = meshsim.nonsense
    assert set(meshsim.__all__) <= set(dir(meshsim))
