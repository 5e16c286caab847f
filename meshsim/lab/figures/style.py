"""The one house style: colours, settings, canvases; and stable bytes: what is drawn alike is saved alike."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from meshsim.mesh.errors import ConfigError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes

INK, MUTED, GRID = "#24303f", "#7a8794", "#e3e8ed"
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#2f6db3", "#d9822b", "#3a8f5c", "#c0392b", "#7d5ba6", "#9aa5b1"
POLICY_COLOURS = {
    "direct": GREY,
    "shortest": PURPLE,
    "weighted": ORANGE,
    "learned": BLUE,
    "committed": "#6aa5e0",
    "oracle": GREEN,
}
MODEL_COLOURS = {"additive": RED, "beta": ORANGE, "credibility": BLUE, "beta-cusum": BLUE, "oracle": GREEN}
BEHAVIOUR_COLOURS = {"honest": BLUE, "gray_hole": ORANGE, "black_hole": RED}
IN_THE_DARK = {
    INK: "#e4e9ee",
    MUTED: "#a3b0bc",
    GRID: "#38434e",
    BLUE: "#6aa5e0",
    PURPLE: "#b79bdc",
    GREEN: "#6fce97",
    RED: "#f08a7e",
    "#173f6b": "#b9d6f2",
    "#c9d1d9": "#38434e",
    "#ffffff": "#171c21",
}
"""What stands for a colour where the paper is dark; the others can be seen on both."""

CURVES = (INK, BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
COLOURS = POLICY_COLOURS | MODEL_COLOURS
ROLE_COLOURS = (GREY, "#8fb8de", BLUE, "#173f6b")
ROLE_SIZES = (16, 26, 44, 70)
_DPI, _DPI_SHOWN = 150, 110
_SILENT = {
    ".svg": ("Date", "Creator", "Format", "Type"),
    ".pdf": ("CreationDate", "Creator", "Producer"),
    ".png": ("Software",),
}
"""What matplotlib says in a file of when and by which version it was drawn: nothing of it is kept."""
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "meshsim",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}


@contextmanager
def house_style() -> Iterator[None]:
    """The project's matplotlib settings and no others, for the length of a `with` block."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a person's own settings would change the bytes
        mpl.rcParams.update(_STYLE)
        yield


class _Shown(Figure):
    """A figure that a notebook shows without pyplot, whose figures would live on in the background."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        with house_style():
            self.savefig(out, format="png", dpi=_DPI_SHOWN)
        return out.getvalue()


def sheet(width: float, height: float) -> Figure:
    """An empty figure of so many inches without a place to draw; within `house_style`."""
    return _Shown(figsize=(width, height), layout="constrained")


def canvas(width: float = 6.4, height: float = 3.4) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its one place to draw; within `house_style`."""
    figure = sheet(width, height)
    return figure, figure.add_subplot()


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """The same with places side by side that share their axis of values."""
    figure = sheet(2.2 + 2.3 * count, height)
    return figure, list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def svg(figure: Figure) -> str:
    """The figure as SVG text without preamble; equal figures give equal text."""
    text = _drawn(figure, ".svg").decode()
    return text[text.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as the format its suffix names: .svg, .pdf or .png; equal figures give equal bytes.

    Raises:
        ConfigError: If the suffix is none of these, or the file cannot be written.
    """
    if path.suffix not in _SILENT:
        known = list(_SILENT)
        raise ConfigError(
            f"no format of figures: {path.suffix!r}", key=str(path), allowed=known, nearest=nearest(path.suffix, known)
        )
    try:
        path.write_bytes(_drawn(figure, path.suffix))
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", key="--out") from error


def _drawn(figure: Figure, suffix: str) -> bytes:
    out = io.BytesIO()
    with house_style():
        figure.savefig(out, format=suffix[1:], dpi=_DPI, metadata=dict.fromkeys(_SILENT[suffix]))
    return out.getvalue()
