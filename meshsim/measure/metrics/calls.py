"""Metrics of calls as they were lived."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.records import ASIDE
from meshsim.mesh.media import MediaType
from meshsim.mesh.registry import Registry

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.measure.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number per call, or per row of another table.

    Attributes:
        name: With its unit where it has one.
        unit: `1` for a probability or a score, else `s`, `MOS` ...
        lower_is_better: Which way is good.
        text: What it says.
        of: From the columns of the table to one value per call (row) that has one, (K,) float64.
        table: Of the trace.
        beside: A column of nodes, or lists of them, whose true behaviour `of` finds in the column `behaviour`.
    """

    name: str
    unit: str
    lower_is_better: bool
    text: str
    of: Callable[[dict[str, Any]], NDArray[np.float64]]
    table: str = "calls"
    beside: str = ""

    def columns(self, trace: Trace) -> dict[str, Any]:
        """What `of` looks at: the columns of the table, and of the nodes what is asked for."""
        columns = trace.columns(self.table)
        if not self.beside:
            return columns
        nodes = trace.columns("nodes")
        truth = dict(zip(nodes["node"], nodes["behaviour"], strict=True))
        told = [
            [truth[node] for node in said] if isinstance(said, list) else truth[said] for said in columns[self.beside]
        ]
        return {**columns, "behaviour": told}

    def samples(self, trace: Trace) -> NDArray[np.float64]:
        """One value per call (or row) that has one, (K,)."""
        return self.of(self.columns(trace))

    def value(self, trace: Trace) -> float:
        """The mean over calls; NaN for an empty trace."""
        samples = self.samples(trace)
        return float(samples.mean()) if len(samples) else float("nan")


METRICS: Registry[Metric] = Registry("metric")


def _is(calls: dict[str, Any], *outcomes: str) -> NDArray[np.bool_]:
    return np.array([outcome in outcomes for outcome in calls["outcome"]], dtype=bool)


def _over(calls: dict[str, Any]) -> NDArray[np.bool_]:
    return ~_is(calls, "running")


def _ended(calls: dict[str, Any]) -> NDArray[np.bool_]:
    """Calls that are over and for which routing is to answer."""
    return ~_is(calls, "running", *ASIDE)


def _connected(calls: dict[str, Any]) -> NDArray[np.bool_]:
    return _ended(calls) & np.isfinite(np.asarray(calls["mos"], dtype=np.float64))


def _poor(calls: dict[str, Any]) -> NDArray[np.float64]:
    return np.asarray(calls["poor"], dtype=np.float64)[_ended(calls)]


def _failed(calls: dict[str, Any]) -> NDArray[np.float64]:
    return _is(calls, "failed", "dropped")[_ended(calls)].astype(np.float64)


def _dropped(calls: dict[str, Any]) -> NDArray[np.float64]:
    return _is(calls, "dropped")[_ended(calls)].astype(np.float64)


def _moved(calls: dict[str, Any]) -> NDArray[np.float64]:
    return np.asarray(calls["failovers"], dtype=np.float64)[_ended(calls)]


def _answered(calls: dict[str, Any]) -> NDArray[np.float64]:
    rang = np.isfinite(np.asarray(calls["ring_seconds"], dtype=np.float64)) & ~_is(calls, "running", "refused")
    return (~_is(calls, *ASIDE))[rang].astype(np.float64)


def _refused(calls: dict[str, Any]) -> NDArray[np.float64]:
    return _is(calls, "refused")[_over(calls)].astype(np.float64)


def _through_borders(calls: dict[str, Any]) -> NDArray[np.float64]:
    borders = np.asarray(calls["borders"], dtype=np.int64)
    return (borders > 0)[_over(calls) & (borders >= 0)].astype(np.float64)


def _waited(name: str) -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    def of(calls: dict[str, Any]) -> NDArray[np.float64]:
        seconds = np.asarray(calls[name], dtype=np.float64)
        return seconds[_over(calls) & np.isfinite(seconds)]

    return of


def _rung(calls: dict[str, Any]) -> NDArray[np.float64]:
    waited = _waited("ring_seconds")(calls)
    return waited[waited > 0.0]


