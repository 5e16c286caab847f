"""Tells how many of the mutants of meshsim/trust the tests noticed: `tools/mutation_score.py FOLDER [LEAST]`.

FOLDER is the `mutants` folder that mutmut leaves. Exits with 3 when fewer than LEAST of 100 were noticed.
"""

from __future__ import annotations

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
    print("| module | mutants | noticed | % |\n|---|---:|---:|---:|")
    for module, codes in runs.items():
        print(_row(module, codes))
    everything = {name: code for codes in runs.values() for name, code in codes.items()}
    print(_row("**all**", everything), "\n")
    for name, code in everything.items():
        if code not in NOTICED:
            print("unnoticed:", name, "" if code == 0 else f"(exit code {code})")
    return 0 if _share(everything) >= float(least) else 3


def _codes(path: Path) -> dict[str, int | None]:
    found = json.loads(path.read_text())["exit_code_by_key"]
    return {name: code for name, code in found.items() if code != SKIPPED}


def _share(codes: dict[str, int | None]) -> float:
    return 100.0 * sum(code in NOTICED for code in codes.values()) / len(codes)


def _row(module: str, codes: dict[str, int | None]) -> str:
    return f"| {module} | {len(codes)} | {sum(code in NOTICED for code in codes.values())} | {_share(codes):.1f} |"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
