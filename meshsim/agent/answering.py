"""Calls that come in: whatever valid set-up reaches this node is answered at once, and the caller finds the routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.calls import incoming, name_of
from meshsim.agent.legs import Leg
from meshsim.agent.messages import CallAccept, CallReject
from meshsim.agent.signing import acceptance_bytes
from meshsim.agent.states import CallEvent
from meshsim.mesh.ids import AuraID

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.callbook import CallBook
    from meshsim.agent.calls import Call
    from meshsim.agent.core import Core
    from meshsim.agent.ends import Ends
    from meshsim.agent.messages import CallSetup, CallSwitch
    from meshsim.agent.routes import Router
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

BUSY, DECLINED, NOT_HERE = "busy", "declined", "not here"


class Answering:
    """The callee's side of set-ups.

    Args:
        core: The agent's common ground.
        calls: Of which this node is an end.
        router: Knows what the relays of a route can be held to.
        ends: Speaks over routes.
        use: Lets a route carry a call from now on.

    Attributes:
        leaving: Whether this node goes soon, so that no further call is answered.
    """

    def __init__(
        self, core: Core, calls: CallBook, router: Router, ends: Ends, use: Callable[[Call, Leg, Instant], None]
    ) -> None:
        self.leaving = False
        self._core = core
        self._calls = calls
        self._router = router
        self._ends = ends
        self._use = use

    def invite(self, setup: CallSetup, now: Instant) -> None:
        """A set-up (already found valid) for this node: answers it."""
        leg = Leg(setup=setup, place=len(setup.path) - 1, opened=now.mono, heard=now.mono)
        call = self._calls.get(setup.call)
        refusal = self._refusal(setup, call)
        if refusal:
            self._core.send(setup.path[-2], CallReject(*leg.key, onward=False, by=self._core.node, reason=refusal))
            return
        if call is None:
            call = incoming(setup, now)
            self._calls.add(call)
        leg.promised = self._router.credit(setup, now)
        leg.advance(CallEvent.ANSWER)
        self._core.send(setup.path[-2], CallAccept(*leg.key, self._core.signer.sign(acceptance_bytes(setup))))
        if setup.standby:
            call.standby = leg
        else:
            call.advance(CallEvent.ANSWER)
            self._use(call, leg, now)

    def switch(self, message: CallSwitch, source: NodeId, now: Instant) -> None:
        """The caller sends over the route that stood by from now on; so does this end."""
        call, leg = self._calls.find(message, source)
        if call is None or leg is None or call.outgoing or leg not in (call.standby, call.active):
            self._core.reject("unexpected_switch")
        elif leg is call.standby:
            call.standby = None
            call.advance(CallEvent.ANSWER)
            self._use(call, leg, now)
            self._ends.keep_alive(leg, now)

    def _refusal(self, setup: CallSetup, call: Call | None) -> str:
        if name_of(setup.callee) != AuraID.parse(self._core.record.aura).name or not name_of(setup.caller):
            return NOT_HERE
        if call is None:
            if setup.standby or self.leaving:
                return NOT_HERE
            if self._core.config.callers and name_of(setup.caller) not in self._core.config.callers:
                return DECLINED
            return BUSY if len(self._calls) >= self._core.config.max_own_calls else ""
        newest = max((leg.setup.attempt for leg in call.legs()), default=-1)
        known = not call.outgoing and call.destinations == (setup.path[0],) and setup.attempt > newest
        return "" if known else NOT_HERE
