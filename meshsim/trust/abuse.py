"""Abuse reports: what they weigh, who looks at them, who is banned for how long, and who may come back.

A report is one person's word, so it does not say how grave it is. Its weight is the reporter's credibility, times what
backs it: a receipt of the call, and how likely the subject was to blame (`trust.blame`). Of one reporter only the
heaviest report on a subject counts, within a weekly budget; weights of different reporters add up and fade.

The sum decides. It may open a case for review, make evidence of rising severity, and at its highest suspend the subject
until somebody has looked or it has faded. Who reviews says whether the accusation is upheld or dismissed: the one makes
evidence, and a ban when grave, alone or with what was upheld before; the other costs the reporters credibility. A ban
fades by half-life, those of repeat offenders add up, and each can be appealed once.

A state machine without IO: reports and rulings in, evidence out. Nothing here depends on the order in which reports
of different reporters come, but that who is suspended by some has no voice from then on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from meshsim.trust.beta import DAY
from meshsim.trust.evidence import EventKind, Evidence, Severity

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

WEEK = 7.0 * DAY

LONGEST_DETAIL = 64
"""Bytes of a report's detail at most: a hash of what was said or sent, never the thing itself."""

SLACK = 60.0
"""Seconds that a reporter's clock may be ahead."""


class Category(StrEnum):
    """What a node is accused of."""

    SPAM = "spam"
    HARASSMENT = "harassment"
    FRAUD = "fraud"
    TAMPERING = "tampering"


KINDS = {
    Category.SPAM: EventKind.SPAM_DETECTED,
    Category.HARASSMENT: EventKind.ABUSE_REPORT,
    Category.FRAUD: EventKind.MALICIOUS_BEHAVIOR,
    Category.TAMPERING: EventKind.SECURITY_VIOLATION,
}
"""The brief's event for each accusation that is upheld; until then all are `abuse_report`."""


