"""What lies where: networks with the paths of calls, and topologies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from meshsim.lab.figures.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    RED,
    ROLE_COLOURS,
    ROLE_SIZES,
    canvas,
    house_style,
)
from meshsim.lab.maps import lines_of
from meshsim.mesh.view import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.topology import Topology
    from meshsim.scenario.plan import Plan

_MANY = 100


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
    margin = 0.12 * float(np.ptp(degrees))
    margin += min(least, margin + 0.005)  # a town is drawn as large as a continent
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
