"""From traces to training examples: what was believed when a call was placed, and how each candidate would have gone.

A view is rebuilt from the trace's raw beliefs and given to `routing.features.build`, the code that runs on nodes:
training and serving cannot drift apart. Labels are counterfactual: every candidate has its truth, not only the chosen
one. Splits are by episode (a seed, a topology), never within one.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.trace import Trace
from meshsim.mesh.errors import TraceError
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
from meshsim.routing import features
from meshsim.routing.candidates import Candidates, merged
from meshsim.routing.request import RouteRequest
from meshsim.scenario.topologies.allowed import allowed_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_USES = {
    "train": ("train",),
    "validate": ("train", "validate"),
    "evaluate": ("train", "validate", "simulate", "evaluate"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Which episode an example comes from.

    Attributes:
        scenario: Name of the scenario.
        topology: Name of the underlay graph; `generated/<kind>` for a generator.
        seed: The episode's seed.
    """

    scenario: str
    topology: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The truth about P candidates; every array is (P,).

    Attributes:
        ok: bool, the call would have met the target of its media (`mesh.quality`).
        connected: bool, it could have been carried at all; the measures below mean nothing otherwise.
        rtt, jitter: float64 seconds.
        loss: float64 probability.
        mos: float64, 1 when not connected.
    """

    ok: NDArray[np.bool_]
    connected: NDArray[np.bool_]
    rtt: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    mos: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One placed call with P candidates.

    Attributes:
        run: Index into `Dataset.runs`.
        view: Index into `Dataset.views`.
        call: Row of the call in its trace.
        features: What a policy saw.
        feasible: (P,) bool, what the constraints left.
        chosen: Index of the candidate that was taken, -1 when none was.
        labels: What was true.
        at: Seconds of the episode when it was placed.
    """

    run: int
    view: int
    call: int
    features: features.Features
    feasible: NDArray[np.bool_]
    chosen: int
    labels: Labels
    at: float = 0.0

    def __len__(self) -> int:
        return len(self.feasible)

    @property
    def best(self) -> int:
        """The feasible candidate that meets its target with the highest MOS, or else the one of highest MOS."""
        rows = np.flatnonzero(self.feasible)
        return int(rows[np.argmax(self.labels.ok[rows] * 10.0 + self.labels.mos[rows])])


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInput:
    """What the encoder sees of one view: node (N, Fn), link (E, Fl) float32; link_src, link_dst (E,) int64."""

    node: NDArray[np.float32]
    link: NDArray[np.float32]
    link_src: NDArray[np.int64]
    link_dst: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Examples of several episodes, grouped by view.

    Attributes:
        runs: The episodes.
        views: What the encoder sees of each view; examples of one view share it.
        examples: All calls, those of one view one after another.
    """

    runs: tuple[Run, ...]
    views: tuple[EncoderInput, ...]
    examples: tuple[Example, ...]

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def topologies(self) -> tuple[str, ...]:
        """Names of the underlay graphs, sorted, each once."""
        return tuple(sorted({run.topology for run in self.runs}))

    def by_view(self) -> list[list[Example]]:
        """The examples of each view, in order of views; views without a call are left out."""
        groups: dict[int, list[Example]] = {}
        for example in self.examples:
            groups.setdefault(example.view, []).append(example)
        return [groups[view] for view in sorted(groups)]


def topology_of(header: dict[str, Any]) -> str:
    """Name of the underlay graph an episode ran on, from its trace's header.

    >>> topology_of({"scenario": {"underlay": {"topology": {"generator": "waxman"}}}})
    'generated/waxman'
    >>> topology_of({"scenario": {"underlay": {"topology": {"file": "town.gml"}}}})
    'file/town.gml'
    """
    scenario = header.get("scenario")
    said = json.loads(scenario) if isinstance(scenario, str) else scenario
    topology = said.get("underlay", {}).get("topology") if isinstance(said, dict) else None
    if isinstance(topology, dict) and "generator" in topology:
        return f"generated/{topology['generator']}"
    if isinstance(topology, dict) and "file" in topology:
        return f"file/{topology['file']}"
    if not isinstance(topology, str):
        raise TraceError("the trace's header names no scenario.underlay.topology")
    return topology


def _run_of(trace: Trace, use: str) -> Run:
    topology = topology_of(trace.header)
    if allowed_for(topology) not in _USES[use]:
        raise TraceError(f"{trace.folder}: the graph {topology} must not be used to {use}")
    scenario = trace.header["scenario"]
    said = json.loads(scenario) if isinstance(scenario, str) else scenario
    return Run(scenario=str(said.get("name", "")), topology=topology, seed=int(trace.header.get("seed", 0)))


def load(
    traces: Sequence[Path], *, use: str = "train", every: int = 1, progress: Callable[[float], None] | None = None
) -> Dataset:
    """Examples of logged calls of `traces`.

    Args:
        traces: Trace folders that hold views and candidates.
        use: `train`, `validate` or `evaluate`: which graphs are admitted (`scenario.topologies.allowed`).
        every: Only each n-th call is taken: many episodes tell more than many calls of few.
        progress: Called after each trace with the share done, in [0, 1].

    Raises:
        TraceError: If a trace's graph must not be used so, or a trace holds no views or candidates.
    """
    runs: list[Run] = []
    views: list[EncoderInput] = []
    examples: list[Example] = []
    for i, folder in enumerate(traces):
        trace = Trace(folder)
        runs.append(_run_of(trace, use))
        for group in _Episode(trace).groups(every):
            views.append(_encoder_input(group[0].features))
            examples.extend(replace(example, run=i, view=len(views) - 1) for example in group)
        if progress is not None:
            progress((i + 1) / len(traces))
    return Dataset(runs=tuple(runs), views=tuple(views), examples=tuple(examples))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One logged call as its caller stood before it.

    Attributes:
        request: What was asked; the trace does not keep how AIC was wanted.
        view: What was believed.
        candidates: The paths that were considered, in their order.
        feasible: (P,) bool, what the constraints left, that of AIC and those of domains among them.
        chosen: Index of the one that was taken, -1 when none was.
        labels: What was true of each.
    """

    request: RouteRequest
    view: NetworkView
    candidates: Candidates
    feasible: NDArray[np.bool_]
    chosen: int
    labels: Labels


