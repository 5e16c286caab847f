"""The life of calls under the modelled control plane: asked for, routed, set up, failed over, ended, judged.

Every step is a record handled here; a `LiveCall` is plain data. A caller tries the engine's choice, then its
fallbacks, then ranks once more without the relays it found dead. What a call lived through is the truth averaged over
its time, an outage counting as lost packets; what its relays are judged by is the stretch on the last path.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.measure.records import ASIDE
from meshsim.mesh.media import MediaType
from meshsim.routing.engine import claims_of
from meshsim.sim.compression import Compression
from meshsim.sim.connections import Connections
from meshsim.sim.livecall import DETECTION, REFUSAL, LiveCall
from meshsim.sim.lived import NAN, Lived
from meshsim.sim.media import PacketMedia
from meshsim.sim.oracle import HALF_CALL
from meshsim.sim.probing import Probing
from meshsim.sim.processes.greeting import Greeting
from meshsim.sim.processes.steps import CLOSED, Ended, Wait
from meshsim.sim.receipts import Receipts
from meshsim.sim.recorder import CallRow
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.media import Demand
    from meshsim.routing.engine import RoutingEngine
    from meshsim.sim.choice import Choice
    from meshsim.sim.environment import Environment
    from meshsim.sim.ledger import Ledger
    from meshsim.sim.processes.federation import Domains
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.resources import Paths
    from meshsim.sim.world import PathTruth, World


class Switchboard:
    """All calls of an episode.

    Args:
        env: The clock.
        world: The truth.
        choice: Who says which paths to try.
        ledger: Reputations.
        engine: Who chooses paths.
        recorder: Where it is written.
        domains: Who is told of whom, and may relay for whom; None where all are at home.

    Attributes:
        counts: Calls `started`, and how many had each outcome; `running` are those at the end.
    """

    def __init__(
        self,
        env: Environment,
        world: World,
        choice: Choice,
        ledger: Ledger,
        engine: RoutingEngine,
        recorder: Recorder,
        domains: Domains | None = None,
    ) -> None:
        self._env, self._world, self.choice, self._ledger = env, world, choice, ledger
        self._engine, self._recorder = engine, recorder
        self._plan = world.plan
        self._receipts = Receipts(env, world.plan, ledger)
        self._live: dict[int, LiveCall] = {}
        self._lived = Lived()
        self._using: dict[int, set[int]] = defaultdict(set)
        self._row_of_flow = np.zeros(0, dtype=np.int64)
        self._greeting = Greeting(self._plan, world, domains)
        self._aic = Compression(self._plan)
        self._connections = Connections(self._plan.scenario.nodes.max_connections)
        self._media = PacketMedia(world) if self._plan.scenario.media.mode == "packet" else None
        self._probing = Probing(env, world, recorder, self._media, self._live)
        self.counts = dict.fromkeys(("started", "completed", "dropped", "failed", "running", *ASIDE), 0)
        env.on("call.start", self._start)
        self._greeting.start(env, recorder, self._cut)
        env.on("call.greet", self._greet)
        env.on("call.retry", self._retry)
        env.on("call.end", self._hang_up)

    def schedule(self) -> None:
        """Puts all planned calls into the queue."""
        self.choice.schedule()

    def flow_of(self, number: int) -> int:
        """The world's flow of a call, -1 while its media do not flow."""
        return self._live[number].flow if number in self._live else -1

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
        self._using[call.caller].add(number)
        call.row = self._lived.take()
        self.counts["started"] += 1
        if self._world.online[call.caller]:
            self._greet(number, None)
        else:
            self._finish(call, "absent", "caller offline")

    def _greet(self, number: int, _: Any) -> None:
        """Looks what has become of the callee."""
        call = self._live.get(number)
        if call is None:
            return
        step = self._greeting.step(number, self._env.now)
        if isinstance(step, Wait):
            self._env.schedule_record(step.until, "call.greet", number)
        elif isinstance(step, Ended):
            self._finish(call, step.outcome, step.reason)
        else:
            self._pick_up(call, step.node)

    def _pick_up(self, call: LiveCall, node: int) -> None:
        """Somebody answers: a route is asked for, and media have the call's whole duration."""
        call.callee, call.answered = node, self._env.now
        call.end = call.answered + self._plan.calls.duration.item(call.number)
        self._using[node].add(call.number)
        if self._world.online[node]:
            self._env.schedule_record(call.end, "call.end", call.number)
            self.choose(call)
        else:
            self._finish(call, "unanswered", "callee offline")

    def choose(self, call: LiveCall) -> None:
        """Takes what was ranked ahead, or asks the engine; probes the candidates for the record; takes the best."""
        ahead = self.choice.ranked(call)
        if ahead is None:
            self._choose_alone(call)
        else:
            call.waiting, call.claims = list(ahead.paths), ahead.claims
        if call.waiting:
            self._attempt(call)
        else:
            self._wait(call, "no feasible route")

    def _choose_alone(self, call: LiveCall) -> None:
        ranking, view = self.choice.ranking(call)
        call.waiting = self.choice.best(ranking)
        if self._logged(call):
            self._probing.begin(call, view, ranking)
        if ranking.order:
            call.claims = claims_of(ranking.scores, ranking.order[0])

    def _retry(self, number: int, _: Any) -> None:
        call = self._live.get(number)
        if call is not None:
            self._attempt(call)

    def _attempt(self, call: LiveCall) -> None:
        """Tries the next path; what goes wrong is noticed after a while and leads back here."""
        path = self._next(call)
        if not path:
            self._wait(call, "no route left")
            return
        call.first, call.path = call.first or path, path
        ready = self._ready(call)
        if ready is not None:
            self._connect(call, *ready)

    def _ready(self, call: LiveCall) -> tuple[Paths, PathTruth] | None:
        """The path that is tried and what it is like; None if it does not stand, so that another will be tried."""
        gone = [node for node in call.path[1:-1] if not self._world.online[node]]
        refusing, why = self._refusing(call)
        if gone:
            self._suspect(call, gone, "relay does not answer", Outcome.TIMEOUT)
        elif refusing:
            self._avoid(call, refusing, why)
        elif crowded := self._connections.refusing(call.path):
            self._turn_away(call, crowded)
        else:
            found = self._looked_at(call)
            if found[1].connected[0]:
                return found
            self._suspect(call, list(call.path[1:-1]), "no media come through", Outcome.DROPPED)
        return None

    def _refusing(self, call: LiveCall) -> tuple[list[int], str]:
        """The relays that do not take a call, and why."""
        return [node for node in call.path[1:-1] if self._full(node)], "relay at capacity"

    def _wait(self, call: LiveCall, why: str) -> None:
        """There is no path now: there may be one later, or the call is given up."""
        pause = self.choice.pause(call)
        if pause is not None:
            self._env.schedule_record(self._env.now + pause, "call.retry", call.number)
        elif self._greeting.passes((call.caller, call.callee)):
            self._break_off(call, why)
        else:
            self._finish(call, "refused", CLOSED)

    def _turn_away(self, call: LiveCall, crowded: list[int]) -> None:
        """Nodes of the path have no media link to spare: other relays may do, another caller or callee may not."""
        for node, who in ((call.caller, "caller"), (call.callee, "callee")):
            if node in crowded:
                self._break_off(call, f"{who} has no connection to spare")
                return
        self._avoid(call, crowded, "relay has no connection to spare")

    def _avoid(self, call: LiveCall, relays: list[int], why: str) -> None:
        """Relays refused the call: it tries again without them."""
        call.dead.update(relays)
        self._recorder.event(self._env.now, "reject", node=relays[0], call=call.number, detail=why)
        self._try_later(call, REFUSAL)

    def _try_later(self, call: LiveCall, seconds: float) -> None:
        self._env.schedule_record(self._env.now + seconds, "call.retry", call.number)

    def _next(self, call: LiveCall) -> tuple[int, ...]:
        """The next path without dead relays: from the list, else asked for once more; empty when there is none."""
        while True:
            while call.waiting:
                path = call.waiting.pop(0)
                if not call.dead.intersection(path) and self._greeting.passes(path):
                    return path
            call.waiting = list(self.choice.again(call))
            call.asked += 1
            if not call.waiting:
                return ()

    def _full(self, node: int) -> bool:
        return self._world.carried(node) > self._plan.nodes.max_calls.item(node) - HALF_CALL

    def _connect(self, call: LiveCall, paths: Paths, truth: PathTruth) -> None:
        if self._lived.time(call.row) > 0.0:
            call.failovers += 1
            call.gap += self._env.now - call.broken_at
            self._recorder.event(self._env.now, "failover", node=call.caller, call=call.number)
        self._open(call, paths)
        call.broken_at, call.asked = NAN, 0
        now = truth.rtt.item(0), truth.jitter.item(0), truth.loss.item(0)
        self._lived.begin(call.row, self._env.now, now)

    def _open(self, call: LiveCall, paths: Paths) -> None:
        asked = self._asked(call)
        call.flow = self._world.open(paths, asked.lowest)
        self._aic.begin(call.number, call.media, call.path, self._env.now)
        self._connections.open(call.path)
        for node in call.path[1:-1]:
            self._using[node].add(call.number)
        if call.flow >= len(self._row_of_flow):
            more = np.zeros(max(call.flow + 1, 2 * len(self._row_of_flow)) - len(self._row_of_flow), dtype=np.int64)
            self._row_of_flow = np.concatenate([self._row_of_flow, more])
        self._row_of_flow[call.flow] = call.row
        if self._media is not None:
            self._media.open(call.flow, paths, asked, key=call.number, t=self._env.now)

    def _asked(self, call: LiveCall) -> Demand:
        """What a call puts on the links of its path."""
        return self._aic.demand(call.number, call.media, call.path)

    def _has_flowed(self, call: LiveCall) -> bool:
        """Whether media ever came through."""
        return call.flow >= 0 or self._lived.time(call.row) > 0.0

    def _looked_at(self, call: LiveCall) -> tuple[Paths, PathTruth]:
        """The path of `call` and what it is like; taken from the probe of its candidates where that has it."""
        plain = not self._aic.applies(call.number, call.media, call.path)
        seen = self._probing.seen(call) if plain else None
        paths, truth = (self._world.lay([call.path], self._asked(call)), None) if seen is None else seen
        return paths, self._world.probe(paths) if truth is None else truth

    def _suspect(self, call: LiveCall, nodes: list[int], why: str, outcome: Outcome) -> None:
        """Nothing came through: the relays in question are avoided and the ends' receipts say so."""
        self._receipts.accuse(call, outcome)
        self.choice.learn(call, (NAN, NAN, NAN), connected=False)
        call.dead.update(nodes)
        for node in nodes:
            self._recorder.event(self._env.now, "timeout", node=node, call=call.number, detail=why)
        self._try_later(call, DETECTION)

    # --- while it lasts -----------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Writes up the time since the last look and looks at all flowing calls again."""
        numbers, now = self._world.measure_flows()
        rows = self._row_of_flow[numbers]
        if self._media is not None:
            self._lived.restate(rows, self._media.look(numbers.tolist(), self._env.now))
            self._media.drift(self._world.background, self._env.now)
            for number in numbers.tolist() if self._plan.scenario.media.adaptive else ():
                self._media.pace(number, self._world.flow_share(number), self._env.now)
        if len(numbers):
            self._lived.settle(rows, self._env.now, now, self._world.flow_shares(numbers))

    def node_down(self, node: int) -> None:
        """A node is gone: its own calls drop, those it relayed break until their ends notice and find another path."""
        self.choice.node_down(node)
        for number in sorted(self._using[node]):
            call = self._live[number]
            if node in (call.caller, call.callee):
                self._break_off(call, f"{'caller' if node == call.caller else 'callee'} left")
            else:
                self._break(call, (node,), self._testimony(node))

    def _testimony(self, _: int) -> Outcome:
        """What the ends say of a route that broke since one of its relays left."""
        return Outcome.DROPPED

    def routes_cut(self) -> None:
        """Edges below have changed: calls over cut ones break; which of their relays is to blame nobody can tell."""
        broken = self._world.cut_flows()
        for call in [call for call in self._live.values() if call.flow in broken]:
            self._break(call, call.path[1:-1])

    def silenced(self, node: int) -> None:
        """A relay may pass nothing on any more: calls that do not come through break."""
        for call in [self._live[number] for number in sorted(self._using[node])]:
            if call.flow >= 0 and not self._world.connected(self._world.flow_paths(call.flow))[0]:
                self._break(call, call.path[1:-1])

    def ban(self, nodes: frozenset[int]) -> None:
        """These nodes, and no others, are banned from relaying: calls over them find other paths."""
        self.choice.ban(nodes)
        for call in list(self._live.values()):
            call.dead.update(nodes)
            if call.flow >= 0 and not nodes.isdisjoint(call.path[1:-1]):
                self._break(call, (), None)

    def _break(self, call: LiveCall, suspects: Sequence[int], said: Outcome | None = Outcome.DROPPED) -> None:
        """Nothing comes through any more: the ends notice, state what is `said`, and find a path without suspects."""
        self._close(call, connected=said is Outcome.COMPLETED)
        call.broken_at = self._env.now
        call.dead.update(suspects)
        if said is Outcome.COMPLETED:
            self._receipts.complete(call, self._lived.stretch(call.row))
        elif said is not None:
            self._receipts.accuse(call, said)
        self._try_later(call, DETECTION)

    def moved(self, nodes: Sequence[int], handed: Sequence[int]) -> None:
        """The last miles of `nodes` are others, some of them are `handed` over to another place: calls follow."""
        if handed:
            self.choice.relay()
        away = self._plan.scenario.mobility.interruption
        for number in sorted({number for node in nodes for number in self._using.get(node, ())}):
            call = self._live[number]
            if call.flow >= 0:
                call.gap += away * ((call.caller in handed) + (call.callee in handed))
                self._lay_anew(call)
            self._probing.lay_anew(call)
        if self._world.cuts:
            self.routes_cut()
        self.settle()

    def _lay_anew(self, call: LiveCall) -> None:
        """Media go on over the same nodes, by other ways."""
        self._world.close_flow(call.flow)
        asked = self._asked(call)
        call.flow = self._world.open(self._world.lay([call.path], asked), asked.lowest)
        self._row_of_flow[call.flow] = call.row

    def _cut(self) -> None:
        """Domains have closed a border: calls under way over it end."""
        for number in sorted(self._live):
            call = self._live[number]
            if call.flow >= 0 and not self._greeting.passes(call.path):
                self._finish(call, "refused", CLOSED)

    def node_up(self, node: int) -> None:
        """A node is back: calls find it again with the next digest."""

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed: they wait instead of those that did."""
        self.choice.replan(first)

    def rank_anew(self) -> None:
        """What was ranked ahead holds no more: it is ranked again when its time comes."""
        self.choice.rank_anew()

    def _close(self, call: LiveCall, *, connected: bool = True) -> None:
        if self._media is not None:
            past = np.array([self._media.close(call.flow, self._env.now)])
            self._lived.restate(np.array([call.row]), past)
        self._lived.write_up(call.row, self._env.now)
        self.choice.learn(call, self._lived.stretch(call.row), connected=connected)
        self._world.close_flow(call.flow)
        self._aic.end(call.number, self._env.now)
        self._connections.close(call.path)
        call.flow = -1
        for node in call.path[1:-1]:
            self._using[node].discard(call.number)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _hang_up(self, number: int, _: Any) -> None:
        call = self._live.get(number)
        if call is None:
            return
        if call.flow < 0:
            self._break_off(call, "hung up while nothing came through")
            return
        if len(call.path) == 2:  # noqa: PLR2004 - caller and callee alone: the direct path
            lived = self._world.measure_flow(call.flow)
            self.choice.remember_direct(call.caller, call.callee, lived)
        self._close(call)
        self._receipts.complete(call, self._lived.stretch(call.row))
        self._finish(call, "completed", "")

    def _break_off(self, call: LiveCall, reason: str) -> None:
        outcome = "unanswered" if math.isnan(call.answered) else "failed"
        self._finish(call, "dropped" if self._has_flowed(call) else outcome, reason)

    def _finish(self, call: LiveCall, outcome: str, reason: str) -> None:
        if call.flow >= 0:
            self._close(call)
        del self._live[call.number]
        self._using[call.caller].discard(call.number)
        self._using[call.callee].discard(call.number)
        self.counts[outcome] += 1
        if self._logged(call):
            self._recorder.call(self._row(call, outcome, reason))
        self._greeting.forget(call.number, self._env.now)
        self._lived.release(call.row)

    def close(self) -> None:
        """The episode is over: calls still under way are written as they stand."""
        self._probing.close()
        for number in sorted(self._live):
            self._finish(self._live[number], "running", "the episode ended")
        self._ledger.publish(self._env.now)

    def _logged(self, call: LiveCall) -> bool:
        return call.start >= self._plan.scenario.warmup

    def _row(self, call: LiveCall, outcome: str, reason: str) -> CallRow:
        gap = call.gap if math.isnan(call.broken_at) else call.gap + self._env.now - call.broken_at
        rtt, jitter, loss = self._lived.means(call.row, gap)
        waited, share = self._greeting.waited(call.number), self._lived.share(call.row)
        spared = self._aic.judge(call.number, call.media, (rtt, jitter, loss), self._env.now, share)
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
            rate_share=share,
            aic=spared.aic,
            saved_bytes=spared.saved_bytes,
            mos=spared.mos,
            poor=False if outcome in ASIDE else spared.poor,
            ring_seconds=waited.ring,
            resolve_seconds=waited.resolve,
            borders=self._greeting.borders(call.first),
        )