class Ruling(StrEnum):
    """What a review says of the accusation."""

    UPHELD = "upheld"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """An accusation.

    Attributes:
        reporter: Who reports, an index in the numbering of the models.
        subject: Whom.
        category: What for.
        t: When it was written, monotonic seconds.
        call: The call it is about, if any.
        detail: Hash of what was said or sent.
    """

    reporter: int
    subject: int
    category: Category
    t: float
    call: Hashable = None
    detail: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The rules of the desk. Weights are counted in credible reporters whose reports are fully backed.

    Attributes:
        budget: Reports of one reporter that weigh, in any week.
        half_life: Seconds in which a report loses half its weight.
        unbacked: Weight of a report that no receipt backs, in [0, 1].
        review: Weight that opens a case.
        warning: Weight of the severity `warning`.
        critical: Weight of the severity `critical`.
        suspension: Weight that suspends the subject before anybody has looked.
        unreviewed: Weight of the evidence that reports make before anybody has looked, in [0, 1].
        ban_half_life: Seconds in which a ban loses half its strength, which ends the first one.
        escalation: How many times a ban is stronger for each one that still lingers.
        newcomers: Identities of one domain that may start in any week.

    Raises:
        ValueError: If a value is out of its range or the weights do not rise.
    """

    budget: int = 5
    half_life: float = WEEK
    unbacked: float = 0.25
    review: float = 1.0
    warning: float = 2.0
    critical: float = 4.0
    suspension: float = 6.0
    unreviewed: float = 0.5
    ban_half_life: float = WEEK
    escalation: float = 4.0
    newcomers: int = 8

    def __post_init__(self) -> None:
        rising = 0.0 < self.review <= self.warning <= self.critical <= self.suspension
        shares = 0.0 <= self.unbacked <= 1.0 and 0.0 <= self.unreviewed <= 1.0
        lasting = self.half_life > 0.0 and self.ban_half_life > 0.0 and self.escalation >= 0.0  # which NaN is not
        if not (rising and shares and lasting and min(self.budget, self.newcomers) >= 0):
            raise ValueError(f"no terms to work by: {self}")


class Case(NamedTuple):
    """What waits for review.

    Attributes:
        subject: Who is accused.
        weight: Of all reports, by now; of an appeal, the strength of the ban.
        severity: What the weight comes to, with that of what was upheld before and has not faded.
        reporters: Who reported, in ascending order.
        since: When the first report that still weighs was written, or the ban began.
        appeal: Whether the subject asks to lift a ban.
    """

    subject: int
    weight: float
    severity: Severity
    reporters: tuple[int, ...]
    since: float
    appeal: bool


@dataclass(slots=True)
class _Open:
    """Reports on one subject that nobody has looked at: by reporter (category, weight, t); how grave was told."""

    heard: dict[int, tuple[Category, float, float]] = field(default_factory=dict)
    told: int = 0


@dataclass(slots=True)
class _Ban:
    strength: float
    since: float
    reporters: tuple[int, ...]
    appealed: bool = False
    settled: bool = False


_GRADES = (Severity.NORMAL, Severity.WARNING, Severity.CRITICAL)
_OVER = 0.5  # strength at which a ban ends
_FADED = 10.0  # half-lives after which nothing of a weight matters: less than a thousandth is left
_MEMORY = 26.0 * WEEK  # a reporter's rulings are kept so long after the last; nobody else's doing pushes them out
_PENANCE = 2.0  # a dismissed report costs as much as so many upheld ones earn


class AbuseDesk:
    """Takes reports, rulings and appeals; says who is banned, and what evidence there is.

    Args:
        terms: The rules.

    >>> desk = AbuseDesk()
    >>> for reporter in range(4):
    ...     report = Report(reporter=reporter, subject=9, category=Category.SPAM, t=0.0, call=reporter)
    ...     assert desk.file(report, credibility=1.0, backed=True, now=0.0) == ""
    >>> desk.queue(0.0)[0].severity
    <Severity.CRITICAL: 'critical'>
    >>> desk.decide(9, Ruling.UPHELD, now=0.0)
    >>> desk.is_banned(9, now=0.0), desk.is_banned(9, now=8 * DAY)
    (True, False)
    """

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.refused: dict[str, int] = {}
        """How many reports were not weighed, by reason."""
        self._open: dict[int, _Open] = {}
        self._filed: dict[int, dict[Hashable, float]] = {}  # by reporter: what was weighed, and its time
        self._rulings: dict[int, tuple[float, float, float]] = {}  # by reporter: upheld, dismissed, time of the last
        self._bans: dict[int, _Ban] = {}
        self._upheld: dict[int, tuple[float, float]] = {}  # by subject: weight of what was upheld, and when that was so
        self._admitted: dict[Hashable, dict[int, float]] = {}  # by domain: newcomers, and when they were let in
        self._left: dict[Hashable, list[tuple[float, bool]]] = {}  # by domain: newcomers gone, when in, if banned
        self._swept = -math.inf
        self._events: list[Evidence] = []

    def file(self, report: Report, *, credibility: float, backed: bool, guilt: float = 1.0, now: float) -> str:
        """Takes in a report; gives the reason where it does not weigh, or nothing.

        Args:
            report: The report, whose signature was checked.
            credibility: What the reporter's word is worth, in [0, 1].
            backed: Whether receipts show that the reporter was on the call it names.
            guilt: How likely the subject was to blame, by what else is known, in [0, 1].
            now: Monotonic seconds.

        Raises:
            ValueError: If credibility or guilt is not within 0 and 1.
        """
        if not (0.0 <= credibility <= 1.0 and 0.0 <= guilt <= 1.0):
            raise ValueError(f"shares are within 0 and 1: {credibility=}, {guilt=}")
        self._sweep(now)
        weight = credibility * max(self.terms.unbacked, guilt if backed else 0.0)
        reason = self._objection(report, now) or ("" if weight > 0.0 else "not_credible")
        if reason:
            self.refused[reason] = self.refused.get(reason, 0) + 1
            return reason
        self._filed.setdefault(report.reporter, {})[_matter(report)] = report.t
        self._hear(report, weight, now)
        return ""

    def weight(self, subject: int, now: float) -> float:
        """Weight of all reports on `subject` that nobody has looked at yet."""
        return math.fsum(weight for _, _, weight in self._weights(subject, now))

    def severity(self, subject: int, now: float) -> Severity | None:
        """How grave those reports are together with what was upheld before; None if they open no case."""
        weight = self.weight(subject, now)
        return self._grade(subject, weight, now) if self._level(weight) else None

    def queue(self, now: float) -> tuple[Case, ...]:
        """Cases that wait for review: appeals first, since somebody is shut out, then by weight, then by age."""
        cases = [*self._appeals(now), *self._accusations(now)]
        return tuple(sorted(cases, key=lambda case: (not case.appeal, -case.weight, case.since, case.subject)))

    def decide(self, subject: int, ruling: Ruling, now: float) -> None:
        """Settles what waits for review on `subject`: an appeal if there is one, else the reports.

        Raises:
            LookupError: If nothing waits.
        """
        self._sweep(now)
        case = next((case for case in self.queue(now) if case.subject == subject), None)
        if case is None:
            raise LookupError(f"nothing on node {subject} waits for review")
        category = self._category(subject, now)
        self._credit(case.reporters, ruling, now)
        if case.appeal:
            self._settle_appeal(subject, ruling)
            return
        del self._open[subject]
        if ruling is Ruling.UPHELD:
            self._upheld[subject] = self._record(subject, now) + case.weight, now
            self._tell(KINDS[category], case, 1.0, now)
            if case.severity is Severity.CRITICAL:
                self._ban(case, now)

    def appeal(self, node: int, now: float) -> str:
        """Asks to lift the ban on `node`; gives the reason where that cannot be, or nothing.

        A suspension waits for review by itself and needs no appeal.
        """
        ban = self._bans.get(node)
        if ban is None or self.banned_since(node, now) is None:
            return "not_banned"
        if ban.appealed:
            return "appealed_before"
        ban.appealed = True
        return ""

    def banned_since(self, node: int, now: float) -> float | None:
        """When the ban by a ruling that holds a node began, seconds; None for one that is free or only suspended."""
        return self._bans[node].since if self._strength(node, now) > _OVER else None

    def is_banned(self, node: int, now: float) -> bool:
        """Whether nothing may be routed over `node`: by a ruling, or because reports weigh enough to suspend it."""
        return self._strength(node, now) > _OVER or self.weight(node, now) >= self.terms.suspension

    def standing(self, reporter: int) -> float:
        """What rulings have left of a reporter's credibility, in (0, 1]; 1 for one never ruled on."""
        upheld, dismissed, _ = self._rulings.get(reporter, (0.0, 0.0, 0.0))
        return (2.0 + upheld) / (2.0 + upheld + _PENANCE * dismissed)

    def admit(self, node: int, domain: Hashable, now: float) -> bool:
        """Whether an identity never heard of may start as a newcomer of its domain.

        Each domain has so many places a week, halved for each of the week's newcomers that is banned by now: who
        registers anew after a ban finds a narrower door, behind it no reputation, and shares the place with nobody.
        """
        self._sweep(now)
        places = self._admitted[domain] = _fresh(self._admitted.get(domain, {}), now)
        gone = [banned for since, banned in self._left.get(domain, ()) if now - since < WEEK]
        banned = sum(self.is_banned(one, now) for one in places) + sum(gone)
        if node not in places and len(places) + len(gone) < self.terms.newcomers >> banned:
            places[node] = now
        return node in places and not self.is_banned(node, now)

    def renew(self, node: int, now: float) -> None:
        """A node has come back under a new name, which is another subject and another reporter.

        What stands against the old name neither hits nor protects the new one, and words of the old name are dropped
        with it. Its place among the newcomers of its domain stays taken, and if it was banned the door stays narrow:
        `admit` decides on the new name.
        """
        banned = self.is_banned(node, now)
        for domain, places in self._admitted.items():
            if node in places:
                self._left.setdefault(domain, []).append((places.pop(node), banned))
        for book in (self._open, self._bans, self._upheld, self._rulings, self._filed):
            book.pop(node, None)
        for case in self._open.values():
            case.heard.pop(node, None)
        for ban in self._bans.values():
            ban.reporters = tuple(reporter for reporter in ban.reporters if reporter != node)
        self._drop_unheard()

    def events(self) -> tuple[Evidence, ...]:
        """The evidence that has come up since this was last asked."""
        events, self._events = self._events, []
        return tuple(events)

    def _objection(self, report: Report, now: float) -> str:
        fault = _fault(report, now)
        if fault:
            return fault
        if self.is_banned(report.reporter, now):
            return "banned"
        filed = self._recent(report.reporter, now)
        if _matter(report) in filed:
            return "duplicate"
        return "" if _within(self.terms.budget, [*filed.values(), report.t]) else "over_budget"

    def _recent(self, reporter: int, now: float) -> dict[Hashable, float]:
        """What the reporter filed that can share a budget with a report that is not stale."""
        since = now - 2.0 * WEEK - SLACK
        filed = {matter: t for matter, t in self._filed.get(reporter, {}).items() if t > since}
        if filed:
            self._filed[reporter] = filed
        else:
            self._filed.pop(reporter, None)
        return filed

    def _sweep(self, now: float) -> None:
        """Forgets, once a day, what no longer matters, so that memory is bounded by what happens in a span of time."""
        if now - self._swept < DAY:
            return
        self._swept = now
        for reporter in tuple(self._filed):
            self._recent(reporter, now)
        faded = now - _FADED * self.terms.half_life
        for case in self._open.values():
            case.heard = {reporter: heard for reporter, heard in case.heard.items() if heard[2] > faded}
        self._drop_unheard()
        self._bans = {node: ban for node, ban in self._bans.items() if self._strength(node, now) > 2.0**-_FADED}
        self._upheld = {node: record for node, record in self._upheld.items() if record[1] > faded}
        self._rulings = {reporter: seen for reporter, seen in self._rulings.items() if now - seen[2] < _MEMORY}
        kept = {domain: _fresh(places, now) for domain, places in self._admitted.items()}
        self._admitted = {domain: places for domain, places in kept.items() if places}
        left = {domain: [one for one in gone if now - one[0] < WEEK] for domain, gone in self._left.items()}
        self._left = {domain: gone for domain, gone in left.items() if gone}

    def _drop_unheard(self) -> None:
        self._open = {subject: case for subject, case in self._open.items() if case.heard}

    def _hear(self, report: Report, weight: float, now: float) -> None:
        case = self._open.setdefault(report.subject, _Open())
        new = (report.category, weight, report.t)
        case.heard[report.reporter] = max(case.heard.get(report.reporter, new), new, key=self._rank)
        level = self._level(self.weight(report.subject, now))
        for told in range(case.told, level):
            self._tell(EventKind.ABUSE_REPORT, self._case(report.subject, now), self.terms.unreviewed, now, told)
        case.told = max(case.told, level)

    def _rank(self, heard: tuple[Category, float, float]) -> tuple[float, str]:
        """Orders reports of one reporter by weight, which is the same order at any time."""
        category, weight, t = heard
        return math.log2(weight) + t / self.terms.half_life, category

    def _weights(self, subject: int, now: float) -> Iterator[tuple[int, Category, float]]:
        case = self._open.get(subject)
        for reporter, (category, weight, t) in sorted(case.heard.items()) if case else ():
            kept = math.exp2(-max(0.0, now - t) / self.terms.half_life)
            yield reporter, category, weight * kept * self.standing(reporter)

    def _level(self, weight: float) -> int:
        return sum(weight >= least for least in (self.terms.review, self.terms.warning, self.terms.critical))

    def _grade(self, subject: int, weight: float, now: float) -> Severity:
        """How grave reports of this weight are, of a subject with this record; at least `normal`."""
        return _GRADES[max(self._level(weight + self._record(subject, now)), 1) - 1]

    def _record(self, subject: int, now: float) -> float:
        """Weight of what was upheld against a subject, as far as it has not faded."""
        weight, since = self._upheld.get(subject, (0.0, now))
        return weight * math.exp2(-max(0.0, now - since) / self.terms.half_life)

    def _category(self, subject: int, now: float) -> Category:
        """What most of the weight is about."""
        sums = dict.fromkeys(Category, 0.0)
        for _, category, weight in self._weights(subject, now):
            sums[category] += weight
        return max(Category, key=lambda category: sums[category])

    def _case(self, subject: int, now: float) -> Case:
        heard = self._open[subject].heard
        weight = self.weight(subject, now)
        severity = self._grade(subject, weight, now)
        since = min(t for _, _, t in heard.values())
        return Case(subject, weight, severity, tuple(sorted(heard)), since, appeal=False)

    def _accusations(self, now: float) -> Iterator[Case]:
        for subject in self._open:
            if self._level(self.weight(subject, now)):
                yield self._case(subject, now)

    def _appeals(self, now: float) -> Iterator[Case]:
        for node, ban in self._bans.items():
            strength = self._strength(node, now)
            if ban.appealed and not ban.settled and strength > _OVER:
                yield Case(node, strength, Severity.CRITICAL, ban.reporters, ban.since, appeal=True)

    def _settle_appeal(self, node: int, ruling: Ruling) -> None:
        if ruling is Ruling.DISMISSED:
            del self._bans[node]
            self._upheld.pop(node, None)
        else:
            self._bans[node].settled = True  # looked at twice: it stands

    def _credit(self, reporters: tuple[int, ...], ruling: Ruling, now: float) -> None:
        held = ruling is Ruling.UPHELD
        for reporter in reporters:
            upheld, dismissed, _ = self._rulings.get(reporter, (0.0, 0.0, 0.0))
            self._rulings[reporter] = (upheld + held, dismissed + (not held), now)

    def _tell(self, kind: EventKind, case: Case, weight: float, now: float, level: int | None = None) -> None:
        severity = case.severity if level is None else _GRADES[level]
        event = Evidence(kind=kind, node=case.subject, t=now, weight=weight, severity=severity, raters=case.reporters)
        self._events.append(event)

    def _ban(self, case: Case, now: float) -> None:
        strength = 1.0 + self.terms.escalation * self._strength(case.subject, now)
        self._bans[case.subject] = _Ban(strength, now, case.reporters)

    def _strength(self, node: int, now: float) -> float:
        ban = self._bans.get(node)
        return ban.strength * math.exp2(-max(0.0, now - ban.since) / self.terms.ban_half_life) if ban else 0.0


def _fault(report: Report, now: float) -> str:
    """What is wrong with a report, whatever else was filed."""
    if len(report.detail) > LONGEST_DETAIL:
        return "oversized"
    if report.reporter == report.subject:
        return "oneself"
    if not report.t <= now + SLACK:  # nor is NaN
        return "future"
    return "stale" if report.t <= now - WEEK else ""


def _matter(report: Report) -> Hashable:
    return report.subject, report.category, report.call


def _fresh(places: dict[int, float], now: float) -> dict[int, float]:
    """The newcomers of the last week."""
    return {node: since for node, since in places.items() if now - since < WEEK}


def _within(budget: int, times: list[float]) -> bool:
    """Whether no week holds more than `budget` of the instants.

    What is taken at one instant may be dated anywhere from a week ago to `SLACK` ahead, so that long is the week.
    """
    times, span = sorted(times), WEEK + SLACK
    return budget > 0 and all(later - first >= span for first, later in zip(times, times[budget:], strict=False))
