"""What agents emit, as rows of the trace: samples speak of ids, tables of rows of `nodes` and of the plan's calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent import CallSample, EventSample, RouteSample, TrustSample
from meshsim.agent.legs import label_of
from meshsim.measure.records import ASIDE
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
from meshsim.routing.candidates import Candidates
from meshsim.sim.environment import BEFORE
from meshsim.sim.oracle import SECOND_LOOK, GhostProbe, finish_probe, start_probe
from meshsim.sim.recorder import CallRow
from meshsim.trust import EventKind, Reputation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.agent import MeshAgent, Sample
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.routing.engine import Ranking, RoutingEngine
    from meshsim.sim.compression import Compression
    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.streams import MediaFlows
    from meshsim.sim.world import World

NAN = float("nan")


class Logbook:
    """Follows the planned calls through their agents.

    Args:
        env: The clock.
        world: The truth, for ghost probes.
        recorder: Where rows are written.
        index: Row of each node.
        flows: The media of calls.
        engine: Whose policy decides.
        compression: What AIC made of calls.

    Attributes:
        counts: Calls `started`, and how many had each outcome; `running` are those at the end.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        recorder: Recorder,
        index: Mapping[NodeId, int],
        flows: MediaFlows,
        engine: RoutingEngine,
        compression: Compression,
    ) -> None:
        self._env, self._world, self._recorder, self._aic = env, world, recorder, compression
        self._index, self._flows, self._engine = index, flows, engine
        self._plan = world.plan
        self._numbers: dict[CallId, int] = {}
        self._running: dict[int, tuple[int, int]] = {}
        self._calls: dict[int, CallId] = {}
        self._probes: dict[int, tuple[RouteSample, NetworkView, Ranking, GhostProbe]] = {}
        self._probed: set[int] = set()
        self._unattended: set[int] = set()
        self.counts = dict.fromkeys(("started", "completed", "dropped", "failed", "running", *ASIDE), 0)
        env.on("call.probe", self._look_again)

    # Calls ------------------------------------------------------------------------------------------------------------

    def begin(self, number: int, caller: int, callee: int) -> bool:
        """A planned call is due; False if its caller is not there to make it."""
        self.counts["started"] += 1
        self._running[number] = caller, callee
        if not self._world.online[caller]:
            self._finish(number, "absent", "caller offline")
            return False
        if not self._world.online[callee]:
            self._unattended.add(number)
        return True

    def name(self, number: int, call: CallId) -> None:
        """The agent calls it `call`."""
        self._numbers[call] = number
        self._calls[number] = call

    def call_of(self, number: int) -> CallId | None:
        """What the agent calls it; None before it has begun."""
        return self._calls.get(number)

    def number(self, call: CallId) -> int:
        """Number in the plan of what agents call `call`; -1 if it was not placed."""
        return self._numbers.get(call, -1)

    def calls_of(self, caller: int) -> list[int]:
        """The calls that `caller` has under way."""
        return [number for number, ends in self._running.items() if ends[0] == caller]

    def vanish(self, number: int) -> None:
        """The caller is gone: nobody is left to tell how the call went."""
        self._finish(number, "dropped", "caller vanished")

    def close(self, agents: Sequence[MeshAgent], now: Instant) -> None:
        """The episode is over."""
        for number in sorted(self._probes):
            sample, view, ranking, probe = self._probes.pop(number)
            self._write_routes(number, sample, view, ranking, probe.first)
        for number in sorted(self._running):
            caller, _ = self._running[number]
            sample_now = agents[caller].call_so_far(self._calls[number], now)
            if sample_now is None:
                self._finish(number, "running", "the episode ended")
            else:
                self._call(replace(sample_now, reason="the episode ended"))

    def _finish(self, number: int, outcome: str, reason: str) -> None:
        """Writes a call of which no agent tells."""
        caller, callee = self._running[number]
        row = CallRow(
            call=number,
            start=float(self._plan.calls.start[number]),
            end=self._env.now,
            caller=caller,
            callee=callee,
            media=self._plan.calls.media[number],
            policy=self._engine.policy.name,
            path=(),
            final_path=(),
            ai_score=NAN,
            confidence=NAN,
            predicted_rtt_seconds=NAN,
            outcome=outcome,
            reason=reason,
            failovers=0,
            rtt_seconds=NAN,
            jitter_seconds=NAN,
            loss=NAN,
            mos=NAN,
            poor=outcome not in ASIDE,
        )
        self._write_call(row)

    def _write_call(self, row: CallRow) -> None:
        del self._running[row.call]
        self.counts[row.outcome] += 1
        if self._is_logged(row.call):
            self._recorder.call(row)

    def _is_logged(self, number: int) -> bool:
        return bool(self._plan.calls.start[number] >= self._plan.scenario.warmup)

    # Samples ----------------------------------------------------------------------------------------------------------

    def keep(self, node: int, sample: Sample) -> None:
        """Writes what agent `node` emitted."""
        match sample:
            case RouteSample():
                self._route(sample)
            case CallSample():
                self._call(sample)
            case TrustSample():
                reputation = Reputation(sample.score, sample.low, sample.high, NAN, sample.status)
                self._recorder.trust(
                    self._index[sample.node], EventKind(sample.event), reputation, sample.at, observer=node
                )
            case EventSample():
                number = self._numbers.get(sample.call, -1) if sample.call is not None else -1
                self._recorder.event(
                    sample.at, sample.kind, node=self._index[sample.node], call=number, detail=sample.detail
                )

    def _call(self, sample: CallSample) -> None:
        number = self._numbers[sample.call]
        if number not in self._running:
            return
        caller, callee = self._running[number]
        decision, lived = sample.decision, (sample.rtt, sample.jitter, sample.loss)
        spared = self._aic.judge(number, sample.media, lived, self._env.now)
        row = CallRow(
            call=number,
            start=sample.start,
            end=sample.end,
            caller=caller,
            callee=callee if sample.callee is None else self._index[sample.callee],
            media=str(sample.media),
            policy=self._engine.policy.name,
            path=self._rows(sample.path),
            final_path=self._rows(sample.final_path),
            ai_score=NAN if decision is None else decision.ai_score,
            confidence=NAN if decision is None else decision.confidence,
            predicted_rtt_seconds=NAN if decision is None else decision.predicted.rtt,
            outcome=sample.outcome,
            reason=sample.reason,
            failovers=len(sample.failovers),
            rtt_seconds=sample.rtt,
            jitter_seconds=sample.jitter,
            loss=sample.loss,
            mos=sample.mos if spared.mos is None else spared.mos,
            poor=sample.poor or bool(spared.poor),
            aic=spared.aic,
            saved_bytes=spared.saved_bytes,
        )
        # its agents cannot tell a callee who is away from a path that is broken
        if row.outcome == "failed" and number in self._unattended:
            row = replace(row, outcome="unanswered", reason="callee offline", poor=False)
        self._write_call(row)

    def _rows(self, path: Sequence[NodeId]) -> tuple[int, ...]:
        return tuple(self._index[node] for node in path)

    # Candidates and their ghosts --------------------------------------------------------------------------------------

    def _route(self, sample: RouteSample) -> None:
        """The first decision of a call is probed; those of failovers stand in the events."""
        number = self._numbers[sample.call]
        if number in self._probed or not self._is_logged(number):
            return
        self._probed.add(number)
        if not (self._plan.scenario.record.views or self._plan.scenario.record.candidates):
            return
        rows = np.array([self._index[node] for node in sample.view.nodes.ids], dtype=np.int32)
        candidates = Candidates(nodes=rows[sample.ranking.candidates.nodes], indptr=sample.ranking.candidates.indptr)
        ranking = replace(sample.ranking, candidates=candidates)
        view = in_plan_order(sample.view, rows, tuple(self._index))
        probe = start_probe(self._world, candidates, demand(MediaType(sample.request.media)))
        self._probes[number] = sample, view, ranking, probe
        end = float(self._plan.calls.start[number] + self._plan.calls.duration[number])
        second = max(self._env.now, min(self._env.now + SECOND_LOOK, end))
        self._env.schedule_record(second, "call.probe", number, priority=BEFORE)

    def _look_again(self, number: int, _: Any) -> None:
        if number not in self._probes:
            return
        sample, view, ranking, probe = self._probes.pop(number)
        flow = self._flows.flow(label_of(sample.call, 0))
        self._write_routes(number, sample, view, ranking, finish_probe(self._world, probe, flow))

    def _write_routes(self, number: int, sample: RouteSample, view: NetworkView, ranking: Ranking, truth: Any) -> None:
        chosen = int(ranking.order[0]) if ranking.order else -1
        self._recorder.routes(number, sample.at, view, ranking, chosen, truth)


