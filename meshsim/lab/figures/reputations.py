"""Reputations over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.figures.style import BEHAVIOUR_COLOURS, PURPLE, canvas, house_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def reputation(trust: pd.DataFrame, behaviour: Sequence[str]) -> Figure:
    """Reputation over time: each node in each observer's eyes a thin line, each kind of behaviour its mean.

    Args:
        trust: The trace's table `trust`.
        behaviour: True behaviour by node row.
    """
    with house_style():
        figure, axes = canvas(7.2, 3.4)
        lines = []
        for _, seen in trust.groupby(["node", "observer"]):
            node = int(seen["node"].iloc[0])
            lines.append((behaviour[node], node, seen["time_ns"].to_numpy() / 60e9, seen["score"].to_numpy()))
        grid = np.linspace(trust["time_ns"].min() / 60e9, trust["time_ns"].max() / 60e9, 120) if lines else np.zeros(0)
        for kind in sorted({kind for kind, *_ in lines}):
            colour = BEHAVIOUR_COLOURS.get(kind, PURPLE)
            own = [line for line in lines if line[0] == kind]
            for _, _, minutes, scores in own:
                axes.plot(minutes, scores, color=colour, lw=0.6, alpha=0.25, drawstyle="steps-post")
            mean = _mean_steps([line[2:] for line in own], grid)
            label = f"{kind.replace('_', ' ')} (n={len({node for _, node, *_ in own})})"
            axes.plot(grid, mean, color=colour, lw=2.4, label=label)
        axes.set(xlabel="minutes", ylabel="reputation", ylim=(0, 102), title="Reputation of relays over time")
        if lines:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _mean_steps(
    lines: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The mean at each point of `grid` of step functions (times, values), of those that have begun by then."""
    total, begun = np.zeros(len(grid)), np.zeros(len(grid))
    for times, values in lines:
        at = np.searchsorted(times, grid, side="right") - 1
        total += np.where(at >= 0, values[np.maximum(at, 0)], 0.0)
        begun += at >= 0
    return np.where(begun > 0, total / np.maximum(begun, 1), np.nan)
