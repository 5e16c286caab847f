"""Calls that pass through this node.

A relay passes a set-up on if it has room, lets media flow once the callee accepted, and passes on all that goes from
end to end. It never changes what it passes on, except that it adds its receipt at the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from meshsim.agent.effects import Channel, CloseMedia
from meshsim.agent.legs import Leg
from meshsim.agent.messages import (
    FULL,
    LEAVING,
    LOST,
    RECEIPT_ENTRIES,
    UNREACHABLE,
    CallAccept,
    CallEnd,
    CallKeepalive,
    CallReject,
    CallReport,
    CallSwitch,
)
from meshsim.agent.samples import EventSample
from meshsim.agent.states import CallEvent, CallState
from meshsim.mesh.media import demand
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.messages import CallSetup
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.agent.receipts import Ledger
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant

DAY, SECONDS_PER_MINUTE = 86_400.0, 60.0

EndToEnd = CallKeepalive | CallReport | CallSwitch
Passing = CallAccept | CallReject | EndToEnd | CallEnd


class Relay:
    """The routes that pass through this node.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        ledger: Its receipts.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood, ledger: Ledger) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._ledger = ledger
        self._legs: dict[tuple[CallId, int], Leg] = {}
        self._leaving = False
        self._day, self._served = 0, 0.0

    def __contains__(self, key: tuple[CallId, int]) -> bool:
        return key in self._legs

    def legs(self) -> list[Leg]:
        """All routes that are in use or being set up."""
        return [leg for leg in self._legs.values() if leg.state is not CallState.ENDED]

    @property
    def carried(self) -> int:
        """How many calls pass through, or are about to; routes that only stand by take no room."""
        return len({leg.setup.call for leg in self.legs() if not leg.idle})

    @property
    def load(self) -> float:
        """Share of the call capacity in use."""
        capacity = self._core.record.max_calls
        return min(1.0, self.carried / capacity) if capacity else 0.0

    def invite(self, setup: CallSetup, place: int, now: Instant) -> None:
        """Takes a set-up (already found valid) to pass it on; refuses when full or when there is no way on."""
        leg = Leg(setup=setup, place=place, opened=now.mono, heard=now.mono, idle=setup.standby)
        carries = any(other.setup.call == setup.call for other in self.legs())
        if self._leaving:
            self._refuse(leg, LEAVING, now)
        elif not carries and not self._has_room(setup, now):
            self._refuse(leg, FULL, now)
        elif not self._neighbourhood.reach(setup.path[place + 1], setup, now):
            self._refuse(leg, UNREACHABLE, now)
        else:
            leg.advance(CallEvent.INVITE)
            self._legs[leg.key] = leg

    def _has_room(self, setup: CallSetup, now: Instant) -> bool:
        """Whether one call more is within what the owner of this node lends."""
        config = self._core.config
        if self.carried >= self._core.record.max_calls:
            return False
        media = {leg.setup.call: leg.setup.media for leg in self.legs() if not leg.idle}
        rate = 2.0 * sum(demand(kind).rate_bps for kind in (*media.values(), setup.media))
        if config.relay_bps and rate > config.relay_bps:
            return False
        return not config.relay_minutes or self._lent(now) < SECONDS_PER_MINUTE * config.relay_minutes

    def _lent(self, now: Instant) -> float:
        """Seconds of calls carried since the day began; days are counted by the monotonic clock."""
        day = math.floor(now.mono / DAY)
        if day != self._day:
            self._day, self._served = day, 0.0
        standing = [leg.stood for leg in self.legs() if not leg.idle and not math.isnan(leg.stood)]
        return self._served + sum(now.mono - max(stood, day * DAY) for stood in standing)

    def _refuse(self, leg: Leg, reason: str, now: Instant) -> None:
        back = CallReject(*leg.key, onward=False, by=self._core.node, reason=reason)
        self._core.send(leg.path[leg.place - 1], back)
        self._core.emit(
            EventSample(at=now.mono, kind="reject", node=self._core.node, call=leg.setup.call, detail=reason)
        )

    def undeliverable(self, setup: CallSetup, now: Instant) -> None:
        """No link came up for a set-up that was to be passed on."""
        leg = self._legs.get((setup.call, setup.attempt))
        if leg is not None and leg.state is CallState.SETUP:
            self._close(leg, CallEvent.GIVE_UP, now)
            self._refuse(leg, UNREACHABLE, now)

    def receive(self, message: Passing, source: NodeId, now: Instant) -> None:
        """Passes on what goes from end to end; drops and counts what comes from the wrong side."""
        leg = self._legs[message.call, message.attempt]
        onward = not isinstance(message, CallAccept) and message.onward
        came_from, goes_to = (leg.upstream, leg.downstream) if onward else (leg.downstream, leg.upstream)
        if source != came_from or goes_to is None:
            self._core.reject("wrong_side")
        elif isinstance(message, CallEnd):
            self._end(leg, message, goes_to, now)
        elif leg.state is CallState.ENDED:
            self._core.reject("route_ended")
        else:
            self._pass(leg, message, goes_to, now)

    def _pass(self, leg: Leg, message: CallAccept | CallReject | EndToEnd, goes_to: NodeId, now: Instant) -> None:
        leg.heard = now.mono
        if isinstance(message, CallAccept):
            self._accept(leg, now)
        if isinstance(message, CallReject) and message.reason != LEAVING:
            self._close(leg, _ending(leg), now)
        if isinstance(message, CallSwitch):
            self._switch(leg, message, goes_to)
            return
        channel = Channel.REALTIME if isinstance(message, CallKeepalive) else Channel.CONTROL
        self._core.send(goes_to, message, channel)

    def _switch(self, leg: Leg, message: CallSwitch, goes_to: NodeId) -> None:
        """The first one is passed on twice, by the faster way and by the one that comes for certain."""
        if leg.idle:
            leg.idle = False
            for channel in (Channel.REALTIME, Channel.CONTROL):
                self._core.send(goes_to, message, channel)

    def leave(self, now: Instant) -> None:
        """This node goes soon: takes no more routes, and asks the callers to move those that it carries."""
        self._leaving = True
        for leg in self.legs():
            upstream = leg.upstream
            if upstream is not None:
                leg.heard = now.mono
                self._core.send(upstream, CallReject(*leg.key, onward=False, by=self._core.node, reason=LEAVING))

    def _accept(self, leg: Leg, now: Instant) -> None:
        if leg.state is not CallState.SETUP:
            return
        leg.advance(CallEvent.ACCEPT)
        leg.stood = now.mono
        leg.flowing = True
        self._core.outbox.append(leg.opening())

    def _end(self, leg: Leg, message: CallEnd, goes_to: NodeId, now: Instant) -> None:
        """The first CallEnd closes the route here; each carries this node's receipt on, if there was a call.

        A receipt for a route that the callee never accepted would make it seem silent of a call that it never had.
        """
        if leg.state is not CallState.ENDED:
            self._close(leg, _ending(leg), now)
        if not math.isnan(leg.stood):
            message = self._with_receipt(leg, message, now)
        self._core.send(goes_to, message)

    def _with_receipt(self, leg: Leg, message: CallEnd, now: Instant) -> CallEnd:
        own = self._ledger.write(leg, Outcome.COMPLETED, now)
        self._ledger.add(own, now)
        known = [receipt for receipt in message.receipts if receipt.signer != own.signer or receipt.call != own.call]
        return msgspec.structs.replace(message, receipts=(*known[: RECEIPT_ENTRIES - 1], own))

    def _close(self, leg: Leg, event: CallEvent, now: Instant) -> None:
        leg.advance(event)
        if not leg.idle and not math.isnan(leg.stood):
            self._served += now.mono - max(leg.stood, self._day * DAY)
        if leg.flowing:
            leg.flowing = False
            self._core.outbox.append(CloseMedia(call=leg.setup.call, label=leg.label))
        call, attempt = leg.key
        self._core.alarms.set(("linger", call, attempt), now.mono + self._core.config.linger)

    def forget(self, call: CallId, attempt: int) -> None:
        """Drops a route that ended a while ago."""
        self._legs.pop((call, attempt), None)

    def lose(self, node: NodeId, now: Instant) -> None:
        """The neighbour `node` is gone: every route through it is, and its other side is told."""
        for leg in self.legs():
            if node in leg.neighbours():
                self._close(leg, _ending(leg), now)
                onward = node == leg.upstream
                other = leg.downstream if onward else leg.upstream
                back = CallReject(*leg.key, onward=onward, by=self._core.node, reason=LOST)
                if other is not None and self._neighbourhood.is_up(other):
                    self._core.send(other, back)

    def sweep(self, now: Instant) -> None:
        """Closes routes of which nothing was heard for long: their ends are gone or use another."""
        config = self._core.config
        for leg in self.legs():
            setting_up = leg.state is CallState.SETUP
            patience = config.setup_timeout + config.dial_timeout if setting_up else 4 * config.silence
            if now.mono - leg.heard > patience:
                self._close(leg, _ending(leg), now)


def _ending(leg: Leg) -> CallEvent:
    return CallEvent.GIVE_UP if leg.state is CallState.SETUP else CallEvent.END
