"""Small tables of HTML, by which values show themselves in notebooks. All text in them is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence

_STYLE = "text-align:left;vertical-align:top"


def table(title: str, rows: Mapping[str, object], *, note: str = "") -> str:
    """A title, and a line for each name with its value.

    Args:
        title: What is shown.
        rows: Values by name; text, numbers, or several of them. Those that are None or empty are left out.
        note: What else there is to say.

    >>> table("a <b>", {"reasons": ()}, note="as it is")
    '<b>a &lt;b&gt;</b><table></table><small>as it is</small>'
    """
    said = ((name, _cell(value)) for name, value in rows.items())
    lines = "".join(
        f'<tr><th style="{_STYLE}">{html.escape(name)}</th><td style="{_STYLE}">{cell}</td></tr>'
        for name, cell in said
        if cell
    )
    after = f"<small>{html.escape(note)}</small>" if note else ""
    return f"<b>{html.escape(title)}</b><table>{lines}</table>{after}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "not claimed" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "<br>".join(_cell(one) for one in value)
    return html.escape(str(value))


def some(names: Sequence[str], most: int = 6) -> str:
    """The first of many names, and how many there are.

    >>> some(["a", "b", "c"], 2)
    'a, b, ... (3)'
    """
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])}, ... ({len(names)})"
