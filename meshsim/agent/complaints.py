"""Reports of abuse as an agent hears them: who is accused, what moderators say, who is banned in its eyes.

Every agent has its own desk (`trust.abuse`) over what reaches it; here stand names, signatures, clocks, and what is
passed on to whom. A ruling waits for the next heartbeat, so that reports which are on their way take part in it. The
evidence of a desk is dropped: an agent's reputations follow from its journal of receipts alone. An agent that knows no
moderator takes no part in any of this.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling, written
from meshsim.agent.samples import EventSample
from meshsim.agent.signing import is_signed, sign
from meshsim.mesh.errors import LocalProtocolError
from meshsim.mesh.ids import short
from meshsim.mesh.time import to_nanoseconds
from meshsim.trust.abuse import SLACK, WEEK, AbuseDesk, Category, Report

if TYPE_CHECKING:
    from meshsim.agent.core import Core
    from meshsim.agent.linktable import LinkTable
    from meshsim.agent.neighbours import Neighbour
    from meshsim.agent.notices import Notice
    from meshsim.agent.receipts import Ledger
    from meshsim.agent.reputation import TrustBook
    from meshsim.mesh.ids import CallId, NodeId
    from meshsim.mesh.time import Instant
    from meshsim.trust.abuse import Case, Ruling

PARTIES = 4096
"""Most nodes that have reported or were reported; for a new one the one named longest ago goes that is not banned."""

RECENT_NOTICES = 512
"""Notices that are passed on to neighbours who come later."""

NOTICES_PER_ROUND = 64
"""Most notices to one neighbour in one round of gossip; what is left waits for the next."""

WHOLE = 100.0
"""The highest score; a reporter's word is worth its share of it."""

FAULTS = frozenset({"forged", "future", "expired", "oneself"})
"""Why notices are refused that no honest neighbour passes on."""


@dataclass(slots=True)
class _Party:
    """Somebody who reported or was reported.

    Attributes:
        number: In the desk's numbering; never given to anybody else.
        appealed: Unix nanoseconds of its last appeal.
        settled: Unix nanoseconds of the last ruling on it; what was written before is no news.
        ruling: One that has not settled anything yet.
    """

    number: int
    appealed: int = 0
    settled: int = -1
    ruling: AbuseRuling | None = None