def asked(folder: Path, call: int) -> Asked:
    """The logged call number `call` of a trace, ready to be decided anew.

    Raises:
        TraceError: If the trace holds no views or candidates, or no candidates of that call.
    """
    episode = _Episode(Trace(folder))
    rows = episode.routes.rows(call)
    if rows.start == rows.stop:
        known = episode.routes.keys
        raise TraceError(
            f"{folder} holds no candidates of call {call}: {len(known)} calls from {known[0]} to {known[-1]} have some"
        )
    return episode.asked(call, rows)


def _encoder_input(built: features.Features) -> EncoderInput:
    return EncoderInput(node=built.node, link=built.link, link_src=built.link_src, link_dst=built.link_dst)


def _cut(built: features.Features, paths: slice, hops: slice) -> features.Features:
    """One call's share of features that were built for several."""
    belief = {field.name: getattr(built.belief, field.name)[paths] for field in fields(features.PathBelief)}
    return features.Features(
        graph=built.graph,
        version=built.version,
        hop=built.hop[hops],
        hop_src=built.hop_src[hops],
        hop_dst=built.hop_dst[hops],
        hop_path=built.hop_path[hops] - paths.start,
        path=built.path[paths],
        belief=features.PathBelief(**belief),
        media=built.media if isinstance(built.media, str) else built.media[paths],
        sound=lambda: built.sound[paths],
    )