def _relayed(calls: dict[str, Any]) -> NDArray[np.float64]:
    hops = np.array([len(path) - 1 for path in calls["path"]], dtype=np.int64)
    return (hops[_ended(calls) & (hops > 0)] > 1).astype(np.float64)


def _column(name: str) -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    def of(calls: dict[str, Any]) -> NDArray[np.float64]:
        return np.asarray(calls[name], dtype=np.float64)[_connected(calls)]

    return of


def _opinion(media: str) -> Callable[[dict[str, Any]], NDArray[np.float64]]:
    def of(calls: dict[str, Any]) -> NDArray[np.float64]:
        mine: NDArray[np.bool_] = _connected(calls) & np.array([each == media for each in calls["media"]], dtype=bool)
        return np.asarray(calls["mos"], dtype=np.float64)[mine]

    return of


def _with_aic(calls: dict[str, Any]) -> NDArray[np.float64]:
    return np.asarray(calls["aic"], dtype=np.float64)[_connected(calls)]


def _saved(calls: dict[str, Any]) -> NDArray[np.float64]:
    return np.asarray(calls["saved_bytes"], dtype=np.float64)[_connected(calls)]


for _metric in (
    *(
        Metric(
            name=f"{media}_mos",
            unit="MOS",
            lower_is_better=False,
            text=f"mean opinion score of connected {media} calls, on their own scale",
            of=_opinion(media),
        )
        for media in MediaType
    ),
    Metric(
        name="aic_call_rate", unit="1", lower_is_better=False, text="share of connected calls with AIC", of=_with_aic
    ),
    Metric(
        name="saved_bytes",
        unit="B",
        lower_is_better=False,
        text="media bytes that AIC took off all links together, by connected call",
        of=_saved,
    ),
    Metric(
        name="poor_call_rate", unit="1", lower_is_better=True, text="share of calls that were poor or failed", of=_poor
    ),
    Metric(
        name="failed_call_rate",
        unit="1",
        lower_is_better=True,
        text="share of calls that failed or were cut",
        of=_failed,
    ),
    Metric(
        name="dropped_call_rate",
        unit="1",
        lower_is_better=True,
        text="share of calls that were cut after media had flowed",
        of=_dropped,
    ),
    Metric(name="failovers", unit="/call", lower_is_better=True, text="changes of route under way, by call", of=_moved),
    Metric(
        name="relayed_call_rate", unit="1", lower_is_better=True, text="share of routed calls over a relay", of=_relayed
    ),
    Metric(
        name="mos", unit="MOS", lower_is_better=False, text="opinion of connected calls, by media", of=_column("mos")
    ),
    Metric(
        name="rtt_seconds",
        unit="s",
        lower_is_better=True,
        text="round-trip time of connected calls",
        of=_column("rtt_seconds"),
    ),
    Metric(
        name="jitter_seconds",
        unit="s",
        lower_is_better=True,
        text="jitter of connected calls",
        of=_column("jitter_seconds"),
    ),
    Metric(
        name="answer_rate",
        unit="1",
        lower_is_better=False,
        text="share of calls to people that were answered, not busy, silent, declined or rung out",
        of=_answered,
    ),
    Metric(
        name="ring_seconds",
        unit="s",
        lower_is_better=True,
        text="ringing until answered or given up, of calls that rang",
        of=_rung,
    ),
    Metric(
        name="refused_call_rate",
        unit="1",
        lower_is_better=True,
        text="share of calls that federation refused",
        of=_refused,
    ),
    Metric(
        name="border_call_rate",
        unit="1",
        lower_is_better=True,
        text="share of routed calls between domains over border relays",
        of=_through_borders,
    ),
    Metric(
        name="resolve_seconds",
        unit="s",
        lower_is_better=True,
        text="until another domain said who is called",
        of=_waited("resolve_seconds"),
    ),
    Metric(name="loss", unit="1", lower_is_better=True, text="packet loss of connected calls", of=_column("loss")),
):
    METRICS.add(_metric.name, _metric)
