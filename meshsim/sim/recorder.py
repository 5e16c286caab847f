"""Writes an episode into the trace tables. Rows wait in memory as columns and are handed to the writer in large pieces.

Measures are rounded to single precision, so that traces of equal runs are equal bytes on machines whose last bits
differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from meshsim.measure.trace import Ragged
from meshsim.mesh.media import MediaType
from meshsim.mesh.quality import mos, poor
from meshsim.mesh.time import to_nanoseconds
from meshsim.routing.written import believed_columns, single
from meshsim.sim.attacks import cast_villains
from meshsim.sim.attacks.poison import Poison

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.measure.trace import TraceWriter
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranking
    from meshsim.scenario.plan import Plan
    from meshsim.sim.world import LinkTruth, PathTruth
    from meshsim.trust import EventKind, Reputation

    _Piece = NDArray[Any] | Ragged | tuple[str, ...]

FLUSH_ROWS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRow:
    """One call as it went; columns as in `measure.records`, times in seconds.

    Without `mos` and `poor`, rtt, jitter, loss and the share of the rate say them.
    """

    call: int
    start: float
    end: float
    caller: int
    callee: int
    media: str
    policy: str
    path: tuple[int, ...]
    final_path: tuple[int, ...]
    ai_score: float
    confidence: float
    predicted_rtt_seconds: float
    outcome: str
    reason: str
    failovers: int
    rtt_seconds: float
    jitter_seconds: float
    loss: float
    mos: float | None = None
    poor: bool | None = None
    ring_seconds: float = math.nan
    resolve_seconds: float = math.nan
    borders: int = -1
    rate_share: float = 1.0
    aic: bool = False
    saved_bytes: float = 0.0


_WAITS = ("ring_seconds", "resolve_seconds")
_MEASURES = ("rtt_seconds", "jitter_seconds", "loss", "rate_share")
_CALL_COLUMNS = attrgetter(*CallRow.__slots__)


class Recorder:
    """Everything that is written of one episode.

    Args:
        writer: The open trace.
        plan: The episode.

    Attributes:
        writer: The trace.
        counts: Rows by table.
    """

    def __init__(self, writer: TraceWriter, plan: Plan) -> None:
        self.writer, self._plan = writer, plan
        self._record = plan.scenario.record
        self._poison = Poison(cast_villains(plan), plan.seed)
        self._calls: list[CallRow] = []
        self._before_forks: dict[int, str] = {}
        self._columns: dict[str, dict[str, list[Any]]] = {}
        self._piles: dict[str, list[dict[str, _Piece]]] = {}
        self._piled: dict[str, int] = {}
        self._views: dict[tuple[int, int], int] = {}
        self.counts: dict[str, int] = {}

    def mesh(self, ids: Sequence[NodeId]) -> None:
        """Writes who and what there is: nodes and links."""
        nodes, links = self._plan.nodes, self._plan.links
        self._append(
            "nodes",
            node=np.arange(len(nodes), dtype=np.int32),
            node_id=[bytes(node) for node in ids],
            name=nodes.names,
            aura=nodes.auras,
            domain=nodes.domains,
            role=nodes.role.astype(np.int32),
            nat=nodes.nat.astype(np.int32),
            latitude_degrees=nodes.latitude,
            longitude_degrees=nodes.longitude,
            aic=nodes.aic,
            capacity_bps=single(np.minimum(nodes.access_up, nodes.access_down)),
            max_calls=nodes.max_calls.astype(np.int32),
            behaviour=nodes.behaviour,
            strength=nodes.strength,
        )
        self._append("links", link=np.arange(len(links), dtype=np.int32), src=links.src, dst=links.dst)

    def view(self, view: NetworkView) -> int:
        """Writes a belief, unless it stands there already; returns its number in the trace."""
        key = view.owner, view.version
        if key in self._views:
            return self._views[key]
        number = self._views[key] = len(self._views)
        if self._record.views:
            self._append("views", view=[number], owner=[view.owner], time_ns=[to_nanoseconds(view.at)])
            self._view_nodes(number, view)
            self._view_links(number, view)
        return number

    def _view_nodes(self, number: int, view: NetworkView) -> None:
        nodes = view.nodes
        self._append(
            "view_nodes",
            view=np.full(len(nodes), number),
            node=np.arange(len(nodes), dtype=np.int32),
            online=nodes.online,
            load=nodes.load,
            reputation=nodes.reputation,
            reputation_low=nodes.reputation_low,
            reputation_high=nodes.reputation_high,
            evidence=nodes.evidence,
            age_seconds=nodes.age,
        )

    def _view_links(self, number: int, view: NetworkView) -> None:
        links = view.links
        self._append(
            "view_links",
            view=np.full(len(links), number),
            src=links.src,
            dst=links.dst,
            delay_seconds=links.delay,
            jitter_seconds=links.jitter,
            loss=links.loss,
            rate_bps=links.rate,
            age_seconds=links.age,
            observed=links.observed,
        )

    def keep_policy(self, calls: Iterable[int], policy: str) -> None:
        """Remembers who chose for `calls`, which are under way while another policy takes over."""
        self._before_forks = {**dict.fromkeys(calls, policy), **self._before_forks}

    def call(self, row: CallRow) -> None:
        """Writes how a call went."""
        if row.call in self._before_forks:
            row = replace(row, policy=self._before_forks[row.call])
        self._calls.append(self._poison.call(row))
        if len(self._calls) >= FLUSH_ROWS:
            self._hand_over_calls()

    def routes(self, call: int, t: float, view: NetworkView, ranking: Ranking, chosen: int, truth: PathTruth) -> None:
        """Writes all P candidates of a call, what was believed of them, and how they truly were.

        Args:
            call: Number of the call.
            t: When the choice was made, seconds.
            view: What it was made on.
            ranking: What the engine made of it.
            chosen: Row of the candidate that was taken, -1 for none.
            truth: From the ghost probe, arrays (P,).
        """
        number = self.view(view)
        if not self._record.candidates:
            return
        candidates, media = ranking.candidates, MediaType(self._plan.calls.media[call])
        count, caller = len(candidates), int(self._plan.calls.caller[call])
        if self._poison.is_written_by(caller):
            truth = self._poison.routes(caller, call, candidates.paths, truth, t)
        self._pile(
            "routes",
            call=np.full(count, call),
            time_ns=np.full(count, to_nanoseconds(t)),
            view=np.full(count, number),
            path=Ragged(candidates.nodes, candidates.hops + 1),
            **believed_columns(view, ranking, chosen),
            connected=truth.connected,
            rtt_seconds=single(truth.rtt),
            jitter_seconds=single(truth.jitter),
            loss=single(truth.loss),
            mos=single(truth.mos(media)),
            poor=truth.poor(media),
        )

    def trust(self, node: int, event: EventKind, reputation: Reputation, t: float, observer: int = -1) -> None:
        """Writes where a score has moved to."""
        self._row(
            "trust",
            time_ns=to_nanoseconds(t),
            node=node,
            observer=observer,
            event=str(event),
            score=float(np.float32(reputation.mean)),
            low=float(np.float32(reputation.low)),
            high=float(np.float32(reputation.high)),
            status=str(reputation.status),
        )

    def event(self, t: float, kind: str, *, node: int = -1, call: int = -1, detail: str = "") -> None:
        """Writes that something happened."""
        self._row("events", time_ns=to_nanoseconds(t), kind=kind, node=node, call=call, detail=detail)

    def control(self, t: float, seconds: float, sent: Mapping[tuple[int, str], tuple[int, int]]) -> None:
        """Writes what control messages cost in the `seconds` before `t`: copies and bytes by node and kind."""
        count = len(sent)
        self._append(
            "control",
            time_ns=np.full(count, to_nanoseconds(t)),
            seconds=np.full(count, seconds),
            node=np.array([node for node, _ in sent], dtype=np.int32),
            kind=[kind for _, kind in sent],
            messages=np.array([messages for messages, _ in sent.values()], dtype=np.int64),
            bytes=np.array([size for _, size in sent.values()], dtype=np.int64),
        )

    def routing(self, t: float, walks: int, reached: int, loops: int, flaps: int) -> None:
        """Writes where the next hops of a protocol led."""
        self._row("routing", time_ns=to_nanoseconds(t), walks=walks, reached=reached, loops=loops, flaps=flaps)

    def convergence(self, t: float, kind: str, node: int, seconds: float) -> None:
        """Writes how long a protocol took after a change of topology at `t`; NaN when it has not come to an end."""
        self._row("convergence", time_ns=to_nanoseconds(t), kind=kind, node=node, seconds=seconds)

    def links(self, t: float, truth: LinkTruth) -> None:
        """Writes what all planned links are truly like."""
        links = self._plan.links
        self._append(
            "link_samples",
            time_ns=np.full(len(links), to_nanoseconds(t)),
            src=links.src,
            dst=links.dst,
            delay_seconds=single(truth.delay),
            jitter_seconds=single(truth.jitter),
            loss=single(truth.loss),
            rate_bps=single(truth.rate),
        )

    def flush(self) -> None:
        """Hands what waits to the writer."""
        if self._calls:
            self._hand_over_calls()
        for table in list(self._columns):
            self._hand_over(table)
        for table in list(self._piles):
            self._hand_over_pile(table)

    # --- buffers ------------------------------------------------------------------------------------------------------

    def _row(self, table: str, **values: Any) -> None:
        self._extend(table, **{name: [value] for name, value in values.items()})

    def _extend(self, table: str, **columns: list[Any]) -> None:
        waiting = self._columns.setdefault(table, {name: [] for name in columns})
        for name, values in columns.items():
            waiting[name].extend(values)
        if len(next(iter(waiting.values()))) >= FLUSH_ROWS:
            self._hand_over(table)

    def _hand_over(self, table: str) -> None:
        self._append(table, **self._columns.pop(table))

    def _hand_over_calls(self) -> None:
        rows, self._calls = self._calls, []
        told: dict[str, Any] = dict(zip(CallRow.__slots__, zip(*map(_CALL_COLUMNS, rows), strict=True), strict=True))
        for edge in ("start", "end"):
            told[f"{edge}_ns"] = [to_nanoseconds(t) for t in told.pop(edge)]
        media, (rtt, jitter, loss, share) = told["media"], (np.array(told[name]) for name in _MEASURES)
        judged = mos(media, rtt / 2, jitter, loss, share), poor(rtt, jitter, loss, media, share=share)
        for name, said in zip(("mos", "poor"), judged, strict=True):
            told[name] = np.array([y if x is None else x for x, y in zip(told[name], said.tolist(), strict=True)])
        for name in (
            *_MEASURES,
            "mos",
            "predicted_rtt_seconds",
            "ai_score",
            "confidence",
            *_WAITS,
            "saved_bytes",
        ):
            told[name] = single(np.asarray(told[name], dtype=np.float64))
        self._append("calls", **told)

    def _pile(self, table: str, **columns: _Piece) -> None:
        pile = self._piles.setdefault(table, [])
        pile.append(columns)
        self._piled[table] = self._piled.get(table, 0) + len(next(iter(columns.values())))
        if self._piled[table] >= FLUSH_ROWS:
            self._hand_over_pile(table)

    def _hand_over_pile(self, table: str) -> None:
        pile = self._piles.pop(table)
        self._piled[table] = 0
        self._append(table, **{name: _joined([columns[name] for columns in pile]) for name in pile[0]})

    def _append(self, table: str, **columns: Sequence[Any] | _Piece) -> None:
        self.counts[table] = self.counts.get(table, 0) + len(next(iter(columns.values())))
        self.writer.append(table, **columns)


def _joined(pieces: list[_Piece]) -> _Piece:
    """One column from its pieces, all of one kind."""
    if isinstance(pieces[0], Ragged):
        ragged = cast("list[Ragged]", pieces)
        lengths = np.concatenate([piece.lengths for piece in ragged])
        return Ragged(np.concatenate([piece.values for piece in ragged]), lengths)
    if isinstance(pieces[0], tuple):
        return tuple(chain.from_iterable(cast("list[tuple[str, ...]]", pieces)))
    return np.concatenate(cast("list[NDArray[Any]]", pieces))
