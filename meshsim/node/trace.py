"""What one real node writes down: the simulator's tables, seen from one node. Times count from its start."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent import CallSample, EventSample, RouteSample, TrustSample
from meshsim.measure.trace import Ragged, TraceWriter
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.mesh.time import to_nanoseconds
from meshsim.routing.written import believed_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meshsim.agent import Sample
    from meshsim.agent.neighbours import Neighbour
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.view import LinkBelief, NetworkView
    from meshsim.node.config import NodeConfig


SAMPLE_PERIOD = 1.0
"""Seconds between samples of the own links."""
FLUSH_PERIOD = 60.0
"""Seconds after which a running node's trace is made whole on the disk: a kill costs at most so much."""


def free_folder(wanted: Path) -> Path:
    """`wanted`, or `wanted.2`, `wanted.3` ...: the first that is not there or is empty."""
    folder, number = wanted, 1
    while folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        number += 1
        folder = wanted.with_name(f"{wanted.name}.{number}")
    return folder


def latest_folder(wanted: Path) -> Path:
    """The last of `wanted`, `wanted.2`, `wanted.3` ... that a node has begun; `wanted` if none has."""
    folders = [wanted]
    while (following := wanted.with_name(f"{wanted.name}.{len(folders) + 1}")).exists():
        folders.append(following)
    return folders[-1]


