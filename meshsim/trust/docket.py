"""The rules by which what nodes say of a route becomes evidence on its relays: one place for agents and simulator.

Both ends and the relays of a route state how it went. A route is judged once, `wait` seconds after the first word of an
end; what is judged and when depends only on which statement came when, not on when anybody asks. Words of relays alone
start no clock: a relay that fails could let it run out before the ends know.

- Praise needs both ends. Failure counts in full when both ends report it, with `one_sided_weight` when one does and
  the other is silent, with half of that when the other denies it: one of the two lies, and nobody can tell which.
- What a route did wrong is shared among its relays, by `Sharing` where that is given, else evenly.
- What a node says of itself weighs nothing: relays bear out that a call took place, they neither praise nor blame.
- Who does not sign a route that an end calls completed, and that two others have signed, has kept a receipt back: weak
  evidence against the silent one. A single signer proves nothing, or anyone could invent calls with a victim.
- One pair of ends, or one end alone, gives one node only so much praise and so much blame in a window; one end with
  many partners `partners` times as much, whoever they are.
- Room is shared by those who brought the words (`source`): who floods a docket crowds out nothing but its own.
- What a relay says it carried weighs nothing either way: a liar says what the ends will. Where it counted far less
  than both ends, that is counted (`Docket.uncarried`), for people to look into.
- Two different statements of one signer about one route are proof of equivocation: neither counts, and the proof does.

Whether a signer made a statement is for `verify` to say; it is asked last, and only of what is news.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from meshsim.trust.conduct import UNCALLED_FOR, grade
from meshsim.trust.evidence import EventKind, events_from_outcome
from meshsim.trust.statement import Outcome
from meshsim.trust.waiting import FairQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from meshsim.trust.statement import Account

CARRIED_LEAST = 0.5
"""Share of the bytes that came to both ends of a route below which a relay's count of them is told: nodes count once a
second, so that counts of short calls differ."""

Node = TypeVar("Node")
"""Nodes by any hashable name of which one is greater than the other: ids, or indices of a plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How much what counts, and for how long. Spans are seconds.

    Attributes:
        wait: From the first statement of an end of a route until it is judged.
        window: A statement is taken until so long after the route ended; caps hold for as long.
        skew: How far clocks may differ: a statement may be dated so far in the future.
        one_sided_weight: Weight of a failure that only one end reports.
        silence_weight: Weight of a receipt kept back.
        proof_weight: Weight of a proof of equivocation.
        pair_cap: Most praise, and most blame, that one pair of ends or one end alone can give one node in a window.
        partners: So many times `pair_cap` one end can give one node in a window, whoever the other ends are.
        path_nodes: Most nodes of a path.
        open_routes: Most routes that wait; for a new one the oldest of the source with most of them is judged early. As
            many wait for a word of an end; there that one is forgotten.
        judged_routes: Most judged routes remembered; again the source with most of them forgets first.
        pairs: Most caps remembered, likewise.
    """

    wait: float = 10.0
    window: float = 900.0
    skew: float = 60.0
    one_sided_weight: float = 0.4
    silence_weight: float = 0.1
    proof_weight: float = 10.0
    pair_cap: float = 6.0
    partners: float = 4.0
    path_nodes: int = 6
    open_routes: int = 4096
    judged_routes: int = 4096
    pairs: int = 3 * 4096


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Node]):
    """What one route says of one node.

    Attributes:
        node: Whom it is about.
        events: The brief's events, the telling one first.
        weight: Above 0.
        raters: The ends whose word it is; empty for a proof, which needs nobody's word.
        grade: How well the route treated its packets, 0 to 1; 0 for one that failed, None where that is not the matter.
        at: When an end of the route was first heard, seconds of the docket's clock.
    """

    node: Node
    events: tuple[EventKind, ...]
    weight: float
    raters: tuple[Node, ...] = ()
    grade: float | None = None
    at: float = 0.0


class Proof(NamedTuple):
    """Two different statements of one signer about one route.

    Attributes:
        first: The one heard first.
        second: The other.
    """

    first: Account
    second: Account


class Sharing(Protocol):
    """Who of several relays is likely to blame (`trust.blame`)."""

    def shares(self, relays: Sequence[Any], failed: bool, now: float) -> tuple[float, ...]:  # noqa: FBT001 - an outcome
        """Posterior share of guilt of each relay of a path with this outcome; the rest is nobody's."""

    def learn(self, relays: Sequence[Any], failed: bool, now: float, weight: float) -> None:  # noqa: FBT001 - an outcome
        """Takes in a path's outcome, which counts so much."""

    def forget(self, relay: Any) -> None:
        """Drops what was learned of a relay."""


RouteKey = tuple[Any, int, tuple[Any, ...]]
"""Call, attempt and path: whoever is on the path knows the first two, so a statement of a made-up path must not stand
in the way of the true ones."""


