"""The states of a call and how they follow each other, as a table.

idle -> resolving -> setup -> active -> ended             at the caller
idle -> active -> ended                                   at the callee, which answers at once
idle -> setup -> active -> ended                          at a relay, for each route
active -> failing_over -> active                          at both ends, when the path dies and another is found
"""

from __future__ import annotations

from enum import StrEnum

from meshsim.mesh.errors import LocalProtocolError


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
