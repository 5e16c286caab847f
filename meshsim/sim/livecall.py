"""What is known of one call while it is under way: plain data, which `calls` moves on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.agent.core import AgentConfig
from meshsim.routing.engine import NO_CLAIMS
from meshsim.sim.lived import NAN

if TYPE_CHECKING:
    from meshsim.mesh.media import MediaType
    from meshsim.routing.engine import Claims

DETECTION = AgentConfig().silence
"""Seconds until a call's ends notice that nothing comes through: three missed keepalives of half a second."""

REFUSAL = 0.2
"""Seconds until a relay's refusal is heard."""


@dataclass(slots=True, kw_only=True)
class LiveCall:
    """A call under way.

    Attributes:
        number: Row in the plan.
        caller: Node index.
        callee: Node index.
        media: What it carries.
        start: Seconds.
        end: When it is to end, seconds.
        first: The path first chosen, empty until then.
        path: The path in use or tried last.
        waiting: Paths to try next, best first.
        dead: Relays found dead or mute.
        answered: When somebody answered and paths were first asked for, seconds; NaN until then.
        asked: How often paths were asked for once more since media last flowed.
        row: Where `Lived` keeps what it lives through.
        flow: The open flow, or -1.
        broken_at: Since when nothing has come through, or NaN.
        gap: Seconds of outage after media first flowed.
        failovers: Changes of path after media first flowed.
        claims: What the policy claimed for its choice.
    """

    number: int
    caller: int
    callee: int
    media: MediaType
    start: float
    end: float
    first: tuple[int, ...] = ()
    path: tuple[int, ...] = ()
    waiting: list[tuple[int, ...]] = field(default_factory=list)
    dead: set[int] = field(default_factory=set)
    answered: float = NAN
    asked: int = 0
    row: int = -1
    flow: int = -1
    broken_at: float = NAN
    gap: float = 0.0
    failovers: int = 0
    claims: Claims = NO_CLAIMS
