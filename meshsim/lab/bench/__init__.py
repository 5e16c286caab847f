"""How fast, beside what: each module measures one part of the simulator against reference engines in one run.

The reference engines are programs under `benchmarks/` of a checkout; a wheel has none, and says so. Every `run` answers
in the one form of goals (`lab.goals`).
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import meshsim
from meshsim.mesh.errors import MeshSimError


def answer(name: str, goals: list[dict[str, Any]], tables: dict[str, Any]) -> dict[str, Any]:
    """What a benchmark answers: goals with their verdicts, the tables behind them, and where it ran.

    Args:
        name: Of the benchmark.
        goals: Each made by `lab.goals.judge`.
        tables: Lists of rows by name.
    """
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    return {"name": name, "goals": goals, "tables": tables, "machine": machine, "version": meshsim.__version__}


def reference(program: str) -> Path:
    """The program of that name under `benchmarks/`.

    Raises:
        MeshSimError: If there is none: meshsim was installed from a wheel.
    """
    path = Path(meshsim.__file__).parents[1] / "benchmarks" / program
    if not path.is_file():
        raise MeshSimError(
            f"the reference engines are not installed: {program!r} is a file under benchmarks/ of meshsim's source, "
            "which a wheel does not carry; run the benchmark in a checkout"
        )
    return path
