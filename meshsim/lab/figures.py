"""One function per figure, one house style, stable bytes: matplotlib figures; `svg` makes them text of a report."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from meshsim.lab.maps import lines_of
from meshsim.measure.stats import mean_interval
from meshsim.mesh import geo
from meshsim.mesh.view import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from meshsim.lab.detours import Detours
    from meshsim.measure.stats import Interval
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.plan import Plan

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
_CURVES = (INK, BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
_COLOURS = POLICY_COLOURS | MODEL_COLOURS
_MANY = 100
ROLE_COLOURS = (GREY, "#8fb8de", BLUE, "#173f6b")
ROLE_SIZES = (16, 26, 44, 70)
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
}


@contextmanager
def house_style() -> Iterator[None]:
    """The project's matplotlib settings, for the length of a `with` block."""
    with mpl.rc_context(_STYLE):
        yield


class _Shown(Figure):
    """A figure that a notebook shows without pyplot, whose figures would live on in the background."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        with house_style():
            self.savefig(out, format="png", dpi=110)
        return out.getvalue()


def canvas(width: float = 6.4, height: float = 3.4) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its one place to draw; within `house_style`."""
    figure = _Shown(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """The same with places side by side that share their axis of values."""
    figure = _Shown(figsize=(2.2 + 2.3 * count, height), layout="constrained")
    return figure, list(figure.subplots(1, count, sharey=True, squeeze=False)[0])


def svg(figure: Figure) -> str:
    """The figure as SVG text without preamble; equal figures give equal text."""
    out = io.StringIO()
    with house_style():
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as the format its suffix names: .svg, .pdf or .png."""
    metadata: dict[str, Any] = {"Date": None} if path.suffix == ".svg" else {}
    if path.suffix == ".pdf":
        metadata = {"CreationDate": None}
    with house_style():
        figure.savefig(path, dpi=150, metadata=metadata)


def poor_rates(rates: Mapping[str, Interval], *, title: str = "Poor calls, by policy") -> Figure:
    """Share of poor calls per policy with its 95 % interval, in the order given."""
    with house_style():
        figure, axes = canvas(6.4, 0.6 + 0.42 * len(rates))
        for row, (name, interval) in enumerate(rates.items()):
            colour = POLICY_COLOURS.get(name.split(" ")[0], INK)
            axes.plot([100 * interval.low, 100 * interval.high], [row, row], color=colour, lw=3, solid_capstyle="round")
            axes.plot([100 * interval.mean], [row], "o", color=colour, ms=8)
            axes.annotate(
                f"{100 * interval.mean:.1f}",
                (100 * interval.high, row),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks(range(len(rates)), list(rates))
        axes.set_xlim(left=0, right=118 * max(0.01, *(i.high for i in rates.values())))
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.set_xlabel("poor calls, %")
        axes.set_title(title)
    return figure


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
) -> Figure:
    """Means over seeds along an axis, each within the band of its 95 % interval (Student, point by point).

    Args:
        at: (T,) points.
        per_seed: (S, T) values by name; NaN where a seed tells nothing.
        xlabel: Of the points.
        ylabel: Of the values.
        title: Above the picture.
        shaded: From, to, and what happens there.
    """
    with house_style():
        figure, axes = canvas(7.2, 3.4)
        x = np.asarray(at, dtype=np.float64)
        others = iter((RED, "#b8860b", "#4a9c9c", "#a05a7d", INK, "#6b8e23"))
        if shaded is not None:
            axes.axvspan(*shaded[:2], color=GRID, label=shaded[2], zorder=0)
        for name, values in per_seed.items():
            colour = _COLOURS.get(name.split(" ")[0]) or next(others, MUTED)
            columns = np.asarray(values, dtype=np.float64).T
            mean, low, high = np.array([mean_interval(column[np.isfinite(column)]) for column in columns]).T
            axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
            axes.plot(x, mean, color=colour, lw=2, marker="o", ms=3.5, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


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


def network(
    plan: Plan, *, paths: Mapping[str, Sequence[int]] | None = None, title: str | None = None, label_all: bool = False
) -> Figure:
    """The underlay, the overlay nodes on it, and paths of a call over them.

    Args:
        plan: Whose places, edges and nodes are drawn.
        paths: Overlay node rows by label; the first is drawn solid, later ones dashed.
        title: Above the picture.
        label_all: Whether every node's name is written, not only those on a path.
    """
    with house_style():
        figure, axes = canvas(7.2, 3.9)
        _draw_underlay(axes, plan)
        nodes = plan.nodes
        for role in Role:
            own = nodes.role == role
            axes.scatter(
                nodes.longitude[own], nodes.latitude[own], s=ROLE_SIZES[role], color=ROLE_COLOURS[role], zorder=3,
                edgecolor="white", linewidth=0.6, label=Role(role).name.lower() if own.any() else None,
            )  # fmt: skip
        bad = np.array([b != "honest" for b in nodes.behaviour])
        if bad.any():
            axes.scatter(
                nodes.longitude[bad],
                nodes.latitude[bad],
                s=110,
                facecolor="none",
                edgecolor=RED,
                lw=1.4,
                zorder=4,
                label="misbehaves",
            )
        for order, (label, path) in enumerate((paths or {}).items()):
            _draw_path(axes, plan, path, label, order)
        if label_all:
            _name_nodes(axes, plan)
        axes.set(xlabel="longitude", ylabel="latitude", title=title or plan.underlay.topology.name)
        axes.set(xlim=_span(nodes.longitude), ylim=_span(nodes.latitude))
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)
    return figure


def _span(degrees: NDArray[np.float64], least: float = 0.5) -> tuple[float, float]:
    """From the first to the last node with a margin: a lone far place of the underlay must not squeeze the rest."""
    margin = 0.12 * float(np.ptp(degrees)) + least
    return float(degrees.min()) - margin, float(degrees.max()) + margin


def _draw_underlay(axes: Axes, plan: Plan) -> None:
    topology = plan.underlay.topology
    for src, dst in () if _is_measured(topology) else zip(topology.src, topology.dst, strict=True):
        if src < dst:
            axes.plot(topology.longitude[[src, dst]], topology.latitude[[src, dst]], color="#c9d1d9", lw=1.0, zorder=1)
    axes.scatter(topology.longitude, topology.latitude, s=10, marker="s", color="#aab4be", zorder=2)


def _draw_path(axes: Axes, plan: Plan, path: Sequence[int], label: str, order: int) -> None:
    at = np.asarray(path)
    names = " → ".join(plan.nodes.names[i] for i in path)
    axes.plot(
        plan.nodes.longitude[at], plan.nodes.latitude[at], color=(GREEN, RED, ORANGE)[order % 3], lw=2.4, alpha=0.9,
        ls="-" if order == 0 else (0, (4, 2)), zorder=2.5 + order / 10, label=f"{label}: {names}",
    )  # fmt: skip


def _name_nodes(axes: Axes, plan: Plan) -> None:
    for name, x, y in zip(plan.nodes.names, plan.nodes.longitude, plan.nodes.latitude, strict=True):
        axes.annotate(name, (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8.5, zorder=9)


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


def topology(graph: Topology, *, values: ArrayLike | None = None, label: str = "", title: str | None = None) -> Figure:
    """Places and links on a map; where every pair was measured, lines would hide it, and none is drawn without values.

    Args:
        graph: What is drawn; of links in both directions the later one lies on top.
        values: (E,) positive numbers that colour the links on a logarithmic scale; NaN and zero are thin and grey.
        label: What the values are.
        title: Above the picture, instead of the graph's name.
    """
    with house_style():
        figure, axes = canvas(7.2, 4.8)
        places, ends, link = lines_of(graph)
        told = np.nan_to_num(np.zeros(len(ends)) if values is None else np.asarray(values, dtype=np.float64)[link])
        plain = (told <= 0.0) & (values is not None or not _is_measured(graph))
        axes.add_collection(LineCollection(list(ends[plain]), linewidths=0.6, colors=MUTED, alpha=0.6))
        if told.max(initial=0.0) > 0.0:
            order = np.flatnonzero(told > 0.0)[np.argsort(told[told > 0.0], kind="stable")]
            lines = LineCollection(
                list(ends[order]), linewidths=1.6, cmap="plasma_r", norm=LogNorm(), array=told[order]
            )
            figure.colorbar(axes.add_collection(lines), ax=axes, label=label, location="bottom", shrink=0.6, aspect=40)
        axes.scatter(places[:, 0], places[:, 1], s=6, color=BLUE, zorder=2)
        axes.set(xlabel="longitude", ylabel="latitude", title=title or graph.name)
        axes.set(xlim=_middle(places[:, 0]), ylim=_middle(places[:, 1]))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        # as long to the east as to the north, in the middle of the map
        axes.set_aspect(1.0 / np.cos(np.radians(np.median(graph.latitude))))
    return figure


def _middle(degrees: NDArray[np.float64]) -> tuple[float, float]:
    """Where nearly all of many places are: one that is far off must not squeeze the rest."""
    return _span(degrees if len(degrees) < _MANY else np.quantile(degrees, [0.01, 0.99]), 0.02)


def _is_measured(graph: Topology) -> bool:
    """Whether it is a table of what was measured between all places, rather than links that somebody built."""
    return graph.is_complete and graph.delay is not None


def detours(found: Detours, *, title: str = "What a third place could save") -> Figure:
    """Round trips by distance, and what the best detour over one other place saves of them."""
    with house_style():
        figure = _Shown(figsize=(7.2, 3.4), layout="constrained")
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
        colours = dict(zip(dict.fromkeys(name.split(",")[0] for name in lengths), _CURVES, strict=False))
        for name, values in lengths.items():
            ordered = np.sort(np.asarray(values, dtype=np.float64)) / 3600.0
            longer = 100 * (1.0 - np.arange(1, len(ordered) + 1) / len(ordered))
            width, depth = (4.0, 0.45) if "measured" in name else (1.5, 1.0)
            axes.plot(ordered, longer, color=colours.get(name.split(",")[0], INK), lw=width, alpha=depth, label=name)
        axes.set_xscale("log")
        axes.set(xlabel=xlabel, ylabel="longer, %", ylim=(0, 101), title=title)
        axes.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
