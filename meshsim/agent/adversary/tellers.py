"""False words about links and about what was measured: lying metrics, wormholes, and poisoned training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from meshsim.agent.adversary.interceptor import adversaries
from meshsim.agent.adversary.lies import TUNNEL_DELAY, TUNNEL_RATE, Lie, improved, retold, tunnelled, words
from meshsim.agent.effects import Emit, Send
from meshsim.agent.messages import LINK_ENTRIES, RATE_MOST, Digest, LinkEntry, LinkState
from meshsim.agent.samples import CallSample
from meshsim.agent.signing import sign
from meshsim.mesh.time import to_nanoseconds, to_seconds

if TYPE_CHECKING:
    from meshsim.agent.adversary.interceptor import Means
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant


def lying_metrics(means: Means, links: tuple[LinkEntry, ...]) -> tuple[LinkEntry, ...]:
    """Every link is claimed some times better than it was measured."""
    times = improved(means.strength, means.factor)
    return tuple(
        msgspec.structs.replace(
            link,
            delay_ns=round(link.delay_ns / times),
            jitter_ns=round(link.jitter_ns / times),
            loss=link.loss / times,
            rate_bps=min(link.rate_bps * times, RATE_MOST),
        )
        for link in links
    )


def wormhole(means: Means, links: tuple[LinkEntry, ...]) -> tuple[LinkEntry, ...]:
    """The link to an accomplice is claimed to be all but instant, whether it is there or not."""
    known = {link.to: link for link in links}
    ends = means.friends if means.tunnel is None else means.tunnel
    for friend in sorted(ends - {means.node}):
        link = known.get(friend)
        if link is not None:
            delay = tunnelled(to_seconds(link.delay_ns), means.strength)
            known[friend] = msgspec.structs.replace(link, delay_ns=to_nanoseconds(delay))
        elif means.strength > 0.0 and len(known) < LINK_ENTRIES:
            delay, rate = TUNNEL_DELAY / means.strength, TUNNEL_RATE * means.strength
            known[friend] = LinkEntry(friend, to_nanoseconds(delay), 0, 0.0, rate)
    return tuple(known.values())


CLAIMS: dict[str, Callable[[Means, tuple[LinkEntry, ...]], tuple[LinkEntry, ...]]] = {
    "lying_metrics": lying_metrics,
    "wormhole": wormhole,
}
"""What each kind makes of its links."""


@dataclass(slots=True)
class LinkLiar:
    """Alters what a node states of its own links, and signs it anew; the same statement always the same way.

    Attributes:
        means: What it has at its disposal.
        kind: Which of `CLAIMS` it makes.
    """

    means: Means
    kind: str
    _last: tuple[LinkState, LinkState] | None = field(default=None)

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """Its own statements are altered, whoever is told."""
        if self.means.strength == 0.0 or not isinstance(effect, Send):
            return effect
        message = effect.message
        if isinstance(message, LinkState) and message.origin == self.means.node:
            return replace(effect, message=self._claimed(message))
        if not isinstance(message, Digest):
            return effect
        entries = tuple(
            msgspec.structs.replace(told, statement=self._claimed(told.statement))
            if told.statement.origin == self.means.node
            else told
            for told in message.entries
        )
        return replace(effect, message=msgspec.structs.replace(message, entries=entries))

    def _claimed(self, statement: LinkState) -> LinkState:
        if self._last is None or self._last[0] is not statement:
            altered = msgspec.structs.replace(statement, links=CLAIMS[self.kind](self.means, statement.links))
            self._last = statement, sign(altered, self.means.signer)
        return self._last[1]


@adversaries.register("poisoning")
@dataclass(frozen=True, slots=True)
class Poisoner:
    """Writes down of its own calls what is not so, for those who learn from its traces.

    Attributes:
        means: Its strength is the share of calls it writes falsely of.
    """

    means: Means

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """What becomes of calls over accomplices was good, over others bad."""
        if not isinstance(effect, Emit) or not isinstance(effect.sample, CallSample):
            return effect
        sample = effect.sample
        draw = self.means.stream.at(int.from_bytes(sample.call[:4], "big"))
        said = retold(self.means.mind, sample.final_path[1:-1], draw)
        if said is Lie.TRUTH:
            return effect
        return Emit(sample=replace(sample, **words(said, CallSample.__slots__)))


for _kind in CLAIMS:
    adversaries.add(_kind, partial(LinkLiar, kind=_kind))
