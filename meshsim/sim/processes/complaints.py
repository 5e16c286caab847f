"""The area's abuse desk in the modelled plane: reports come in, somebody looks at them, and who is banned may appeal.

What reports and rulings come to is evidence in the ledger; who is banned relays nothing from the next heartbeat on. Who
reviews sees what everybody sees, the published scores, and not the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.environment import BEFORE
from meshsim.trust import Status, status_of
from meshsim.trust.abuse import AbuseDesk, Ruling

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan
    from meshsim.sim.attacks.reports import Spam
    from meshsim.sim.environment import Environment
    from meshsim.sim.processes.grievances import Grievances
    from meshsim.sim.recorder import Recorder
    from meshsim.trust import Evidence, Reputation
    from meshsim.trust.abuse import Case

WHOLE = 100.0
"""The highest score; a reporter's word is worth its share of it."""

_GOOD = frozenset({Status.TRUSTED, Status.VERIFIED})


class Book(Protocol):
    """The reputations that reporters have and that reports move."""

    def published(self, node: int) -> Reputation:
        """What the last digest said of a node."""

    def charge(self, evidence: Evidence) -> None:
        """Takes in evidence that comes from no receipt."""


class Carrier(Protocol):
    """Who routes and carries calls."""

    def ban(self, nodes: frozenset[int]) -> None:
        """From now on these nodes, and no others, are banned from relaying."""


def ruling_on(known: Reputation) -> Ruling | None:
    """What evidence says of an accusation: upheld where not even the score's upper bound is that of a trusted node.

    Dismissed where the score itself is; in between the case stays open, until there is more evidence or it has faded.
    """
    if status_of(known.high) not in _GOOD:
        return Ruling.UPHELD
    return Ruling.DISMISSED if status_of(known.mean) in _GOOD else None


class Complaints:
    """Takes reports to the desk before each digest, lets cases be reviewed, and looks at heartbeats who is banned.

    Args:
        env: The clock.
        book: The ledger.
        recorder: Where rulings and bans are written down.
        plan: Who relays, how often digests, heartbeats and reviews are, and how many appeal.
        spam: Made-up reports.
        grievances: Reports in earnest; None where nobody makes any.

    Attributes:
        desk: Who is accused, suspended and banned.
    """

    _carrier: Carrier

    def __init__(
        self,
        env: Environment,
        book: Book,
        recorder: Recorder,
        plan: Plan,
        spam: Spam,
        grievances: Grievances | None = None,
    ) -> None:
        self.desk = AbuseDesk()
        self._env, self._book, self._recorder, self._spam, self._grievances = env, book, recorder, spam, grievances
        self._control, self._trust, self._seeds = plan.scenario.control, plan.scenario.trust, SeedTree(plan.seed)
        self._relays: list[int] = np.flatnonzero(plan.nodes.max_calls > 0).tolist()
        self._banned: frozenset[int] = frozenset()
        self._appeals: dict[int, int] = {}
        self._considered: dict[int, float] = {}  # by node: since when the ban holds that it has thought of appealing
        env.on("complaints", self._hear)
        env.on("reviews", self._review)
        env.on("bans", self._look)
        env.schedule_record(self._control.digest_period, "complaints", 1, priority=BEFORE)
        if self._trust.review > 0.0:
            env.schedule_record(self._trust.review, "reviews", 1, priority=BEFORE)

    def start(self, carrier: Carrier) -> None:
        """Tells `carrier` from now on who is banned."""
        self._carrier = carrier
        self._env.schedule_record(self._control.heartbeat, "bans", 1, priority=BEFORE)

    def renew(self, node: int, now: float) -> None:
        """A node has come back under a new name, under which nobody has reported or banned it."""
        self.desk.renew(node, now)
        if self._grievances:
            self._grievances.renew(node)

    def _look(self, step: int, _: object) -> None:
        now = self._env.now
        banned = frozenset(node for node in self._relays if self.desk.is_banned(node, now))
        if banned != self._banned:
            for kind, nodes in (("banned", banned - self._banned), ("unbanned", self._banned - banned)):
                for node in sorted(nodes):
                    self._recorder.event(now, kind, node=node)
            self._banned = banned
            self._carrier.ban(banned)
        for node in sorted(banned):
            since = self.desk.banned_since(node, now)
            if since is not None and self._considered.get(node) != since:
                self._considered[node] = since
                self._appeal(node)
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._control.heartbeat, "bans", step + 1, priority=BEFORE)

    def _appeal(self, node: int) -> None:
        """Some of those who are banned ask for a second look; a suspension gets its first without asking."""
        number = self._appeals[node] = self._appeals.get(node, -1) + 1
        if self._seeds.stream("appeal", node).at(number) < self._trust.appeals:
            self.desk.appeal(node, self._env.now)

    def _hear(self, step: int, _: object) -> None:
        now = self._env.now
        for report in self._spam.due(now):
            self.desk.file(report, credibility=self._worth(report.reporter), backed=False, now=now)
        for report, guilt in self._grievances.due() if self._grievances else ():
            self.desk.file(report, credibility=self._worth(report.reporter), backed=True, guilt=guilt, now=now)
        self._charge()
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._control.digest_period, "complaints", step + 1, priority=BEFORE)

    def _worth(self, reporter: int) -> float:
        return self._book.published(reporter).mean / WHOLE

    def _charge(self) -> None:
        for evidence in self.desk.events():
            self._book.charge(evidence)

    def _review(self, step: int, _: object) -> None:
        """Somebody settles the first case of the queue of which evidence says enough."""
        now = self._env.now
        for case in self.desk.queue(now):
            ruling = ruling_on(self._book.published(case.subject))
            if ruling is not None:
                self._settle(case, ruling, now)
                break
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._trust.review, "reviews", step + 1, priority=BEFORE)

    def _settle(self, case: Case, ruling: Ruling, now: float) -> None:
        self.desk.decide(case.subject, ruling, now)
        self._charge()
        what = "appeal" if case.appeal else f"{len(case.reporters)} reporters, weight {case.weight:.2f}"
        self._recorder.event(now, "ruling", node=case.subject, detail=f"{ruling}: {what}")
