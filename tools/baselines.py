"""Benchmarks against what they were: `python tools/baselines.py check|write NAME...` (names as of `meshsim bench`).

`write` runs benchmarks and keeps the values of their goals, with commit, date and machine, in
benchmarks/baselines.json.
`check` runs them again and says what has become worse by more than a quarter: exit code 3 then. On another machine than
the baseline's it says so: only ratios mean anything there.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "benchmarks" / "baselines.json"

TOLERANCE = 0.25
"""Share by which a value may be worse than it was; timings of shared machines stray as much."""

_WORDS = ("check", "write")


def worse(before: float, now: float, op: str) -> float:
    """By what share of what it was a value has become worse; below 0 where it is better.

    Args:
        before: What it was.
        now: What it is.
        op: `<=` where less is better, `>=` where more is.
    """
    if before == now:
        return 0.0
    change = (now - before) / abs(before) if before else math.copysign(math.inf, now)
    return change if op == "<=" else -change


def compared(goals: list[dict[str, Any]], kept: dict[str, dict[str, Any]]) -> list[str]:
    """What became worse than it was by more than `TOLERANCE`, in words."""
    found = []
    for goal in goals:
        before = kept.get(goal["goal"])
        if before is not None and worse(before["value"], goal["value"], goal["op"]) > TOLERANCE:
            found.append(f"{goal['goal']}: {goal['value']:.4g}, it was {before['value']:.4g} ({before['date']})")
    return found


def _run(name: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "meshsim", "bench", *name.split(), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if not done.stdout.strip():
        raise SystemExit(f"meshsim bench {name}: {done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=FILE.parent)  # noqa: S603 - as above
    return done.stdout.strip()


def _written(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Goals as they are kept; what could not be measured is not."""
    said = {"commit": _commit(), "date": datetime.now(UTC).date().isoformat(), "machine": told["machine"]}
    known = [goal for goal in told["goals"] if isinstance(goal["value"], int | float) and math.isfinite(goal["value"])]
    return {goal["goal"]: {**{key: goal[key] for key in ("value", "op", "target")}, **said} for goal in known}


def main(words: list[str]) -> int:
    """Runs benchmarks and keeps or compares their goals."""
    if len(words) < 2 or words[0] not in _WORDS:  # noqa: PLR2004 - what to do, and with which
        print(__doc__)
        return 2
    kept = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    found = []
    for name in words[1:]:
        told = _run(name)
        if words[0] == "write":
            kept[name] = _written(told)
            continue
        if name not in kept:
            raise SystemExit(f"{name} has no baseline; there are: {', '.join(sorted(kept))}")
        lines = compared(told["goals"], kept[name])
        print(f"{name}: {len(told['goals'])} values, {len(lines)} worse than they were by more than {TOLERANCE:.0%}")
        if any(one["machine"] != told["machine"] for one in kept[name].values()):
            print(f"  another machine than the baseline's ({told['machine']}): only ratios mean anything")
        found += lines
    if words[0] == "write":
        FILE.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print("\n".join(found))
    return 3 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
