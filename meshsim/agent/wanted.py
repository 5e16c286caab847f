"""Who is let into a node's belief although it is far away: whom a call looks for, and who is linked with that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.agent.messages import LinkState
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

MOST = 32
"""Nodes looked for at once; the oldest go first."""


class Wanted:
    """Nodes looked for beyond the own area, each for a while."""

    def __init__(self) -> None:
        self._until: dict[NodeId, float] = {}

    def __contains__(self, node: object) -> bool:
        return node in self._until

    def add(self, node: NodeId, until: float) -> None:
        """`node` is looked for until that monotonic second."""
        self._until[node] = max(until, self._until.get(node, until))
        if len(self._until) > MOST:
            del self._until[next(iter(self._until))]

    def age(self, now: Instant) -> None:
        """Forgets what is over."""
        self._until = {node: until for node, until in self._until.items() if until > now.mono}

    def speaks_of(self, statement: LinkState) -> bool:
        """Whether a statement is of a node that is looked for, or of one linked with it."""
        return bool(self._until) and not self._until.keys().isdisjoint(
            (statement.origin, *(entry.to for entry in statement.links))
        )