@dataclass(slots=True)
class _Case:
    """One route: what each signer stated first, and the other thing that some of them stated.

    `since` is when the first end spoke; infinite before that. `source` brought that word, or before that the first.
    """

    key: RouteKey
    source: Any = None
    since: float = math.inf
    told: dict[Any, Account] = field(default_factory=dict)
    liars: dict[Any, Account] = field(default_factory=dict)
    judged: bool = False

    def word_of(self, node: Any) -> Account | None:
        """What `node` states, unless it states two things."""
        return None if node in self.liars else self.told.get(node)


@dataclass(slots=True, frozen=True)
class _Finding:
    """What the ends of a route agree on, or one of them says."""

    events: tuple[EventKind, ...]
    failed: bool
    weight: float
    raters: tuple[Any, ...]
    grade: float


_CapKey = tuple[Any, Any, bool]
"""Who gives (a set of ends, or one end whoever the others are), whom, and whether it is blame."""


@dataclass(slots=True)
class _Cap:
    """When a window began, the source of the first word in it, and what was given since."""

    began: float
    source: Any
    used: float = 0.0


class Docket(Generic[Node]):
    """The statements of an area on routes, and what they come to.

    Args:
        rules: How much what counts.
        guilt: Who of several relays is to blame; evenly shared without it.
        verify: Whether a statement is its signer's; without it, whoever adds one knows that.

    Attributes:
        refused: How many statements were refused, by reason.
        uncarried: Relays that counted less than `CARRIED_LEAST` of what came to both ends of a completed route.
        disputed: Routes of which one end says that they failed, the other that they did not.
        proofs: Proofs of equivocation, the latest `judged_routes`.

    >>> from meshsim.trust import Statement
    >>> docket = Docket(Rules(wait=5.0))
    >>> for signer in ("ann", "relay", "bob"):
    ...     docket.add(Statement("call", 0, ("ann", "relay", "bob"), signer, Outcome.COMPLETED), 0.0)
    ''
    ''
    ''
    >>> [(verdict.node, verdict.weight) for verdict in docket.settle(5.0)]
    [('relay', 1.0)]
    """

    def __init__(
        self,
        rules: Rules | None = None,
        guilt: Sharing | None = None,
        verify: Callable[[Any], bool] | None = None,
    ) -> None:
        self.rules = rules or Rules()
        self.refused: dict[str, int] = {}
        self.disputed = self.uncarried = 0
        self.proofs: list[Proof] = []
        self._guilt, self._verify = guilt, verify
        self._cases: dict[RouteKey, _Case] = {}  # open ones and judged ones
        self._early: FairQueue[_Case] = FairQueue(self.rules.open_routes)  # of which relays spoke first
        self._open: FairQueue[_Case] = FairQueue(self.rules.open_routes)
        self._judged: FairQueue[_Case] = FairQueue(self.rules.judged_routes)
        self._ready: list[Verdict[Node]] = []
        self._caps: dict[_CapKey, _Cap] = {}

    def add(self, statement: Account, now: float, at: float | None = None, source: Any = None) -> str:
        """Takes in a statement.

        Args:
            statement: About one route.
            now: Seconds of the docket's clock, never less than before.
            at: When the route ended by this clock, where `statement.at` is of another.
            source: Who brought it, whoever signed it: a neighbour that passed it on, or None for the docket's owner.

        Returns:
            "", or why it is refused: `off_path`, `oversized`, `contradictory`, `future`, `expired`, `duplicate`,
            `replayed`, `late` or `forged`. A second, different statement is taken: it proves that its signer lies.
        """
        self._close_due(now)
        key = (statement.call, statement.attempt, statement.path)
        case = self._cases.get(key)
        reason = self._fault(statement, statement.at if at is None else at, now, fresh=case is None) or self._enter(
            statement, key, case, now, source
        )
        if reason:
            self.refused[reason] = self.refused.get(reason, 0) + 1
        return reason

    def statements(self) -> Iterator[Account]:
        """What is known of routes that are not judged yet; adding it to another docket merges the two."""
        for case in (*(case for case in self._early if case.since == math.inf), *self._open):
            yield from case.told.values()
            yield from case.liars.values()

    def merge(self, statements: Iterable[Account], now: float) -> int:
        """Takes in many statements; how many of them were news."""
        return sum(not self.add(statement, now) for statement in statements)

    def settle(self, now: float) -> list[Verdict[Node]]:
        """What has been found since the last time, of routes that have waited long enough by `now`."""
        self._close_due(now)
        ready, self._ready = self._ready, []
        return ready

    def next_settling(self) -> float | None:
        """When there is something to settle, seconds; None if nothing waits."""
        if self._ready:
            return -math.inf
        return self._open.first + self.rules.wait if self._open else None

    # Taking in --------------------------------------------------------------------------------------------------------

    def _fault(self, statement: Account, at: float, now: float, *, fresh: bool) -> str:
        path = statement.path
        if fresh and len(path) > self.rules.path_nodes:  # a route that is known passed this
            return "oversized"
        if statement.signer not in path or (fresh and len(set(path)) != len(path)):
            return "off_path"
        if not _makes_sense(statement):
            return "contradictory"
        if at > now + self.rules.skew:
            return "future"
        return "" if now - at <= self.rules.window else "expired"

    def _enter(self, statement: Account, key: RouteKey, case: _Case | None, now: float, source: Any) -> str:
        first = None if case is None else case.told.get(statement.signer)
        if case is not None and first is not None and (statement.signer in case.liars or _same(first, statement)):
            return "replayed" if case.judged else "duplicate"
        if case is not None and case.judged and first is None:
            return "late"
        if self._verify is not None and not self._verify(statement):
            return "forged"
        case = case or self._begin(key, statement.signer, source)
        if case.since == math.inf and _is_end(statement.signer, key):
            self._start(case, now, source)
        if first is None:
            case.told[statement.signer] = statement
        else:
            self._convict(case, first, statement, now)
        return ""

    def _begin(self, key: RouteKey, signer: Any, source: Any) -> _Case:
        case = self._cases[key] = _Case(key, source)
        if not _is_end(signer, key):
            forgotten = self._early.push(case)
            if forgotten is not None and forgotten.since == math.inf:
                del self._cases[forgotten.key]
        return case

    def _start(self, case: _Case, now: float, source: Any) -> None:
        """An end has spoken: the others have so long to do so too."""
        case.since, case.source = now, source
        early = self._open.push(case)
        if early is not None:
            self._close(early)

    def _convict(self, case: _Case, first: Account, second: Account, now: float) -> None:
        """A signer says two different things of a route, which no honest node does."""
        case.liars[second.signer] = second
        self.proofs = [*self.proofs[1 - self.rules.judged_routes :], Proof(first, second)]
        events = (EventKind.MALICIOUS_BEHAVIOR,)
        self._ready.append(Verdict(second.signer, events, self.rules.proof_weight, at=now))

    # Judging ----------------------------------------------------------------------------------------------------------

    def _close_due(self, now: float) -> None:
        if now < self._open.first + self.rules.wait:
            return
        due = self._open.take_due(now, self.rules.wait)
        # of routes heard of at one instant the order must not matter
        for case in sorted(due, key=lambda case: (case.since, case.key)) if len(due) > 1 else due:
            self._close(case)

    def _close(self, case: _Case) -> None:
        case.judged = True
        forgotten = self._judged.push(case)
        if forgotten is not None:
            del self._cases[forgotten.key]
        self._forget(case.since + self.rules.wait)
        path = case.key[2]
        relays = path[1:-1]
        if not relays:
            return
        finding = self._find(case.word_of(path[0]), case.word_of(path[-1]))
        if finding is not None:
            self._judge(case, relays, finding)
        self._count_bytes(case)
        self._notice_silence(case)

    def _find(self, caller: Account | None, callee: Account | None) -> _Finding | None:
        reports = [report for report in (caller, callee) if report is not None]
        accusing = [report for report in reports if report.outcome is not Outcome.COMPLETED]
        if len(reports) < 2 and not accusing:  # noqa: PLR2004 - praise needs both ends, and so does poor quality
            return None
        failed = bool(accusing)
        accusing = accusing or [report for report in reports if report.poor]
        speaking = accusing or reports
        weight = 1.0
        if len(accusing) == 1:
            denied = len(reports) > 1
            self.disputed += denied
            weight = self.rules.one_sided_weight * (0.5 if denied else 1.0)
        events = events_from_outcome(
            completed=not failed,
            connected=not all(report.outcome is Outcome.TIMEOUT for report in speaking),
            mos=min(report.mos for report in speaking),
            poor=bool(accusing),
        )
        graded = 0.0 if failed else min(grade(report.loss, report.jitter) for report in speaking)
        return _Finding(events, bool(accusing), weight, tuple(report.signer for report in speaking), graded)

    def _judge(self, case: _Case, relays: tuple[Node, ...], finding: _Finding) -> None:
        at = case.since
        shares, whole = self._shares(relays, finding, at), 0.0
        for relay, share in zip(relays, shares, strict=True):
            granted = self._granted(case, finding.raters, relay, share * finding.weight, failed=finding.failed)
            whole += granted
            if granted > 0.0:
                self._ready.append(Verdict(relay, finding.events, granted, finding.raters, finding.grade, at))
        if self._guilt is not None and whole > 0.0:
            # what is beyond a cap, or half believed, teaches no more than it weighs
            self._guilt.learn(relays, finding.failed, at, whole / sum(shares))

    def _shares(self, relays: tuple[Node, ...], finding: _Finding, at: float) -> tuple[float, ...]:
        if self._guilt is not None and finding.failed:
            return self._guilt.shares(relays, finding.failed, at)
        return (1.0 / len(relays) if finding.failed else 1.0,) * len(relays)

    def _notice_silence(self, case: _Case) -> None:
        """Who keeps a receipt back of a route that an end calls completed, and that two others have signed."""
        path = case.key[2]
        if len(case.told) == len(path):
            return
        told = {node: word for node in path if (word := case.word_of(node)) is not None}
        raters = tuple(end for end in (path[0], path[-1]) if end in told)
        if not raters or len(told) < 2 or any(word.outcome is not Outcome.COMPLETED for word in told.values()):  # noqa: PLR2004 - two others
            return
        events = (EventKind.CONNECTION_TIMEOUT,)
        for node in path:
            if node not in case.told:
                granted = self._granted(case, raters, node, self.rules.silence_weight, failed=True)
                if granted > 0.0:
                    self._ready.append(Verdict(node, events, granted, raters, None, case.since))

    def _count_bytes(self, case: _Case) -> None:
        path = case.key[2]
        caller, callee = case.word_of(path[0]), case.word_of(path[-1])
        if caller is None or callee is None or not (caller.carried and callee.carried):
            return
        if caller.outcome is callee.outcome is Outcome.COMPLETED:
            came = caller.carried + callee.carried
            words = [word for relay in path[1:-1] if (word := case.word_of(relay)) is not None]
            self.uncarried += sum(word.carried < CARRIED_LEAST * came for word in words)

    # Bounds -----------------------------------------------------------------------------------------------------------

    def _granted(self, case: _Case, raters: tuple[Node, ...], node: Node, weight: float, *, failed: bool) -> float:
        """As much of `weight` as `raters` may still give `node`, together and each of them."""
        cap, most = self._cap(case, (frozenset(raters), node, failed)), self.rules.pair_cap
        granted = min(weight, most - cap.used)
        alone = [self._cap(case, (rater, node, failed)) for rater in raters] if len(raters) > 1 else []
        for end in alone:
            granted = min(granted, self.rules.partners * most - end.used)
        for given in (cap, *alone):
            given.used += granted
        if len(self._caps) > self.rules.pairs:
            self._drop_caps()
        return granted

    def _cap(self, case: _Case, key: _CapKey) -> _Cap:
        """What was given by now in this window; windows stand in the order in which they began."""
        cap = self._caps.get(key)
        if cap is not None:
            if case.since - cap.began <= self.rules.window:
                return cap
            del self._caps[key]
        cap = self._caps[key] = _Cap(case.since, case.source)
        return cap

    def _drop_caps(self) -> None:
        """Forgets the oldest caps of the source with most of them: nobody gets rid of caps by others' caps."""
        crowd = Counter(cap.source for cap in self._caps.values())
        most = max(crowd, key=lambda source: crowd[source])
        theirs = (key for key, cap in self._caps.items() if cap.source == most)
        # many at once, for to look for them takes long
        for oldest in list(islice(theirs, len(self._caps) - self.rules.pairs + self.rules.pairs // 4)):
            del self._caps[oldest]

    def _forget(self, now: float) -> None:
        """Drops judged routes of which nothing can be replayed any more: their statements are too old by then.

        When routes are judged and not when somebody asks: what is found must not depend on that.
        """
        rules = self.rules
        span = 2.0 * rules.wait + rules.skew + rules.window
        if now >= self._judged.first + span:
            for case in self._judged.take_due(now, span):
                del self._cases[case.key]


def _is_end(node: Any, key: RouteKey) -> bool:
    path = key[2]
    return bool(node in (path[0], path[-1]))


def _content(statement: Account) -> tuple[Outcome, float, bool, float, float, float, int]:
    return (
        statement.outcome,
        statement.mos,
        statement.poor,
        statement.loss,
        statement.delay,
        statement.jitter,
        statement.carried,
    )


def _same(first: Account, second: Account) -> bool:
    """Whether two statements say the same of a route: when, and until when they hold, is no part of that."""
    return first is second or _content(first) == _content(second)


def _makes_sense(statement: Account) -> bool:
    """Whether a statement agrees with itself: finite, within bounds, and no failed route was a good one."""
    measured = 0.0 <= statement.loss <= 1.0 and 0.0 <= statement.delay < math.inf and 0.0 <= statement.jitter < math.inf
    if not (measured and 1.0 <= statement.mos <= 5.0 and statement.carried >= 0):  # noqa: PLR2004 - opinions end at 5
        return False
    if statement.outcome is Outcome.COMPLETED:
        return statement.poor or statement.loss <= UNCALLED_FOR
    return statement.poor and statement.mos == 1.0
