"""An agent's own calls, going out and coming in: set-up, keepalives from end to end, loss of the path, the end.

The caller finds routes; the callee answers whatever valid set-up reaches it and waits when the path dies. Media are
opened on a new route before they are closed on the old one.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from meshsim.agent.calls import Call, CallRequest, incoming, name_of, summary
from meshsim.agent.effects import Channel, CloseMedia, Resolve
from meshsim.agent.legs import LOSSY, Leg
from meshsim.agent.messages import (
    ABANDONED,
    BANNED,
    CANCELLED,
    LOST,
    RECEIPT_ENTRIES,
    UNREACHABLE,
    CallAccept,
    CallEnd,
    CallReject,
    CallReport,
    CallSetup,
    acceptance_bytes,
    sign,
)
from meshsim.agent.samples import EventSample, Failover
from meshsim.agent.states import CallEvent, CallState
from meshsim.mesh.errors import IdentityError, LocalProtocolError
from meshsim.mesh.ids import CALL_ID_BYTES, AuraID, CallId, NodeId
from meshsim.mesh.time import to_nanoseconds, to_seconds
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.agent.core import Core
    from meshsim.agent.effects import MediaReport
    from meshsim.agent.linktable import LinkTable
    from meshsim.agent.messages import CallKeepalive, Receipt
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.agent.receipts import Ledger
    from meshsim.agent.routes import Router
    from meshsim.agent.samples import CallSample
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.time import Instant

BUSY, NOT_HERE = "busy", "not here"
DARK_LOSS = 0.99
"""A route that loses more is dead, whatever its keepalives say."""
REPORTS_PER_MESSAGE = 5
LOSSY_ROUTE = "too much loss"


class Desk:
    """The calls of which this node is an end.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        table: Its belief.
        ledger: Its receipts.
        router: Finds routes.
        absorb: Takes in receipts.
    """

    def __init__(
        self,
        core: Core,
        neighbourhood: Neighbourhood,
        table: LinkTable,
        ledger: Ledger,
        router: Router,
        absorb: Callable[[Sequence[Receipt], Instant, NodeId | None], None],
    ) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._table = table
        self._ledger = ledger
        self._router = router
        self._absorb = absorb
        self._calls: dict[CallId, Call] = {}
        self._tokens: dict[int, CallId] = {}
        self._closing: dict[tuple[CallId, int], Leg] = {}
        self._placed = 0

    def calls(self) -> list[Call]:
        """The calls that go on, by id."""
        return [self._calls[call] for call in sorted(self._calls)]

    def so_far(self, call: CallId, now: Instant) -> CallSample | None:
        """How an outgoing call goes, as if it ended now; None if it has ended."""
        known = self._calls.get(call)
        return None if known is None or not known.outgoing else summary(known, self._core.node, now, outcome="running")

    def state(self, call: CallId) -> CallState:
        """Where a call stands; one that is not known (any more) has ended."""
        return self._calls[call].state if call in self._calls else CallState.ENDED

    def legs(self) -> list[Leg]:
        """The routes in use or being set up."""
        return [leg for call in self.calls() for leg in (call.active, call.pending, call.parting) if leg is not None]

    def _leg(self, call: CallId, attempt: int) -> Leg | None:
        legs = self._calls[call].legs() if call in self._calls else []
        return next((leg for leg in legs if leg.setup.attempt == attempt), None)

    def is_closing(self, key: tuple[CallId, int]) -> bool:
        """Whether a route ended a moment ago, so that what still comes over it is only late."""
        return key in self._closing

    def _find(self, message: CallReject | CallKeepalive | CallReport, source: NodeId) -> tuple[Call | None, Leg | None]:
        """The call and route of an end-to-end message that came from the right side."""
        leg = self._leg(message.call, message.attempt)
        if leg is None or not leg.is_right_side(source, onward=message.onward):
            return None, None
        return self._calls[message.call], leg

    # Going out --------------------------------------------------------------------------------------------------------

    def place(self, request: CallRequest, now: Instant) -> CallId:
        """Begins a call: asks the directory for the callee.

        Raises:
            LocalProtocolError: If the caller is not this node's identity.
        """
        own = AuraID.parse(self._core.record.aura)
        if request.caller.name != own.name:
            raise LocalProtocolError(f"{own} cannot call as {request.caller}")
        self._placed += 1
        text = self._core.node + f"/{self._core.config.epoch}/{self._placed}".encode()
        call = Call(
            id=CallId(hashlib.blake2b(text, digest_size=CALL_ID_BYTES).digest()),
            outgoing=True,
            request=request,
            token=self._placed,
            started=now.mono,
        )
        call.advance(CallEvent.PLACE)
        self._calls[call.id] = call
        self._tokens[self._placed] = call.id
        self._core.alarms.set(("resolve", call.id, 0), now.mono + self._core.config.dial_timeout)
        self._core.outbox.append(Resolve(token=self._placed, aura=request.callee))
        return call.id

    def resolved(self, token: int, answer: Sequence[NodeRecord] | IdentityError, now: Instant) -> None:
        """The directory's answer; one that comes too late or twice has no effect."""
        if token not in self._tokens:
            return
        call = self._calls[self._tokens.pop(token)]
        self._core.alarms.cancel(("resolve", call.id, 0))
        if isinstance(answer, IdentityError):
            call.reason = str(answer)
        else:
            call.destinations = self._router.callees(answer, call.request, now)
        if call.destinations:
            self._try_next(call, now)
        else:
            self._give_up(call, call.reason or f"nobody answers to {call.request.callee}", now)

    def _try_next(self, call: Call, now: Instant) -> None:
        path = self._router.next_path(call, now)
        if path is None:
            self._give_up(call, call.reason or "no route left", now)
            return
        lifetime = self._core.config.statement_lifetime
        setup = sign(call.next_setup(path, self._core.expiry_ns(now, lifetime)), self._core.signer)
        leg = Leg(setup=setup, place=0, opened=now.mono, heard=now.mono, promised=call.promised(path))
        leg.advance(CallEvent.INVITE)
        call.advance(CallEvent.ROUTE)
        call.attempts += 1
        call.tried.append(path)
        call.pending = leg
        patience = self._core.config.setup_timeout
        if not self._neighbourhood.is_up(path[1]):
            patience += self._core.config.dial_timeout
        self._core.alarms.set(("setup", call.id, setup.attempt), now.mono + patience)
        if not self._neighbourhood.reach(path[1], setup, now):
            self._drop_pending(leg, UNREACHABLE, {path[1]}, now)

    def _drop_pending(self, leg: Leg, reason: str, blamed: set[NodeId], now: Instant) -> None:
        """The route being set up came to nothing: the next one is tried."""
        call = self._calls[leg.setup.call]
        call.pending = None
        leg.advance(CallEvent.GIVE_UP)
        self._core.alarms.cancel(("setup", call.id, leg.setup.attempt))
        call.failed |= blamed - {leg.path[0], leg.path[-1]}
        call.reason = reason
        self._abandon(leg)
        self._try_next(call, now)

    def _abandon(self, leg: Leg, reason: str = ABANDONED) -> None:
        """Tells what is left of a route that it is not used any more."""
        if self._neighbourhood.is_up(leg.next_hop):
            back = CallReject(*leg.key, onward=leg.is_first, by=self._core.node, reason=reason)
            self._core.send(leg.next_hop, back)

    def accept(self, message: CallAccept, source: NodeId, now: Instant) -> None:
        """The callee's yes."""
        call = self._calls.get(message.call)
        leg = call.pending if call is not None else None
        if call is None or leg is None or leg.setup.attempt != message.attempt or source != leg.downstream:
            self._core.reject("unexpected_accept")
        elif not self._core.verifier.verify(leg.path[-1], acceptance_bytes(leg.setup), message.signature):
            self._core.reject("forged")
        else:
            self._core.alarms.cancel(("setup", call.id, message.attempt))
            call.pending = None
            leg.advance(CallEvent.ACCEPT)
            call.advance(CallEvent.ACCEPT)
            self._use(call, leg, now)
            self._close_older(call)
            self._keep_alive(leg, now)

    def time_out(self, call_id: CallId, attempt: int, now: Instant) -> None:
        """The callee's answer did not come in time."""
        call = self._calls.get(call_id)
        if call is None or call.pending is None or call.pending.setup.attempt != attempt:
            return
        leg = call.pending
        if not self._table.is_cut_off(leg.path[-1], now):  # it may be dead, and nobody to blame
            self._testify(call, leg, Outcome.TIMEOUT, now)
        self._drop_pending(leg, "set-up timed out", set(leg.path[1:-1]), now)

    def stay_unresolved(self, call_id: CallId, now: Instant) -> None:
        """The directory did not answer in time."""
        self._give_up(self._calls[call_id], "the directory does not answer", now)

    def undeliverable(self, setup: CallSetup, now: Instant) -> None:
        """No link came up for a set-up of ours."""
        call = self._calls.get(setup.call)
        if call is not None and call.pending is not None and call.pending.setup == setup:
            self._drop_pending(call.pending, UNREACHABLE, {setup.path[1]}, now)

    # Coming in --------------------------------------------------------------------------------------------------------

    def invite(self, setup: CallSetup, now: Instant) -> None:
        """A set-up (already found valid) for this node: answers it."""
        leg = Leg(setup=setup, place=len(setup.path) - 1, opened=now.mono, heard=now.mono)
        call = self._calls.get(setup.call)
        refusal = self._refusal(setup, call)
        if refusal:
            self._core.send(setup.path[-2], CallReject(*leg.key, onward=False, by=self._core.node, reason=refusal))
            return
        if call is None:
            call = self._calls[setup.call] = incoming(setup, now)
        leg.promised = self._router.credit(setup, now)
        leg.advance(CallEvent.ANSWER)
        call.advance(CallEvent.ANSWER)
        self._core.send(setup.path[-2], CallAccept(*leg.key, self._core.signer.sign(acceptance_bytes(setup))))
        self._use(call, leg, now)

    def _refusal(self, setup: CallSetup, call: Call | None) -> str:
        if name_of(setup.callee) != AuraID.parse(self._core.record.aura).name or not name_of(setup.caller):
            return NOT_HERE
        if call is None:
            return BUSY if len(self._calls) >= self._core.config.max_own_calls else ""
        newest = max((leg.setup.attempt for leg in call.legs()), default=-1)
        known = not call.outgoing and call.destinations == (setup.path[0],) and setup.attempt > newest
        return "" if known else NOT_HERE

    # While it lasts ---------------------------------------------------------------------------------------------------

    def _use(self, call: Call, leg: Leg, now: Instant) -> None:
        """`leg` carries the call from now on; its media are opened, those of the route before stay open for now."""
        if call.active is not None:
            call.older.append(call.active)
        if call.parting is not None and not math.isnan(call.parting.lossy):
            call.receipts.append(self._ledger.write(call.parting, Outcome.COMPLETED, now))
            self._absorb(call.receipts[-1:], now, None)
        call.active, call.parting = leg, None
        call.stood.append(leg.path)
        leg.heard = leg.stood = now.mono
        leg.flowing = True
        self._core.outbox.append(leg.opening())
        if not math.isnan(call.lost):
            self._restore(call, now)

    def _restore(self, call: Call, now: Instant) -> None:
        call.failovers.append(Failover(heard=call.heard, lost=call.lost, restored=now.mono))
        self._tell(call, "failover", f"restored {now.mono - call.lost:.3f} s after the path was lost", now)
        call.lost = math.nan
        self._core.alarms.cancel(("failover", call.id, 0))

    def _tell(self, call: Call, kind: str, detail: str, now: Instant) -> None:
        self._core.emit(EventSample(at=now.mono, kind=kind, node=self._core.node, call=call.id, detail=detail))

    def _close_older(self, call: Call) -> None:
        for leg in call.older:
            self._stop(leg)
        call.older.clear()

    def _stop(self, leg: Leg) -> None:
        if leg.flowing:
            leg.flowing = False
            self._core.outbox.append(CloseMedia(call=leg.setup.call, label=leg.label))

    def pulse(self, now: Instant) -> None:
        """Sends keepalives; gives up paths that were silent for too long."""
        for call in self.calls():
            leg = call.active
            if leg is None:
                if call.parting is not None and self._neighbourhood.is_up(call.parting.next_hop):
                    self._keep_alive(call.parting, now)
                continue
            if now.mono - leg.heard > self._core.config.silence:
                self._lose_path(leg, self._neighbourhood.suspects(leg, now), "silence", now)
            else:
                self._keep_alive(leg, now)

    def _keep_alive(self, leg: Leg, now: Instant) -> None:
        self._core.send(leg.next_hop, leg.next_keepalive(now), Channel.REALTIME)

    def _lose_path(self, leg: Leg, blamed: set[NodeId], why: str, now: Instant) -> None:
        """The route in use carries its call no longer."""
        call = self._calls[leg.setup.call]
        call.advance(CallEvent.LOSE)
        leg.advance(CallEvent.LOSE)
        call.active = None
        call.older.append(leg)
        call.lost, call.heard = now.mono, leg.heard
        if leg.heard - leg.stood >= self._core.config.proven_after:
            call.begin_anew(leg.path)
        call.failed |= blamed - {leg.path[0], leg.path[-1]}
        if leg is not call.parting:
            self._testify(call, leg, Outcome.DROPPED, now)
            self._abandon(leg)
        self._tell(call, "path_lost", why, now)
        self._core.alarms.set(("failover", call.id, 0), now.mono + self._core.config.failover_timeout)
        if call.outgoing:
            self._try_next(call, now)

    def move(self, now: Instant) -> None:
        """Takes calls placed here off routes with banned relays, for which nobody is blamed.

        Media and keepalives go on over the old route until another stands, so that the other end misses nothing.
        """
        for call in self.calls():
            leg = (call.active or call.pending) if call.outgoing else None
            banned = self._table.banned.intersection(leg.path[1:-1]) if leg is not None else None
            if leg is None or not banned:
                continue
            if leg is call.pending:
                self._drop_pending(leg, BANNED, set(banned), now)
            else:
                call.parting = leg
                self._lose_path(leg, set(banned), BANNED, now)

    def _testify(self, call: Call, leg: Leg, outcome: Outcome, now: Instant) -> None:
        """Signs how a route failed; the receipt is passed on with the end of the call, and by gossip."""
        self._router.learn(leg, now, connected=False)
        call.receipts.append(self._ledger.write(leg, outcome, now))
        self._absorb(call.receipts[-1:], now, None)

    def despair(self, call_id: CallId, now: Instant) -> None:
        """No other route was found in time."""
        call = self._calls.get(call_id)
        if call is not None and call.state is CallState.FAILING_OVER:
            self._give_up(call, "no other route in time", now)

    def lose(self, node: NodeId, now: Instant) -> None:
        """The neighbour `node` is gone."""
        for call in self.calls():
            if call.active is not None and node in call.active.neighbours():
                self._lose_path(call.active, {node}, "neighbour lost", now)
            elif call.pending is not None and node in call.pending.neighbours():
                self._drop_pending(call.pending, LOST, {node}, now)

    def reject(self, message: CallReject, source: NodeId, now: Instant) -> None:
        """A node of the path cannot carry the call, or can no longer."""
        call, leg = self._find(message, source)
        if call is None or leg is None or message.by not in leg.path:
            self._core.reject("unexpected_reject")
        elif leg is call.pending and message.by == leg.path[-1]:
            call.pending = None
            leg.advance(CallEvent.GIVE_UP)
            self._give_up(call, message.reason, now)
        elif leg is call.pending:
            self._drop_pending(leg, message.reason, {leg.blamed(message)}, now)
        elif message.reason == CANCELLED and not call.outgoing:
            call.advance(CallEvent.END)
            self._finish(call, now)
        elif leg is call.active:
            self._lose_path(leg, {leg.blamed(message)}, message.reason, now)

    def keepalive(self, message: CallKeepalive, source: NodeId, now: Instant) -> None:
        """The other end is there."""
        call, leg = self._find(message, source)
        if call is None or leg is None:
            self._core.reject("unexpected_keepalive")
            return
        rtt = leg.take_keepalive(message, now)
        if rtt is not None:
            call.quality.add_rtt(rtt)
            leg.quality.add_rtt(rtt)
        if leg is call.active:
            self._close_older(call)

    def media_report(self, call_id: CallId, report: MediaReport, now: Instant) -> None:
        """What the driver measured of the media here; reports of routes not in use have no effect."""
        call = self._calls.get(call_id)
        leg = call.active if call is not None else None
        if call is None or leg is None or leg.label != report.label:
            return
        call.quality.add(report)
        leg.quality.add(report)
        leg.dark = leg.dark + 1 if report.loss > DARK_LOSS else 0
        if leg.dark >= self._core.config.dead_after:
            self._lose_path(leg, set(leg.path[1:-1]), "no media", now)
            return
        if leg.quality.reports % REPORTS_PER_MESSAGE == 1 or report.loss > LOSSY:
            jitter = to_nanoseconds(report.jitter)
            message = CallReport(*leg.key, leg.is_first, jitter, float(report.loss))
            self._core.send(leg.next_hop, message)
        self._mind_loss(call, leg, report.loss, now)

    def report(self, message: CallReport, source: NodeId, now: Instant) -> None:
        """What the other end receives of our media."""
        call, leg = self._find(message, source)
        if call is None or leg is None:
            self._core.reject("unexpected_report")
            return
        for quality in (call.quality, leg.quality):
            quality.add_remote(to_seconds(message.jitter_ns), message.loss)
        self._mind_loss(call, leg, message.loss, now)

    def _mind_loss(self, call: Call, leg: Leg, loss: float, now: Instant) -> None:
        """Leaves a route that has lost too much for too long, as `move` does; if there is no other it stays."""
        suffered = leg is call.active and call.outgoing and leg.suffers(loss, now) >= self._core.config.lossy_for
        if suffered and now.mono >= call.calm:
            call.calm = now.mono + self._core.config.calm
            call.parting = leg
            self._lose_path(leg, set(leg.path[1:-1]), LOSSY_ROUTE, now)

    def _stay(self, call: Call, leg: Leg) -> None:
        """There is no other route than the bad one: it carries the call on."""
        call.parting, call.active, call.lost = None, leg, math.nan
        call.older.remove(leg)
        leg.advance(CallEvent.ACCEPT)
        call.advance(CallEvent.ACCEPT)
        self._core.alarms.cancel(("failover", call.id, 0))

    # The end ----------------------------------------------------------------------------------------------------------

    def hang_up(self, call_id: CallId, now: Instant) -> None:
        """Ends a call from this side; one that has ended already stays as it is."""
        call = self._calls.get(call_id)
        if call is None:
            return
        leg = call.active or call.parting
        if leg is None:
            call.reason = "hung up before it stood" if not call.stood else "hung up while failing over"
            call.advance(CallEvent.END)
            self._finish(call, now)
            return
        self._say_goodbye(call, leg, (), now, answer=False)
        call.advance(CallEvent.END)
        self._finish(call, now)

    def _say_goodbye(self, call: Call, leg: Leg, receipts: tuple[Receipt, ...], now: Instant, *, answer: bool) -> None:
        self._router.learn(leg, now, connected=True)
        own = self._ledger.write(leg, Outcome.COMPLETED, now)
        self._absorb([own], now, None)
        whole = (*receipts, *call.receipts, own)[-RECEIPT_ENTRIES:]
        message = CallEnd(*leg.key, onward=leg.is_first, answer=answer, reason="hung up", receipts=whole)
        self._core.send(leg.next_hop, message)

    def end(self, message: CallEnd, source: NodeId, now: Instant) -> None:
        """The other end hung up, or answers that we did."""
        key = (message.call, message.attempt)
        call = self._calls.get(message.call)
        leg = self._closing.get(key) or self._leg(*key)
        if leg is None or not leg.is_right_side(source, onward=message.onward):
            self._core.reject("unexpected_end")
            return
        self._absorb(message.receipts, now, source)
        if call is not None and leg is call.active and not message.answer:
            self._say_goodbye(call, leg, message.receipts, now, answer=True)
            call.advance(CallEvent.END)
            self._finish(call, now)

    def _give_up(self, call: Call, reason: str, now: Instant) -> None:
        call.reason = reason
        if call.parting is not None and self._table.banned.isdisjoint(call.parting.path):
            self._stay(call, call.parting)
            return
        if call.parting is not None:
            self._say_goodbye(call, call.parting, (), now, answer=False)
            call.parting = None
        call.advance(CallEvent.GIVE_UP)
        self._finish(call, now)

    def _finish(self, call: Call, now: Instant) -> None:
        completed = (call.active or call.parting) is not None
        if call.pending is not None:
            self._abandon(call.pending, CANCELLED)
        for leg in call.legs():
            self._stop(leg)
            self._core.alarms.cancel(("setup", call.id, leg.setup.attempt))
            self._closing[leg.key] = leg
            self._core.alarms.set(("linger", *leg.key), now.mono + self._core.config.linger)
        self._core.alarms.cancel(("failover", call.id, 0))
        self._core.alarms.cancel(("resolve", call.id, 0))
        self._tokens.pop(call.token, None)
        del self._calls[call.id]
        if call.outgoing:
            outcome = "completed" if completed else "dropped" if call.stood else "failed"
            self._core.emit(summary(call, self._core.node, now, outcome=outcome))

    def forget(self, call: CallId, attempt: int) -> None:
        """Drops a route that ended a while ago."""
        self._closing.pop((call, attempt), None)
