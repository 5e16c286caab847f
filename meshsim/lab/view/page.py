"""One HTML file that needs nothing else: style, program and data of a page are in it, and it may ask nobody."""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from meshsim.lab.view.contents import Contents, contents
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_MARK = "<!--{}-->"
_PROGRAM = ("data.js", "picture.js", "panel.js", "view.js")


@dataclass(frozen=True)
class View:
    """A network that one can look into: shows itself in a notebook, or is written to a file.

    Attributes:
        html: The whole page.
    """

    html: str

    def save(self, path: Path) -> None:
        """Writes the page.

        Raises:
            ConfigError: If it cannot be written there.
        """
        try:
            path.write_text(self.html, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}", key="--out") from error

    def _repr_html_(self) -> str:
        style = "width:100%;height:46rem;border:0"
        return f'<iframe title="Network" sandbox="allow-scripts" style="{style}" srcdoc="{escape(self.html)}"></iframe>'


def view(folder: Path) -> View:
    """The network of a trace as a page.

    Args:
        folder: Of the trace, as `meshsim run --out` wrote it.

    Raises:
        TraceError: If there is no whole trace in `folder`.
    """
    return View(page(contents(folder)))


def page(shown: Contents, *, live: bool = False) -> str:
    """The page of `shown` as text; equal contents give equal text.

    Args:
        shown: What is on it.
        live: Whether the page asks for more where it came from, a server on this machine; nobody else is ever asked.
    """
    parts = {
        "title": escape(f"{shown.words['name']}: the network"),
        "policy": _policy(live=live),
        "style": _asset("view.css"),
        "words": _json({**shown.words, "live": live, **_table(shown)}),
        "numbers": _numbers(shown),
        "script": "\n".join(_asset(name) for name in (*_PROGRAM, *(("live.js",) if live else ()), "start.js")),
    }
    text = _asset("view.html")
    for name, part in parts.items():
        text = text.replace(_MARK.format(name), part)
    return text


def news(shown: Contents, *, finished: bool) -> str:
    """What a page that asks for more is told, as JSON."""
    told = {"words": {**shown.words, **_table(shown)}, "numbers": _numbers(shown), "finished": finished}
    return _json({"count": shown.words["count"], **told})


def _policy(*, live: bool) -> str:
    """What the browser lets the page load: nothing but itself."""
    asks = "'self'" if live else "'none'"
    own = "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return f"default-src 'none'; {own}; connect-src {asks}"


def _asset(name: str) -> str:
    return files("meshsim.lab.view").joinpath("assets", name).read_text(encoding="utf-8")


def plain(value: Any) -> Any:
    """`value` as JSON knows it: no number that is none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def _json(words: dict[str, Any]) -> str:
    """JSON that no word of it can end early."""
    text = json.dumps(plain(words), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _table(shown: Contents) -> dict[str, Any]:
    """Where each array begins among the numbers, bytes, each at a multiple of eight."""
    rows, begin = {}, 0
    for name, array in shown.arrays.items():
        rows[name] = [array.dtype.name, begin, array.size]
        begin += -(-array.nbytes // 8) * 8
    return {"arrays": rows}


def _numbers(shown: Contents) -> str:
    """All arrays, little-endian, compressed, as text."""
    whole = b"".join(
        array.astype(array.dtype.newbyteorder("<")).tobytes().ljust(-(-array.nbytes // 8) * 8, b"\0")
        for array in shown.arrays.values()
    )
    return base64.b64encode(zlib.compress(whole, 9)).decode()
