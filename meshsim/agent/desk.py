"""An agent's own calls, going out and coming in: set-up, keepalives from end to end, loss of the path, the end.

The caller finds routes; the callee answers whatever valid set-up reaches it and waits when the path dies. Media are
opened on a new route before they are closed on the old one.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from meshsim.agent.answering import Answering
from meshsim.agent.callbook import CallBook
from meshsim.agent.calls import Call, CallRequest, summary
from meshsim.agent.effects import Resolve
from meshsim.agent.ends import Ends
from meshsim.agent.inquiry import Inquiries
from meshsim.agent.legs import LOSSY, Leg
from meshsim.agent.messages import (
    BANNED,
    CANCELLED,
    LEAVING,
    LOST,
    UNREACHABLE,
    CallAccept,
    CallEnd,
    CallReject,
    CallReport,
    CallSetup,
)
from meshsim.agent.samples import EventSample, Failover
from meshsim.agent.signing import acceptance_bytes, sign
from meshsim.agent.standby import Standbys
from meshsim.agent.states import CallEvent, CallState
from meshsim.mesh.errors import IdentityError, LocalProtocolError
from meshsim.mesh.ids import CALL_ID_BYTES, AuraID, CallId, NodeId
from meshsim.mesh.time import to_seconds
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
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.time import Instant

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

    Attributes:
        calls: That go on.
        answering: Takes those that come in.
        inquiries: What is asked of nodes beyond the area.
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
        self._router = router
        self._ends = Ends(core, neighbourhood, ledger, router, absorb)
        self._standbys = Standbys(core, neighbourhood, router, self._ends)
        self.calls = CallBook(core)
        self.inquiries = Inquiries(core, neighbourhood, table)
        self.answering = Answering(core, self.calls, router, self._ends, self._use)
        self._tokens: dict[int, CallId] = {}
        self._placed = 0

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
        self.calls.add(call)
        self._tokens[self._placed] = call.id
        self._core.alarms.set(("resolve", call.id, 0), now.mono + self._core.config.dial_timeout)
        self._core.outbox.append(Resolve(token=self._placed, aura=request.callee))
        return call.id

    def resolved(self, token: int, answer: Sequence[NodeRecord] | IdentityError, now: Instant) -> None:
        """The directory's answer; one that comes too late or twice has no effect."""
        if token not in self._tokens:
            return
        call = self.calls[self._tokens.pop(token)]
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
        pause = self.inquiries.pause(call, now) if path is None else math.inf
        if pause < math.inf:
            self._core.alarms.set(("retry", call.id, 0), now.mono + pause)
            return
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
        call = self.calls[leg.setup.call]
        call.pending = None
        leg.advance(CallEvent.GIVE_UP)
        self._core.alarms.cancel(("setup", call.id, leg.setup.attempt))
        call.failed |= blamed - {leg.path[0], leg.path[-1]}
        call.reason = reason
        self._ends.abandon(leg)
        self._try_next(call, now)

    def accept(self, message: CallAccept, source: NodeId, now: Instant) -> None:
        """The callee's yes."""
        call = self.calls.get(message.call)
        leg = call.awaiting(message.attempt) if call is not None else None
        if call is None or leg is None or source != leg.downstream:
            self._core.reject("unexpected_accept")
        elif not self._core.verifier.verify(leg.path[-1], acceptance_bytes(leg.setup), message.signature):
            self._core.reject("forged")
        elif leg is call.standby:
            self._standbys.accept(call, leg, now)
            if leg.path == call.better:
                self._improve(call, now)
        else:
            self._core.alarms.cancel(("setup", call.id, message.attempt))
            call.pending = None
            leg.advance(CallEvent.ACCEPT)
            self._go_on(call, leg, now)

    def _go_on(self, call: Call, leg: Leg, now: Instant) -> None:
        """A call placed here is carried by `leg` from now on, which stands."""
        works = call.parting is not None
        call.advance(CallEvent.ACCEPT)
        self._use(call, leg, now)
        if works:
            self._overlap(call, now)
        else:
            self._close_older(call, now)
        self._ends.keep_alive(leg, now)
        self._standbys.part_ways(call, now)

    def _improve(self, call: Call, now: Instant) -> None:
        """The direct way works: the call moves to it, make before break."""
        leg, call.better = call.active, None
        direct = None if leg is None else self._standbys.take(call)
        if leg is not None and direct is not None:
            call.parting = leg
            call.set_aside(leg)
            self._tell(call, "upgraded", "from relays to the direct way", now)
            self._go_on(call, direct, now)

    def _overlap(self, call: Call, now: Instant) -> None:
        """Both routes carry media for a moment: what is still under way on the older one is not lost."""
        key = ("overlap", call.id, 0)
        if call.older and key not in self._core.alarms:
            self._core.alarms.set(key, now.mono + self._core.config.overlap)

    def _time_out(self, call: Call, attempt: int, now: Instant) -> None:
        """The callee's answer did not come in time."""
        if call.pending is None or call.pending.setup.attempt != attempt:
            return
        leg = call.pending
        if not self._table.is_cut_off(leg.path[-1], now):  # it may be dead, and nobody to blame
            self._ends.testify(call, leg, Outcome.TIMEOUT, now)
        self._drop_pending(leg, "set-up timed out", set(leg.path[1:-1]), now)

    def undeliverable(self, setup: CallSetup, now: Instant) -> None:
        """No link came up for a set-up of ours."""
        call = self.calls.get(setup.call)
        if call is not None and call.pending is not None and call.pending.setup == setup:
            self._drop_pending(call.pending, UNREACHABLE, {setup.path[1]}, now)
        elif call is not None and call.standby is not None and call.standby.setup == setup:
            self._standbys.drop(call, now)

    # While it lasts ---------------------------------------------------------------------------------------------------

    def _use(self, call: Call, leg: Leg, now: Instant) -> None:
        """`leg` carries the call from now on; its media are opened, those of the route before stay open for now."""
        if call.active is not None:
            call.older.append(call.active)
        call.active, call.parting = leg, None
        call.stood.append(leg.path)
        leg.heard = leg.stood = now.mono
        leg.flowing = True
        self._core.outbox.append(leg.opening(aic=leg.wants_aic and self._table.support_aic(leg.path)))
        if not math.isnan(call.lost):
            self._restore(call, now)

    def _restore(self, call: Call, now: Instant) -> None:
        call.failovers.append(Failover(heard=call.heard, lost=call.lost, restored=now.mono))
        self._tell(call, "failover", f"restored {now.mono - call.lost:.3f} s after the path was lost", now)
        call.lost = math.nan
        self._core.alarms.cancel(("failover", call.id, 0))

    def _tell(self, call: Call, kind: str, detail: str, now: Instant) -> None:
        self._core.emit(EventSample(at=now.mono, kind=kind, node=self._core.node, call=call.id, detail=detail))

    def _close_older(self, call: Call, now: Instant) -> None:
        """Closes the routes before the one in use; those that served until they were left are accounted for."""
        for leg in call.older:
            self._ends.stop(leg)
            if leg.left and call.outgoing:
                self.calls.close(leg, now)
                self._ends.say_goodbye(call, leg, (), now, answer=False)
        call.older.clear()

    def ring(self, kind: str, call_id: CallId, attempt: int, now: Instant) -> None:
        """It is time for something: `kind` of alarm for a call or one of its routes."""
        call = self.calls.get(call_id)
        if kind == "linger":
            self.calls.forget(call_id, attempt)
        elif call is None:
            return
        elif kind == "setup":
            self._time_out(call, attempt, now)
        elif kind == "resolve":
            self._give_up(call, "the directory does not answer", now)
        elif kind == "standby":
            self._standbys.prepare(call, now)
        elif kind == "retry":
            self._retry(call, now)
        elif kind == "overlap":
            self._close_older(call, now)
        elif call.state is CallState.FAILING_OVER:  # "failover"
            self._give_up(call, "no other route in time", now)

    def pulse(self, now: Instant) -> None:
        """Sends keepalives; gives up paths that were silent for too long."""
        for call in self.calls:
            self._standbys.pulse(call, now)
            leg = call.active
            if leg is None:
                if call.parting is not None and self._neighbourhood.is_up(call.parting.next_hop):
                    self._ends.keep_alive(call.parting, now)
                continue
            if now.mono - leg.heard > self._core.config.silence:
                self._lose_path(leg, self._neighbourhood.suspects(leg, now), "silence", now)
            else:
                self._ends.keep_alive(leg, now)

    def _lose_path(self, leg: Leg, blamed: set[NodeId], why: str, now: Instant) -> None:
        """The route in use carries its call no longer."""
        call = self.calls[leg.setup.call]
        call.set_aside(leg)
        call.lost, call.heard = now.mono, leg.heard
        proven = leg.heard - leg.stood >= self._core.config.proven_after
        if proven or math.isnan(call.shaky):
            call.shaky = now.mono
        if proven:
            call.begin_anew([leg.path])
        call.failed |= blamed - {leg.path[0], leg.path[-1]}
        if not leg.left:
            self._ends.testify(call, leg, Outcome.DROPPED, now)
            self._ends.abandon(leg)
        self._tell(call, "path_lost", why, now)
        self._core.alarms.set(("failover", call.id, 0), now.mono + self._core.config.failover_timeout)
        if call.outgoing:
            second = self._standbys.take(call)
            if second is not None:
                self._go_on(call, second, now)
            else:
                self._try_next(call, now)

    def _retry(self, call: Call, now: Instant) -> None:
        """There was no route for a lost call, or a new one: by now there may be, even one that failed before."""
        if call.active is None and call.pending is None:
            if call.state is CallState.FAILING_OVER:
                call.begin_anew()
            self._try_next(call, now)

    def _leave(self, call: Call, leg: Leg, blamed: set[NodeId], why: str, now: Instant) -> None:
        """The route in use works, but another shall carry the call; until one does, it goes on."""
        call.parting = leg
        self._lose_path(leg, blamed, why, now)

    def move(self, now: Instant) -> None:
        """Takes calls placed here off routes with banned relays, for which nobody is blamed.

        Media and keepalives go on over the old route until another stands, so that the other end misses nothing.
        """
        for call in self.calls:
            leg = (call.active or call.pending) if call.outgoing else None
            banned = self._table.banned.intersection(leg.path[1:-1]) if leg is not None else None
            if leg is None or not banned:
                continue
            if leg is call.pending:
                self._drop_pending(leg, BANNED, set(banned), now)
            else:
                self._leave(call, leg, set(banned), BANNED, now)

    def lose(self, node: NodeId, now: Instant) -> None:
        """The neighbour `node` is gone."""
        for call in self.calls:
            if call.standby is not None and node in call.standby.neighbours():
                self._standbys.drop(call, now)
            if call.active is not None and node in call.active.neighbours():
                self._lose_path(call.active, {node}, "neighbour lost", now)
            elif call.pending is not None and node in call.pending.neighbours():
                self._drop_pending(call.pending, LOST, {node}, now)

    def reject(self, message: CallReject, source: NodeId, now: Instant) -> None:
        """A node of the path cannot carry the call, or can no longer."""
        call, leg = self.calls.find(message, source)
        if call is None or leg is None or message.by not in leg.path:
            self._core.reject("unexpected_reject")
        elif leg is call.standby:
            self._standbys.reject(call, message, now)
        elif leg is call.pending and message.by == leg.path[-1]:
            call.pending = None
            leg.advance(CallEvent.GIVE_UP)
            self._give_up(call, message.reason, now)
        elif leg is call.pending:
            self._drop_pending(leg, message.reason, {leg.blamed(message)}, now)
        elif message.reason == CANCELLED and not call.outgoing:
            call.advance(CallEvent.END)
            self._finish(call, now)
        elif leg is call.active and message.reason == LEAVING:
            self._leave(call, leg, {message.by}, LEAVING, now)
        elif leg is call.active:
            self._lose_path(leg, {leg.blamed(message)}, message.reason, now)

    def keepalive(self, message: CallKeepalive, source: NodeId, now: Instant) -> None:
        """The other end is there."""
        call, leg = self.calls.find(message, source)
        if call is None or leg is None:
            self._core.reject("unexpected_keepalive")
            return
        rtt = leg.take_keepalive(message, now)
        if rtt is not None:
            leg.quality.add_rtt(rtt)
            if leg is not call.standby:
                call.quality.add_rtt(rtt)
        if leg is call.active:
            self._overlap(call, now)

    def media_report(self, call_id: CallId, report: MediaReport, now: Instant) -> None:
        """What the driver measured of the media here; reports of routes not in use have no effect."""
        call = self.calls.get(call_id)
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
            self._ends.report(leg, report)
        self._mind_loss(call, leg, report.loss, now)

    def report(self, message: CallReport, source: NodeId, now: Instant) -> None:
        """What the other end receives of our media."""
        call, leg = self.calls.find(message, source)
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
            self._leave(call, leg, set(leg.path[1:-1]), LOSSY_ROUTE, now)

    # The end ----------------------------------------------------------------------------------------------------------

    def hang_up(self, call_id: CallId, now: Instant) -> None:
        """Ends a call from this side; one that has ended already stays as it is."""
        call = self.calls.get(call_id)
        if call is None:
            return
        leg = call.active or call.parting
        if leg is None:
            call.reason = "hung up before it stood" if not call.stood else "hung up while failing over"
            call.advance(CallEvent.END)
            self._finish(call, now)
            return
        self._ends.say_goodbye(call, leg, (), now, answer=False)
        call.advance(CallEvent.END)
        self._finish(call, now)

    def end(self, message: CallEnd, source: NodeId, now: Instant) -> None:
        """The other end hung up, or answers that we did."""
        call = self.calls.get(message.call)
        leg = self.calls.ending(message.call, message.attempt)
        if leg is None or not leg.is_right_side(source, onward=message.onward):
            self._core.reject("unexpected_end")
            return
        self._ends.absorb(message.receipts, now, source)
        if call is not None and leg is call.active and not message.answer:
            self._ends.say_goodbye(call, leg, message.receipts, now, answer=True)
            call.advance(CallEvent.END)
            self._finish(call, now)
        elif call is not None and leg in call.older and not message.answer:
            call.older.remove(leg)
            self.calls.close(leg, now)
            self._ends.stop(leg)
            self._ends.say_goodbye(call, leg, message.receipts, now, answer=True)

    def _give_up(self, call: Call, reason: str, now: Instant) -> None:
        call.reason = reason
        if call.parting is not None and self._table.banned.isdisjoint(call.parting.path):
            call.take_back(call.parting)
            self._core.alarms.cancel(("failover", call.id, 0))
            return
        if call.parting is not None:
            self._ends.say_goodbye(call, call.parting, (), now, answer=False)
            call.parting = None
        call.advance(CallEvent.GIVE_UP)
        self._finish(call, now)

    def _finish(self, call: Call, now: Instant) -> None:
        completed = (call.active or call.parting) is not None
        if call.pending is not None:
            self._ends.abandon(call.pending, CANCELLED)
        if call.standby is not None and call.outgoing:
            self._ends.abandon(call.standby)
        for leg in call.older:
            if leg.left and call.outgoing:
                self._ends.say_goodbye(call, leg, (), now, answer=False)
        for leg in call.legs():
            self._ends.stop(leg)
            self._core.alarms.cancel(("setup", call.id, leg.setup.attempt))
        for kind in ("failover", "resolve", "standby", "overlap", "retry"):
            self._core.alarms.cancel((kind, call.id, 0))
        self._tokens.pop(call.token, None)
        self.calls.remove(call, now)
        if call.outgoing:
            outcome = "completed" if completed else "dropped" if call.stood else "failed"
            self._core.emit(summary(call, self._core.node, now, outcome=outcome))
