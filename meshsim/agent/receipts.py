"""From receipts to evidence. Both ends and the relays of a route sign how it went; each route is settled once.

- Success counts only when both ends report it.
- Failure counts in full when both ends report it, with a lower weight when one does.
- What a route did is shared among its relays, for nobody can tell from outside which of them failed.
- One pair of ends can move one relay only so far within the replay window, and so can one end whom no other bears out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.agent.messages import Outcome, Receipt, is_signed, sign
from meshsim.mesh.time import to_nanoseconds
from meshsim.trust import events_from_outcome

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.messages import CallSetup
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.trust import EventKind

OPEN_ROUTES = 512
SETTLED_ROUTES = 4096
RECENT_RECEIPTS = 512
PAIRS = 4096

RouteKey = tuple["CallId", int, tuple["NodeId", ...]]
"""Call, attempt and path: whoever is on the path knows the first two, so a receipt of a made-up path must not stand in
the way of the true ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one route says of one of its relays.

    Attributes:
        node: The relay.
        events: The brief's events.
        weight: In (0, 1].
    """

    node: NodeId
    events: tuple[EventKind, ...]
    weight: float


@dataclass(slots=True)
class _Case:
    number: int
    path: tuple[NodeId, ...]
    since: float
    receipts: dict[NodeId, Receipt] = field(default_factory=dict)

    def ends(self) -> tuple[Receipt | None, Receipt | None]:
        return self.receipts.get(self.path[0]), self.receipts.get(self.path[-1])

    def is_complete(self) -> bool:
        return self.path[0] in self.receipts and self.path[-1] in self.receipts


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
        self._open: dict[RouteKey, _Case] = {}
        self._complete: dict[RouteKey, _Case] = {}
        self._cases = 0
        self._settled: dict[RouteKey, float] = {}
        self._pairs: dict[tuple[NodeId, NodeId, NodeId], tuple[float, float]] = {}
        self._recent: deque[tuple[int, Receipt]] = deque(maxlen=RECENT_RECEIPTS)

    def write(self, setup: CallSetup, outcome: Outcome, mos: float, *, poor: bool, now: Instant) -> Receipt:
        """This node's own receipt for the route of `setup`."""
        core = self._core
        receipt = Receipt(
            call=setup.call,
            attempt=setup.attempt,
            path=setup.path,
            signer=core.node,
            outcome=outcome,
            mos=float(mos),
            poor=poor,
            expires_ns=core.expiry_ns(now, core.config.receipt_lifetime),
        )
        return sign(receipt, core.signer)

    def add(self, receipt: Receipt, now: Instant) -> bool:
        """Takes in anybody's receipt; False if it was known, came too late or does not hold (then it is counted)."""
        key = (receipt.call, receipt.attempt, receipt.path)
        case = self._open.get(key)
        if key in self._settled or (case is not None and receipt.signer in case.receipts):
            return False
        if not self._holds(receipt, now):
            return False
        if case is None:
            case = self._begin(key, now)
        case.receipts[receipt.signer] = receipt
        if case.is_complete():
            self._complete[key] = case
        if len(receipt.path) > 2:  # noqa: PLR2004 - without a relay there is nobody to judge, and nothing to pass on
            self.revision += 1
            self._recent.append((self.revision, receipt))
        return True

    def _begin(self, key: RouteKey, now: Instant) -> _Case:
        self._cases += 1
        case = self._open[key] = _Case(self._cases, key[2], now.mono)
        if len(self._open) > OPEN_ROUTES:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._complete.pop(oldest, None)
        return case

    def _holds(self, receipt: Receipt, now: Instant) -> bool:
        lifetime = receipt.expires_ns - to_nanoseconds(now.unix)
        if not 0 < lifetime <= 2 * to_nanoseconds(self._core.config.receipt_lifetime):
            self._core.reject("expired")
        elif receipt.signer not in receipt.path or len(set(receipt.path)) != len(receipt.path):
            self._core.reject("off_path")
        elif not is_signed(receipt, receipt.signer, self._core.verifier):
            self._core.reject("forged")
        else:
            return True
        return False

    def settle(self, now: Instant) -> list[Verdict]:
        """What can be judged by now: routes with both ends' receipts, and those that waited long enough for one."""
        verdicts = []
        for key, case in self._due(now):
            del self._open[key]
            self._settled[key] = now.mono
            verdicts += self._judge(case, *case.ends(), now)
        self._forget(now)
        return verdicts

    def _due(self, now: Instant) -> list[tuple[RouteKey, _Case]]:
        """The routes to judge, in the order in which they were first heard of: so they stand in `_open`."""
        due = self._complete
        for key, case in self._open.items():
            if now.mono < case.since + self._core.config.receipt_wait:
                break
            due[key] = case
        self._complete = {}
        return sorted(due.items(), key=lambda item: item[1].number)

    def next_settling(self) -> float | None:
        """When the first open route will have waited long enough, monotonic seconds."""
        first = next(iter(self._open.values()), None)
        return None if first is None else first.since + self._core.config.receipt_wait

    def since(self, revision: int) -> list[tuple[int, Receipt]]:
        """Receipts taken in after `revision`, oldest first, each with its own."""
        return [entry for entry in self._recent if entry[0] > revision]

    def _judge(self, case: _Case, caller: Receipt | None, callee: Receipt | None, now: Instant) -> list[Verdict]:
        relays = case.path[1:-1]
        reports = [report for report in (caller, callee) if report is not None]
        failures = [report for report in reports if report.outcome is not Outcome.COMPLETED]
        if not relays or (len(reports) < 2 and not failures):  # noqa: PLR2004 - a route has two ends
            return []
        events = _events(failures or reports, failed=bool(failures))
        share = 1.0 if not failures and not any(report.poor for report in reports) else 1 / len(relays)
        weight = share * (self._core.config.one_sided_weight if len(failures) == 1 else 1.0)
        # The other end of a one-sided report may be made up: what it gives counts against its signer alone.
        ends = {report.signer for report in reports}
        verdicts = [(relay, self._capped((min(ends), max(ends)), relay, weight, now)) for relay in relays]
        return [Verdict(node=relay, events=events, weight=capped) for relay, capped in verdicts if capped > 0]

    def _capped(self, ends: tuple[NodeId, NodeId], relay: NodeId, weight: float, now: Instant) -> float:
        """As much of `weight` as `ends` may still give `relay`."""
        a, b = ends
        began, used = self._pairs.pop((a, b, relay), (now.mono, 0.0))
        if now.mono - began > self._core.config.receipt_lifetime:
            began, used = now.mono, 0.0
        granted = min(weight, self._core.config.pair_cap - used)
        self._pairs[a, b, relay] = (began, used + granted)
        return granted

    def _forget(self, now: Instant) -> None:
        """Drops what can no longer be replayed: a settled route's receipts have expired by then."""
        horizon = now.mono - 2 * self._core.config.receipt_lifetime
        while self._settled:
            key = next(iter(self._settled))
            if self._settled[key] > horizon and len(self._settled) <= SETTLED_ROUTES:
                break
            del self._settled[key]
        while len(self._pairs) > PAIRS:
            del self._pairs[next(iter(self._pairs))]


def _events(reports: list[Receipt], *, failed: bool) -> tuple[EventKind, ...]:
    return events_from_outcome(
        completed=not failed,
        connected=not all(report.outcome is Outcome.TIMEOUT for report in reports),
        mos=min(report.mos for report in reports),
        poor=any(report.poor for report in reports),
        relayed=True,
    )
