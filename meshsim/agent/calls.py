"""The states of a call and how they follow each other, as a table; what a node remembers of a call and its routes.

idle -> resolving -> setup -> active -> ended             at the caller
idle -> active -> ended                                   at the callee, which answers at once
idle -> setup -> active -> ended                          at a relay, for each route
active -> failing_over -> active                          at both ends, when the path dies and another is found
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from meshsim.agent.effects import OpenMedia
from meshsim.agent.messages import LOST, UNREACHABLE, CallSetup, Promise
from meshsim.agent.samples import CallSample, Failover
from meshsim.mesh.errors import IdentityError, LocalProtocolError
from meshsim.mesh.ids import AuraID
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.quality import mos, poor, target, voice_mos
from meshsim.trust import misconduct
from meshsim.trust.conduct import NO_PROMISE

if TYPE_CHECKING:
    from meshsim.agent.effects import MediaReport
    from meshsim.agent.messages import CallReject, Receipt
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.routing.request import RouteDecision
    from meshsim.trust.conduct import Expectation


class CallState(StrEnum):
    """Where a call stands at one node."""

    IDLE = "idle"
    RESOLVING = "resolving"
    SETUP = "setup"
    ACTIVE = "active"
    FAILING_OVER = "failing_over"
    ENDED = "ended"


class CallEvent(StrEnum):
    """What moves a call.

    `place`: its person asks for it. `route`: a route is tried. `invite`: a set-up is passed on. `answer`: a set-up is
    answered. `accept`: the callee's yes came back. `lose`: the path is dead. `give_up`: no way is left. `end`: one end
    hung up.
    """

    PLACE = "place"
    ROUTE = "route"
    INVITE = "invite"
    ANSWER = "answer"
    ACCEPT = "accept"
    LOSE = "lose"
    GIVE_UP = "give_up"
    END = "end"


TRANSITIONS: dict[tuple[CallState, CallEvent], CallState] = {
    (CallState.IDLE, CallEvent.PLACE): CallState.RESOLVING,
    (CallState.IDLE, CallEvent.INVITE): CallState.SETUP,
    (CallState.IDLE, CallEvent.ANSWER): CallState.ACTIVE,
    (CallState.RESOLVING, CallEvent.ROUTE): CallState.SETUP,
    (CallState.RESOLVING, CallEvent.GIVE_UP): CallState.ENDED,
    (CallState.RESOLVING, CallEvent.END): CallState.ENDED,
    (CallState.SETUP, CallEvent.ROUTE): CallState.SETUP,
    (CallState.SETUP, CallEvent.ACCEPT): CallState.ACTIVE,
    (CallState.SETUP, CallEvent.GIVE_UP): CallState.ENDED,
    (CallState.SETUP, CallEvent.END): CallState.ENDED,
    (CallState.ACTIVE, CallEvent.ANSWER): CallState.ACTIVE,
    (CallState.ACTIVE, CallEvent.LOSE): CallState.FAILING_OVER,
    (CallState.ACTIVE, CallEvent.END): CallState.ENDED,
    (CallState.FAILING_OVER, CallEvent.ROUTE): CallState.FAILING_OVER,
    (CallState.FAILING_OVER, CallEvent.ACCEPT): CallState.ACTIVE,
    (CallState.FAILING_OVER, CallEvent.ANSWER): CallState.ACTIVE,
    (CallState.FAILING_OVER, CallEvent.GIVE_UP): CallState.ENDED,
    (CallState.FAILING_OVER, CallEvent.END): CallState.ENDED,
}


def step(state: CallState, event: CallEvent) -> CallState:
    """The state after `event`.

    Raises:
        LocalProtocolError: If the table does not list it.

    >>> step(CallState.ACTIVE, CallEvent.LOSE)
    <CallState.FAILING_OVER: 'failing_over'>
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        known = sorted(e for s, e in TRANSITIONS if s is state)
        able = ", ".join(known) or "nothing"
        raise LocalProtocolError(f"a call that is {state} cannot {event}; it can: {able}") from None


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


def label_of(call: CallId, attempt: int) -> int:
    """The label of one route of a call: 32 bits that every node of the path works out for itself, never 0."""
    digest = hashlib.blake2b(call + bytes([attempt]), digest_size=4).digest()
    return int.from_bytes(digest, "big") or 1


@dataclass(slots=True)
class Quality:
    """How a call was lived, added up report by report."""

    jitter: float = 0.0
    loss: float = 0.0
    rtt: float = 0.0
    reports: int = 0
    rtts: int = 0
    remote_jitter: float = 0.0
    remote_loss: float = 0.0
    remote_reports: int = 0

    def add(self, report: MediaReport) -> None:
        """Takes in what the driver measured here."""
        self.jitter += report.jitter
        self.loss += report.loss
        self.reports += 1
        if not math.isnan(report.rtt):
            self.add_rtt(report.rtt)

    def add_rtt(self, rtt: float) -> None:
        """Takes in a round trip from end to end, seconds."""
        self.rtt += rtt
        self.rtts += 1

    def add_remote(self, jitter: float, loss: float) -> None:
        """Takes in what the other end measured."""
        self.remote_jitter += jitter
        self.remote_loss += loss
        self.remote_reports += 1

    def means(self) -> tuple[float, float, float]:
        """RTT in seconds, jitter in seconds and loss of the worse direction; NaN for what was never measured."""
        rtt = self.rtt / self.rtts if self.rtts else math.nan
        here = (self.jitter / self.reports, self.loss / self.reports) if self.reports else (math.nan, math.nan)
        if not self.remote_reports:
            return rtt, *here
        there = self.remote_jitter / self.remote_reports, self.remote_loss / self.remote_reports
        if not self.reports:
            return rtt, *there
        return rtt, max(here[0], there[0]), max(here[1], there[1])

    def verdict(self, media: MediaType) -> tuple[float, bool]:
        """MOS, and whether the target of `media` was missed; without media reports the round trip alone decides.

        Where nothing was measured, for the call was too short, nothing is held against anybody: NaN, not poor.
        """
        rtt, jitter, loss = self._measured()
        if math.isnan(rtt):
            return math.nan, bool(loss > target(media).loss)
        return float(mos(media, rtt / 2, jitter, loss)), bool(poor(rtt, jitter, loss, media))

    def is_misconduct(self, media: MediaType, promised: Expectation) -> bool:
        """Whether the relays are to blame for it, where such a round trip, jitter and loss were expected."""
        return bool(misconduct(*self._measured(), media, promised))

    def clarity(self) -> float:
        """How a voice would have sounded, whatever the call carried: relays are praised by one scale; NaN likewise."""
        rtt, jitter, loss = self._measured()
        return math.nan if math.isnan(rtt) else float(voice_mos(rtt / 2, jitter, loss))

    def _measured(self) -> tuple[float, float, float]:
        """The means, with neither jitter nor loss where none was measured."""
        rtt, jitter, loss = self.means()
        return rtt, 0.0 if math.isnan(jitter) else jitter, 0.0 if math.isnan(loss) else loss


