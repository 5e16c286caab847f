"""A real node that misbehaves, for experiments: its options, and what they make of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.agent.adversary import Ed25519Mint, Means, adversaries, interceptors
from meshsim.agent.adversary.timing import Cycle, Window
from meshsim.mesh.errors import ConfigError, IdentityError, nearest
from meshsim.mesh.ids import from_did_key

if TYPE_CHECKING:
    from meshsim.agent.adversary import Interceptor
    from meshsim.identity.keys import Ed25519Signer
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.seeds import SeedTree


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackConfig:
    """What a misbehaving node does beside its first misbehaviour, when, with whom and against whom.

    Attributes:
        also: Further misbehaviours.
        friends: `did:key` of its accomplices.
        targets: `did:key` of those it is against; all who are no friends when absent.
        since: Seconds after its start at which it begins.
        until: Seconds after its start from which it is honest again; never when absent.
        period: Seconds of one cycle of an on-off node.
        duty: Share of the cycle in which it is bad.
        rate: Made-up calls an hour.
        identities: Identities that it makes up.
        factor: How many times better than they are its links are claimed.

    Raises:
        ConfigError: If a misbehaviour is unknown, a node is no `did:key`, or a number is out of its range.
    """

    also: tuple[str, ...] = ()
    friends: tuple[str, ...] = ()
    targets: tuple[str, ...] | None = None
    since: float = 0.0
    until: float | None = None
    period: float = 600.0
    duty: float = 0.5
    rate: float = 12.0
    identities: int = 10
    factor: float = 10.0

    def __post_init__(self) -> None:
        for name in self.also:
            if name not in adversaries:
                problem = f"unknown misbehaviour {name!r}"
                raise ConfigError(problem, key="attack", allowed=list(adversaries), nearest=nearest(name, adversaries))
        nodes_of((*self.friends, *(self.targets or ())))
        bounded = 0.0 < self.period < math.inf and 0.0 <= self.rate < math.inf and 1.0 <= self.factor < math.inf
        timely = 0.0 <= self.since < (math.inf if self.until is None else self.until)
        if not (bounded and timely and 0.0 <= self.duty <= 1.0 and self.identities >= 0):
            raise ConfigError(f"no attack goes like this: {self}", key="attack")


def nodes_of(texts: tuple[str, ...]) -> frozenset[NodeId]:
    """The nodes of some `did:key`s.

    Raises:
        ConfigError: If one is none.
    """
    try:
        return frozenset(from_did_key(text) for text in texts)
    except IdentityError as wrong:
        raise ConfigError(str(wrong), key="attack") from wrong


def misbehaviour(
    first: str, strength: float, options: AttackConfig, signer: Ed25519Signer, seeds: SeedTree, start: float
) -> tuple[Interceptor, ...]:
    """What stands between an agent and its driver; nothing if it is honest.

    Args:
        first: `honest`, or how it misbehaves first of all.
        strength: Of all that it does.
        options: The rest.
        signer: The node's key.
        seeds: Where its draws come from.
        start: Monotonic second at which the node begins.
    """
    if first == "honest":
        return ()
    entity = int.from_bytes(signer.node_id[:6], "big")
    stream = seeds.stream("node/adversary", entity)
    means = Means(
        strength=strength,
        stream=stream,
        signer=signer,
        mint=Ed25519Mint(stream.key.to_bytes(16, "big")),
        friends=nodes_of(options.friends),
        targets=None if options.targets is None else nodes_of(options.targets),
        window=Window(since=start + options.since, until=math.inf if options.until is None else start + options.until),
        cycle=Cycle(period=options.period, duty=options.duty),
        rate=options.rate,
        identities=options.identities,
        factor=options.factor,
    )
    return interceptors((first, *options.also), means)
