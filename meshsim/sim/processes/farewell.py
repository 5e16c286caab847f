"""Relays that say goodbye: they take no more calls, and those they carry move to other relays before they leave.

A call moves make-before-break: it tries other paths while the one in use still carries it, and closes that one as soon
as another stands, so nothing is lost in between. The ends of a path that a relay left in order state that it completed
and what came through on it: leaving is no fault, and dropping packets before it stays one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.sim.calls import Switchboard
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from meshsim.sim.livecall import LiveCall

_ROUNDING = 1e-3
"""Seconds by which a departure may come later than announced: sums of instants are rounded."""


class PoliteSwitchboard(Switchboard):
    """All calls of an episode in which relays may say goodbye; without goodbyes a `Switchboard`."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._leaving: dict[int, float] = {}
        self._away: set[int] = set()

    def leaving(self, node: int) -> None:
        """A node leaves within the scenario's notice: the calls that it carries for others look for other paths."""
        self._leaving[node] = self._env.now + self._plan.scenario.churn.notice + _ROUNDING
        for number in sorted(self._using[node]):
            call = self._live[number]
            if node in call.path[1:-1] and call.flow >= 0:
                call.dead.add(node)
                self._move(call)

    def node_down(self, node: int) -> None:
        """A node is gone: calls that it still carries break; if it said goodbye it is not to blame, nor asked again."""
        super().node_down(node)
        if self._is_leaving(node):
            self._away.add(node)
        self._leaving.pop(node, None)

    def node_up(self, node: int) -> None:
        """A node is back, and takes calls again."""
        super().node_up(node)
        self._away.discard(node)

    def _next(self, call: LiveCall) -> tuple[int, ...]:
        # within the notice everybody has heard who leaves; who vanishes without a word is missed after heartbeats only
        call.dead.update(self._away)
        return super()._next(call)

    def _is_leaving(self, node: int) -> bool:
        # in a fork an announced departure may have been taken out of the plan: then the node is there as before
        return self._leaving.get(node, -1.0) >= self._env.now

    def _testimony(self, node: int) -> Outcome:
        return Outcome.COMPLETED if self._is_leaving(node) else super()._testimony(node)

    def _refusing(self, call: LiveCall) -> tuple[list[int], str]:
        leaving = [node for node in call.path[1:-1] if self._is_leaving(node)]
        if leaving:
            return leaving, "relay is about to leave"
        full, why = super()._refusing(call)
        # who carries the call on the path in use has room for it
        return [node for node in full if call.number not in self._using[node]], why

    def _turn_away(self, call: LiveCall, crowded: list[int]) -> None:
        # an end with no link to spare cannot open a second path: the call stays where it is
        if call.flow < 0 or not {call.caller, call.callee}.intersection(crowded):
            super()._turn_away(call, crowded)

    def _try_later(self, call: LiveCall, seconds: float) -> None:
        moving = call.failovers if call.flow >= 0 else None
        self._env.schedule_record(self._env.now + seconds, "call.retry", call.number, moving)

    def _retry(self, number: int, moving: int | None) -> None:
        call = self._live.get(number)
        if moving is None:
            super()._retry(number, None)
        elif call is not None and call.flow >= 0 and call.failovers == moving:
            self._move(call)

    def _move(self, call: LiveCall) -> None:
        """Tries the next path while the one in use carries the call, and changes over if it stands."""
        used, other = call.path, self._next(call)
        if not other:
            call.asked = 0  # it stays as long as it can, and asks again when its path breaks
            return
        call.path = other
        ready = self._ready(call)
        call.path = used
        if ready is not None:
            self._close(call)
            self._receipts.complete(call, self._lived.stretch(call.row))
            call.path, call.broken_at = other, self._env.now
            self._connect(call, *ready)
