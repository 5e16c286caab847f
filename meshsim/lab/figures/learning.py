"""How a scorer was trained, and whether it is as sure as it may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from meshsim.lab.figures.style import BLUE, GREY, MUTED, canvas, house_style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure


def training(history: Mapping[str, Sequence[float]]) -> Figure:
    """Losses by epoch: `train` and `validation`."""
    with house_style():
        figure, axes = canvas(6.4, 2.8)
        for name, colour in (("train", GREY), ("validation", BLUE)):
            values = list(history.get(name, ()))
            axes.plot(range(1, len(values) + 1), values, color=colour, lw=2, marker="o", ms=3, label=name)
        axes.set(xlabel="epoch", ylabel="loss", title="Training of the route scorer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure


def calibration(predicted: Sequence[float], observed: Sequence[float], count: Sequence[int]) -> Figure:
    """Claimed against observed share of good candidates, by bin; the area of a dot is the number of candidates."""
    with house_style():
        figure, axes = canvas(3.8, 3.6)
        axes.plot([0, 100], [0, 100], color=MUTED, lw=1, ls="--")
        size = 15 + 220 * np.asarray(count, dtype=float) / max([1, *count])
        axes.scatter(100 * np.asarray(predicted), 100 * np.asarray(observed), s=size, color=BLUE, alpha=0.8)
        axes.set(
            xlabel="ai_score claimed, %",
            ylabel="met the target, %",
            xlim=(-3, 103),
            ylim=(-3, 103),
            title="Calibration",
        )
    return figure
