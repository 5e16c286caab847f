"""What relays could win at most: how many direct paths are poor, and how many of those some relay repairs.

This is the question of VIA (Jiang et al., SIGCOMM 2016) asked of the world itself, without calls, beliefs or a policy:
each pair of peers on its own, with the truth of every one-hop relay at hand. Presets on measured latency are tuned by
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality import target
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import Role
from meshsim.sim.world import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """Shares of pairs of peers, in [0, 1].

    Attributes:
        poor: Whose direct path is poor or does not connect.
        rtt, jitter, loss: Whose direct path is beyond that bound of the target.
        repaired: Of the poor ones, for which some one-hop relay is not poor; NaN if none is poor.
        faster: For which some relay that connects has a shorter round trip than the direct path, which need not.
    """

    poor: float
    rtt: float
    jitter: float
    loss: float
    repaired: float
    faster: float


def headroom(
    plan: Plan,
    *,
    pairs: int = 300,
    instants: Sequence[float] = (300.0, 600.0, 900.0),
    media: MediaType = MediaType.AUDIO,
) -> Headroom:
    """What one-hop relays could win in the world of `plan`, with no call but the one asked about.

    Args:
        plan: With peers and relaying nodes.
        pairs: How many random pairs of peers, spread over the instants.
        instants: Seconds after the start at which is looked, ascending.
        media: What the calls carry.

    Raises:
        ConfigError: If there are no relays, fewer than two peers, or fewer pairs than instants.
    """
    world, draw = World(plan), SeedTree(plan.seed).generator("lab/headroom")
    relays, peers = (np.flatnonzero((plan.nodes.role == Role.PEER) == is_peer) for is_peer in (False, True))
    if not len(relays) or len(peers) < 2 or not 0 < len(instants) <= pairs:  # noqa: PLR2004 - both ends
        problem = f"{len(peers)} peers, {len(relays)} relaying nodes and {pairs} pairs at {len(instants)} instants"
        raise ConfigError(problem, allowed=["two peers, a relaying node, and a pair at each instant"])
    seen = []
    for some, instant in zip(np.array_split(np.arange(pairs), len(instants)), instants, strict=True):
        world.advance(instant)
        for _ in some:
            ends = draw.choice(peers, 2, replace=False).tolist()
            seen.append(_look(world, ends, relays.tolist(), media))
    shares = np.array(seen)
    bad = shares[:, 0] > 0
    poor, rtt, jitter, loss, _, faster = shares.mean(axis=0).tolist()
    repaired = float(shares[bad, 4].mean()) if bad.any() else float("nan")
    return Headroom(poor=poor, rtt=rtt, jitter=jitter, loss=loss, repaired=repaired, faster=faster)


def _look(world: World, ends: Sequence[int], relays: Sequence[int], media: MediaType) -> list[bool]:
    """Poor, beyond each bound, repaired, faster: of the direct path between two `ends`."""
    first, last = ends
    paths = [(first, last), *((first, relay, last) for relay in relays)]
    truth, bound = world.path_truth(paths, demand(media)), target(media)
    poor = truth.poor(media)
    beyond = [truth.rtt[0] > bound.rtt, truth.jitter[0] > bound.jitter, truth.loss[0] > bound.loss]
    shortest = truth.rtt[1:].min(where=truth.connected[1:], initial=np.inf)
    return [bool(told) for told in (poor[0], *beyond, not poor[1:].all(), shortest < truth.rtt[0])]
