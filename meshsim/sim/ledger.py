"""The area's ledger of reputation: receipts of calls arrive late, become evidence, and move scores.

Nobody reads scores between two digests, so what has arrived is taken in when the next one is published, in the order
of arrival. What receipts are worth is `trust.docket`'s to say, by the rules that agents go by.
"""

from __future__ import annotations

import math
from dataclasses import replace
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from meshsim.agent.core import AgentConfig
from meshsim.mesh.quality import voice_mos
from meshsim.trust import (
    Docket,
    EventKind,
    Evidence,
    Outcome,
    Reputation,
    Statement,
    Status,
    make_model,
    misconduct,
    status_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from meshsim.mesh.media import MediaType
    from meshsim.scenario.schema import TrustConfig
    from meshsim.sim.recorder import Recorder
    from meshsim.trust import ReputationModel, ReputationTable, Verdict
    from meshsim.trust.docket import Sharing


def model_of(config: TrustConfig) -> ReputationModel:
    """The reputation model that a scenario asks for.

    Raises:
        ConfigError: If the model has no such parameter, or not such a value of it.
    """
    return make_model(config.model, half_life=config.half_life, parameters=config.parameters)


class Words(Protocol):
    """What liars make of what is true (`sim.attacks.words`)."""

    def distort(self, statements: list[Statement], now: float) -> list[Statement]:
        """What the signers of true statements really state."""

    def invent(self, now: float) -> list[Statement]:
        """Statements on calls that were made up since this was asked last."""


class Fact(NamedTuple):
    """The end of one route of a call, of which its nodes will tell.

    Attributes:
        arrives: When the ledger hears of it, seconds.
        number: Place in the order in which routes ended; tells the routes of a call apart.
        call: Which call.
        path: The route's nodes.
        outcome: How it ended.
        lived: Rtt and jitter, seconds, and loss; NaN where nothing was lived.
        promised: The same as the caller expected it; NaN where nothing was predicted.
        media: What the call carried.
        happened: When it ended, seconds.
    """

    arrives: float
    number: int
    call: int
    path: tuple[int, ...]
    outcome: Outcome
    lived: tuple[float, float, float]
    promised: tuple[float, float, float]
    media: MediaType
    happened: float


class Sufferers(Protocol):
    """Those who have cause to complain (`sim.processes.grievances`)."""

    def suffer(self, call: int, path: tuple[int, ...], t: float) -> None:
        """A call over these nodes was spoilt, and its caller has heard by `t` seconds."""


NOTHING = (float("nan"),) * 3

_MANY = 1 << 16
"""Routes and pairs that are kept in mind: the ledger stands for the agents of a whole area."""


class Ledger:
    """Reputations of N nodes, shared by an area; scores move in public when a digest carries them.

    Args:
        model: Evidence in, scores out.
        nodes: N; identities that are made up have numbers from N on.
        recorder: Where scores are written down when they move.
        words: What liars say; None where nobody lies.
        guilt: Who of several relays is to blame; evenly shared without it.
        sufferers: Who hears of spoilt calls; None where nobody reports them.
    """

    def __init__(
        self,
        model: ReputationModel,
        nodes: int,
        recorder: Recorder,
        words: Words | None = None,
        guilt: Sharing | None = None,
        sufferers: Sufferers | None = None,
    ) -> None:
        self._model, self._nodes, self._recorder, self._words, self._guilt = model, nodes, recorder, words, guilt
        self._sufferers = sufferers
        self._docket: Docket[int] = Docket(replace(AgentConfig().rules, open_routes=_MANY, pairs=_MANY), guilt)
        self._moved: dict[int, EventKind] = {}
        self._minimum: float = getattr(model, "minimum", 0.0)
        self._waiting: list[Fact] = []
        self._renewed: dict[int, float] = {}
        self._table = model.table(nodes, 0.0)

    @property
    def refused(self) -> dict[str, int]:
        """How many statements were refused, by reason."""
        return dict(self._docket.refused)

    def hear(self, fact: Fact) -> None:
        """A route has ended: what its nodes state is on its way."""
        heappush(self._waiting, fact)

    def published(self, node: int) -> Reputation:
        """What the last digest said of a node."""
        return self._entry(self._table, node)

    def scores(self) -> NDArray[np.float64]:
        """(N,) what the last digest said of all nodes; NaN of those of whom there is no evidence."""
        return np.where(self._table.evidence > 0.0, self._table.mean, np.nan)

    def renew(self, node: int, now: float) -> None:
        """A node has come back under a new name: from the next digest on nothing is known of it.

        Routes that ended under the old name and wait are dropped: what they tell is of somebody who is gone.
        """
        self._take_in(now)
        self._waiting = [fact for fact in self._waiting if node not in fact.path]
        heapify(self._waiting)
        self._renewed[node] = now
        self._model.forget(node)
        if self._guilt is not None:
            self._guilt.forget(node)
        self._moved.pop(node, None)

    def denounce(self, nodes: Iterable[int], t: float) -> None:
        """Nodes have claimed of links what cannot be: everybody sees that for themselves."""
        for node in nodes:
            self.charge(Evidence(kind=EventKind.SECURITY_VIOLATION, node=node, t=t))

    def charge(self, evidence: Evidence) -> None:
        """Takes in evidence that comes from no receipt: what reports of abuse have come to."""
        self._model.observe(evidence.node, evidence)
        if evidence.node < self._nodes:  # of identities that are made up nothing is written down
            self._moved[evidence.node] = evidence.kind

    def publish(self, t: float) -> ReputationTable:
        """Scores of all nodes at `t` seconds, arrays of shape (N,); writes down those that evidence has moved."""
        self._take_in(t)
        self._table = table = self._model.table(self._nodes, t)
        for node, kind in sorted(self._moved.items()):
            self._recorder.trust(node, kind, self._entry(table, node), t)
        self._moved.clear()
        return table

    def _take_in(self, t: float) -> None:
        """Puts what has arrived by `t` on the docket, and turns what it finds into evidence."""
        for now, statement in self._arrived(t):
            self._docket.add(statement, now)
        for statement in self._words.invent(t) if self._words is not None else ():
            self._docket.add(statement, t)
        for verdict in self._docket.settle(t):
            self._observe(verdict)

    def _arrived(self, t: float) -> Iterator[tuple[float, Statement]]:
        """The statements of all routes of which the ledger hears by `t`, each with when it does."""
        due = []
        while self._waiting and self._waiting[0].arrives <= t:
            due.append(heappop(self._waiting))
        if not due:
            return
        rtt, jitter, loss = np.array([fact.lived for fact in due]).T
        media, promised = [fact.media for fact in due], np.array([fact.promised for fact in due]).T
        heard = np.nan_to_num(voice_mos(rtt / 2, jitter, loss), nan=1.0).tolist()
        spoilt = misconduct(rtt, jitter, loss, media, promised).tolist()
        for fact, mos, poor in zip(due, heard, spoilt, strict=True):
            if self._sufferers and (poor or fact.outcome is Outcome.DROPPED):
                self._sufferers.suffer(fact.call, fact.path, fact.arrives)
            said = _statements(fact, mos, poor)
            for statement in said if self._words is None else self._words.distort(said, fact.happened):
                yield fact.arrives, statement

    def _observe(self, verdict: Verdict[int]) -> None:
        node, model = verdict.node, self._model
        if verdict.at <= self._renewed.get(node, -math.inf):
            return  # first heard of under the old name
        for kind in verdict.events:
            evidence = Evidence(
                kind=kind, node=node, t=verdict.at, weight=verdict.weight, raters=verdict.raters, grade=verdict.grade
            )
            model.observe(node, evidence)
        if node < self._nodes:
            self._moved[node] = verdict.events[0]

    def _entry(self, table: ReputationTable, node: int) -> Reputation:
        mean, low, high, evidence = (float(column[node]) for column in table)
        status = status_of(low) if evidence >= self._minimum else Status.NEW
        return Reputation(mean, low, high, evidence, status)


def _statements(fact: Fact, mos: float, poor: bool) -> list[Statement]:  # noqa: FBT001 - a column
    """What the nodes of a route truthfully state: its ends what they lived through, its relays that it was there."""
    path, outcome = fact.path, fact.outcome
    relay = Statement(fact.call, fact.number, path, path[0], outcome, at=fact.happened)
    if outcome is not Outcome.COMPLETED:
        knowing = path[:1] if outcome is Outcome.TIMEOUT else (path[0], path[-1])
        return [relay._replace(signer=node, poor=True) for node in knowing]
    rtt, jitter, loss = (0.0 if math.isnan(measure) else measure for measure in fact.lived)
    end = relay._replace(mos=mos, poor=poor, loss=loss, delay=rtt / 2, jitter=jitter)
    return [end, end._replace(signer=path[-1]), *(relay._replace(signer=node) for node in path[1:-1])]
