"""The calls of which a node is an end, and routes of theirs that ended a moment ago."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from meshsim.agent.calls import summary
from meshsim.agent.states import CallState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.agent.calls import Call
    from meshsim.agent.core import Core
    from meshsim.agent.legs import Leg
    from meshsim.agent.messages import CallKeepalive, CallReject, CallReport, CallSwitch
    from meshsim.agent.samples import CallSample
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant

OverOneRoute: TypeAlias = "CallReject | CallKeepalive | CallReport | CallSwitch"
"""What goes from end to end and names its direction."""


class CallBook:
    """All own calls of a node.

    Args:
        core: The agent's common ground.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._calls: dict[CallId, Call] = {}
        self._closing: dict[tuple[CallId, int], Leg] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        """The calls that go on, by id; it may change meanwhile."""
        return iter([self._calls[call] for call in sorted(self._calls)])

    def __getitem__(self, call: CallId) -> Call:
        return self._calls[call]

    def get(self, call: CallId) -> Call | None:
        """A call that goes on; None if it has ended, or is not known."""
        return self._calls.get(call)

    def add(self, call: Call) -> None:
        """A call begins."""
        self._calls[call.id] = call

    def remove(self, call: Call, now: Instant) -> None:
        """A call has ended, with all its routes."""
        for leg in call.legs():
            self.close(leg, now)
        del self._calls[call.id]

    def close(self, leg: Leg, now: Instant) -> None:
        """One route has ended: what still comes over it for a while is only late."""
        self._closing[leg.key] = leg
        self._core.alarms.set(("linger", *leg.key), now.mono + self._core.config.linger)

    def forget(self, call: CallId, attempt: int) -> None:
        """Drops a route that ended a while ago."""
        self._closing.pop((call, attempt), None)

    def is_closing(self, key: tuple[CallId, int]) -> bool:
        """Whether a route ended a moment ago, so that what still comes over it is only late."""
        return key in self._closing

    def leg(self, call: CallId, attempt: int) -> Leg | None:
        """A route of a call that goes on."""
        legs = self._calls[call].legs() if call in self._calls else []
        return next((leg for leg in legs if leg.setup.attempt == attempt), None)

    def ending(self, call: CallId, attempt: int) -> Leg | None:
        """A route that ended a moment ago, else one that goes on."""
        return self._closing.get((call, attempt)) or self.leg(call, attempt)

    def find(self, message: OverOneRoute, source: NodeId) -> tuple[Call | None, Leg | None]:
        """The call and route of an end-to-end message that came from the right side."""
        leg = self.leg(message.call, message.attempt)
        if leg is None or not leg.is_right_side(source, onward=message.onward):
            return None, None
        return self._calls[message.call], leg

    def so_far(self, call: CallId, now: Instant) -> CallSample | None:
        """How an outgoing call goes, as if it ended now; None if it has ended."""
        known = self._calls.get(call)
        return None if known is None or not known.outgoing else summary(known, self._core.node, now, outcome="running")

    def state(self, call: CallId) -> CallState:
        """Where a call stands; one that is not known (any more) has ended."""
        return self._calls[call].state if call in self._calls else CallState.ENDED

    def legs(self) -> list[Leg]:
        """The routes in use, standing by, or being set up."""
        return [leg for call in self for leg in call.in_use()]
