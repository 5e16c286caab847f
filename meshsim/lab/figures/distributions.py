"""How many are how long: round trips as lived, what detours save, lengths of sessions and calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.figures.style import BLUE, CURVES, INK, ORANGE, POLICY_COLOURS, RED, canvas, house_style, sheet
from meshsim.mesh import geo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from meshsim.lab.detours import Detours


def rtt_distribution(calls: Mapping[str, ArrayLike]) -> Figure:
    """Cumulative distribution of round-trip times per policy; values in seconds."""
    with house_style():
        figure, axes = canvas(6.4, 3.0)
        for name, values in calls.items():
            ordered = np.sort(np.asarray(values))
            share = np.arange(1, len(ordered) + 1) / max(1, len(ordered))
            axes.plot(1e3 * ordered, 100 * share, color=POLICY_COLOURS.get(name, INK), lw=1.8, label=name)
        axes.axvline(320, color=RED, lw=1, ls=":")
        axes.set(
            xlabel="round-trip time, ms", ylabel="calls at most, %", ylim=(0, 101), title="Round-trip time as lived"
        )
        axes.legend(loc="lower right", frameon=True, facecolor="white", edgecolor="white", framealpha=1.0)
    return figure


def detours(found: Detours, *, title: str = "What a third place could save") -> Figure:
    """Round trips by distance, and what the best detour over one other place saves of them."""
    with house_style():
        figure = sheet(7.2, 3.4)
        left, right = figure.subplots(1, 2)
        far, size = found.distance / 1e6, float(np.clip(3e4 / len(found.distance), 1.5, 16.0))
        for values, colour, name in ((found.direct, ORANGE, "direct"), (found.detour, BLUE, "best detour")):
            left.scatter(far, 1e3 * values, s=size, color=colour, alpha=0.25, label=name, linewidth=0, rasterized=True)
        line = np.linspace(0.0, float(far.max()), 2)
        left.plot(
            line, 1e3 * geo.predicted_rtt(1e6 * line), color=INK, lw=1.2, ls="--", label="31.4 ms + 17.4 ms/1000 km"
        )
        left.set(xlabel="great circle, 1000 km", ylabel="round trip, ms", title=title)
        left.set_ylim(0, 1.05e3 * float(np.quantile(found.direct, 0.999)))
        left.legend(fontsize=8, markerscale=5 / size**0.5, loc="upper left")
        gain = 100 * np.sort(found.gain)[::-1]
        right.plot(gain, 100 * np.arange(1, len(gain) + 1) / len(gain), color=BLUE, lw=2)
        for least in (0, 10):
            share = 100 * found.share(least / 100)
            right.plot([least], [share], "o", color=ORANGE, ms=7)
            right.annotate(f"{share:.0f} %", (least, share), xytext=(8, 4), textcoords="offset points")
        right.set(xlabel="saved by the best detour, at least %", ylabel="pairs, %", xlim=(-25, 75), ylim=(0, 101))
    return figure


def survival(lengths: Mapping[str, ArrayLike], *, xlabel: str, title: str) -> Figure:
    """Share that is longer, over a logarithmic axis; what is called "measured" is thick, a law of its first word thin.

    Args:
        lengths: Seconds, by names such as `bitcoin, measured` and `bitcoin, law`; one colour for each first word.
        xlabel: What the lengths are, in hours.
        title: Above the picture.
    """
    with house_style():
        figure, axes = canvas(6.4, 3.2)
        colours = dict(zip(dict.fromkeys(name.split(",")[0] for name in lengths), CURVES, strict=False))
        for name, values in lengths.items():
            ordered = np.sort(np.asarray(values, dtype=np.float64)) / 3600.0
            longer = 100 * (1.0 - np.arange(1, len(ordered) + 1) / len(ordered))
            width, depth = (4.0, 0.45) if "measured" in name else (1.5, 1.0)
            axes.plot(ordered, longer, color=colours.get(name.split(",")[0], INK), lw=width, alpha=depth, label=name)
        axes.set_xscale("log")
        axes.set(xlabel=xlabel, ylabel="longer, %", ylim=(0, 101), title=title)
        axes.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
