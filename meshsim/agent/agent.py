"""The whole node without IO: messages, time and intents go in, effects come out. Here the parts are put together.

links: neighbours     belief: linktable, reputation, receipts     calls: desk (its own), relaying (others'), routes
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.admission import Admission
from meshsim.agent.complaints import Complaints
from meshsim.agent.core import AgentConfig, Core
from meshsim.agent.desk import Desk
from meshsim.agent.gossip import Gossip
from meshsim.agent.linktable import LinkTable
from meshsim.agent.messages import (
    BANNED,
    CallAccept,
    CallEnd,
    CallKeepalive,
    CallReject,
    CallReport,
    CallSetup,
    CallSwitch,
    Digest,
    Equivocation,
    Error,
    Fault,
    Hello,
    Inquiry,
    Leave,
    LinkState,
    Ping,
    Pong,
    Receipt,
    Told,
)
from meshsim.agent.neighbours import Neighbour, Neighbourhood
from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling, Notice
from meshsim.agent.receipts import Ledger
from meshsim.agent.relaying import Relay
from meshsim.agent.reputation import TrustBook
from meshsim.agent.routes import Router
from meshsim.agent.samples import EventSample
from meshsim.mesh.errors import LocalProtocolError
from meshsim.mesh.ids import CallId, NodeId, short
from meshsim.mesh.time import Instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.agent.adversary import Interceptor
    from meshsim.agent.calls import Call, CallRequest
    from meshsim.agent.core import AlarmKey
    from meshsim.agent.effects import Effect, MediaReport
    from meshsim.agent.messages import Message
    from meshsim.agent.relaying import Passing
    from meshsim.agent.samples import CallSample
    from meshsim.agent.states import CallState
    from meshsim.identity.keys import Signer, Verifier
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.errors import IdentityError
    from meshsim.mesh.seeds import Stream
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import RoutingEngine
    from meshsim.trust import Reputation, ReputationModel
    from meshsim.trust.abuse import Category, Ruling


class MeshAgent:
    """A mesh node.

    Args:
        config: How it behaves.
        record: What it says of itself, signed.
        signer: Its key.
        verifier: Checks others' signatures.
        engine: Decides about routes.
        trust: Its reputation model, for it alone.
        neighbours: Nodes it keeps links to; the driver tells when they are up.
        stream: Its random draws.
        interceptors: Misbehaviour, if it is not honest.
        anchors: Nodes verified by other means, whose word it takes from the start.
    """

    def __init__(  # noqa: PLR0913 - an agent is put together from all its parts
        self,
        config: AgentConfig,
        record: NodeRecord,
        signer: Signer,
        verifier: Verifier,
        engine: RoutingEngine,
        trust: ReputationModel,
        neighbours: Sequence[NodeId],
        stream: Stream,
        *,
        interceptors: Sequence[Interceptor] = (),
        anchors: Sequence[NodeId] = (),
    ) -> None:
        self._core = Core(config=config, record=record, signer=signer, verifier=verifier, stream=stream)
        self._interceptors = tuple(interceptors)
        self._trust = TrustBook(trust, record.node_id, anchors, neighbours)
        self._neighbourhood = Neighbourhood(self._core, neighbours)
        self._table = LinkTable(self._core, self._neighbourhood, self._trust)
        self._ledger = Ledger(self._core)
        self._relay = Relay(self._core, self._neighbourhood, self._ledger)
        router = Router(self._core, self._neighbourhood, self._table, engine)
        self._desk = Desk(self._core, self._neighbourhood, self._table, self._ledger, router, self._absorb)
        self._admission = Admission(self._core)
        self.complaints = Complaints(self._core, self._table, self._trust, self._ledger)
        """What it has heard of abuse: for display; not to be changed."""
        self._gossip = Gossip(self._core, self._neighbourhood, self._table, self._ledger, self.complaints)
        self._begun, self._now = False, Instant(0.0, 0.0)

    # What a driver reads ----------------------------------------------------------------------------------------------

    @property
    def node(self) -> NodeId:
        """Its id."""
        return self._core.node

    @property
    def record(self) -> NodeRecord:
        """What it says of itself."""
        return self._core.record

    @property
    def rejected(self) -> dict[str, int]:
        """Bad messages so far, by reason."""
        return dict(self._core.rejected)

    @property
    def load(self) -> float:
        """Share of its call capacity in use."""
        return self._relay.load

    def wake_at(self) -> float | None:
        """When `handle_timer` wants to be called, monotonic seconds; None before the first input."""
        return self._core.alarms.next()

    def effects(self) -> list[Effect]:
        """What is to be done; each effect is handed out once."""
        effects: list[Effect] = []
        for effect in self._core.outbox:
            passed: Effect | None = effect
            for interceptor in self._interceptors:
                passed = interceptor.outgoing(passed, self._now) if passed is not None else None
            effects += [passed] if passed is not None else []
        self._core.outbox.clear()
        return effects

    def view(self, now: Instant) -> NetworkView:
        """What it believes of its area."""
        return self._table.view(now)

    def records(self) -> list[NodeRecord]:
        """What the nodes that it has heard of say of themselves, signed."""
        return self._table.records()

    def reputation(self, node: NodeId, now: Instant) -> Reputation:
        """What it holds of `node`."""
        return self._trust.score(node, now.mono)

    def call_state(self, call: CallId) -> CallState:
        """Where one of its own calls stands."""
        return self._desk.calls.state(call)

    def call_so_far(self, call: CallId, now: Instant) -> CallSample | None:
        """How one of its outgoing calls goes, with outcome `running`; None if it has ended."""
        return self._desk.calls.so_far(call, now)

    def calls(self) -> list[Call]:
        """Its own calls that go on, by id: for display; not to be changed."""
        return list(self._desk.calls)

    def neighbours(self) -> list[Neighbour]:
        """Its links as measured, by node id: for display; not to be changed."""
        return self._neighbourhood.all()

    # Intents and answers ----------------------------------------------------------------------------------------------

    def place_call(self, request: CallRequest, now: Instant) -> CallId:
        """Begins a call.

        Raises:
            LocalProtocolError: If the caller is not this node's identity.
        """
        self._begin(now)
        return self._desk.place(request, now)

    def hang_up(self, call: CallId, now: Instant) -> None:
        """Ends a call from this side; one that has ended already stays as it is."""
        self._begin(now)
        self._desk.hang_up(call, now)

    def leave(self, now: Instant) -> None:
        """This node goes soon: it hangs up, takes no more calls on, and asks for those it carries to be moved."""
        self._begin(now)
        self._relay.leave(now)
        self._desk.answering.leaving = True
        for call in self._desk.calls:
            self._desk.hang_up(call.id, now)
        for neighbour in self._neighbourhood.alive():
            self._core.send(neighbour.node, Leave())

    def renew(self, record: NodeRecord, now: Instant) -> None:
        """Replaces what it says of itself; its next Hellos and its next statement say so.

        Raises:
            LocalProtocolError: If the record is another node's.
        """
        if record.node != self.node:
            raise LocalProtocolError(f"a record of {short(record.node_id)} is not this node's, {short(self.node)}")
        self._begin(now)
        self._core.record = record
        self._table.renew()

    def resolved(self, token: int, answer: Sequence[NodeRecord] | IdentityError, now: Instant) -> None:
        """The directory's answer to a `Resolve`."""
        self._begin(now)
        self._desk.resolved(token, answer, now)
        self._arm_pulse(now)

    def media_report(self, call: CallId, report: MediaReport, now: Instant) -> None:
        """What the driver measured of a call's media here; about once a second."""
        self._begin(now)
        self._desk.media_report(call, report, now)

    def media_carried(self, call: CallId, label: int, carried: int, now: Instant) -> None:
        """What the driver counted of a route's media here since it was opened; about once a second.

        Args:
            call: Which call.
            label: Of the route.
            carried: Media bytes that came to this end, or that this relay passed on both ways.
            now: The time.
        """
        self._begin(now)
        for leg in (*self._relay.legs(), *self._desk.calls.legs()):
            if leg.setup.call == call and leg.label == label:
                leg.carried = max(leg.carried, carried)

    def complain(
        self, subject: NodeId, word: Category | Ruling | None, now: Instant, call: CallId | None = None
    ) -> str:
        """Reports abuse, rules on it as a moderator, or (None) appeals; gives why that has no effect, or nothing.

        Raises:
            LocalProtocolError: If a ruling comes from no moderator, or an appeal is another's.
        """
        self._begin(now)
        return self.complaints.say(subject, word, now, call)

    def link_up(self, node: NodeId, now: Instant) -> None:
        """There is a link to `node`, made from either side."""
        self._begin(now)
        self._table.clear(node)
        for setup in self._neighbourhood.open(node, now):
            self._core.send(node, setup)
        self._gossip.welcome(node, now)

    def link_down(self, node: NodeId, now: Instant) -> None:
        """There is no link to `node` any more, or none could be made."""
        self._begin(now)
        # the other end may close a link made for calls when there are none: nobody is dead then
        was_up = self._neighbourhood.is_up(node) and (self._neighbourhood.is_kept(node) or node in self._busy())
        self._drop_waiting(self._neighbourhood.close(node), now)
        if was_up:
            self._lose(node, now)

    def receive_invalid(self, source: NodeId, now: Instant, fault: Fault = Fault.MALFORMED) -> None:
        """Bytes came from `source` that are no message, or none that is known."""
        self._begin(now)
        self._core.reject(fault.value)
        self._neighbourhood.scold(source, fault, now)

    def receive(self, message: Message, source: NodeId, now: Instant) -> None:
        """A message came from the neighbour `source`, whom the link has authenticated."""
        self._begin(now)
        passed: Message | None = message
        for interceptor in self._interceptors:
            passed = interceptor.incoming(passed, source, now) if passed is not None else None
        if passed is None:
            return
        if not self._neighbourhood.hear(source, now):
            self._core.reject("stranger")
            return
        if not self._neighbourhood.is_leaving(source):
            self._table.clear(source)
        self._dispatch(passed, source, now)
        self._arm_pulse(now)

    def _dispatch(self, message: Message, source: NodeId, now: Instant) -> None:
        match message:
            case Ping():
                self._neighbourhood.answer(message, source)
            case Pong():
                self._neighbourhood.measure(message, source, now)
            case Hello():
                record = self._neighbourhood.greet(message, source, now)
                if record is not None:
                    self._table.learn(record, now)
            case Leave():
                self._see_off(source, now)
            case Error():
                self._core.reject(f"complaint: {message.fault.value}")
            case Inquiry():
                self._desk.inquiries.hear(message, source, now)
            case Digest() | LinkState() | Receipt() | Equivocation() | AbuseReport() | AbuseRuling() | AbuseAppeal():
                self._dispatch_news(message, source, now)
            case _:
                self._dispatch_call(message, source, now)

    def _dispatch_news(
        self, message: Digest | LinkState | Receipt | Equivocation | Notice, source: NodeId, now: Instant
    ) -> None:
        match message:
            case Digest():
                self._absorb(self._gossip.hear(message, source, now), now, source)
                self._desk.inquiries.answer(now)
            case LinkState():
                self._table.accept(Told(0, message), source, now)
            case Receipt():
                self._absorb([message], now, source)
            case Equivocation():
                if self._table.contradict(message, now, source):
                    self._desk.move(now)
            case _:
                self.complaints.hear(message, source, now)

    def _see_off(self, node: NodeId, now: Instant) -> None:
        """A neighbour goes: no new route leads over it; those that do are its own to move, or end with its link."""
        self._neighbourhood[node].leaving = True
        self._table.suspect(node, now)
        self._core.emit(EventSample(at=now.mono, kind="leaving", node=node))

    def _dispatch_call(
        self,
        message: CallSetup | Passing,
        source: NodeId,
        now: Instant,
    ) -> None:
        if isinstance(message, CallSetup):
            self._receive_setup(message, source, now)
        elif (message.call, message.attempt) in self._relay:
            self._relay.receive(message, source, now)
            if isinstance(message, CallEnd):
                self._absorb(message.receipts, now, source)
        else:
            self._dispatch_own(message, source, now)

    def _dispatch_own(self, message: Passing, source: NodeId, now: Instant) -> None:
        if self._desk.calls.is_closing((message.call, message.attempt)) and not isinstance(message, CallEnd):
            return
        match message:
            case CallAccept():
                self._desk.accept(message, source, now)
            case CallReject():
                self._desk.reject(message, source, now)
            case CallKeepalive():
                self._desk.keepalive(message, source, now)
            case CallReport():
                self._desk.report(message, source, now)
            case CallSwitch():
                self._desk.answering.switch(message, source, now)
            case _:
                self._desk.end(message, source, now)

    def _receive_setup(self, setup: CallSetup, source: NodeId, now: Instant) -> None:
        if not self._admission.admits(setup, source, now, own=self._desk.calls.so_far(setup.call, now) is not None):
            return
        if not self._table.banned.isdisjoint(setup.path):
            back = CallReject(setup.call, setup.attempt, onward=False, by=self.node, reason=BANNED)
            self._core.send(source, back)
            return
        if setup.path[-1] == self.node:
            self._desk.answering.invite(setup, now)
        else:
            self._relay.invite(setup, setup.path.index(self.node), now)

    def _absorb(self, receipts: Sequence[Receipt], now: Instant, source: NodeId | None) -> None:
        """Takes receipts in that a neighbour brought, or this node wrote, and judges what can be judged by now."""
        for receipt in receipts:
            self._ledger.add(receipt, now, source)
        self._settle(now)

    def _settle(self, now: Instant) -> None:
        for verdict in self._ledger.settle(now):
            for sample in self._trust.observe(verdict, now.mono, tell=self._core.config.tells_trust):
                self._core.emit(sample)
            self._table.touch()
        due = self._ledger.next_settling()
        if due is not None:
            self._core.alarms.set(("settle", b"", 0), due)

    # Time -------------------------------------------------------------------------------------------------------------

    def _begin(self, now: Instant) -> None:
        self._now = now
        if self._begun:
            return
        self._begun = True
        config, set_alarm = self._core.config, self._core.alarms.set
        set_alarm(("probe", b"", 0), now.mono + config.probe_period * (0.5 + 0.5 * self._core.draw()))
        set_alarm(("heartbeat", b"", 0), now.mono + config.heartbeat * (0.5 + 0.5 * self._core.draw()))
        self._gossip.begin(now)

    def handle_timer(self, now: Instant) -> None:
        """Does what is due by `now`."""
        self._now = now
        for key in self._core.alarms.take_due(now.mono):
            self._ring(key, now)
        self._arm_pulse(now)

    def _ring(self, key: AlarmKey, now: Instant) -> None:
        kind, entity, number = key
        match kind:
            case "probe":
                self._probe(now)
            case "heartbeat":
                self._greet(now)
            case "digest":
                self._gossip.round(self._relay.load, self._relay.carried, now)
            case "pulse":
                self._pulse(now)
            case "settle":
                self._settle(now)
            case "dial":
                self._drop_waiting(self._neighbourhood.close(NodeId(entity)), now)
            case _:
                self._ring_call(kind, CallId(entity), number, now)

    def _ring_call(self, kind: str, call: CallId, attempt: int, now: Instant) -> None:
        if kind == "linger":
            self._relay.forget(call, attempt)
        self._desk.ring(kind, call, attempt, now)

    def _probe(self, now: Instant) -> None:
        config = self._core.config
        self._core.alarms.set(("probe", b"", 0), now.mono + config.probe_period)
        for node in self._neighbourhood.silent(now, config.dead_after * config.probe_period):
            self._neighbourhood.mark_down(node)
            self._lose(node, now)
        self._neighbourhood.part(self._busy(), now)
        for neighbour in self._neighbourhood.all():
            self._neighbourhood.probe(neighbour, now)

    def _greet(self, now: Instant) -> None:
        self._core.alarms.set(("heartbeat", b"", 0), now.mono + self._core.config.heartbeat)
        for neighbour in self._neighbourhood.alive():
            self._core.send(neighbour.node, Hello(self._core.record, self._core.config.epoch))
        self.complaints.look(now)
        self._desk.move(now)

    def _arm_pulse(self, now: Instant) -> None:
        """While calls go through or from here, the beat is faster."""
        key = ("pulse", b"", 0)
        if key not in self._core.alarms and (self._relay.legs() or self._desk.calls.legs()):
            self._core.alarms.set(key, now.mono + self._core.config.keepalive)

    def _busy(self) -> set[NodeId]:
        """The neighbours with which calls are shared."""
        return {node for leg in (*self._relay.legs(), *self._desk.calls.legs()) for node in leg.neighbours()}

    def _pulse(self, now: Instant) -> None:
        since: dict[NodeId, float] = {}
        for leg in (*self._relay.legs(), *self._desk.calls.legs()):
            for node in leg.neighbours():
                since[node] = min(leg.opened, since.get(node, leg.opened))
        silent = self._neighbourhood.silent(now, self._core.config.silence)
        for node in silent:
            if node in since and now.mono - since[node] > self._core.config.silence:
                self._neighbourhood.mark_down(node)
                self._lose(node, now)
        self._desk.pulse(now)
        self._relay.sweep(now)
        for node in sorted(since):
            if self._neighbourhood.is_up(node) and self._is_doubtful(self._neighbourhood[node], now):
                self._neighbourhood.probe(self._neighbourhood[node], now)

    def _is_doubtful(self, neighbour: Neighbour, now: Instant) -> bool:
        """Whether a neighbour in use was silent since the last beat, or not measured for long."""
        config = self._core.config
        return now.mono - neighbour.heard > config.keepalive or now.mono - neighbour.measured > config.probe_period

    def _lose(self, node: NodeId, now: Instant) -> None:
        """The neighbour `node` is gone, and with it all that went through it."""
        self._core.emit(EventSample(at=now.mono, kind="neighbour_lost", node=node))
        self._table.suspect(node, now)
        self._relay.lose(node, now)
        self._desk.lose(node, now)

    def _drop_waiting(self, setups: Sequence[CallSetup], now: Instant) -> None:
        for setup in setups:
            if setup.path[0] == self.node:
                self._desk.undeliverable(setup, now)
            else:
                self._relay.undeliverable(setup, now)
