"""The life of calls under the modelled control plane: asked for, routed, set up, failed over, ended, judged.

Every step is a record handled here; a `LiveCall` is plain data. A caller tries the engine's choice, then its
fallbacks, then ranks once more without the relays it found dead. What a call lived through is the truth averaged over
its time, an outage counting as lost packets; what its relays are judged by is the stretch on the last path.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent.core import AgentConfig
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality import poor, voice_mos
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.request import RouteRequest
from meshsim.sim.environment import BEFORE
from meshsim.sim.oracle import SECOND_LOOK, GhostProbe, finish_probe, start_probe
from meshsim.sim.recorder import CallRow
from meshsim.sim.resources import Paths, join
from meshsim.trust import EventKind, events_from_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranking, RoutingEngine
    from meshsim.sim.control import ControlPlane
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import PathTruth, World

DETECTION = AgentConfig().silence
"""Seconds until a call's ends notice that nothing comes through: three missed keepalives of half a second."""

REFUSAL = 0.2
"""Seconds until a relay's refusal is heard."""

NAN = float("nan")


@dataclass(slots=True)
class Lived:
    """Time integrals of what a call lives through; seconds, and seconds times the measure."""

    time: float = 0.0
    rtt: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0

    def add(self, seconds: float, now: tuple[float, float, float]) -> None:
        """Adds `seconds` of (rtt, jitter, loss)."""
        self.time += seconds
        self.rtt += seconds * now[0]
        self.jitter += seconds * now[1]
        self.loss += seconds * now[2]

    def means(self, gap: float = 0.0) -> tuple[float, float, float]:
        """Mean rtt, jitter and loss; in `gap` further seconds every packet was lost. NaN if nothing was lived."""
        if self.time <= 0.0:
            return NAN, NAN, NAN
        return self.rtt / self.time, self.jitter / self.time, (self.loss + gap) / (self.time + gap)


@dataclass(slots=True, kw_only=True)
class LiveCall:
    """A call under way.

    Attributes:
        number: Row in the plan.
        caller: Node index.
        callee: Node index.
        media: What it carries.
        start: Seconds.
        end: When it is to end, seconds.
        first: The path first chosen, empty until then.
        path: The path in use or tried last.
        waiting: Paths to try next, best first.
        dead: Relays found dead or mute.
        ranked_again: Whether a fresh ranking was asked for since media last flowed.
        flow: The open flow, or -1.
        since: Since when `now` holds, seconds.
        now: Rtt, jitter and loss at present.
        whole: What the call lived through in all.
        stretch: What it lived through on the present path.
        broken_at: Since when nothing has come through, or NaN.
        gap: Seconds of outage after media first flowed.
        failovers: Changes of path after media first flowed.
        claims: ai_score, confidence and rtt that the policy claimed for its choice.
    """

    number: int
    caller: int
    callee: int
    media: MediaType
    start: float
    end: float
    first: tuple[int, ...] = ()
    path: tuple[int, ...] = ()
    waiting: list[tuple[int, ...]] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    ranked_again: bool = False
    flow: int = -1
    since: float = 0.0
    now: tuple[float, float, float] = (NAN, NAN, NAN)
    whole: Lived = field(default_factory=Lived)
    stretch: Lived = field(default_factory=Lived)
    broken_at: float = NAN
    gap: float = 0.0
    failovers: int = 0
    claims: tuple[float, float, float] = (NAN, NAN, NAN)

    @property
    def flowed(self) -> bool:
        """Whether media ever came through."""
        return self.flow >= 0 or self.whole.time > 0.0


