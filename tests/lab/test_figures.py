from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from meshsim.lab import figures
from meshsim.lab.detours import Detours
from meshsim.lab.figures import style
from meshsim.measure.stats import Interval
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import topologies

if TYPE_CHECKING:
    from meshsim.lab.run import Result

RATES = {
    "direct": Interval(0.3, 0.2, 0.4),
    "learned (new)": Interval(0.1, 0.05, 0.15),
    "other": Interval(0.2, 0.2, 0.2),
}
TRUST = pd.DataFrame(
    {"time_ns": [0, 60, 120], "node": [0, 1, 0], "observer": [-1, -1, -1], "score": [50.0, 60.0, 40.0]}
)
GEANT = topologies.load("sndlib/geant")
PAIRS = Detours(
    direct=np.array([0.1, 0.2]), detour=np.array([0.05, 0.3]), distance=np.array([1e6, 2e6]), violations=0.1
)
NOTHING = TRUST.iloc[:0]

FIGURES: dict[str, Callable[[], Figure]] = {
    "poor_rates": lambda: figures.poor_rates(RATES),
    "poor_rates of nothing poor": lambda: figures.poor_rates({"direct": Interval(0.0, 0.0, 0.0)}),
    "intervals": lambda: figures.intervals(RATES, xlabel="MOS", title="T"),
    "differences": lambda: figures.differences(
        {"a - b": Interval(-0.1, -0.2, -0.05), "c - b": Interval(0.0, -0.1, 0.1)}
    ),
    "bands": lambda: figures.bands(
        [0, 1],
        {"olsr": [[0.1, 0.2], [0.3, np.nan]], "x": [[0, 1]]},
        xlabel="x",
        ylabel="y",
        title="T",
        shaded=(0.2, 0.4, "outage"),
    ),
    "bands_beside": lambda: figures.bands_beside(
        [0, 1], {"calm": {"olsr": [[0.1, 0.2]]}, "busy": {"olsr": [[np.nan, 0.2]]}}, xlabel="x", ylabel="y"
    ),
    "along": lambda: figures.along(
        ["few", "many"], {"direct": [RATES["direct"], RATES["other"]]}, ylabel="y", title="T", percent=True
    ),
    "reputation": lambda: figures.reputation(TRUST, ["honest", "gray_hole"]),
    "reputation of nobody": lambda: figures.reputation(NOTHING, ["honest"]),
    "training": lambda: figures.training({"train": [2.0, 1.0], "validation": [2.1, 1.5]}),
    "calibration": lambda: figures.calibration([0.1, 0.9], [0.2, 0.8], [10, 40]),
    "twin": lambda: figures.twin(["a - b"], [0.02], [Interval(0.021, 0.020, 0.022)]),
    "packets": lambda: figures.packets([0.0, 0.02, 0.9], killed=0.1, resumed=0.9),
    "packets of silence": lambda: figures.packets([]),
    "topology": lambda: figures.topology(GEANT),
    "topology with values": lambda: figures.topology(GEANT, values=GEANT.length % 7, label="L", title="T"),
    "detours": lambda: figures.detours(PAIRS),
    "survival": lambda: figures.survival({"data": [60.0, 7200.0], "law": [1e3]}, xlabel="hours", title="T"),
    "rtt_distribution": lambda: figures.rtt_distribution({"direct": np.array([0.1, 0.2]), "none": []}),
}


@functools.cache
def text_of(name: str) -> str:
    return figures.svg(FIGURES[name]())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_text_every_time(name: str) -> None:
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figures.svg(figure) == text_of(name)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_text_without_date_and_without_reference_outside(name: str) -> None:
    text = text_of(name)
    assert text.startswith("<svg")
    assert "<dc:date>" not in text
    # what thousands of points are drawn into stands in the file itself
    assert re.findall(r'(?:href|src)="(?!#|data:image/png;base64,)[^"]*"', text) == []
    assert "url(http" not in text


def test_the_network_is_drawn_with_its_paths_and_the_names_on_them(result: Result) -> None:
    figure = figures.network(result.plan, paths={"before": [0, 1, 2], "after": [0, 3, 2]}, label_all=True, title="T")
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    names = result.plan.nodes.names
    assert f"before: {names[0]} → {names[1]} → {names[2]}" in told
    assert set(names) <= {text.get_text() for text in axes.texts}
    assert axes.get_title(loc="left") == "T"
    assert figures.svg(figure) == figures.svg(
        figures.network(result.plan, paths={"before": [0, 1, 2], "after": [0, 3, 2]}, label_all=True, title="T")
    )


SAVED = """
import sys
from pathlib import Path
from meshsim.lab import figures
from meshsim.measure.stats import Interval

for suffix in (".svg", ".pdf", ".png"):
    figure = figures.poor_rates({"direct": Interval(0.3, 0.2, 0.4), "learned": Interval(0.1, 0.05, 0.15)})
    figures.save(figure, Path(sys.argv[1] + suffix))
"""


@pytest.mark.full
def test_figures_saved_by_two_processes_with_other_settings_are_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 20\n", encoding="utf-8")
    for name, own in (("one", {}), ("two", {"MATPLOTLIBRC": str(tmp_path), "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"})):
        environment = os.environ | {"MPLBACKEND": "agg"} | own
        subprocess.run([sys.executable, "-c", SAVED, str(tmp_path / name)], check=True, env=environment)
    for suffix, magic in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
        assert first.startswith(magic)
        assert first == second


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".png"])
def test_a_saved_figure_says_nothing_of_when_and_by_what_it_was_drawn(suffix: str, tmp_path: Path) -> None:
    place = tmp_path / f"figure{suffix}"
    figures.save(FIGURES["poor_rates"](), place)
    content = place.read_bytes().lower()
    for word in (b"creationdate", b"dc:date", b"producer", b"matplotlib.org", b"software"):
        assert word not in content


def test_a_format_that_figures_have_not_is_named_with_those_they_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.svg"):
        figures.save(FIGURES["poor_rates"](), tmp_path / "figure.svgz")
    with pytest.raises(ConfigError, match="cannot be written"):
        figures.save(FIGURES["poor_rates"](), tmp_path / "nowhere" / "figure.svg")


def test_the_house_style_stays_in_its_block() -> None:
    import matplotlib as mpl  # noqa: PLC0415 - its settings are what is looked at

    before = mpl.rcParams["svg.hashsalt"]
    with figures.house_style():
        assert mpl.rcParams["svg.hashsalt"] == "meshsim"
    assert mpl.rcParams["svg.hashsalt"] == before


@pytest.mark.parametrize(("better", "colour"), [("lower", style.BLUE), ("higher", style.ORANGE)])
def test_a_difference_is_blue_where_it_is_better_and_orange_where_it_is_worse(better: str, colour: str):
    figure = figures.differences({"less": Interval(-2.0, -3.0, -1.0)}, lower_is_better=better == "lower")
    (dot,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert dot.get_color() == colour
