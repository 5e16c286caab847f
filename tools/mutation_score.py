"""Tells how many of the mutants of meshsim/trust the tests noticed: `tools/mutation_score.py FOLDER [LEAST]`.

FOLDER has what mutmut leaves of each module: how its mutants fared (`<module>.py.meta`), their code (`<module>.py`) and
the CPU seconds, of user and system, that it took (`<module>.cpu`). Exits with 3 when fewer than LEAST of 100 were
noticed.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from pathlib import Path

NOTICED = {1, 3, 24, 36, 152, 255, -24}
"""Exit codes of mutmut's runs: tests failed, pytest broke, or the mutant never came to an end."""

SKIPPED = 34
LEAST = 85.0


def main(folder: str, least: str = str(LEAST)) -> int:
    """Prints a table in Markdown, then the mutants that nobody noticed."""
    runs = {path.name.removesuffix(".py.meta"): _codes(path) for path in sorted(Path(folder).rglob("*.py.meta"))}
    runs = {module: codes for module, codes in runs.items() if codes}
    if not runs:
        print(f"no mutants in {folder}")
        return 1
    minutes = {module: _minutes(Path(folder) / f"{module}.cpu") for module in runs}
    print("| module | mutants | noticed | % | CPU minutes |\n|---|---:|---:|---:|---:|")
    for module, codes in runs.items():
        print(_row(module, codes, minutes[module]))
    everything = {name: code for codes in runs.values() for name, code in codes.items()}
    print(_row("**all**", everything, sum(minutes.values())), "\n")
    for module, codes in runs.items():
        _show(Path(folder) / f"{module}.py", [name for name, code in codes.items() if code not in NOTICED])
    return 0 if _share(everything) >= float(least) else 3


def _codes(path: Path) -> dict[str, int | None]:
    found = json.loads(path.read_text())["exit_code_by_key"]
    return {name: code for name, code in found.items() if code != SKIPPED}


def _minutes(path: Path) -> float:
    return sum(map(float, path.read_text().split())) / 60.0


def _share(codes: dict[str, int | None]) -> float:
    return 100.0 * sum(code in NOTICED for code in codes.values()) / len(codes)


def _row(module: str, codes: dict[str, int | None], minutes: float) -> str:
    noticed = sum(code in NOTICED for code in codes.values())
    return f"| {module} | {len(codes)} | {noticed} | {_share(codes):.1f} | {minutes:.1f} |"


def _show(path: Path, names: list[str]) -> None:
    """Prints mutants as lines taken away and put in their place; `path` has all versions of each function."""
    lines = path.read_text().splitlines()
    versions = {
        node.name: [line.replace(node.name, "") for line in lines[node.lineno - 1 : node.end_lineno]]
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.FunctionDef)
    }
    for name in names:
        print("unnoticed:", name)
        function = name.rsplit(".", 1)[1]
        sound = versions[function.rsplit("__mutmut_", 1)[0] + "__mutmut_orig"]
        for line in list(difflib.unified_diff(sound, versions[function], n=0, lineterm=""))[2:]:
            if not line.startswith("@@"):
                print("   ", line)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
