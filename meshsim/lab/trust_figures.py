"""Pictures of an attack on trust, and the numbers behind them: scores, whom calls went over, who was wronged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.figures.style import (
    BEHAVIOUR_COLOURS,
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    MODEL_COLOURS,
    MUTED,
    ORANGE,
    PURPLE,
    RED,
    canvas,
    house_style,
    panels,
)
from meshsim.trust.status import THRESHOLDS, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

HONEST = "honest"
STATUS_COLOURS = {
    Status.VERIFIED: GREEN,
    Status.TRUSTED: BLUE,
    Status.NEW: GREY,
    Status.SUSPICIOUS: ORANGE,
    Status.BANNED: RED,
}
_TRUSTED = next(least for least, status in THRESHOLDS if status == Status.TRUSTED)
_POINTS = 120
_MINUTE = 60e9  # nanoseconds


def attacker_share(calls: pd.DataFrame, behaviour: Sequence[str], minutes: ArrayLike) -> NDArray[np.float64]:
    """Of the relayed calls placed in each step, the share that ended on a path over a node that misbehaves.

    Args:
        calls: The trace's table `calls`.
        behaviour: True behaviour by node row.
        minutes: (T + 1,) edges of the steps.

    Returns:
        (T,) float64; NaN where no call was relayed.
    """
    relayed = calls[calls["final_path"].map(len) > 2]  # noqa: PLR2004 - two ends
    over = [any(behaviour[node] != HONEST for node in path[1:-1]) for path in relayed["final_path"]]
    return _per_step(relayed, np.asarray(over, dtype=np.float64), minutes)


def poor_share(calls: pd.DataFrame, minutes: ArrayLike) -> NDArray[np.float64]:
    """The share of the calls placed in each step that were poor; (T,) for T + 1 edges, those still running left out."""
    over = calls[calls["outcome"] != "running"]
    return _per_step(over, over["poor"].to_numpy(dtype=np.float64), minutes)


def _per_step(calls: pd.DataFrame, values: NDArray[np.float64], minutes: ArrayLike) -> NDArray[np.float64]:
    edges, placed = np.asarray(minutes, dtype=np.float64), calls["start_ns"].to_numpy() / _MINUTE
    total, number = np.histogram(placed, edges, weights=values)[0], np.histogram(placed, edges)[0]
    return np.asarray(np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0))


def calls_saved(calls: pd.DataFrame, baseline: pd.DataFrame, minutes: ArrayLike) -> NDArray[np.float64]:
    """How many calls fewer were poor than in the baseline, of those placed up to each instant.

    Args:
        calls: The trace's table `calls`.
        baseline: The same calls under another model.
        minutes: (T,) instants; calls count that were placed from the first on and were over in both.

    Returns:
        (T,) float64, less than zero where more were poor.
    """
    both = calls.merge(baseline[["call", "outcome", "poor"]], on="call", suffixes=("", "_there"))
    both = both[(both["outcome"] != "running") & (both["outcome_there"] != "running")]
    gain = both["poor_there"].to_numpy(dtype=np.float64) - both["poor"].to_numpy(dtype=np.float64)
    at = np.asarray(minutes, dtype=np.float64)
    steps = np.histogram(both["start_ns"].to_numpy() / _MINUTE, at, weights=gain)[0]
    return np.concatenate([[0.0], np.cumsum(steps)])


def scores_over_time(
    trust: Mapping[str, pd.DataFrame], behaviour: Sequence[str], *, since: float | None = None
) -> Figure:
    """Scores of those who were judged, a panel a model: the median of each kind in the band of 80 % of its nodes.

    Args:
        trust: The trace's table `trust` by model, with one ledger for all; nodes that no table judges are left out.
        behaviour: True behaviour by node row.
        since: Minute in which the attack begins.
    """
    with house_style():
        figure, places = panels(len(trust), 3.2)
        last = max((float(frame["time_ns"].max()) for frame in trust.values() if len(frame)), default=_MINUTE) / _MINUTE
        grid = np.linspace(0.0, last, _POINTS)
        for axes, (name, frame) in zip(places, trust.items(), strict=True):
            for kind in sorted({behaviour[node] for node in frame["node"]}, key=lambda kind: (kind != HONEST, kind)):
                own = frame[[behaviour[node] == kind for node in frame["node"]]]
                _band(axes, grid, scores_at(own, grid), kind)
            _mark(axes, since)
            axes.set(title=name, xlabel="minutes", ylim=(0, 102))
        places[0].set_ylabel("reputation")
        told = {label: line for axes in places for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        if told:
            places[-1].legend(told.values(), told.keys(), loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def scores_at(trust: pd.DataFrame, minutes: ArrayLike) -> NDArray[np.float64]:
    """The score of each node that a table `trust` judges, at T instants; (nodes, T), NaN before its first move."""
    at = np.asarray(minutes, dtype=np.float64)
    lines = []
    for _, seen in trust.groupby("node"):
        row = np.searchsorted(seen["time_ns"].to_numpy() / _MINUTE, at, side="right") - 1
        lines.append(np.where(row >= 0, seen["score"].to_numpy()[np.maximum(row, 0)], np.nan))
    return np.array(lines).reshape(len(lines), len(at))


def _band(axes: Axes, grid: NDArray[np.float64], scores: NDArray[np.float64], kind: str) -> None:
    known = np.isfinite(scores).any(axis=0)
    low, middle, high = np.nanquantile(scores[:, known], [0.1, 0.5, 0.9], axis=0)
    colour = BEHAVIOUR_COLOURS.get(kind, PURPLE)
    axes.fill_between(grid[known], low, high, color=colour, alpha=0.18, lw=0)
    axes.plot(grid[known], middle, color=colour, lw=2.2, label=f"{kind.replace('_', ' ')} (n={len(scores)})")


def _mark(axes: Axes, since: float | None) -> None:
    if since is not None:
        axes.axvline(since, color=INK, lw=1, ls=":")
        axes.annotate(
            "attack", (since, 0.0), xycoords=("data", "axes fraction"), xytext=(3, 4), textcoords="offset points"
        )


def standing(trust: Mapping[str, pd.DataFrame], behaviour: Sequence[str]) -> Figure:
    """What honest and misbehaving nodes are held for in the end, as shares of those judged: a row a model and kind.

    Args:
        trust: The trace's table `trust` by model, with one ledger for all.
        behaviour: True behaviour by node row.
    """
    rows = [
        (f"{kind}, {name} (n={len(words)})", words)
        for kind, good in (("honest", True), ("misbehaving", False))
        for name, frame in trust.items()
        for words in [last_status(frame, behaviour, honest=good)]
    ]
    with house_style():
        figure, axes = canvas(7.6, 0.9 + 0.34 * len(rows))
        for row, (_, words) in enumerate(rows):
            left = 0.0
            for status, colour in STATUS_COLOURS.items():
                share = 100.0 * sum(word == status for word in words) / max(1, len(words))
                axes.barh(row, share, left=left, color=colour, height=0.72, label=str(status) if row == 0 else None)
                left += share
        axes.set_yticks(range(len(rows)), [name for name, _ in rows])
        axes.set(xlim=(0, 100), ylim=(len(rows) - 0.5, -0.5), xlabel="nodes judged, %", title="What they are held for")
        axes.grid(visible=False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def last_status(trust: pd.DataFrame, behaviour: Sequence[str], *, honest: bool) -> list[str]:
    """The last word on each node of the honest, or of the others, that a table `trust` judges."""
    words: dict[int, str] = dict(zip(trust["node"].tolist(), trust["status"].tolist(), strict=True))
    return [word for node, word in sorted(words.items()) if (behaviour[node] == HONEST) == honest]


def roc(
    scores: Mapping[str, ArrayLike], bad: ArrayLike, honest: ArrayLike, *, title: str = "Telling the bad by their score"
) -> Figure:
    """The bad that are below a score, by how many of the honest are too, for all scores; the areas in the legend.

    Args:
        scores: (N,) by model.
        bad: (N,) bool.
        honest: (N,) bool.
        title: Above the picture.
    """
    with house_style():
        figure, axes = canvas(6.0, 3.6)
        axes.plot([0, 100], [0, 100], color=MUTED, lw=1, ls="--")
        for name, values in scores.items():
            false, true = _roc(np.asarray(values, dtype=np.float64), np.asarray(bad), np.asarray(honest))
            label = f"{name}: AUC {np.trapezoid(true, false):.3f}"
            style: dict[str, Any] = {"ls": "--"} if "oracle" in name else {}
            axes.plot(100 * false, 100 * true, color=MODEL_COLOURS.get(name, PURPLE), lw=2, label=label, **style)
        axes.set(xlabel="honest nodes below, %", ylabel="bad nodes below, %", title=title)
        axes.set(xlim=(-2, 102), ylim=(-2, 102))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _roc(
    score: NDArray[np.float64], bad: NDArray[np.bool_], honest: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the honest and of the bad at or below each score there is, from 0 to 1; ties make slanting lines."""
    at = np.unique(score[bad | honest])
    shares = [np.searchsorted(np.sort(score[who]), at, side="right") / who.sum() for who in (honest, bad)]
    return np.concatenate([[0.0], shares[0]]), np.concatenate([[0.0], shares[1]])