def in_plan_order(view: NetworkView, rows: NDArray[np.int32], ids: tuple[NodeId, ...]) -> NetworkView:
    """An agent's view in the numbering of the plan; nodes it does not know are offline and without a past.

    Args:
        view: Of K nodes.
        rows: (K,) int32, the row in the plan of each of its nodes.
        ids: Node ids of the plan, (N,).
    """
    return NetworkView(
        version=view.version,
        owner=int(rows[view.owner]),
        at=view.at,
        nodes=_spread(view.nodes, rows, ids),
        links=_renumbered(view.links, rows),
        fresh=None if view.fresh is None else _renumbered(view.fresh, rows),
    )


def _spread(nodes: NodeBelief, rows: NDArray[np.int32], ids: tuple[NodeId, ...]) -> NodeBelief:
    def over(values: NDArray[Any], fill: float = 0) -> NDArray[Any]:
        whole = np.full(len(ids), fill, dtype=values.dtype)
        whole[rows] = values
        return whole

    return NodeBelief(
        ids=ids,
        role=over(nodes.role),
        nat=over(nodes.nat),
        latitude=over(nodes.latitude),
        longitude=over(nodes.longitude),
        aic=over(nodes.aic),
        online=over(nodes.online),
        load=over(nodes.load),
        max_calls=over(nodes.max_calls),
        capacity=over(nodes.capacity),
        reputation=over(nodes.reputation),
        reputation_low=over(nodes.reputation_low),
        reputation_high=over(nodes.reputation_high),
        evidence=over(nodes.evidence),
        age=over(nodes.age, UNHEARD),
    )


UNHEARD = 1e4
"""Age of a node that was never heard of, seconds."""


def _renumbered(links: LinkBelief, rows: NDArray[np.int32]) -> LinkBelief:
    src, dst = rows[links.src], rows[links.dst]
    order = np.lexsort((dst, src))
    return LinkBelief(
        src=src[order],
        dst=dst[order],
        delay=links.delay[order],
        jitter=links.jitter[order],
        loss=links.loss[order],
        rate=links.rate[order],
        age=links.age[order],
        observed=links.observed[order],
    )
