"""The area's abuse desk in the modelled plane: reports come in, and what they come to is evidence in the ledger.

Reports are spam so far: nobody reports in earnest, and nobody reviews. So this shows what false reports alone can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshsim.sim.environment import BEFORE
from meshsim.trust.abuse import AbuseDesk

if TYPE_CHECKING:
    from meshsim.sim.attacks.reports import Spam
    from meshsim.sim.environment import Environment
    from meshsim.trust import Evidence, Reputation

WHOLE = 100.0
"""The highest score; a reporter's word is worth its share of it."""


class Book(Protocol):
    """The reputations that reporters have and that reports move."""

    def published(self, node: int) -> Reputation:
        """What the last digest said of a node."""

    def charge(self, evidence: Evidence) -> None:
        """Takes in evidence that comes from no receipt."""


class Complaints:
    """Takes reports to the desk before each digest.

    Args:
        env: The clock.
        book: The ledger.
        spam: Made-up reports.
        period: Seconds between digests.

    Attributes:
        desk: Who is accused, suspended and banned.
    """

    def __init__(self, env: Environment, book: Book, spam: Spam, period: float) -> None:
        self.desk = AbuseDesk()
        self._env, self._book, self._spam, self._period = env, book, spam, period
        env.on("complaints", self._hear)
        env.schedule_record(period, "complaints", 1, priority=BEFORE)

    def _hear(self, step: int, _: object) -> None:
        now, desk = self._env.now, self.desk
        for report in self._spam.due(now):
            credibility = desk.standing(report.reporter) * self._book.published(report.reporter).mean / WHOLE
            desk.file(report, credibility=credibility, backed=False, now=now)
        for evidence in desk.events():
            self._book.charge(evidence)
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._period, "complaints", step + 1, priority=BEFORE)
