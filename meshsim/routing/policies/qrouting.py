"""Q-routing: each caller learns what it costs to reach a region over each of its next hops."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import MediaType
from meshsim.routing.policies.atlas import Atlas, believed_cost, lived_cost, media_of
from meshsim.routing.policies.base import POLICIES, believed_scores
from meshsim.routing.policies.dice import Dice, check_share, epsilon_greedy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import Stream
    from meshsim.routing.features import Features, Scores
    from meshsim.routing.policies.base import Outcome

RATE = 0.3
"""Weight of the newest call in a Q."""

BELIEF = 0.01
"""Weight of what is believed of the whole path beside what was learnt of its first hop: it decides among equals."""

STRAIGHT = NodeId(b"")
"""The next hop of direct paths, whoever is called."""

Key = tuple[NodeId, int, NodeId, MediaType]
"""A node, the region of the destination, the next hop, what the call carries."""


@dataclass(slots=True)
class _Mind:
    """What one observer has learnt: Q by key, and where nodes are."""

    atlas: Atlas = field(default_factory=Atlas)
    q: dict[Key, float] = field(default_factory=dict)


@POLICIES.register("q-routing")
class QRouting:
    """Least learnt cost of the first hop towards the region of the destination; what was never tried is as believed.

    Source: Boyan, Littman, "Packet routing in dynamically changing networks: a reinforcement learning approach",
    NIPS 1993. There a packet is passed on hop by hop, and a node learns from its neighbour's estimate of the rest of
    the way. Here the caller chooses the whole path and hears how it fared from end to end, so a Q moves towards what
    was lived, and no node has to tell another its estimates; costs are MOS forgone rather than seconds in queues; and
    destinations are regions, for two people seldom talk often enough to learn from. What spoils a voice may suit a
    transfer, so each type of media is learnt by itself.

    A Q is its caller's own: nobody profits from what others lived. Both ends learn from a call, for both measure it.
    Scoring P paths takes P look-ups; there is one Q for each next hop that a node ever used towards a region
    for each type of media.

    Args:
        rate: Weight of the newest call, in [0, 1].
        epsilon: Share of calls that take any feasible path, in [0, 1].
        stream: Where draws come from.

    Raises:
        ConfigError: If a share is none.
    """

    name = "q-routing"

    def __init__(self, *, rate: float = RATE, epsilon: float = 0.1, stream: Stream | None = None) -> None:
        self.rate = check_share(rate, "rate")
        self.epsilon = check_share(epsilon, "epsilon")
        self.dice = Dice() if stream is None else Dice(stream)
        self._minds: dict[NodeId | None, _Mind] = {}

    def score(self, features: Features) -> Scores:
        """Minus the learnt cost, or the believed one where nothing was learnt."""
        believed = believed_cost(features)
        mind, ids = self._mind(knower_of(features)), features.graph.nodes.ids
        region = mind.atlas.look(features.graph)
        ends = np.cumsum(features.belief.hops)
        source, after = features.hop_src[ends - features.belief.hops], features.hop_dst[ends - features.belief.hops]
        target = features.hop_dst[ends - 1]
        rows = zip(source.tolist(), after.tolist(), target.tolist(), media_of(features), strict=True)
        keys: list[Key] = [(ids[a], region[z], STRAIGHT if b == z else ids[b], media) for a, b, z, media in rows]
        learnt = np.array([mind.q.get(key, cost) for key, cost in zip(keys, believed.tolist(), strict=True)])
        return believed_scores(features, -(learnt + BELIEF * believed))

    def observe(self, outcome: Outcome) -> None:
        """Moves the Q of the caller, and of the callee if both tell, towards what was lived."""
        cost = lived_cost(outcome)
        if np.isnan(cost):
            return
        mind = self._mind(outcome.observer)
        self._learn(mind, outcome.path, outcome.media, cost)
        if outcome.observer is None:
            self._learn(mind, outcome.path[::-1], outcome.media, cost)

    def _learn(self, mind: _Mind, path: Sequence[NodeId], media: MediaType, cost: float) -> None:
        region = mind.atlas.of(path[-1])
        if region is not None:
            key = path[0], region, STRAIGHT if len(path) == 2 else path[1], media  # noqa: PLR2004 - both ends alone
            before = mind.q.get(key, cost)
            mind.q[key] = before + self.rate * (cost - before)

    def propensity(self, utility: NDArray[np.float64]) -> NDArray[np.float64]:
        """The best of K, or with probability epsilon any."""
        return epsilon_greedy(utility, self.epsilon)

    def draw(self) -> float:
        """The draw of the next request."""
        return self.dice.draw()

    def _mind(self, knower: NodeId | None) -> _Mind:
        return self._minds.setdefault(knower, _Mind())


def knower_of(features: Features) -> NodeId | None:
    """Whose belief a view is: a node's, or None where it is that of an area, for which one controller learns."""
    owner, _ = features.version
    return features.graph.nodes.ids[owner] if owner >= 0 else None
