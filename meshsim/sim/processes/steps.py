"""What a call goes through before a route is asked for, one step at a time; each step is a plain value."""

from __future__ import annotations

from dataclasses import dataclass

CLOSED = "domains on the way no longer federate"
"""Why a call ends whose border closes."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing yet.

    Attributes:
        until: When to look again, seconds.
    """

    until: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The call is over, through no fault of routing.

    Attributes:
        outcome: One of `measure.records.ASIDE`.
        reason: In words.
    """

    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """Somebody is there.

    Attributes:
        node: Index of the node that the route leads to.
    """

    node: int


Step = Wait | Ended | Answered
"""What comes of looking at a call that has no route yet."""
