"""An agent's receipts: written here, taken in from anybody, judged by the docket, passed on.

What a receipt is worth is `trust.docket`'s to say; here stand signatures, clocks, and what is passed on to whom.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.agent.messages import Receipt
from meshsim.agent.samples import ReceiptSample
from meshsim.agent.signing import is_signed, sign
from meshsim.mesh.time import to_nanoseconds
from meshsim.trust import Docket, Outcome, Verdict

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.legs import Leg
    from meshsim.identity.keys import Verifier
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.trust import Proof

RECENT_RECEIPTS = 512
WRITTEN_RECEIPTS = 512

HARMLESS = frozenset({"duplicate", "replayed", "late"})
"""Why receipts are refused that come to an honest node from honest ones: gossip goes in circles."""

__all__ = ["Ledger", "Outcome", "Verdict"]


@dataclass(frozen=True, slots=True)
class Signed:
    """Whether receipts are their signers'.

    Attributes:
        verifier: Checks signatures.
    """

    verifier: Verifier

    def __call__(self, receipt: Receipt) -> bool:
        """Whether this one is."""
        return is_signed(receipt, receipt.signer, self.verifier)


class Ledger:
    """The receipts an agent has seen.

    Args:
        core: The agent's common ground.

    Attributes:
        revision: How many receipts were taken in.
    """

    def __init__(self, core: Core) -> None:
        self.revision = 0
        self._core = core
        self._docket: Docket[NodeId] = Docket(core.config.rules, verify=Signed(core.verifier))
        self._written: dict[tuple[CallId, int, tuple[NodeId, ...]], Receipt] = {}
        self._recent: deque[tuple[int, Receipt]] = deque(maxlen=RECENT_RECEIPTS)

    @property
    def refused(self) -> dict[str, int]:
        """How many receipts were refused, by reason."""
        return dict(self._docket.refused)

    @property
    def proofs(self) -> list[Proof]:
        """Pairs of receipts by which signers have contradicted themselves."""
        return list(self._docket.proofs)

    def write(self, leg: Leg, outcome: Outcome, now: Instant) -> Receipt:
        """This node's own receipt for a route: the first one for good, for two that differ would prove a lie.

        Args:
            leg: The route as seen from here.
            outcome: How it ended.
            now: When.
        """
        setup = leg.setup
        key = (setup.call, setup.attempt, setup.path)
        if key not in self._written:
            self._written[key] = self._compose(leg, outcome, now)
            if len(self._written) > WRITTEN_RECEIPTS:
                del self._written[next(iter(self._written))]
        return self._written[key]

    def _compose(self, leg: Leg, outcome: Outcome, now: Instant) -> Receipt:
        failed, setup, quality = outcome is not Outcome.COMPLETED, leg.setup, leg.quality
        rtt, jitter, loss = (0.0 if math.isnan(measure) else measure for measure in quality.means())
        clarity = quality.clarity()
        receipt = Receipt(
            call=setup.call,
            attempt=setup.attempt,
            path=setup.path,
            signer=self._core.node,
            outcome=outcome,
            mos=1.0 if failed or math.isnan(clarity) else clarity,
            poor=failed or quality.is_misconduct(setup.media, leg.promised),
            at_ns=to_nanoseconds(now.unix),
            loss=float(loss),
            delay_ns=to_nanoseconds(rtt / 2.0),
            jitter_ns=to_nanoseconds(jitter),
            carried=leg.carried,
        )
        return sign(receipt, self._core.signer)

    def add(self, receipt: Receipt, now: Instant, source: NodeId | None = None) -> bool:
        """Takes in anybody's receipt; False if it was known, came too late or does not hold (then it is counted).

        Args:
            receipt: As signed.
            now: When.
            source: The neighbour that brought it; None for this node's own.
        """
        reason = self._docket.add(receipt, now.mono, now.mono - (now.unix - receipt.at), source)
        if reason:
            if reason not in HARMLESS:
                self._core.reject(reason)
            return False
        if self._core.config.logs_receipts:
            self._core.emit(ReceiptSample(at=now, receipt=receipt, source=source))
        if len(receipt.path) > 2:  # noqa: PLR2004 - without a relay there is nobody to judge, and nothing to pass on
            self.revision += 1
            self._recent.append((self.revision, receipt))
        return True

    def settle(self, now: Instant) -> list[Verdict[NodeId]]:
        """What has been found since the last time, of routes that have waited long enough."""
        return self._docket.settle(now.mono)

    def next_settling(self) -> float | None:
        """When there will be something to settle, monotonic seconds."""
        return self._docket.next_settling()

    def since(self, revision: int) -> list[tuple[int, Receipt]]:
        """Receipts taken in after `revision`, oldest first, each with its own."""
        return [entry for entry in self._recent if entry[0] > revision]

    def of(self, call: CallId) -> list[Receipt]:
        """Receipts for the relayed routes of one call, of those taken in last."""
        return [receipt for _, receipt in self._recent if receipt.call == call]