class NodeTrace:
    """Rows of one node's trace. Each `flush` leaves a whole trace on the disk.

    A disk that takes no more ends the trace, not the node: that is told once, and what comes after is not kept.

    Args:
        config: The node's; its `trace` names the folder. A node that starts again writes beside what it wrote before.
        own: The node itself, row 0 of its table `nodes`.
        tell: Takes what goes wrong, as JSON values.

    Attributes:
        folder: Where it writes.
        started: Monotonic second from which its times count.
        given_up: Why nothing is kept any more; "" while it is.

    Raises:
        ConfigError: If the folder cannot be made.
    """

    def __init__(self, config: NodeConfig, own: NodeId, tell: Callable[[dict[str, Any]], None]) -> None:
        self.folder = free_folder(Path(config.trace or ""))
        self.given_up = ""
        self._tell = tell
        header = {"source": "node", "node": did_key(own), "aura": config.aura, "policy": config.policy}
        try:
            self._writer = TraceWriter(self.folder, header)
        except OSError as wrong:
            raise ConfigError(f"cannot be written: {wrong}", key="trace") from wrong
        self._described = 0
        self._aura = config.aura
        self.started = time.monotonic()
        self._rows: dict[NodeId, int] = {own: 0}
        self._calls: dict[CallId, int] = {}
        self._view: NetworkView | None = None

    def row(self, node: NodeId) -> int:
        """The row of a node, in the order in which this node came to know them."""
        return self._rows.setdefault(node, len(self._rows))

    def keep(self, sample: Sample, spared: int | None = None) -> None:
        """Takes in what the agent wants known.

        Args:
            sample: What.
            spared: Of a call that is over: bytes of media that AIC kept off each link of its route, as this end sent
                them; None where it was never applied.
        """
        match sample:
            case CallSample():
                self._keep_call(sample, spared)
            case TrustSample():
                self._keep_trust(sample)
            case EventSample():
                self._event(sample.at, sample.kind, sample.node, sample.call, sample.detail)
            case RouteSample():
                reasons = "; ".join(sample.decision.reasons)
                self._event(sample.at, "decision", sample.request.source, sample.call, reasons)
                self._keep_routes(sample)

    def links(self, view: NetworkView, links: LinkBelief, delays: Mapping[NodeId, float], period: float) -> None:
        """Takes in the links to neighbours that were measured lately.

        Args:
            view: What its owner believes.
            links: What it measured of its own links.
            delays: One-way seconds to each neighbour, by the last ping.
            period: Only what is not older, in seconds.
        """
        self._view = view
        own = (links.src == view.owner) & links.observed & (links.age <= period)
        others = [view.nodes.ids[i] for i in links.dst[own].tolist()]
        self._append(
            "link_samples",
            time_ns=np.full(len(others), self._ns(time.monotonic())),
            src=np.zeros(len(others), dtype=np.int32),
            dst=[self.row(node) for node in others],
            delay_seconds=[delays[node] for node in others],
            jitter_seconds=links.jitter[own],
            loss=links.loss[own],
            rate_bps=links.rate[own],
        )

    async def follow(self, view: Callable[[], NetworkView], neighbours: Callable[[], Sequence[Neighbour]]) -> None:
        """Each second, takes in what was measured of the own links: last pings, not what they are smoothed to.

        Args:
            view: What the node believes now.
            neighbours: Its links as measured.
        """
        flushed = time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE_PERIOD)
            believed = view()
            if believed.fresh is not None:
                delays = {neighbour.node: neighbour.last_rtt / 2 for neighbour in neighbours()}
                self.links(believed, believed.fresh, delays, SAMPLE_PERIOD)
            if time.monotonic() - flushed >= FLUSH_PERIOD:
                self.flush()
                flushed = time.monotonic()

    def flush(self) -> None:
        """Writes what was taken in since the last time, who the rows are, and the header: the trace is whole."""
        for node in list(self._rows)[self._described :]:
            self._describe(node)
            self._described += 1
        if not self.given_up:
            try:
                self._writer.close()
            except OSError as wrong:
                self._give_up(wrong)

    def _append(self, table: str, **columns: Any) -> None:
        if self.given_up:
            return
        try:
            self._writer.append(table, **columns)
        except OSError as wrong:
            self._give_up(wrong)

    def _give_up(self, wrong: OSError) -> None:
        self.given_up = str(wrong)
        self._writer.drop()
        self._tell({"event": "error", "reason": f"the trace ends here, {self.folder} takes no more: {wrong}"})

    def _describe(self, node: NodeId) -> None:
        """One row of `nodes`: what its record says; the truth about behaviour is not known here."""
        at = None if self._view is None else self._view.index.get(node)
        known = None if self._view is None or at is None else self._view.nodes
        self._append(
            "nodes",
            node=[self._rows[node]],
            node_id=[bytes(node)],
            name=[did_key(node)],
            aura=[self._aura if self._rows[node] == 0 else ""],
            domain=[""],
            role=[-1 if known is None else int(known.role[at])],
            nat=[-1 if known is None else int(known.nat[at])],
            latitude_degrees=[math.nan if known is None else float(known.latitude[at])],
            longitude_degrees=[math.nan if known is None else float(known.longitude[at])],
            aic=[known is not None and bool(known.aic[at])],
            capacity_bps=[math.nan if known is None else float(known.capacity[at])],
            max_calls=[-1 if known is None else int(known.max_calls[at])],
            behaviour=[""],
            strength=[math.nan],
        )

    def _ns(self, at: float) -> int:
        return to_nanoseconds(at - self.started)

    def _call(self, call: CallId) -> int:
        return self._calls.setdefault(call, len(self._calls))

    def _event(self, at: float, kind: str, node: NodeId, call: CallId | None, detail: str) -> None:
        number = -1 if call is None else self._call(call)
        self._append(
            "events", time_ns=[self._ns(at)], kind=[kind], node=[self.row(node)], call=[number], detail=[detail]
        )

    def _keep_routes(self, sample: RouteSample) -> None:
        """All candidates of a decision as they were believed; how they truly were is not known here."""
        ranking = sample.ranking
        candidates, count = ranking.candidates, len(ranking.candidates)
        rows = np.array([self.row(node) for node in sample.view.nodes.ids], dtype=np.int32)
        unknown = np.full(count, math.nan)
        chosen = int(ranking.order[0]) if ranking.order else -1
        self._append(
            "routes",
            call=np.full(count, self._call(sample.call)),
            time_ns=np.full(count, self._ns(sample.at)),
            view=np.full(count, sample.view.version),
            path=Ragged(rows[candidates.nodes], candidates.hops + 1),
            **believed_columns(sample.view, ranking, chosen),
            connected=np.zeros(count, dtype=bool),
            **dict.fromkeys(("rtt_seconds", "jitter_seconds", "loss", "mos"), unknown),
            poor=np.zeros(count, dtype=bool),
        )

    def _keep_call(self, sample: CallSample, spared: int | None) -> None:
        decision = sample.decision
        self._append(
            "calls",
            call=[self._call(sample.call)],
            start_ns=[self._ns(sample.start)],
            end_ns=[self._ns(sample.end)],
            caller=[self.row(sample.caller)],
            callee=[-1 if sample.callee is None else self.row(sample.callee)],
            media=[str(sample.media)],
            policy=["" if decision is None else decision.policy],
            path=[[self.row(node) for node in sample.path]],
            final_path=[[self.row(node) for node in sample.final_path]],
            ai_score=[math.nan if decision is None else decision.ai_score],
            confidence=[math.nan if decision is None else decision.confidence],
            predicted_rtt_seconds=[math.nan if decision is None else decision.predicted.rtt],
            outcome=[sample.outcome],
            reason=[sample.reason],
            failovers=[len(sample.failovers)],
            rtt_seconds=[sample.rtt],
            jitter_seconds=[sample.jitter],
            loss=[sample.loss],
            mos=[sample.mos],
            poor=[bool(sample.poor)],
            ring_seconds=[math.nan],
            resolve_seconds=[math.nan],
            borders=[-1],
            rate_share=[1.0],
            aic=[spared is not None],
            saved_bytes=[float(spared or 0) * max(0, len(sample.final_path) - 1)],
        )

    def _keep_trust(self, sample: TrustSample) -> None:
        self._append(
            "trust",
            time_ns=[self._ns(sample.at)],
            node=[self.row(sample.node)],
            observer=[0],
            event=[sample.event],
            score=[sample.score],
            low=[sample.low],
            high=[sample.high],
            status=[str(sample.status)],
        )
