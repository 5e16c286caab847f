"""A second route for each call, set up while the first works, that shares no relay with it.

When the first fails, media go over the second at once: what is left of the gap is the time in which the failure is
noticed. A relay that stands by keeps no room: it counts the call when media come, and until then takes on others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.effects import Channel
from meshsim.agent.legs import Leg
from meshsim.agent.messages import CallSwitch
from meshsim.agent.signing import sign
from meshsim.agent.states import CallEvent, CallState

if TYPE_CHECKING:
    from meshsim.agent.calls import Call
    from meshsim.agent.core import Core
    from meshsim.agent.ends import Ends
    from meshsim.agent.messages import CallReject
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.agent.routes import Router
    from meshsim.mesh.time import Instant

BEATS = 5
"""A route that stands by is kept alive at every fifth beat of the one that carries the call."""
SOON, LATER = 0.5, 10.0
"""Seconds until a call that has no second route looks for one: it may have lost its last, or have found none."""


class Standbys:
    """The second routes of the calls placed here.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        router: Finds routes.
        ends: What is said over them.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood, router: Router, ends: Ends) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._router = router
        self._ends = ends

    def look(self, call: Call, now: Instant, after: float = SOON) -> None:
        """Looks for a second route in `after` seconds, if calls are to have one; sets up a better one at once."""
        if call.outgoing and (self._core.config.standby or call.better is not None):
            self._core.alarms.set(("standby", call.id, 0), now.mono + (after if call.better is None else 0.0))

    def prepare(self, call: Call, now: Instant) -> None:
        """The time has come to set up a second route, or to give up the one being set up."""
        if call.standby is not None and call.standby.state is CallState.SETUP:
            self.drop(call, now)
        elif call.standby is None and call.active is not None:
            self._set_up(call, call.active, now)

    def _set_up(self, call: Call, active: Leg, now: Instant) -> None:
        path = call.better or self._router.second(call, active.path, now)
        if path is None:
            call.passed_over.clear()
            self.look(call, now, LATER)
            return
        expires = self._core.expiry_ns(now, self._core.config.statement_lifetime)
        setup = sign(call.next_setup(path, expires, standby=True), self._core.signer)
        leg = Leg(setup=setup, place=0, opened=now.mono, heard=now.mono)
        leg.advance(CallEvent.INVITE)
        call.attempts += 1
        call.passed_over.append(path)
        call.standby = leg
        patience = self._core.config.setup_timeout + self._core.config.dial_timeout
        self._core.alarms.set(("standby", call.id, 0), now.mono + patience)
        if not self._neighbourhood.reach(path[1], setup, now):
            self.drop(call, now)

    def accept(self, call: Call, leg: Leg, now: Instant) -> None:
        """The callee waits at the other end of the second route."""
        leg.advance(CallEvent.ACCEPT)
        leg.heard = leg.stood = now.mono
        call.passed_over.clear()
        self._core.alarms.cancel(("standby", call.id, 0))
        self._ends.keep_alive(leg, now)

    def reject(self, call: Call, message: CallReject, now: Instant) -> None:
        """The second route does not come about, or stands by no longer."""
        if call.standby is not None and message.by not in (call.standby.path[0], call.standby.path[-1]):
            call.unfit.add(call.standby.blamed(message))
        self.drop(call, now)

    def drop(self, call: Call, now: Instant) -> None:
        """Gives the second route up for another."""
        leg, call.standby = call.standby, None
        if leg is not None and leg.path == call.better:
            call.better = None  # it was tried
        if leg is not None and call.outgoing:
            self._ends.abandon(leg)
            self.look(call, now)

    def pulse(self, call: Call, now: Instant) -> None:
        """Keeps the second route alive; gives it up when nothing came over it for long."""
        leg = call.standby
        if leg is None or leg.state is not CallState.ACTIVE:
            return
        leg.beats += 1
        if now.mono - leg.heard > BEATS * self._core.config.silence:
            self.drop(call, now)
        elif leg.beats % BEATS == 0:
            self._ends.keep_alive(leg, now)

    def part_ways(self, call: Call, now: Instant) -> None:
        """The call has a new first route: a second one that shares a relay with it is of no use."""
        leg = call.standby
        if call.active is not None and call.active.path == call.better:
            call.better = None
        if leg is not None and call.active is not None and not leg.is_disjoint(call.active.path):
            self.drop(call, now)
        elif leg is None:
            self.look(call, now)

    def take(self, call: Call) -> Leg | None:
        """The second route, to carry the call from now on; None if there is none that may."""
        leg = call.standby
        if leg is None or leg.state is not CallState.ACTIVE or not self._neighbourhood.is_up(leg.next_hop):
            return None
        if not self._router.allows(call, leg.path):
            return None
        call.standby = None
        call.tried.append(leg.path)
        for channel in (Channel.REALTIME, Channel.CONTROL):  # the faster, and the one that comes for certain
            self._core.send(leg.next_hop, CallSwitch(*leg.key, onward=True), channel)
        return leg
