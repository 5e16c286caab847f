"""What a node remembers of a call of which it is an end, and of its routes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.agent.legs import Quality
from meshsim.agent.messages import CallSetup, Promise
from meshsim.agent.samples import CallSample, Failover
from meshsim.agent.states import CallEvent, CallState, step
from meshsim.mesh.errors import IdentityError
from meshsim.mesh.ids import AuraID
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.trust.conduct import NO_PROMISE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.agent.legs import Leg
    from meshsim.agent.messages import Receipt
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.routing.request import RouteDecision
    from meshsim.trust.conduct import Expectation


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """A call a person asks for.

    Attributes:
        caller: Who calls; the agent's own AuraID.
        callee: Who is called.
        media: What the call carries.
        aic: How AIC is treated.
        duration: Seconds after which whoever asked will hang up; NaN for unknown. A hint only.
    """

    caller: AuraID
    callee: AuraID
    media: MediaType = MediaType.AUDIO
    aic: AicPolicy = AicPolicy.OFF
    duration: float = math.nan


@dataclass(slots=True, kw_only=True)
class Call:
    """A call at one of its ends.

    Attributes:
        id: Which call.
        outgoing: Whether this node called.
        request: What was asked (the callee's is made up from the set-up).
        token: Of the question to the directory; 0 where none was asked.
        state: Where the call stands.
        started: When it was asked for, monotonic seconds.
        destinations: Nodes of the callee.
        decision: The first decision.
        options: Routes yet to try.
        tried: Routes tried, in order, from the last one that has proven itself.
        stood: Routes that stood, in order.
        failed: Nodes found at fault since then, that must not relay this call for now.
        attempts: Routes tried so far.
        active: The route that carries the call.
        pending: The route being set up.
        parting: One that works but must not be used any more, until another stands.
        older: Routes replaced but not closed yet.
        quality: How it was lived.
        failovers: Changes of route.
        receipts: For routes that failed.
        lost: When the path was lost; NaN while it stands.
        heard: When the lost path was last heard.
        standby: The second route, being set up or standing by.
        passed_over: Second routes tried in vain.
        better: A direct route that the call is to move to once it works; None where there is none, or it was tried.
        inquired: When neighbours were asked of the callee; NaN before, minus infinity where there is nothing to ask.
        unfit: Relays that refused to stand by, or could not any more.
        shaky: When the last route was lost that had proven itself, or the first; NaN before.
        calm: Until when no working route is left for a better one.
        reason: Why the last thing failed.
    """

    id: CallId
    outgoing: bool
    request: CallRequest
    token: int = 0
    state: CallState = CallState.IDLE
    started: float
    destinations: tuple[NodeId, ...] = ()
    decision: RouteDecision | None = None
    options: list[tuple[NodeId, ...]] = field(default_factory=list)
    tried: list[tuple[NodeId, ...]] = field(default_factory=list)
    stood: list[tuple[NodeId, ...]] = field(default_factory=list)
    failed: set[NodeId] = field(default_factory=set)
    attempts: int = 0
    active: Leg | None = None
    pending: Leg | None = None
    parting: Leg | None = None
    older: list[Leg] = field(default_factory=list)
    quality: Quality = field(default_factory=Quality)
    failovers: list[Failover] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    lost: float = math.nan
    heard: float = math.nan
    standby: Leg | None = None
    passed_over: list[tuple[NodeId, ...]] = field(default_factory=list)
    better: tuple[NodeId, ...] | None = None
    inquired: float = math.nan
    unfit: set[NodeId] = field(default_factory=set)
    shaky: float = math.nan
    calm: float = -math.inf
    reason: str = ""

    def advance(self, event: CallEvent) -> None:
        """Moves the call's state.

        Raises:
            LocalProtocolError: If the table does not list it.
        """
        self.state = step(self.state, event)

    def set_aside(self, leg: Leg) -> None:
        """The route in use carries the call no longer; its media stay open until another stands."""
        self.advance(CallEvent.LOSE)
        leg.advance(CallEvent.LOSE)
        self.active = None
        self.older.append(leg)
        leg.left = leg is self.parting

    def take_back(self, leg: Leg) -> None:
        """There is no other route than the one that was set aside: it carries the call on."""
        self.parting, self.active, self.lost, leg.left = None, leg, math.nan, False
        self.older.remove(leg)
        leg.advance(CallEvent.ACCEPT)
        self.advance(CallEvent.ACCEPT)

    def begin_anew(self, tried: Sequence[tuple[NodeId, ...]] = ()) -> None:
        """What failed before is forgotten: a route has proven itself since, or nothing is left. `tried` is not."""
        self.tried = list(tried)
        self.failed.clear()

    def promised(self, path: tuple[NodeId, ...]) -> Expectation:
        """What was expected of `path` when it was chosen; NaN of runners-up."""
        if self.decision is None or self.decision.path != path:
            return NO_PROMISE
        predicted = self.decision.predicted
        return predicted.rtt, predicted.jitter, predicted.loss

    def next_setup(self, path: tuple[NodeId, ...], expires_ns: int, *, standby: bool = False) -> CallSetup:
        """The set-up of the next route, unsigned."""
        return CallSetup(
            call=self.id,
            attempt=self.attempts,
            path=path,
            caller=str(self.request.caller),
            callee=str(self.request.callee),
            media=self.request.media,
            aic=self.request.aic,
            expires_ns=expires_ns,
            promise=Promise.of(self.promised(path)),
            standby=standby,
        )

    def legs(self) -> list[Leg]:
        """All routes that are not closed."""
        return [leg for leg in (self.active, self.pending, self.standby, *self.older) if leg is not None]

    def in_use(self) -> list[Leg]:
        """The routes in use, standing by, or being set up."""
        return [leg for leg in (self.active, self.pending, self.parting, self.standby) if leg is not None]

    def awaiting(self, attempt: int) -> Leg | None:
        """The route of that number, if it waits for the callee's answer."""
        legs = (self.pending, self.standby)
        waits = [leg for leg in legs if leg is not None and leg.setup.attempt == attempt]
        return next((leg for leg in waits if leg.state is CallState.SETUP), None)


def summary(call: Call, caller: NodeId, now: Instant, *, outcome: str) -> CallSample:
    """How an outgoing call went.

    Args:
        call: The call, ended.
        caller: The calling node.
        now: When it ended.
        outcome: How.
    """
    rtt, jitter, loss = call.quality.means()
    opinion, spoilt = call.quality.verdict(call.request.media)
    paths = call.stood or call.tried or [()]
    failovers = list(call.failovers)
    if not math.isnan(call.lost):
        failovers.append(Failover(heard=call.heard, lost=call.lost, restored=math.nan))
    return CallSample(
        call=call.id,
        start=call.started,
        end=now.mono,
        caller=caller,
        callee=paths[-1][-1] if paths[-1] else next(iter(call.destinations), None),
        media=call.request.media,
        decision=call.decision,
        path=paths[0],
        final_path=paths[-1],
        outcome=outcome,
        reason="" if outcome == "completed" else call.reason,
        failovers=tuple(failovers),
        rtt=rtt,
        jitter=jitter,
        loss=loss,
        mos=opinion if call.stood else math.nan,
        poor=spoilt or outcome in {"dropped", "failed"},
    )


def incoming(setup: CallSetup, now: Instant) -> Call:
    """The callee's side of a call, from its first set-up."""
    request = CallRequest(
        caller=AuraID.parse(setup.caller), callee=AuraID.parse(setup.callee), media=setup.media, aic=setup.aic
    )
    return Call(id=setup.call, outgoing=False, request=request, started=now.mono, destinations=(setup.path[0],))


def name_of(text: str) -> str:
    """The name in an AuraID from the wire; "" if it is none."""
    try:
        return AuraID.parse(text).name
    except IdentityError:
        return ""
