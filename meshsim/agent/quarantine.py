"""Who was caught telling different things under one number: proof, for others too, and a while without belief.

A statement's version is its origin's epoch and sequence. Two that differ under one version, both signed, prove that the
origin tells its neighbours different things; nothing that it says of its links is worth anything then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.samples import EventSample
from meshsim.agent.signing import is_signed

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.messages import Equivocation
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

PROOFS = 64
"""Most nodes in quarantine; for a new one the one caught longest ago is let out."""


class Quarantine:
    """The nodes that are not believed, and may not relay, for `AgentConfig.quarantine` seconds.

    Args:
        core: The agent's common ground.
        neighbourhood: Whom to tell.

    Attributes:
        nodes: Who is in it.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood) -> None:
        self.nodes: frozenset[NodeId] = frozenset()
        self._core = core
        self._neighbourhood = neighbourhood
        self._caught: dict[NodeId, tuple[float, Equivocation]] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self.nodes

    def proofs(self) -> list[Equivocation]:
        """What its nodes were caught at, by node id."""
        return [self._caught[node][1] for node in sorted(self._caught)]

    def contradict(self, proof: Equivocation, now: Instant, source: NodeId | None = None) -> bool:
        """Takes in what may prove that a node told two things at once; whether it does, and is news.

        Args:
            proof: Two statements.
            now: The time.
            source: The neighbour that sent the proof; None where it came about here.
        """
        first, second = proof.first, proof.second
        origin = first.origin
        if origin == self._core.node or origin in self.nodes:
            return False
        alike = second.origin != origin or first.version != second.version or first == second
        if alike or not all(is_signed(one, origin, self._core.verifier) for one in (first, second)):
            self._core.reject("no_proof")
            return False
        if len(self._caught) >= PROOFS:
            del self._caught[next(iter(self._caught))]
        self._caught[origin] = now.mono + self._core.config.quarantine, proof
        self.nodes = frozenset(self._caught)
        self._core.emit(EventSample(at=now.mono, kind="equivocated", node=origin))
        for neighbour in self._neighbourhood.gossiping():
            if neighbour.node not in (origin, source):
                self._core.send(neighbour.node, proof)
        return True

    def release(self, now: Instant) -> None:
        """Lets those out whose time is over."""
        over = [node for node, (until, _) in self._caught.items() if until <= now.mono]
        for node in over:
            del self._caught[node]
        if over:
            self.nodes = frozenset(self._caught)
