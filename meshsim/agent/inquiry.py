"""Beyond the own area: what a node asks its neighbours of a callee whose links it does not know.

A node keeps the nearest few hundred nodes in mind. Whom it calls may be none of them; then no route is known. It asks
the neighbours it gossips with. One that knows the node's statement answers with it, and with the statements of those
linked with it, as ordinary news; one that only knows who is linked with it asks those, once. So routes are found as far
as they may be long, and nobody floods.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.agent.messages import DIGEST_ENTRIES, Digest, Inquiry
from meshsim.agent.states import CallState

if TYPE_CHECKING:
    from meshsim.agent.calls import Call
    from meshsim.agent.core import Core
    from meshsim.agent.linktable import LinkTable
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

REACH = 2
"""How often an inquiry is handed on at most, the first time among it."""
PATIENCE, WANTED = 1.0, 60.0
"""Seconds for which a call waits for answers; and for which the nodes that were asked for are kept in mind."""
RETRY, LOOK = 0.5, 0.1
"""Seconds until a lost call looks for a route again; until one that waits for answers does."""
ONWARD, ASKERS, PER_SECOND = 3, 64, 20
"""Neighbours that one inquiry is handed on to, inquiries kept in mind, and taken from one neighbour in a second."""


class Inquiries:
    """What this node asks, and what it is asked.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        table: Its belief.
    """

    def __init__(self, core: Core, neighbourhood: Neighbourhood, table: LinkTable) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._table = table
        self._askers: dict[tuple[NodeId, NodeId], float] = {}
        self._taken: dict[NodeId, tuple[int, int]] = {}

    def pause(self, call: Call, now: Instant) -> float:
        """Seconds after which a call without a route may look again; infinity where there is nothing to wait for."""
        if call.state is CallState.FAILING_OVER:
            patient = call.parting is None and now.mono < call.shaky + self._core.config.failover_timeout
            return RETRY if patient else math.inf
        if not self._core.config.inquire or call.stood:
            return math.inf
        if math.isnan(call.inquired):
            call.inquired = now.mono
            unknown = [node for node in call.destinations if self._table.statement(node) is None]
            if not unknown:
                call.inquired = -math.inf
            for node in unknown:
                self._ask(node, now)
        return LOOK if now.mono < call.inquired + PATIENCE else math.inf

    def _ask(self, node: NodeId, now: Instant) -> None:
        self._table.wanted.add(node, now.mono + WANTED)
        for neighbour in self._neighbourhood.gossiping():
            if neighbour.node != node:
                self._core.send(neighbour.node, Inquiry(node, REACH))

    def hear(self, inquiry: Inquiry, source: NodeId, now: Instant) -> None:
        """A neighbour asks."""
        second, count = self._taken.get(source, (0, 0))
        count = count + 1 if second == int(now.mono) else 1
        self._taken[source] = int(now.mono), count
        if count > PER_SECOND:
            self._core.reject("inquiries")
        elif not self._tell(inquiry.about, source, now) and inquiry.ttl > 1:
            self._hand_on(inquiry, source, now)

    def answer(self, now: Instant) -> None:
        """There is news: those who asked for it are told."""
        for (node, asker), until in list(self._askers.items()):
            if now.mono > until or self._tell(node, asker, now):
                del self._askers[node, asker]

    def _tell(self, node: NodeId, asker: NodeId, now: Instant) -> bool:
        first = self._table.told(node, now)
        if first is None:
            return False
        linked = (self._table.told(entry.to, now) for entry in first.statement.links)
        told = (first, *(one for one in linked if one is not None))
        self._core.send(asker, Digest(told[:DIGEST_ENTRIES]))
        return True

    def _says_linked(self, node: NodeId, other: NodeId) -> bool:
        statement = self._table.statement(node)
        return statement is not None and any(entry.to == other for entry in statement.links)

    def _hand_on(self, inquiry: Inquiry, source: NodeId, now: Instant) -> None:
        """Asks those who say that they are linked with the node."""
        linked = [
            neighbour.node
            for neighbour in self._neighbourhood.gossiping()
            if neighbour.node != source and self._says_linked(neighbour.node, inquiry.about)
        ][:ONWARD]
        if linked and len(self._askers) < ASKERS:
            self._askers[inquiry.about, source] = now.mono + PATIENCE
            self._table.wanted.add(inquiry.about, now.mono + PATIENCE)
            for node in linked:
                self._core.send(node, Inquiry(inquiry.about, inquiry.ttl - 1))
