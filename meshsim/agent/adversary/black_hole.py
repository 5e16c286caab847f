"""A black hole accepts calls like an honest relay and lets nothing through: no media, no keepalive from end to end.

H. Deng, W. Li, D. P. Agrawal, "Routing security in wireless ad hoc networks", IEEE Communications Magazine 40(10),
2002.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meshsim.agent.adversary.interceptor import adversaries
from meshsim.agent.effects import CloseMedia, OpenMedia, Send
from meshsim.agent.messages import CallKeepalive, CallReport

if TYPE_CHECKING:
    from meshsim.agent.adversary.interceptor import Means
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant


@adversaries.register("black_hole")
@dataclass(slots=True)
class BlackHole:
    """Swallows a share of the calls it relays.

    Attributes:
        means: Its strength is the probability that a call is swallowed; the draw belongs to the call's route.
    """

    means: Means
    _swallowed: dict[int, CallId] = field(default_factory=dict)

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """Media of swallowed calls are dropped, and what their ends say to each other while they last."""
        if isinstance(effect, OpenMedia) and effect.upstream is not None and effect.downstream is not None:
            if self.means.stream.at(effect.label) >= self.means.strength:
                return effect
            self._swallowed[effect.label] = effect.call
            return replace(effect, drop=1.0)
        if isinstance(effect, CloseMedia):
            self._swallowed.pop(effect.label, None)
        return None if self._is_talk(effect) else effect

    def _is_talk(self, effect: Effect) -> bool:
        """Whether the effect passes on what the ends of a swallowed call say to each other."""
        if not isinstance(effect, Send) or not isinstance(effect.message, CallKeepalive | CallReport):
            return False
        return effect.message.call in self._swallowed.values()