class Complaints:
    """What an agent has heard of abuse.

    Args:
        core: The agent's common ground.
        table: Its belief, which is told who is banned.
        trust: Its reputations: what a reporter's word is worth.
        ledger: Its receipts: what backs a report.

    Attributes:
        refused: How many notices had no effect, by reason.
    """

    def __init__(self, core: Core, table: LinkTable, trust: TrustBook, ledger: Ledger) -> None:
        self.refused: dict[str, int] = {}
        self._core, self._table, self._trust, self._ledger = core, table, trust, ledger
        self._desk = AbuseDesk()
        self._parties: dict[NodeId, _Party] = {}
        self._numbers: dict[int, NodeId] = {}
        self._count = 0
        self._heard = 0
        self._notices: deque[tuple[int, Notice, NodeId | None]] = deque(maxlen=RECENT_NOTICES)
        self._known: dict[Notice, None] = {}

    # What is said here ------------------------------------------------------------------------------------------------

    def say(self, subject: NodeId, word: Category | Ruling | None, now: Instant, call: CallId | None = None) -> str:
        """Accuses a node, rules on one, or appeals; gives the reason where that has no effect, or nothing.

        Args:
            subject: On whom.
            word: The accusation; a ruling, which takes effect from the next heartbeat on; None for an appeal.
            now: The time.
            call: The call that an accusation is about.

        Raises:
            LocalProtocolError: If a ruling comes from no moderator, or an appeal is another's.
        """
        at, own, signer = to_nanoseconds(now.unix), self._core.node, self._core.signer
        if isinstance(word, Category):
            report = AbuseReport(reporter=own, subject=subject, category=word, at_ns=at, call=call)
            return self.hear(sign(report, signer), None, now)
        if word is not None:
            if own not in self._core.config.moderators:
                raise LocalProtocolError(f"{short(own)} is no moderator")
            ruling = AbuseRuling(moderator=own, subject=subject, ruling=word, at_ns=at)
            return self.hear(sign(ruling, signer), None, now)
        if subject != own:
            raise LocalProtocolError(f"{short(own)} cannot appeal for {short(subject)}")
        return self.hear(sign(AbuseAppeal(subject=own, at_ns=at), signer), None, now)

    def cases(self, now: Instant) -> list[tuple[NodeId, Case]]:
        """What waits for review, first things first."""
        cases = ((self._numbers.get(case.subject), case) for case in self._desk.queue(now.mono))
        return [(node, case) for node, case in cases if node is not None]

    # What comes in ----------------------------------------------------------------------------------------------------

    def hear(self, notice: Notice, source: NodeId | None, now: Instant) -> str:
        """Takes a notice in to pass it on; gives the reason where it has no effect (then it is counted), or nothing."""
        reason = self._fault(notice, now) or self._take(notice, now)
        if reason:
            self.refused[reason] = self.refused.get(reason, 0) + 1
            if reason in FAULTS:
                self._core.reject(reason)
            return reason
        self._heard += 1
        self._notices.append((self._heard, notice, source))
        self._known[notice] = None
        if len(self._known) > RECENT_NOTICES:
            del self._known[next(iter(self._known))]
        return ""

    def _fault(self, notice: Notice, now: Instant) -> str:
        at = written(notice)
        if not self._core.config.moderators:
            return "unmoderated"  # nobody could lift what false reports do
        if notice in self._known:
            return "duplicate"
        if at > now.unix + SLACK:
            return "future"
        if at <= now.unix - WEEK:
            return "expired"
        if notice.author not in self._table or notice.subject not in self._table:
            return "stranger"  # as receipts, they are neither kept nor passed on out of their area
        return "" if is_signed(notice, notice.author, self._core.verifier) else "forged"

    def _take(self, notice: Notice, now: Instant) -> str:
        if isinstance(notice, AbuseReport):
            return self._file(notice, now)
        if isinstance(notice, AbuseRuling):
            return self._keep(notice)
        party = self._party(notice.subject)
        reason = self._desk.appeal(party.number, now.mono)
        party.appealed = party.appealed if reason else notice.at_ns
        return reason

    def _file(self, report: AbuseReport, now: Instant) -> str:
        if report.reporter == report.subject:
            return "oneself"
        subject, reporter = self._party(report.subject), self._party(report.reporter)
        if report.at_ns <= subject.settled:
            return "settled"
        backed, guilt = self._backing(report)
        said = Report(
            reporter=reporter.number,
            subject=subject.number,
            category=report.category,
            t=now.mono - (now.unix - written(report)),
            call=report.call,
            detail=report.detail,
        )
        worth = self._worth(report.reporter, now)
        return self._desk.file(said, credibility=worth, backed=backed, guilt=guilt, now=now.mono)

    def _worth(self, reporter: NodeId, now: Instant) -> float:
        return 1.0 if reporter == self._core.node else self._trust.score(reporter, now.mono).mean / WHOLE

    def _backing(self, report: AbuseReport) -> tuple[bool, float]:
        """Whether the reporter and another sign for one route of the call; how likely it was the subject.

        Who of several relays it was receipts do not say, so they share it evenly; an end speaks for itself.
        """
        if report.call is None:
            return False, 0.0
        signers: dict[tuple[NodeId, ...], set[NodeId]] = {}
        for receipt in self._ledger.of(report.call):
            signers.setdefault(receipt.path, set()).add(receipt.signer)
        guilt = [
            1.0 if report.subject in (path[0], path[-1]) else 1.0 / len(path[1:-1])
            for path, signed in signers.items()
            if report.subject in path and report.reporter in signed and len(signed) > 1
        ]
        return bool(guilt), max(guilt, default=0.0)

    def _keep(self, ruling: AbuseRuling) -> str:
        if ruling.moderator not in self._core.config.moderators:
            return "no_moderator"
        party = self._party(ruling.subject)
        latest = party.settled if party.ruling is None else party.ruling.at_ns
        if ruling.at_ns <= latest:
            return "replayed"
        party.ruling = ruling
        return ""

    def _party(self, node: NodeId) -> _Party:
        party = self._parties.pop(node, None)
        if party is None:
            if len(self._parties) >= PARTIES:
                self._forget()
            party = _Party(self._count)
            self._numbers[self._count] = node
            self._count += 1
        self._parties[node] = party  # the last: dicts keep the order in which keys came
        return party

    def _forget(self) -> None:
        parties, banned = self._parties, self._table.ruled_out
        node = next((node for node in parties if node not in banned), next(iter(parties)))
        del self._numbers[parties.pop(node).number]

    # What follows -----------------------------------------------------------------------------------------------------

    def look(self, now: Instant) -> None:
        """At each heartbeat: rulings take effect, and belief learns who is banned."""
        waiting = {case.subject: case for case in self._desk.queue(now.mono)}
        for party in self._parties.values():
            case = waiting.get(party.number)
            if party.ruling is not None and case is not None and self._is_about(party.ruling, party, case, now):
                self._desk.decide(party.number, party.ruling.ruling, now.mono)
                party.settled, party.ruling = party.ruling.at_ns, None
        self._desk.events()
        self._ban(now)

    def _is_about(self, ruling: AbuseRuling, party: _Party, case: Case, now: Instant) -> bool:
        """Whether the ruling was written when the case was open."""
        if case.appeal:
            return ruling.at_ns >= party.appealed
        return case.since <= now.mono - (now.unix - written(ruling))

    def _ban(self, now: Instant) -> None:
        parties = self._parties.items()
        banned = frozenset(n for n, p in parties if n != self._core.node and self._desk.is_banned(p.number, now.mono))
        for node in sorted(banned ^ self._table.ruled_out):
            kind = "banned" if node in banned else "ban_over"
            self._core.emit(EventSample(at=now.mono, kind=kind, node=node))
        if banned != self._table.ruled_out:
            self._table.ruled_out = banned
            self._table.touch()

    def gossip(self, neighbour: Neighbour) -> None:
        """Tells one neighbour what was heard since it was told last, but not what it brought itself."""
        news = [entry for entry in self._notices if entry[0] > neighbour.noted][:NOTICES_PER_ROUND]
        for heard, notice, source in news:
            neighbour.noted = heard
            if source != neighbour.node:
                self._core.send(neighbour.node, notice)
