"""What every misbehaviour is: a filter of what comes in and what goes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from meshsim.mesh.registry import Registry

if TYPE_CHECKING:
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream


class Interceptor(Protocol):
    """Stands between an agent and its driver. Plain data, like the agent."""

    def incoming(self, message: Message, source: NodeId) -> Message | None:
        """What the agent gets to see of `message`; None for nothing."""

    def outgoing(self, effect: Effect) -> Effect | None:
        """What the driver gets to see of `effect`; None for nothing."""


adversaries: Registry[Callable[[float, Stream], Interceptor]] = Registry("misbehaviour")
"""Makers of interceptors by name: `adversaries["gray_hole"](strength, stream)`."""
