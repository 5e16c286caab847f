"""The simulator beside real nodes, and what a real call heard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.figures.style import BLUE, GREEN, GREY, MUTED, RED, canvas, house_style, sheet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One measure of many calls, in the simulator and on real nodes.

    Attributes:
        title: With its unit.
        simulated: K values.
        real: K means with intervals.
        within: How far a real value may be from the simulated one x, for arrays of x.
    """

    title: str
    simulated: Sequence[float]
    real: Sequence[Interval]
    within: Callable[[NDArray[np.float64]], NDArray[np.float64]]


def agreement(measures: Sequence[Agreement]) -> Figure:
    """A panel for each measure: real over simulated, on the diagonal where they agree, in the band where they may be.

    Args:
        measures: What was measured.
    """
    with house_style():
        figure = sheet(3.0 * len(measures), 3.0)
        axes = list(figure.subplots(1, len(measures), squeeze=False)[0])
        for one, ax in zip(measures, axes, strict=True):
            x = np.asarray(one.simulated, dtype=np.float64)
            y = np.array([value.mean for value in one.real])
            room = one.within(x).max()
            line = np.linspace(min(x.min(), y.min()) - room, max(x.max(), y.max()) + room, 50)
            ax.fill_between(line, line - one.within(line), line + one.within(line), color=GREY, alpha=0.25, lw=0)
            ax.plot(line, line, color=MUTED, lw=1)
            for at, value in zip(x, one.real, strict=True):
                ax.plot([at, at], [value.low, value.high], color=BLUE, lw=1, alpha=0.6)
            ax.scatter(x, y, color=BLUE, s=18, zorder=3)
            ax.set(title=one.title, xlabel="simulated", xlim=(line[0], line[-1]), ylim=(line[0], line[-1]))
        axes[0].set_ylabel("on real nodes")
    return figure


def in_time(
    simulated: Sequence[tuple[Sequence[float], Sequence[float]]],
    real: Sequence[tuple[Sequence[float], Sequence[float]]],
) -> Figure:
    """One-way delays of calls, second by second, on one clock.

    Args:
        simulated: Of each call the instants (seconds) and the delays (seconds) in the simulator.
        real: The same on real nodes.
    """
    with house_style():
        figure, axes = canvas(7.2, 3.0)
        for k, (at, delay) in enumerate(simulated):
            axes.plot(at, 1e3 * np.asarray(delay), color=GREY, lw=2.4, label="" if k else "simulated")
        for k, (at, delay) in enumerate(real):
            label = "" if k else "on real nodes"
            axes.plot(at, 1e3 * np.asarray(delay), color=BLUE, lw=0.8, marker="o", ms=2.6, label=label)
        axes.set(xlabel="s", ylabel="one-way delay, ms", title="Delay of each call, second by second")
        axes.set_ylim(0, None)
        axes.legend(loc="lower right", ncols=2)
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
