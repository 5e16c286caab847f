"""The simulator beside real nodes, and what a real call heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.figures.style import BLUE, GREEN, GREY, RED, canvas, house_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from meshsim.measure.stats import Interval


def twin(labels: Sequence[str], simulated: Sequence[float], measured: Sequence[Interval]) -> Figure:
    """One-way delays of the same links and paths in the simulator and on real datagrams.

    Args:
        labels: One per link or path.
        simulated: Seconds.
        measured: Mean and interval, seconds.
    """
    with house_style():
        figure, axes = canvas(6.4, 0.8 + 0.3 * len(labels))
        rows = np.arange(len(labels))
        axes.scatter(
            1e3 * np.asarray(simulated), rows - 0.12, color=GREY, marker="D", s=28, label="simulated", zorder=3
        )
        axes.scatter(
            [1e3 * m.mean for m in measured], rows + 0.12, color=BLUE, s=30, label="measured on real nodes", zorder=3
        )
        for row, m in zip(rows, measured, strict=True):
            axes.plot([1e3 * m.low, 1e3 * m.high], [row + 0.12, row + 0.12], color=BLUE, lw=2)
        axes.set_yticks(rows, list(labels))
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set(xlabel="one-way delay, ms", title="Simulated beside measured", xlim=(0, None))
        axes.legend(loc="best")
    return figure


def packets(arrivals: Sequence[float], *, killed: float | None = None, resumed: float | None = None) -> Figure:
    """Audio packets received per 100 ms of a call, with the kill of its relay and the first packet after it.

    Args:
        arrivals: Seconds since the call's first packet.
        killed: When the relay was killed, same clock.
        resumed: When packets came again, same clock.
    """
    with house_style():
        figure, axes = canvas(6.4, 2.4)
        last = max(arrivals, default=0.1)
        counts, edges = np.histogram(np.asarray(arrivals), bins=np.arange(0, last + 0.1, 0.1))
        axes.bar(edges[:-1], counts, width=0.09, align="edge", color=BLUE)
        for at, colour, text in ((killed, RED, "relay killed"), (resumed, GREEN, "audio again")):
            if at is not None:
                axes.axvline(at, color=colour, lw=1.6)
                axes.annotate(
                    text,
                    (at, 1.0),
                    xycoords=("data", "axes fraction"),
                    xytext=(3, -10),
                    textcoords="offset points",
                    color=colour,
                )
        axes.set(xlabel="seconds of the call", ylabel="packets / 100 ms", title="Audio received by the callee")
        axes.set_ylim(0, 1.3 * max(1, *counts))
    return figure
