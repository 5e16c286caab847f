"""Gray holes drop a share of the media they relay and are honest in everything else, so as to stay unnoticed.

S. Marti, T. J. Giuli, K. Lai, M. Baker, "Mitigating routing misbehavior in mobile ad hoc networks", MobiCom 2000;
on-off: L. F. Perrone, S. C. Nelson, "A study of on-off attack models for wireless ad hoc networks", OpComm 2006;
milking: M. Srivatsa, L. Xiong, L. Liu, "TrustGuard", WWW 2005. How much is dropped is settled when a call's media open.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meshsim.agent.adversary.interceptor import adversaries
from meshsim.agent.adversary.timing import PATIENCE
from meshsim.agent.effects import OpenMedia
from meshsim.agent.messages import CallSetup

if TYPE_CHECKING:
    from meshsim.agent.adversary.interceptor import Means
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant

REMEMBERED = 512
"""Calls whose ends a selective gray hole remembers."""


def _thinned(effect: OpenMedia, share: float) -> OpenMedia:
    return replace(effect, drop=max(effect.drop, share))


def _relays(effect: Effect) -> bool:
    return isinstance(effect, OpenMedia) and effect.upstream is not None and effect.downstream is not None


@adversaries.register("gray_hole")
@dataclass(frozen=True, slots=True)
class GrayHole:
    """Drops media of all calls it relays.

    Attributes:
        means: Its strength is the share of packets dropped.
    """

    means: Means

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:
        """Media that only pass through are thinned out."""
        if not isinstance(effect, OpenMedia) or not _relays(effect):
            return effect
        return _thinned(effect, self.means.strength) if self._is_bad(now) else effect

    def _is_bad(self, now: Instant) -> bool:  # noqa: ARG002 - for those that are not always
        return True


@adversaries.register("on_off")
@dataclass(frozen=True, slots=True)
class OnOff(GrayHole):
    """A gray hole for a part of each cycle, an honest relay for the rest."""

    def _is_bad(self, now: Instant) -> bool:
        return self.means.cycle.is_bad(now.mono)


@adversaries.register("milking")
@dataclass(slots=True)
class Milking:
    """Serves well until it is thought well of, then drops media for good.

    Attributes:
        means: Its strength is the share of packets dropped.
        carried: Calls that it has relayed.
    """

    means: Means
    carried: int = 0

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """Media are thinned out once enough calls went well."""
        if not isinstance(effect, OpenMedia) or not _relays(effect):
            return effect
        self.carried += 1
        return _thinned(effect, self.means.strength) if self.carried > PATIENCE else effect


@adversaries.register("selective")
@dataclass(slots=True)
class Selective:
    """Drops media of its victims' calls alone.

    Attributes:
        means: Its strength is the share of packets dropped; its targets are the victims.
    """

    means: Means
    _ends: dict[CallId, tuple[NodeId, NodeId]] = field(default_factory=dict)

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in; of set-ups it remembers whose call it is."""
        if isinstance(message, CallSetup):
            self._ends[message.call] = message.path[0], message.path[-1]
            if len(self._ends) > REMEMBERED:
                del self._ends[next(iter(self._ends))]
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """Media of calls from or to a victim are thinned out."""
        if not isinstance(effect, OpenMedia) or not _relays(effect):
            return effect
        hurt = any(map(self.means.mind.is_against, self._ends.get(effect.call, ())))
        return _thinned(effect, self.means.strength) if hurt else effect