def conduct(
    scores: Mapping[str, ArrayLike], attacking: ArrayLike, *, alarms: Sequence[int] = (), title: str = "An on-off relay"
) -> Figure:
    """A relay's score over its outcomes as each model has it, with the times at which it attacks.

    Args:
        scores: (K,) by model, after each outcome: what decides, the lower bound.
        attacking: (K,) bool.
        alarms: Outcomes at which its change was noticed.
        title: Above the picture.
    """
    with house_style():
        figure, axes = canvas(7.6, 3.2)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], np.asarray(attacking, dtype=np.bool_), [False]])))
        for turn, (first, last) in enumerate(edges.reshape(-1, 2).tolist()):
            axes.axvspan(first, last, color=GRID, zorder=0, label=None if turn else "it attacks")
        axes.axhline(_TRUSTED, color=MUTED, lw=1, ls="--")
        axes.annotate("trusted", (0, _TRUSTED), xytext=(2, 3), textcoords="offset points", color=MUTED)
        for name, values in scores.items():
            axes.plot(np.asarray(values), color=MODEL_COLOURS.get(name, PURPLE), lw=1.8, label=name)
        if len(alarms):
            axes.plot(alarms, np.full(len(alarms), 3.0), "^", color=INK, ms=6, label="change noticed")
        axes.set(xlabel="outcomes", ylabel="score, lower bound", ylim=(0, 102), title=title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
