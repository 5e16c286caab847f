"""What every misbehaviour is: a filter of what comes in and what goes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from meshsim.agent.adversary.lies import Mind
from meshsim.agent.adversary.timing import Cycle, Window
from meshsim.mesh.registry import Registry

if TYPE_CHECKING:
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.identity.keys import Signer
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import Stream
    from meshsim.mesh.time import Instant


class Interceptor(Protocol):
    """Stands between an agent and its driver. Plain data, like the agent."""

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:
        """What the agent gets to see of `message` at `now`; None for nothing."""

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:
        """What the driver gets to see of `effect` at `now`; None for nothing."""


class Mint(Protocol):
    """Makes identities up: keys that belong to nobody."""

    def signer(self, number: int) -> Signer:
        """The key of a made-up identity; the same for the same number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a misbehaving node has at its disposal.

    Attributes:
        strength: In [0, 1]; 0 changes nothing.
        stream: Where its draws come from.
        signer: Its key: what it alters of its own words it signs anew.
        mint: Where made-up identities come from; None for none.
        friends: Its accomplices, itself among them.
        tunnel: To whom it claims a wormhole; None for all its friends.
        targets: Whom it is against; None for all who are no friends.
        window: When it misbehaves at all.
        cycle: Of a node that is bad now and then.
        rate: Made-up calls an hour at full strength.
        identities: Identities it makes up.
        factor: How many times better than they are its links are claimed.
        before: Its kinds that have the word before the one that these means are for.
    """

    strength: float
    stream: Stream
    signer: Signer
    mint: Mint | None = None
    friends: frozenset[NodeId] = frozenset()
    tunnel: frozenset[NodeId] | None = None
    targets: frozenset[NodeId] | None = None
    window: Window = field(default_factory=Window)
    cycle: Cycle = field(default_factory=Cycle)
    rate: float = 12.0
    identities: int = 10
    factor: float = 10.0
    before: tuple[str, ...] = ()

    @property
    def node(self) -> NodeId:
        """The node itself."""
        return self.signer.node_id

    @property
    def mind(self) -> Mind[NodeId]:
        """What it has in mind when it speaks of others."""
        return Mind(strength=self.strength, friends=self.friends | {self.node}, targets=self.targets)


adversaries: Registry[Callable[[Means], Interceptor]] = Registry("misbehaviour")
"""Makers of interceptors by name: `adversaries["gray_hole"](means)`."""


@dataclass(slots=True)
class Timed:
    """Misbehaviour within a window of time, honesty outside.

    Attributes:
        inner: What it does then.
        window: When.
    """

    inner: Interceptor
    window: Window

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:
        """What the misbehaviour lets through; it listens at all times, so as to know what it needs."""
        passed = self.inner.incoming(message, source, now)
        return passed if now.mono in self.window else message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:
        """What the misbehaviour makes of it, in its time."""
        return self.inner.outgoing(effect, now) if now.mono in self.window else effect


def interceptors(kinds: tuple[str, ...], means: Means) -> tuple[Interceptor, ...]:
    """All that a node of some kinds does, in its window of time.

    Args:
        kinds: Names in `adversaries`.
        means: What it has at its disposal.
    """
    own = [replace(means, before=kinds[:place]) for place in range(len(kinds))]
    return tuple(Timed(adversaries[kind](each), means.window) for kind, each in zip(kinds, own, strict=True))
