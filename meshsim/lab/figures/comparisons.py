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
    panels,
)
from meshsim.measure.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

    from meshsim.measure.stats import Interval

_APART = 0.08
"""How far policies stand apart in one world, of the way to the next."""

_LETTERS = 70
"""Names of worlds that are longer together do not fit side by side."""


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
    gaps: Mapping[str, Interval],
    *,
    xlabel: str = "difference",
    title: str = "Differences, paired by seed",
    lower_is_better: bool = True,
) -> Figure:
    """Paired differences with their intervals, one per row in the order given.

    Blue is better, orange worse, grey where zero lies inside.
    """
    with house_style():
        figure, axes = canvas(7.2, 0.9 + 0.3 * len(gaps))
        axes.axvline(0.0, color=INK, lw=1)
        for row, gap in enumerate(gaps.values()):
            better = (gap.high < 0) == lower_is_better
            colour = (BLUE if better else ORANGE) if gap.excludes_zero else GREY
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
        if shaded is not None:
            axes.axvspan(*shaded[:2], color=GRID, label=shaded[2], zorder=0)
        _draw_bands(axes, at, per_seed, bounds)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def bands_beside(
    at: ArrayLike,
    worlds: Mapping[str, Mapping[str, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """The same as `bands` in several worlds beside each other, on one axis of values.

    Args:
        at: (T,) points.
        worlds: By name of a world, (S, T) values by name; NaN where a seed tells nothing.
        xlabel: Of the points.
        ylabel: Of the values.
        bounds: Between which values are.
    """
    with house_style():
        figure, places = panels(len(worlds), 3.1)
        for axes, (world, per_seed) in zip(places, worlds.items(), strict=True):
            _draw_bands(axes, at, per_seed, bounds)
            axes.set(xlabel=xlabel, title=world)
        places[0].set_ylabel(ylabel)
        places[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def along(
    worlds: Sequence[str], values: Mapping[str, Sequence[Interval]], *, ylabel: str, title: str, percent: bool = False
) -> Figure:
    """How means with their intervals change from world to world.

    Args:
        worlds: (W,) names, in order.
        values: By policy, W intervals; NaN where nothing is known.
        ylabel: What they are.
        title: Above the picture.
        percent: Whether they are shares, told in percent.
    """
    scale = 100.0 if percent else 1.0
    with house_style():
        figure, axes = canvas(7.2, 3.4)
        others = _others()
        for number, (name, told) in enumerate(values.items()):
            mean, low, high = scale * np.array([(i.mean, i.low, i.high) for i in told], dtype=np.float64).T
            x = np.arange(len(worlds)) + _APART * (number - (len(values) - 1) / 2)
            colour = _colour(name) or next(others, MUTED)
            axes.plot(x, mean, color=colour, lw=1, marker="o", ms=5, label=name)
            axes.vlines(x, low, high, color=colour, lw=2.4, alpha=0.6)
        tilt, side = (0, "center") if sum(map(len, worlds)) < _LETTERS else (40, "right")
        axes.set_xticks(range(len(worlds)), list(worlds), rotation=tilt, ha=side)
        axes.set(ylabel=f"{ylabel}, %" if percent else ylabel, title=title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _draw_bands(axes: Axes, at: ArrayLike, per_seed: Mapping[str, ArrayLike], bounds: tuple[float, float]) -> None:
    x, others = np.asarray(at, dtype=np.float64), _others()
    for name, values in per_seed.items():
        colour = _colour(name) or next(others, MUTED)
        columns = np.asarray(values, dtype=np.float64).T
        mean, low, high = np.array([mean_interval(column[np.isfinite(column)]) for column in columns]).T
        axes.fill_between(x, *np.clip([low, high], *bounds), color=colour, alpha=0.15, lw=0)
        axes.plot(x, mean, color=colour, lw=2, marker="o", ms=3.5, label=name)


def _others() -> Iterator[str]:
    """Colours of those who have none of their own."""
    return iter((RED, "#4a9c9c", "#b8860b", "#a05a7d", INK, "#6b8e23"))
