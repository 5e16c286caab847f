"""What neighbours tell each other of the mesh: statements and receipts, once a round; what is quite new, sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.messages import DIGEST_ENTRIES, RECEIPT_ENTRIES, Digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.agent.complaints import Complaints
    from meshsim.agent.core import AlarmKey, Core
    from meshsim.agent.linktable import LinkTable
    from meshsim.agent.messages import Receipt
    from meshsim.agent.neighbours import Neighbour, Neighbourhood
    from meshsim.agent.receipts import Ledger
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

DIGESTS_PER_ROUND = 6
"""Most digests to one neighbour in one round; what is left waits for the next."""

FIRST_DIGEST = 1.0
"""Seconds after which a node that just started gossips for the first time, so that it is known soon."""

_ROUND: AlarmKey = ("digest", b"", 0)


class Gossip:
    """An agent's part in the gossip of its area.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        table: Its belief.
        ledger: Its receipts.
        complaints: What it has heard of abuse.
    """

    def __init__(
        self, core: Core, neighbourhood: Neighbourhood, table: LinkTable, ledger: Ledger, complaints: Complaints
    ) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._table = table
        self._ledger = ledger
        self._complaints = complaints

    def begin(self, now: Instant) -> None:
        """Sets the first round."""
        self._core.alarms.set(_ROUND, now.mono + FIRST_DIGEST * (0.5 + self._core.draw()))

    def round(self, load: float, calls: int, now: Instant) -> None:
        """Tells every neighbour the news, and what this node has to say of itself.

        Args:
            load: Share of its call capacity in use.
            calls: Calls it carries for others.
            now: The time.
        """
        period = self._core.config.digest_period
        self._core.alarms.set(_ROUND, now.mono + period * (0.95 + 0.1 * self._core.draw()))
        self._table.age(now)
        self._table.state(load, calls, now)
        for neighbour in self._neighbourhood.gossiping():
            self._tell(neighbour, now)

    def welcome(self, node: NodeId, now: Instant) -> None:
        """There is a new link to `node`: tells it all, and soon tells others of the link."""
        for neighbour in self._neighbourhood.gossiping():
            if neighbour.node == node:
                self._tell(neighbour, now)
                self._hurry(now)

    def hear(self, digest: Digest, source: NodeId, now: Instant) -> Sequence[Receipt]:
        """Takes in the news of a neighbour; the receipts that are of interest here."""
        self._neighbourhood[source].gossips = True
        for told in digest.entries:
            known = self._table.statement(told.statement.origin)
            if self._table.accept(told, source, now) and (known is None or known.epoch < told.statement.epoch):
                self._hurry(now)
        return [receipt for receipt in digest.receipts if any(node in self._table for node in receipt.path[1:-1])]

    def _hurry(self, now: Instant) -> None:
        """A node came, or came back: the next round begins soon, and with it whatever else came by then."""
        pause = self._core.config.hurry
        if pause > 0.0 and self._core.alarms.at(_ROUND) > now.mono + pause:
            self._core.alarms.set(_ROUND, now.mono + pause)

    def _tell(self, neighbour: Neighbour, now: Instant) -> None:
        """Tells one neighbour what is new since it was told last."""
        news = self._table.news(neighbour, now)
        told = news[: DIGESTS_PER_ROUND * DIGEST_ENTRIES]
        neighbour.told = self._table.revision if len(told) == len(news) else told[-1][0]
        for start in range(0, len(told), DIGEST_ENTRIES):
            entries = tuple(entry for _, entry in told[start : start + DIGEST_ENTRIES])
            self._core.send(neighbour.node, Digest(entries))
        receipts = self._ledger.since(neighbour.shown)[: DIGESTS_PER_ROUND * RECEIPT_ENTRIES]
        neighbour.shown = receipts[-1][0] if receipts else neighbour.shown
        for start in range(0, len(receipts), RECEIPT_ENTRIES):
            shown = tuple(receipt for _, receipt in receipts[start : start + RECEIPT_ENTRIES])
            self._core.send(neighbour.node, Digest((), shown))
        self._complaints.gossip(neighbour)
