"""The area's abuse desk in the modelled plane: reports come in, and what they come to is evidence in the ledger.

Reports are spam so far: nobody reports in earnest, and nobody reviews. So this shows what false reports alone can do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshsim.sim.environment import BEFORE
from meshsim.trust.abuse import AbuseDesk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.schema import ControlConfig
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


class Carrier(Protocol):
    """Who routes and carries calls."""

    def ban(self, nodes: frozenset[int]) -> None:
        """From now on these nodes, and no others, are banned from relaying."""


class Complaints:
    """Takes reports to the desk before each digest, and looks at every heartbeat who is banned.

    Args:
        env: The clock.
        book: The ledger.
        spam: Made-up reports.
        control: Seconds between digests and between heartbeats.
        relays: Who may be banned from relaying.

    Attributes:
        desk: Who is accused, suspended and banned.
    """

    _carrier: Carrier

    def __init__(self, env: Environment, book: Book, spam: Spam, control: ControlConfig, relays: Sequence[int]) -> None:
        self.desk = AbuseDesk()
        self._env, self._book, self._spam, self._relays = env, book, spam, tuple(relays)
        self._period, self._heartbeat = control.digest_period, control.heartbeat
        self._banned: frozenset[int] = frozenset()
        env.on("complaints", self._hear)
        env.on("bans", self._look)
        env.schedule_record(self._period, "complaints", 1, priority=BEFORE)

    def start(self, carrier: Carrier) -> None:
        """Tells `carrier` from now on who is banned."""
        self._carrier = carrier
        self._env.schedule_record(self._heartbeat, "bans", 1, priority=BEFORE)

    def _look(self, step: int, _: object) -> None:
        banned = frozenset(node for node in self._relays if self.desk.is_banned(node, self._env.now))
        if banned != self._banned:
            self._banned = banned
            self._carrier.ban(banned)
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._heartbeat, "bans", step + 1, priority=BEFORE)

    def _hear(self, step: int, _: object) -> None:
        now, desk = self._env.now, self.desk
        for report in self._spam.due(now):
            credibility = desk.standing(report.reporter) * self._book.published(report.reporter).mean / WHOLE
            desk.file(report, credibility=credibility, backed=False, now=now)
        for evidence in desk.events():
            self._book.charge(evidence)
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._period, "complaints", step + 1, priority=BEFORE)