@dataclass(slots=True, kw_only=True)
class Leg:
    """One route of a call, at one node of its path.

    Attributes:
        setup: The set-up it came with.
        place: This node's position in the path.
        state: Where the route stands here.
        opened: When it was asked for, monotonic seconds.
        stood: When its acceptance was given here, or came through; NaN before.
        heard: When something last came from end to end.
        flowing: Whether this node's media are open.
        sent: Keepalives sent from here.
        echo: The last keepalive heard from the other end plus one, 0 for none.
        echoed: When it was heard.
        dark: Media reports in a row by which nothing came.
        departures: When the last keepalives left, by sequence.
        quality: How this route was lived; its relays are judged by it.
        promised: What its relays are held to here.
        carried: Media bytes that came here, or were passed on, as last counted.
    """

    setup: CallSetup
    place: int
    state: CallState = CallState.IDLE
    opened: float
    stood: float = math.nan
    heard: float
    flowing: bool = False
    sent: int = 0
    echo: int = 0
    echoed: float = math.nan
    dark: int = 0
    departures: dict[int, float] = field(default_factory=dict)
    quality: Quality = field(default_factory=Quality)
    promised: Expectation = NO_PROMISE
    carried: int = 0

    @property
    def key(self) -> tuple[CallId, int]:
        """Call and attempt."""
        return self.setup.call, self.setup.attempt

    @property
    def path(self) -> tuple[NodeId, ...]:
        """The route."""
        return self.setup.path

    @property
    def label(self) -> int:
        """The route's media label."""
        return label_of(self.setup.call, self.setup.attempt)

    @property
    def upstream(self) -> NodeId | None:
        """Neighbour towards the caller; None at the caller."""
        return self.path[self.place - 1] if self.place > 0 else None

    @property
    def downstream(self) -> NodeId | None:
        """Neighbour towards the callee; None at the callee."""
        return self.path[self.place + 1] if self.place + 1 < len(self.path) else None

    @property
    def is_first(self) -> bool:
        """Whether this node is the caller's."""
        return self.place == 0

    @property
    def next_hop(self) -> NodeId:
        """An end's only neighbour on the route."""
        return self.path[1] if self.is_first else self.path[self.place - 1]

    def is_right_side(self, source: NodeId, *, onward: bool) -> bool:
        """Whether a message that goes `onward` (or back) may come from `source`."""
        return source == (self.upstream if onward else self.downstream)

    def blamed(self, reject: CallReject) -> NodeId:
        """Who failed: the hop behind the one that complains of it, else the complainer, who is on the path."""
        at = self.path.index(reject.by) + (-1 if reject.onward else 1)
        behind = reject.reason in (LOST, UNREACHABLE) and 0 < at < len(self.path) - 1
        return self.path[at] if behind else reject.by

    def opening(self) -> OpenMedia:
        """What opens this route's media here."""
        return OpenMedia(
            call=self.setup.call,
            label=self.label,
            upstream=self.upstream,
            downstream=self.downstream,
            media=self.setup.media,
        )

    def neighbours(self) -> list[NodeId]:
        """Both neighbours, as far as there are."""
        return [node for node in (self.upstream, self.downstream) if node is not None]

    def advance(self, event: CallEvent) -> None:
        """Moves the route's state.

        Raises:
            LocalProtocolError: If the table does not list it.
        """
        self.state = step(self.state, event)


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
    reason: str = ""

    def advance(self, event: CallEvent) -> None:
        """Moves the call's state.

        Raises:
            LocalProtocolError: If the table does not list it.
        """
        self.state = step(self.state, event)

    def begin_anew(self, path: tuple[NodeId, ...]) -> None:
        """The route `path` had proven itself before it was lost: what failed before it is forgotten."""
        self.tried = [path]
        self.failed.clear()

    def promised(self, path: tuple[NodeId, ...]) -> Expectation:
        """What was expected of `path` when it was chosen; NaN of runners-up."""
        if self.decision is None or self.decision.path != path:
            return NO_PROMISE
        predicted = self.decision.predicted
        return predicted.rtt, predicted.jitter, predicted.loss

    def next_setup(self, path: tuple[NodeId, ...], expires_ns: int) -> CallSetup:
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
        )

    def legs(self) -> list[Leg]:
        """All routes that are not closed."""
        return [leg for leg in (self.active, self.pending, *self.older) if leg is not None]


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
