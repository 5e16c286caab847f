"""What was aimed at and what came out: one form for every command that holds something to a goal."""

from __future__ import annotations

import operator
from typing import Any

_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


def judge(goal: str, value: float, op: str, target: float) -> dict[str, Any]:
    """One goal with its verdict, as `--json` prints it; NaN meets nothing.

    Args:
        goal: A stable slug.
        value: What was measured.
        op: One of `<`, `<=`, `>`, `>=`, `==`.
        target: What it is held to.

    >>> judge("loss", 0.2, "<", 0.1)
    {'goal': 'loss', 'value': 0.2, 'op': '<', 'target': 0.1, 'pass': False}
    """
    return {"goal": goal, "value": value, "op": op, "target": target, "pass": bool(_OPERATORS[op](value, target))}
