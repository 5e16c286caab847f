"""Which route a call tries next: what is left of the last decision, else a new one without the nodes that failed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from meshsim.agent.messages import ATTEMPTS
from meshsim.agent.samples import RouteSample
from meshsim.identity.records import verify_record
from meshsim.mesh.errors import IdentityError, NoRoute
from meshsim.mesh.ids import AuraID
from meshsim.routing.candidates import candidates_of
from meshsim.routing.constraints import lets_newcomers_in
from meshsim.routing.features import build
from meshsim.routing.policies import Outcome
from meshsim.routing.request import RouteRequest
from meshsim.trust.conduct import NO_PROMISE, credited

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshsim.agent.calls import Call, CallRequest
    from meshsim.agent.core import Core
    from meshsim.agent.legs import Leg
    from meshsim.agent.linktable import LinkTable
    from meshsim.agent.messages import CallSetup
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant
    from meshsim.routing.engine import RoutingEngine
    from meshsim.trust.conduct import Expectation

FLOW_BYTES = 7
"""Of a call's id, that tell it from others when paths are drawn by hashing."""

DIRECT = 2
"""Nodes of a route without relays."""

DOORS = 1 << 48
"""First of the draws by which calls are open to newcomers: so far from the agent's other draws that it shifts none."""


class Router:
    """Finds routes for an agent's calls.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        table: Its belief.
        engine: What decides.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood, table: LinkTable, engine: RoutingEngine) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._table = table
        self._engine = engine

    def next_path(self, call: Call, now: Instant) -> tuple[NodeId, ...] | None:
        """The next route to try; None when there is none, with the reason in `call.reason`."""
        if len(call.tried) >= self._core.config.max_attempts or call.attempts >= ATTEMPTS:
            return None
        path = self._take(call) or (self._take(call) if self._decide(call, now) else None)
        return path if path is None or call.attempts else self._begin_with(call, path)

    def _begin_with(self, call: Call, path: tuple[NodeId, ...]) -> tuple[NodeId, ...]:
        """The route that a call begins with: not a direct one whose link is yet to be made, where relays are linked."""
        if not self._core.config.relay_first or len(path) > DIRECT or self._neighbourhood.is_up(path[1]):
            return path
        linked = (other for other in call.options if len(other) > DIRECT and self._neighbourhood.is_up(other[1]))
        first = next((other for other in linked if self.allows(call, other)), None)
        if first is None:
            return path
        call.options.remove(first)
        call.options.insert(0, path)
        call.better = path
        return first

    def _take(self, call: Call) -> tuple[NodeId, ...] | None:
        while call.options:
            path = call.options.pop(0)
            barred = call.failed | self._table.banned
            if path not in call.tried and barred.isdisjoint(path[1:-1]) and self._may_start(path):
                return path
        return None

    def second(self, call: Call, first: tuple[NodeId, ...], now: Instant) -> tuple[NodeId, ...] | None:
        """A route that shares no relay with `first` and was not passed over; None when there is none."""
        exclude = self._table.banned | call.failed | call.unfit | set(first[1:-1])
        known = (path for path in call.options if exclude.isdisjoint(path[1:-1]))
        for path in itertools.chain(known, self._others(call, exclude, now)):
            if path not in (first, *call.passed_over) and path[-1] == first[-1] and self._may_start(path):
                return path
        return None

    def _others(self, call: Call, exclude: frozenset[NodeId], now: Instant) -> Iterator[tuple[NodeId, ...]]:
        """What the policy would choose without `exclude`, best first; it is no decision, and none is recorded."""
        request, view = self._ask(call, exclude, now), self._table.view(now)
        try:
            decision = self._engine.decide(self._engine.rank(request, view), request, view)
        except NoRoute:
            return
        yield from (decision.path, *decision.fallbacks)

    def allows(self, call: Call, path: tuple[NodeId, ...]) -> bool:
        """Whether no relay of `path` is banned or was found at fault in this call."""
        return (call.failed | self._table.banned).isdisjoint(path[1:-1])

    def callees(self, answer: Sequence[NodeRecord], request: CallRequest, now: Instant) -> tuple[NodeId, ...]:
        """The nodes of the callee, in order, of those that the directory names."""
        return tuple(sorted(record.node_id for record in answer if self._is_callee(record, request, now)))

    def _is_callee(self, record: NodeRecord, request: CallRequest, now: Instant) -> bool:
        try:
            verify_record(record, self._core.verifier, now.unix)
        except IdentityError:
            self._core.reject("bad_record")
            return False
        if AuraID.parse(record.aura).name != request.callee.name or record.node_id == self._core.node:
            self._core.reject("wrong_record")
            return False
        self._table.learn(record, now)
        return True

    def _may_start(self, path: tuple[NodeId, ...]) -> bool:
        """Whether the first hop is up, or not linked yet."""
        return path[1] not in self._neighbourhood or self._neighbourhood.is_up(path[1])

    def learn(self, leg: Leg, now: Instant, *, connected: bool) -> None:
        """A route has done its service: tells the policy how it fared, as this end measured it."""
        if self._engine.learns:
            rtt, jitter, loss = leg.quality.means()
            self._engine.observe(
                Outcome(
                    path=leg.path if leg.is_first else leg.path[::-1],
                    media=leg.setup.media,
                    rtt=rtt,
                    jitter=jitter,
                    loss=loss,
                    connected=connected,
                    at=now.mono,
                    observer=self._core.node,
                )
            )

    def credit(self, setup: CallSetup, now: Instant) -> Expectation:
        """What relays of a route that leads here are held to: its caller's promise, as far as it is believed here."""
        if setup.promise is None or len(setup.path) == DIRECT:
            return NO_PROMISE
        return credited(setup.promise.expected, self._expect(setup, now))

    def _expect(self, setup: CallSetup, now: Instant) -> Expectation:
        """Round trip, jitter and loss of the worse direction of a route; NaN where a link of it was never measured."""
        view = self._table.view(now)
        path = [view.index[node] for node in setup.path if node in view.index]
        if len(path) < len(setup.path):
            return NO_PROMISE
        request = RouteRequest(source=setup.path[0], destinations=setup.path[-1:], media=setup.media, aic=setup.aic)
        features = build(candidates_of([path, path[::-1]]), request, view)
        if features.hops is None or not features.hops.observed.all():
            return NO_PROMISE
        there_and_back = features.belief
        return (
            float(there_and_back.rtt.mean()),
            float(there_and_back.jitter.max()),
            float(there_and_back.loss.max()),
        )

    def _ask(self, call: Call, exclude: frozenset[NodeId], now: Instant) -> RouteRequest:
        """The question to the policy."""
        return RouteRequest(
            source=self._core.node,
            destinations=call.destinations,
            media=call.request.media,
            aic=call.request.aic,
            exclude=exclude,
            flow=int.from_bytes(call.id[:FLOW_BYTES], "big"),
            newcomers=lets_newcomers_in(self._core.config.newcomers, self._core.stream, DOORS + call.token),
            insists=any(self._table.is_cut_off(node, now) for node in call.destinations),
        )

    def _decide(self, call: Call, now: Instant) -> bool:
        request = self._ask(call, self._table.banned | call.failed, now)
        view = self._table.view(now)
        try:
            ranking = self._engine.rank(request, view)
            decision = self._engine.decide(ranking, request, view)
        except NoRoute as none:
            call.reason = str(none)
            return False
        call.decision = call.decision or decision
        call.options = [decision.path, *decision.fallbacks]
        self._core.emit(
            RouteSample(call=call.id, at=now.mono, request=request, view=view, ranking=ranking, decision=decision)
        )
        return True
