"""A gray hole drops a share of the media it relays and is honest in everything else, so as to stay unnoticed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshsim.agent.adversary.interceptor import adversaries
from meshsim.agent.effects import OpenMedia

if TYPE_CHECKING:
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream


@adversaries.register("gray_hole")
@dataclass(frozen=True, slots=True)
class GrayHole:
    """Drops media.

    Attributes:
        strength: Share of packets dropped.
        stream: Not drawn from: which packets are dropped is the driver's draw.
    """

    strength: float
    stream: Stream

    def incoming(self, message: Message, source: NodeId) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect) -> Effect | None:
        """Media that only pass through are thinned out."""
        if not isinstance(effect, OpenMedia) or effect.upstream is None or effect.downstream is None:
            return effect
        return replace(effect, drop=max(effect.drop, self.strength))
