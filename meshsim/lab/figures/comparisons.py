"""Policies beside each other: rates, differences, and both along an axis, with their 95 % intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.figures.style import (
    BLUE,
    COLOURS,
    GREY,
    GRID,
    INK,
    MUTED,
    ORANGE,
    RED,
    canvas,
    house_style,
)
from meshsim.measure.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from meshsim.measure.stats import Interval


def poor_rates(rates: Mapping[str, Interval], *, title: str = "Poor calls, by policy") -> Figure:
    """Share of poor calls per policy with its 95 % interval, in the order given."""
    return intervals(rates, xlabel="poor calls", title=title, percent=True)


def intervals(values: Mapping[str, Interval], *, xlabel: str, title: str, percent: bool = False) -> Figure:
    """Means with their intervals, one per row in the order given.

    Args:
        values: By policy, or by world and policy as in `calm: direct`.
        xlabel: What they are.
        title: Above the picture.
        percent: Whether they are shares, told in percent of all from none on.
    """
    scale = 100.0 if percent else 1.0
    with house_style():
        figure, axes = canvas(6.4, 0.75 + 0.36 * len(values))
        for row, (name, interval) in enumerate(values.items()):
            mean, low, high = (scale * bound for bound in (interval.mean, interval.low, interval.high))
            colour, end = _colour(name) or INK, mean if np.isnan(high) else high
            axes.plot([low, high], [row, row], color=colour, lw=3, solid_capstyle="round")
            axes.plot([mean], [row], "o", color=colour, ms=8)
            text = f"{mean:.1f}" if percent else f"{mean:.3g}"
            axes.annotate(text, (end, row), xytext=(8, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(values)), list(values))
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.margins(x=0.12)
        if percent:
            axes.set_xlim(left=0, right=118 * max(0.01, *(np.nanmax([i.high, i.mean]) for i in values.values())))
        axes.set(xlabel=f"{xlabel}, %" if percent else xlabel, title=title)
    return figure


def _colour(name: str) -> str | None:
    """Of a policy or model, whatever world stands before it."""
    return COLOURS.get(name.rpartition(": ")[2].split(" ")[0])


def differences(
    gaps: Mapping[str, Interval], *, xlabel: str = "difference", title: str = "Differences, paired by seed"
) -> Figure:
    """Paired differences with their intervals, one per row in the order given; grey where zero lies inside."""
    with house_style():
        figure, axes = canvas(7.2, 0.9 + 0.3 * len(gaps))
        axes.axvline(0.0, color=INK, lw=1)
        for row, gap in enumerate(gaps.values()):
            colour = (BLUE if gap.high < 0 else ORANGE) if gap.excludes_zero else GREY
            axes.plot([gap.low, gap.high], [row, row], color=colour, lw=3, solid_capstyle="round")
            axes.plot([gap.mean], [row], "o", color=colour, ms=7)
        axes.set_yticks(range(len(gaps)), list(gaps))
        axes.set_ylim(len(gaps) - 0.5, -0.5)
        axes.set(xlabel=xlabel, title=title)
    return figure


def bands(
    at: ArrayLike,
    per_seed: Mapping[str, ArrayLike],
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    shaded: tuple[float, float, str] | None = None,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """Means over seeds along an axis, each within the band of its 95 % interval (Student, point by point).

    Args:
        at: (T,) points.
        per_seed: (S, T) values by name; NaN where a seed tells nothing.
        xlabel: Of the points.
        ylabel: Of the values.
        title: Above the picture.
        shaded: From, to, and what happens there.
        bounds: Between which values are, so that no band of few seeds tells of others.
    """
    with house_style():
        figure, axes = canvas(7.2, 3.4)
        x = np.asarray(at, dtype=np.float64)
        others = iter((RED, "#b8860b", "#4a9c9c", "#a05a7d", INK, "#6b8e23"))
        if shaded is not None:
            axes.axvspan(*shaded[:2], color=GRID, label=shaded[2], zorder=0)
        for name, values in per_seed.items():
            colour = _colour(name) or next(others, MUTED)
            columns = np.asarray(values, dtype=np.float64).T
            mean, low, high = np.array([mean_interval(column[np.isfinite(column)]) for column in columns]).T
            axes.fill_between(x, *np.clip([low, high], *bounds), color=colour, alpha=0.15, lw=0)
            axes.plot(x, mean, color=colour, lw=2, marker="o", ms=3.5, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
