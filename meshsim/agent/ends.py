"""What an end of a route says over it, and of it: that it lives, that it is given up, how it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.effects import Channel, CloseMedia
from meshsim.agent.messages import ABANDONED, RECEIPT_ENTRIES, CallEnd, CallReject, CallReport
from meshsim.mesh.time import to_nanoseconds
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.agent.calls import Call
    from meshsim.agent.core import Core
    from meshsim.agent.effects import MediaReport
    from meshsim.agent.legs import Leg
    from meshsim.agent.messages import Receipt
    from meshsim.agent.neighbours import Neighbourhood
    from meshsim.agent.receipts import Ledger
    from meshsim.agent.routes import Router
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant


class Ends:
    """The ends of routes at this node.

    Args:
        core: The agent's common ground.
        neighbourhood: Its links.
        ledger: Its receipts.
        router: Learns how routes fared.
        absorb: Takes in receipts.
    """

    def __init__(
        self,
        core: Core,
        neighbourhood: Neighbourhood,
        ledger: Ledger,
        router: Router,
        absorb: Callable[[Sequence[Receipt], Instant, NodeId | None], None],
    ) -> None:
        self._core = core
        self._neighbourhood = neighbourhood
        self._ledger = ledger
        self._router = router
        self.absorb = absorb

    def keep_alive(self, leg: Leg, now: Instant) -> None:
        """Says that this way still works."""
        self._core.send(leg.next_hop, leg.next_keepalive(now), Channel.REALTIME)

    def report(self, leg: Leg, report: MediaReport) -> None:
        """Tells the other end how its media come in."""
        message = CallReport(*leg.key, leg.is_first, to_nanoseconds(report.jitter), float(report.loss))
        self._core.send(leg.next_hop, message)

    def abandon(self, leg: Leg, reason: str = ABANDONED) -> None:
        """Tells what is left of a route that it is not used any more."""
        if self._neighbourhood.is_up(leg.next_hop):
            self._core.send(leg.next_hop, CallReject(*leg.key, leg.is_first, self._core.node, reason))

    def stop(self, leg: Leg) -> None:
        """Closes its media."""
        if leg.flowing:
            leg.flowing = False
            self._core.outbox.append(CloseMedia(call=leg.setup.call, label=leg.label))

    def testify(self, call: Call, leg: Leg, outcome: Outcome, now: Instant) -> None:
        """Signs how a route failed; the receipt is passed on with the end of the call, and by gossip."""
        self._router.learn(leg, now, connected=False)
        call.receipts.append(self._ledger.write(leg, outcome, now))
        self.absorb(call.receipts[-1:], now, None)

    def say_goodbye(self, call: Call, leg: Leg, receipts: tuple[Receipt, ...], now: Instant, *, answer: bool) -> None:
        """Ends a route that served to the end, with all receipts of the call."""
        self._router.learn(leg, now, connected=True)
        own = self._ledger.write(leg, Outcome.COMPLETED, now)
        self.absorb([own], now, None)
        whole = (*receipts, *call.receipts, own)[-RECEIPT_ENTRIES:]
        message = CallEnd(*leg.key, onward=leg.is_first, answer=answer, reason="hung up", receipts=whole)
        self._core.send(leg.next_hop, message)