class _Table:
    """Columns of one trace table with the row ranges of each value of a key column, which must come in runs."""

    def __init__(self, trace: Trace, name: str, key: str) -> None:
        self._table = trace.table(name).combine_chunks()
        keys = self.column(key)
        order = np.argsort(keys, kind="stable")
        if np.any(order[1:] < order[:-1]):
            self._table = self._table.take(order)
            keys = keys[order]
        self.keys, self._first = np.unique(keys, return_index=True)
        self._last = np.append(self._first[1:], len(keys))

    def column(self, name: str) -> NDArray[Any]:
        return np.asarray(self._table[name].to_numpy())

    def ragged(self, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Values and CSR starts of a list column."""
        column = self._table[name].combine_chunks()
        chunk = column.chunk(0) if hasattr(column, "chunk") else column
        offsets = chunk.offsets.to_numpy().astype(np.int64)
        return np.asarray(chunk.values.to_numpy(zero_copy_only=False)), offsets

    def rows(self, key: int) -> slice:
        at = int(np.searchsorted(self.keys, key))
        if at == len(self.keys) or self.keys[at] != key:
            return slice(0, 0)
        return slice(int(self._first[at]), int(self._last[at]))


_HOP = {
    "delay": "hop_delay_seconds",
    "jitter": "hop_jitter_seconds",
    "loss": "hop_loss",
    "rate": "hop_rate_bps",
    "age": "hop_age_seconds",
    "observed": "hop_observed",
}
_LINK = {
    "src": "src",
    "dst": "dst",
    "delay": "delay_seconds",
    "jitter": "jitter_seconds",
    "loss": "loss",
    "rate": "rate_bps",
    "age": "age_seconds",
    "observed": "observed",
}


class _Episode:
    """One trace, opened for reading calls view by view."""

    def __init__(self, trace: Trace) -> None:
        self.nodes = trace.columns("nodes")
        self.views = trace.columns("views")
        calls = trace.columns("calls")
        self.media = dict(zip(calls["call"].tolist(), calls["media"], strict=True))
        self.view_nodes = _Table(trace, "view_nodes", "view")
        self.view_links = _Table(trace, "view_links", "view")
        self.routes = _Table(trace, "routes", "call")
        if not len(self.routes.keys) or not len(self.view_nodes.keys):
            raise TraceError(
                f"{trace.folder} holds no views or candidates to learn from (record.views, record.candidates)"
            )
        self._node = {name: self.view_nodes.column(name) for name in _VIEW_NODE.values()}
        self._link = {name: self.view_links.column(column) for name, column in _LINK.items()}
        self._hop = {name: self.routes.ragged(column)[0] for name, column in _HOP.items()}
        self._path, self._path_indptr = self.routes.ragged("path")
        self._hop_indptr = self.routes.ragged("hop_loss")[1]
        self._route = {name: self.routes.column(name) for name in _ROUTE}
        self._placed = self.routes.column("time_ns") * 1e-9

    def groups(self, every: int = 1) -> Iterator[list[Example]]:
        """Examples of each view that a call was placed on, in order of views; of each n-th call alone."""
        by_view: dict[int, list[int]] = {}
        for call in self.routes.keys[::every].tolist():
            view = int(self._route["view"][self.routes.rows(call).start])
            by_view.setdefault(view, []).append(call)
        for view, calls in sorted(by_view.items()):
            base = self.view(view)
            yield [example for some in self._alike(calls) for example in self._examples(some, base)]

    def _alike(self, calls: Sequence[int]) -> list[list[int]]:
        """`calls` of one view in groups that can be built together: of one medium, of each caller at most one."""
        groups: dict[tuple[str, int], list[int]] = {}
        times: Counter[tuple[str, int]] = Counter()
        for call in calls:
            medium, caller = self.media[call], int(self._path[self._path_indptr[self.routes.rows(call).start]])
            groups.setdefault((medium, times[medium, caller]), []).append(call)
            times[medium, caller] += 1
        return list(groups.values())

    def view(self, version: int) -> NetworkView:
        """The shared belief `version`, as nodes held it.

        Raises:
            TraceError: If the trace does not hold it.
        """
        at = np.flatnonzero(self.views["view"] == version)
        if not len(at):
            raise TraceError(f"the trace holds no view {version}")
        rows = self.view_links.rows(version)
        return NetworkView(
            version=version,
            owner=int(self.views["owner"][at[0]]),
            at=float(self.views["time_ns"][at[0]]) * 1e-9,
            nodes=self._node_belief(version),
            links=LinkBelief(**{name: values[rows] for name, values in self._link.items()}),
        )

    def _node_belief(self, version: int) -> NodeBelief:
        rows = self.view_nodes.rows(version)
        node = self._node["node"][rows]
        if not np.array_equal(node, np.arange(len(self.nodes["node"]))):
            raise TraceError(f"view {version} does not hold every node once, in order")
        return NodeBelief(
            ids=tuple(NodeId(raw) for raw in self.nodes["node_id"]),
            role=self.nodes["role"].astype(np.int8),
            nat=self.nodes["nat"].astype(np.int8),
            latitude=self.nodes["latitude_degrees"],
            longitude=self.nodes["longitude_degrees"],
            aic=self.nodes["aic"],
            max_calls=self.nodes["max_calls"],
            capacity=self.nodes["capacity_bps"],
            **{name: self._node[column][rows] for name, column in _VIEW_NODE.items() if name != "node"},
        )

    def asked(self, call: int, rows: slice) -> Asked:
        """One call with the view it was placed on."""
        base, candidates = self.view(int(self._route["view"][rows.start])), self._candidates(rows)
        view = replace(base, fresh=self._fresh([rows], candidates, len(base.nodes)))
        chosen = np.flatnonzero(self._route["chosen"][rows])
        return Asked(
            request=self._request(call, candidates, view),
            view=view,
            candidates=candidates,
            feasible=self._route["feasible"][rows],
            chosen=int(chosen[0]) if len(chosen) else -1,
            labels=self._labels(rows),
        )

    def _request(self, call: int, candidates: Candidates, view: NetworkView) -> RouteRequest:
        """What the first of some calls asked for."""
        return RouteRequest(
            source=view.nodes.ids[candidates.nodes[0]],
            destinations=(view.nodes.ids[candidates.nodes[candidates.indptr[1] - 1]],),
            media=MediaType(self.media[call]),
        )

    def _examples(self, calls: Sequence[int], base: NetworkView) -> list[Example]:
        """Calls of one medium on one belief, built at one go unless their callers knew different things of one link."""
        rows = [self.routes.rows(call) for call in calls]
        candidates = merged([self._candidates(some) for some in rows])
        fresh = self._fresh(rows, candidates, len(base.nodes))
        if fresh is None:
            return [example for call in calls for example in self._examples([call], base)]
        view = replace(base, fresh=fresh)
        built = features.build(candidates, self._request(calls[0], candidates, view), view)
        ends = np.cumsum([0, *(some.stop - some.start for some in rows)])
        hop_ends = candidates.hop_indptr[ends]
        return [
            self._example(call, rows[i], _cut(built, slice(ends[i], ends[i + 1]), slice(hop_ends[i], hop_ends[i + 1])))
            for i, call in enumerate(calls)
        ]

    def _example(self, call: int, rows: slice, built: features.Features) -> Example:
        chosen = np.flatnonzero(self._route["chosen"][rows])
        return Example(
            run=-1,
            view=-1,
            call=call,
            features=built,
            feasible=self._route["feasible"][rows],
            chosen=int(chosen[0]) if len(chosen) else -1,
            labels=self._labels(rows),
            at=float(self._placed[rows.start]),
        )

    def _candidates(self, rows: slice) -> Candidates:
        starts = self._path_indptr[rows.start : rows.stop + 1]
        return Candidates(nodes=self._path[starts[0] : starts[-1]].astype(np.int32), indptr=starts - starts[0])

    def _fresh(self, rows: Sequence[slice], candidates: Candidates, n: int) -> LinkBelief | None:
        """The hops' beliefs as they were when the calls were placed, each link once, sorted by (src, dst).

        None when two calls believed different things of one link.
        """
        taken = np.concatenate([np.arange(self._hop_indptr[some.start], self._hop_indptr[some.stop]) for some in rows])
        src, dst = candidates.hop_src, candidates.hop_dst
        _, once, place = np.unique(src.astype(np.int64) * n + dst, return_index=True, return_inverse=True)
        values = {name: column[taken] for name, column in self._hop.items()}
        if any(not np.array_equal(column[once][place], column) for column in values.values()):
            return None
        return LinkBelief(src=src[once], dst=dst[once], **{name: column[once] for name, column in values.items()})

    def _labels(self, rows: slice) -> Labels:
        connected = self._route["connected"][rows]
        return Labels(
            ok=~self._route["poor"][rows] & connected,
            connected=connected,
            rtt=self._route["rtt_seconds"][rows],
            jitter=self._route["jitter_seconds"][rows],
            loss=self._route["loss"][rows],
            mos=self._route["mos"][rows],
        )


_VIEW_NODE = {
    "node": "node",
    "online": "online",
    "load": "load",
    "reputation": "reputation",
    "reputation_low": "reputation_low",
    "reputation_high": "reputation_high",
    "evidence": "evidence",
    "age": "age_seconds",
}
_ROUTE = (
    "view",
    "feasible",
    "chosen",
    "connected",
    "poor",
    "rtt_seconds",
    "jitter_seconds",
    "loss",
    "mos",
)
