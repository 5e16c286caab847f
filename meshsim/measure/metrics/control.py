"""Metrics of what choosing routes costs and how soon it is right: control bytes, convergence, loops, flaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.metrics.calls import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _rates(control: dict[str, Any]) -> NDArray[np.float64]:
    """Bytes per second of each node, over all periods and kinds; (N,)."""
    times, first = np.unique(np.asarray(control["time_ns"]), return_index=True)
    if not len(times):
        return np.zeros(0)
    seconds = float(np.asarray(control["seconds"], dtype=np.float64)[first].sum())
    _, place = np.unique(np.asarray(control["node"]), return_inverse=True)
    return np.bincount(place, np.asarray(control["bytes"], dtype=np.float64)) / seconds


def _converged(convergence: dict[str, Any]) -> NDArray[np.float64]:
    """Seconds of each change of topology that has converged."""
    seconds = np.asarray(convergence["seconds"], dtype=np.float64)
    return seconds[np.isfinite(seconds)]


def _share(routing: dict[str, Any], name: str) -> NDArray[np.float64]:
    walks = np.asarray(routing["walks"], dtype=np.float64)
    some = walks > 0
    return np.asarray(routing[name], dtype=np.float64)[some] / walks[some]


def _loops(routing: dict[str, Any]) -> NDArray[np.float64]:
    return _share(routing, "loops")


def _flaps(routing: dict[str, Any]) -> NDArray[np.float64]:
    return _share(routing, "flaps")


def _lost(routing: dict[str, Any]) -> NDArray[np.float64]:
    return 1.0 - _share(routing, "reached")


OF_CONTROL = (
    Metric(
        name="control_bytes_per_node_second",
        unit="B/s",
        lower_is_better=True,
        text="control bytes that a node sends in a second, with headers of UDP and IP",
        of=_rates,
        table="control",
    ),
    Metric(
        name="convergence_seconds",
        unit="s",
        lower_is_better=True,
        text="from a change of topology until all next hops lead to their destinations again",
        of=_converged,
        table="convergence",
    ),
    Metric(
        name="loop_rate",
        unit="1",
        lower_is_better=True,
        text="share of walks along next hops that go in a circle",
        of=_loops,
        table="routing",
    ),
    Metric(
        name="unreached_rate",
        unit="1",
        lower_is_better=True,
        text="share of walks along next hops that do not reach their destination, loops included",
        of=_lost,
        table="routing",
    ),
    Metric(
        name="flap_rate",
        unit="1",
        lower_is_better=True,
        text="share of next hops that change from one second to the next",
        of=_flaps,
        table="routing",
    ),
)
"""All of them."""