class Switchboard:
    """All calls of an episode.

    Args:
        env: The clock.
        world: The truth.
        control: The belief.
        ledger: Reputations.
        engine: Who chooses paths.
        recorder: Where it is written.
        ids: Node ids, in index order.

    Attributes:
        counts: Calls `started`, and of them `completed`, `dropped`, `failed`, `running` at the end.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        control: ControlPlane,
        ledger: Ledger,
        engine: RoutingEngine,
        recorder: Recorder,
        ids: Sequence[NodeId],
    ) -> None:
        self._env, self._world, self._control, self._ledger = env, world, control, ledger
        self._engine, self._recorder, self._ids = engine, recorder, tuple(ids)
        self._plan = world.plan
        self._seeds = SeedTree(world.plan.seed)
        self._live: dict[int, LiveCall] = {}
        self._probes: dict[int, tuple[NetworkView, Ranking, GhostProbe]] = {}
        self.counts = dict.fromkeys(("started", "completed", "dropped", "failed", "running"), 0)
        env.on("call.start", self._start)
        env.on("call.retry", self._retry)
        env.on("call.probe", self._look_again)
        env.on("call.end", self._hang_up)
        env.on("receipt", self._receive_receipt)

    def schedule(self) -> None:
        """Puts all planned calls into the queue."""
        for number, start in enumerate(self._plan.calls.start.tolist()):
            self._env.schedule_record(start, "call.start", number)

    # --- set-up -------------------------------------------------------------------------------------------------------

    def _start(self, number: int, _: Any) -> None:
        calls = self._plan.calls
        call = LiveCall(
            number=number,
            caller=int(calls.caller[number]),
            callee=int(calls.callee_node[number]),
            media=MediaType(calls.media[number]),
            start=self._env.now,
            end=self._env.now + float(calls.duration[number]),
        )
        self._live[number] = call
        self.counts["started"] += 1
        for node, who in ((call.caller, "caller"), (call.callee, "callee")):
            if not self._world.online[node]:
                self._finish(call, "failed", f"{who} offline")
                return
        self._env.schedule_record(call.end, "call.end", number)
        self._choose(call)

    def _choose(self, call: LiveCall) -> None:
        """Asks the engine, probes the candidates for the record, and takes the best."""
        ranking, view = self._rank(call)
        if self._logged(call):
            self._note(call, view, ranking)
        if not call.waiting:
            self._finish(call, "failed", "no feasible route")
            return
        best, scores = ranking.order[0], ranking.scores
        call.first = call.waiting[0]
        call.claims = float(scores.ai_score[best]), float(scores.confidence[best]), float(scores.rtt[best])
        self._attempt(call)

    def _note(self, call: LiveCall, view: NetworkView, ranking: Ranking) -> None:
        """Starts the ghost probe of a call's candidates, unless nobody wants to read of them."""
        if not self._plan.scenario.record.candidates:
            self._recorder.view(view)
            return
        probe = start_probe(self._world, ranking.candidates, demand(call.media))
        self._probes[call.number] = view, ranking, probe
        second = min(self._env.now + SECOND_LOOK, call.end)
        self._env.schedule_record(second, "call.probe", call.number, priority=BEFORE)

    def _rank(self, call: LiveCall) -> tuple[Ranking, NetworkView]:
        """A ranking on the belief of now, without the relays found dead; its best paths are tried next."""
        request = RouteRequest(
            source=self._ids[call.caller],
            destinations=(self._ids[call.callee],),
            media=call.media,
            exclude=frozenset(self._ids[node] for node in call.dead),
        )
        view = self._control.view(call.caller, call.callee, self._env.now, call.number)
        ranking = self._engine.rank(request, view)
        best = ranking.order[: 1 + self._engine.fallbacks]
        call.waiting = [ranking.candidates.path(int(row)) for row in best]
        return ranking, view

    def _retry(self, number: int, _: Any) -> None:
        call = self._live.get(number)
        if call is not None:
            self._attempt(call)

    def _attempt(self, call: LiveCall) -> None:
        """Tries the next path; what goes wrong is noticed after a while and leads back here."""
        path = self._next(call)
        if not path:
            self._finish(call, "dropped" if call.flowed else "failed", "no route left")
            return
        call.path = path
        relays = path[1:-1]
        gone = [node for node in relays if not self._world.online[node]]
        full = [node for node in relays if self._full(node)]
        if gone:
            self._suspect(call, gone, "relay does not answer")
        elif full:
            call.dead.update(full)
            self._recorder.event(self._env.now, "reject", node=full[0], call=call.number, detail="relay at capacity")
            self._env.schedule_record(self._env.now + REFUSAL, "call.retry", call.number)
        else:
            self._connect(call)

    def _next(self, call: LiveCall) -> tuple[int, ...]:
        """The next path without dead relays: from the list, else from one fresh ranking; empty when there is none."""
        for _ in range(2):
            while call.waiting:
                path = call.waiting.pop(0)
                if not call.dead.intersection(path):
                    return path
            if call.ranked_again or not call.dead:
                return ()
            call.ranked_again = True
            self._rank(call)
        return ()

    def _full(self, node: int) -> bool:
        # half a slot of tolerance: loads are sums of floats
        return bool(self._world.relaying()[node] > self._plan.nodes.max_calls[node] - 0.5)

    def _connect(self, call: LiveCall) -> None:
        paths, truth = self._looked_at(call)
        if not truth.connected[0]:
            self._suspect(call, list(call.path[1:-1]), "no media come through")
            return
        if call.flowed:
            call.failovers += 1
            call.gap += self._env.now - call.broken_at
            self._recorder.event(self._env.now, "failover", node=call.caller, call=call.number)
        call.flow = self._world.open(paths)
        call.broken_at, call.ranked_again, call.since = NAN, False, self._env.now
        call.stretch = Lived()
        call.now = float(truth.rtt[0]), float(truth.jitter[0]), float(truth.loss[0])

    def _looked_at(self, call: LiveCall) -> tuple[Paths, PathTruth]:
        """The path of `call` and what it is like; taken from the probe of its candidates where that has it."""
        if call.number in self._probes:
            _, ranking, probe = self._probes[call.number]
            if call.path in ranking.candidates.paths:
                row = ranking.candidates.paths.index(call.path)
                paths = probe.paths.pick(row)
                # the first attempt follows the probe at once: nothing has changed
                return paths, probe.first.pick(row) if self._env.now == call.start else self._world.probe(paths)
        paths = self._world.lay([call.path], demand(call.media))
        return paths, self._world.probe(paths)

    def _suspect(self, call: LiveCall, nodes: list[int], why: str) -> None:
        """Nothing came through: the relays in question are avoided and the ends' receipts say so."""
        call.dead.update(nodes)
        for node in nodes:
            self._send_receipt(call, node, (EventKind.CONNECTION_TIMEOUT,), weight=1.0 / len(nodes))
            self._recorder.event(self._env.now, "timeout", node=node, call=call.number, detail=why)
        self._env.schedule_record(self._env.now + DETECTION, "call.retry", call.number)

    # --- while it lasts -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Writes up the time since the last look and looks at all flowing calls again."""
        flowing = [call for call in self._live.values() if call.flow >= 0]
        if not flowing:
            return
        now = self._measure(join([self._world.flow_paths(call.flow) for call in flowing]))
        for call, value in zip(flowing, now, strict=True):
            self._write_up(call)
            call.now = value

    def node_down(self, node: int) -> None:
        """A node is gone: its own calls drop, those it relayed break until their ends notice and find another path."""
        self._control.node_down(node, self._env.now)
        for call in list(self._live.values()):
            if node in (call.caller, call.callee):
                who = "caller" if node == call.caller else "callee"
                self._finish(call, "dropped" if call.flowed else "failed", f"{who} left")
            elif call.flow >= 0 and node in call.path:
                self._close(call)
                call.broken_at = self._env.now
                call.dead.add(node)
                self._send_receipt(call, node, (EventKind.CALL_DROPPED,))
                self._env.schedule_record(self._env.now + DETECTION, "call.retry", call.number)

    def node_up(self, node: int) -> None:
        """A node is back: calls find it again with the next digest."""

    def _look_again(self, number: int, _: Any) -> None:
        """The second half of the ghost probe; the candidates are complete."""
        call = self._live.get(number)
        view, ranking, probe = self._probes.pop(number)
        flow = call.flow if call is not None and call.flow >= 0 else None
        self._write_routes(number, view, ranking, finish_probe(self._world, probe, flow))

    def _write_routes(self, number: int, view: NetworkView, ranking: Ranking, truth: Any) -> None:
        chosen = int(ranking.order[0]) if len(ranking.order) else -1
        start = float(self._plan.calls.start[number])
        self._recorder.routes(number, start, view, ranking, chosen, truth)

    def _measure(self, paths: Paths) -> list[tuple[float, float, float]]:
        truth = self._world.measure(paths)
        return list(zip(truth.rtt.tolist(), truth.jitter.tolist(), truth.loss.tolist(), strict=True))

    def _write_up(self, call: LiveCall) -> None:
        seconds, call.since = self._env.now - call.since, self._env.now
        call.whole.add(seconds, call.now)
        call.stretch.add(seconds, call.now)

    def _close(self, call: LiveCall) -> None:
        self._write_up(call)
        self._world.close_flow(call.flow)
        call.flow = -1

    # --- the end ------------------------------------------------------------------------------------------------------

    def _hang_up(self, number: int, _: Any) -> None:
        call = self._live.get(number)
        if call is None:
            return
        if call.flow < 0:
            self._finish(call, "dropped" if call.flowed else "failed", "hung up while nothing came through")
            return
        if len(call.path) == 2:  # noqa: PLR2004 - caller and callee alone: the direct path
            self._control.remember_direct(
                call.caller, call.callee, self._env.now, self._world.measure(self._world.flow_paths(call.flow))
            )
        self._close(call)
        self._judge(call)
        self._finish(call, "completed", "")

    def _judge(self, call: LiveCall) -> None:
        """Both ends' receipts on the relays of the last path, by what it was like.

        Nobody can tell which of several relays spoilt a call, so they share the blame.
        """
        rtt, jitter, loss = call.stretch.means()
        bad = bool(poor(rtt, jitter, loss))
        kinds = events_from_outcome(completed=True, mos=float(voice_mos(rtt / 2, jitter, loss)), poor=bad)
        relays = call.path[1:-1]
        for node in relays:
            self._send_receipt(call, node, kinds, weight=1.0 / len(relays) if bad else 1.0)

    def _send_receipt(self, call: LiveCall, node: int, kinds: tuple[EventKind, ...], *, weight: float = 1.0) -> None:
        """A receipt travels with one of the next digests."""
        late = self._seeds.stream("receipt", call.number).at(node) * self._plan.scenario.control.digest_period
        arg = (tuple(kinds), weight, self._env.now)
        self._env.schedule_record(self._env.now + late, "receipt", node, arg)

    def _receive_receipt(self, node: int, arg: tuple[tuple[EventKind, ...], float, float]) -> None:
        kinds, weight, happened = arg
        self._ledger.report(node, kinds, weight, happened)

    def _finish(self, call: LiveCall, outcome: str, reason: str) -> None:
        if call.flow >= 0:
            self._close(call)
        del self._live[call.number]
        self.counts[outcome] += 1
        if self._logged(call):
            self._recorder.call(self._row(call, outcome, reason))

    def close(self) -> None:
        """The episode is over: calls still under way are written as they stand."""
        for number in sorted(self._probes):
            view, ranking, probe = self._probes.pop(number)
            self._write_routes(number, view, ranking, probe.first)
        for number in sorted(self._live):
            self._finish(self._live[number], "running", "the episode ended")
        self._ledger.publish(self._env.now)

    def _logged(self, call: LiveCall) -> bool:
        return call.start >= self._plan.scenario.warmup

    def _row(self, call: LiveCall, outcome: str, reason: str) -> CallRow:
        gap = call.gap if np.isnan(call.broken_at) else call.gap + self._env.now - call.broken_at
        rtt, jitter, loss = call.whole.means(gap)
        return CallRow(
            call=call.number,
            start=call.start,
            end=self._env.now,
            caller=call.caller,
            callee=call.callee,
            media=str(call.media),
            policy=self._engine.policy.name,
            path=call.first,
            final_path=call.path,
            ai_score=call.claims[0],
            confidence=call.claims[1],
            predicted_rtt_seconds=call.claims[2],
            outcome=outcome,
            reason=reason,
            failovers=call.failovers,
            rtt_seconds=rtt,
            jitter_seconds=jitter,
            loss=loss,
            mos=float(voice_mos(rtt / 2, jitter, loss)),
            poor=bool(poor(rtt, jitter, loss)),
        )
