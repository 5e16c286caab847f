"""What `evaluate` finds, for people: few columns a table, and each number with its interval in one cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Rows = list[dict[str, Any]]

CHOICES = ("poor_call_rate", "captured", "regret_mos", "regret_median", "slight_regret_share", "kendall_tau_b")
PREDICTIONS = ("wape_rtt", "wape_jitter", "wape_loss")
CLAIMS = ("ai_score_error", "confidence_error", "coverage_rtt", "coverage_jitter", "coverage_loss")
WIDTHS = ("width_rtt", "width_jitter", "width_loss")
ESTIMATES = ("tried", "effective", "dr", "snips", "ips", "truth")
NAMES = {
    "poor_call_rate": "poor calls",
    "regret_mos": "mean regret, MOS",
    "regret_median": "median regret, MOS",
    "slight_regret_share": "calls within 0.02 MOS",
    "kendall_tau_b": "Kendall tau-b",
    "tried": "choices that were tried",
    "effective": "effective calls",
    "dr": "doubly robust",
    "snips": "normalised weights",
    "ips": "weights",
}
"""Headings of columns whose names do not say what they hold."""

_ENDS = ("_low", "_high")


def readable(tables: Mapping[str, Rows]) -> dict[str, Rows]:
    """The tables of `evaluate` as its command prints them; those without a row are left out.

    Args:
        tables: Rows by name; `x_low` and `x_high` are the interval of `x`.
    """
    found: dict[str, Rows] = {}
    for name, rows in tables.items():
        keys = [key for key in ("graph", "attack", "size", "world", "policy", "calls") if rows and key in rows[0]]
        if name == "all" and rows and CHOICES[1] in rows[0]:
            found["what was chosen"] = _columns(rows, keys, CHOICES)
            found["what was predicted: mean absolute error over the mean"] = _columns(rows, keys, PREDICTIONS)
            sure = [row for row in rows if CLAIMS[0] in row]
            found["what was claimed: calibration error, coverage of 90 % intervals"] = _columns(sure, keys, CLAIMS)
            found["width of 90 % intervals over the mean"] = _columns(sure, keys, WIDTHS)
        elif name.startswith("by_") and rows and CHOICES[1] in rows[0]:
            found[name.replace("_", " ")] = _columns(rows, keys, CHOICES[:3])
        elif name == "from_the_log":
            found["poor calls as the log alone tells them"] = _columns(rows, keys, ESTIMATES)
        else:
            found[name.replace("_", " ")] = rows
    return {name: rows for name, rows in found.items() if rows}


def _columns(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], metrics: Sequence[str]) -> Rows:
    return [
        {
            **{key: row[key] for key in keys},
            **{NAMES.get(metric, metric): _cell(row, metric) for metric in metrics if metric in row},
        }
        for row in rows
    ]


def _cell(row: Mapping[str, Any], metric: str) -> str:
    """An estimate, with its interval if it has one and it is known.

    >>> _cell({"rate": 0.25, "rate_low": 0.2, "rate_high": 0.3}, "rate")
    '0.250 [0.200, 0.300]'
    """
    value, low, high = row[metric], *(row.get(f"{metric}{end}", math.nan) for end in _ENDS)
    text = "-" if math.isnan(value) else _number(value)
    return text if math.isnan(low) or math.isnan(high) else f"{text} [{_number(low)}, {_number(high)}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3f}"  # noqa: PLR2004 - counts need no decimals
