"""An episode whose routes somebody outside chooses: it stops at every call that asks, and goes on with the answer.

What is asked, and what becomes of an answer, is `calls` as ever; so an episode in which somebody gives the answers of
a policy leaves the same trace as one in which that policy chose. Which candidates there are and which of them may be
used stays the engine's business, and so do the paths that a call tries after its first one has failed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from meshsim.measure.records import ASIDE
from meshsim.measure.trace import TraceWriter
from meshsim.mesh.errors import ConfigError, LocalProtocolError
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.quality import mos, poor
from meshsim.routing.policies.atlas import WORST, felt_cost
from meshsim.sim.calls import Switchboard
from meshsim.sim.oracle import full, start_probe
from meshsim.sim.recorder import Recorder
from meshsim.sim.simulation import DRAWING, Episode, header, make_engine, reconcile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranked, Ranking
    from meshsim.scenario import Scenario
    from meshsim.scenario.plan import Plan
    from meshsim.sim.choice import Choice
    from meshsim.sim.environment import Environment
    from meshsim.sim.livecall import LiveCall
    from meshsim.sim.recorder import CallRow

OUTSIDE = "outside"
"""The policy of such calls and episodes, as it stands in traces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A call that waits for its route.

    Attributes:
        call: Who calls whom.
        ranking: The candidates, and what the scenario's own policy would do.
        view: What is believed.
    """

    call: LiveCall
    ranking: Ranking
    view: NetworkView


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A call that is over, and was routed from outside.

    Attributes:
        call: Its number.
        outcome: As in the table `calls`.
        utility: What it was worth to its people, in [0, 1]: see `lived_utility`.
    """

    call: int
    outcome: str
    utility: float


class Outside:
    """A choice that asks another which candidates there are, and somebody outside which of them to take.

    Args:
        env: The clock; it is stopped at each question.
        inner: Who knows the candidates.
        choose: Goes on with a call whose question has an answer.
        since: Seconds before which nobody is asked.

    Attributes:
        question: The call that waits, if one does.
    """

    def __init__(self, env: Environment, inner: Choice, choose: Callable[[LiveCall], None], since: float = 0.0) -> None:
        self._env, self._inner, self._choose, self._since = env, inner, choose, since
        self._answered: tuple[Ranking, NetworkView] | None = None
        self.question: Question | None = None

    def ranking(self, call: LiveCall) -> tuple[Ranking, NetworkView]:  # noqa: RET503 - stopping returns to nobody
        """Stops the clock to ask for a call's route; the answer when there is one.

        Where there is nothing to choose, and before `since`, nobody is asked.
        """
        if self._answered is not None:
            answered, self._answered = self._answered, None
            return answered
        ranking, view = self._inner.ranking(call)
        if not ranking.order or call.start < self._since:
            return ranking, view
        self.question = Question(call=call, ranking=ranking, view=view)
        self._env.stop()

    def answer(self, row: int) -> None:
        """The call that waits takes candidate `row` first, and after it what it would have taken.

        Raises:
            LocalProtocolError: If nobody has asked, or the candidate may not be used.
        """
        if self.question is None:
            raise LocalProtocolError("no call waits for a route")
        question, ranking = self.question, self.question.ranking
        if row not in ranking.order:
            raise LocalProtocolError(f"candidate {row} may not be used; those that may: {sorted(ranking.order)}")
        self.question, self._answered = None, (_reordered(ranking, row), question.view)
        self._choose(question.call)

    def schedule(self) -> None:
        """As the inner choice does."""
        self._inner.schedule()

    def replan(self, first: int) -> None:
        """As the inner choice does."""
        self._inner.replan(first)

    def rank_anew(self) -> None:
        """As the inner choice does."""
        self._inner.rank_anew()

    def ranked(self, call: LiveCall) -> Ranked | None:
        """As the inner choice says; it ranks nothing ahead."""
        return self._inner.ranked(call)

    def best(self, ranking: Ranking) -> list[tuple[int, ...]]:
        """As the inner choice says, of the order that the answer gave."""
        return self._inner.best(ranking)

    def again(self, call: LiveCall) -> Sequence[tuple[int, ...]]:
        """As the inner choice says."""
        return self._inner.again(call)

    def pause(self, call: LiveCall) -> float | None:
        """As the inner choice says."""
        return self._inner.pause(call)

    def node_down(self, node: int) -> None:
        """As the inner choice does."""
        self._inner.node_down(node)

    def ban(self, nodes: frozenset[int]) -> None:
        """As the inner choice does."""
        self._inner.ban(nodes)

    def relay(self) -> None:
        """As the inner choice does."""
        self._inner.relay()

    def remember_direct(self, caller: int, callee: int, lived: tuple[float, float, float]) -> None:
        """As the inner choice does."""
        self._inner.remember_direct(caller, callee, lived)

    def learn(self, call: LiveCall, lived: tuple[float, float, float], *, connected: bool) -> None:
        """As the inner choice does."""
        self._inner.learn(call, lived, connected=connected)


class _Listening(Recorder):
    """A recorder that also keeps those of the calls routed from outside (`mine`) that ended since somebody looked."""

    def __init__(self, writer: TraceWriter, plan: Plan) -> None:
        super().__init__(writer, plan)
        self.mine: set[int] = set()
        self.ended: list[CallRow] = []

    def call(self, row: CallRow) -> None:
        """Writes a call, and whom its route is from."""
        if row.call not in self.mine:
            super().call(row)
            return
        super().call(replace(row, policy=OUTSIDE))
        self.ended.append(row)


class Asked:
    """An episode under way that asks for routes.

    Args:
        plan: What is to happen.
        out: Folder of the trace.

    Attributes:
        plan: What is to happen.
        question: The call that waits for its route; None before the first and after the last.
        over: Whether the episode has come to its end.

    Raises:
        ConfigError: If the scenario's calls do not ask an engine one by one, or its policy draws.
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        refuse_unasked(plan.scenario)
        self.plan, policy = reconcile(plan, None)
        engine = make_engine(self.plan, policy)
        self._recorder = _Listening(TraceWriter(out, header(self.plan, OUTSIDE)), self.plan)
        self._episode = Episode(self.plan, self._recorder, engine)
        board = self._episode.board
        assert isinstance(board, Switchboard)  # noqa: S101 - the modelled control plane has no other
        self._outside = board.choice = Outside(self._episode.env, board.choice, board.choose, self.plan.scenario.warmup)
        self.over = False

    @property
    def question(self) -> Question | None:
        """The call that waits for its route."""
        return self._outside.question

    def go_on(self) -> None:
        """Goes on until a call asks for a route, or to the end of the episode.

        Raises:
            LocalProtocolError: If a call waits for its answer.
        """
        if self.question is not None:
            raise LocalProtocolError(f"call {self.question.call.number} waits for a route")
        self._episode.play()
        self.over = self._episode.over

    def answer(self, row: int) -> None:
        """Gives the call that waits candidate `row`; errors as of `Outside.answer`."""
        if self.question is not None:
            self._recorder.mine.add(self.question.call.number)
        self._outside.answer(row)

    def close(self, *, keep: bool) -> None:
        """Ends the calls that are still under way; with `keep` the trace is made whole."""
        if keep:
            self._episode.finish()
        else:
            self._episode.board.close()

    def ended(self) -> tuple[Ended, ...]:
        """The calls routed from outside that have ended since this was asked last."""
        rows, self._recorder.ended = self._recorder.ended, []
        return tuple(
            Ended(call=row.call, outcome=row.outcome, utility=lived_utility(row))
            for row in rows
            if row.outcome not in ASIDE
        )

    def utilities(self) -> NDArray[np.float64]:
        """What each candidate of the call that waits is truly worth now: (P,) in [0, 1].

        The truth of this instant, the call's own load included; 0 where nothing comes through or a relay is full.

        Raises:
            LocalProtocolError: If no call waits.
        """
        if self.question is None:
            raise LocalProtocolError("no call waits for a route")
        candidates, media, world = self.question.ranking.candidates, self.question.call.media, self._episode.world
        truth = start_probe(world, candidates, demand(media)).first
        blocked = full(world, candidates.nodes.astype(np.int64), candidates.indptr)
        worth = 1.0 - felt_cost(truth.mos(media), truth.poor(media), media) / WORST
        return np.where(truth.connected & ~blocked, np.clip(worth, 0.0, 1.0), 0.0)


def lived_utility(row: CallRow) -> float:
    """What a call was worth to its people, in [0, 1]: 1 flawless, 0 when nothing came through.

    One minus the cost by which the policies `via` and `q-routing` learn (`routing.policies.atlas`), over its worst: the
    share of a flawless call's MOS that was forgone counts 3.5, being poor 1.
    """
    if np.isnan(row.rtt_seconds):
        return 0.0
    measures = row.jitter_seconds, row.loss
    media = MediaType(row.media)
    felt = row.mos if row.mos is not None else float(mos(media, row.rtt_seconds / 2, *measures, row.rate_share))
    bad = row.poor if row.poor is not None else bool(poor(row.rtt_seconds, *measures, media, share=row.rate_share))
    cost = float(felt_cost(np.asarray(felt), np.asarray(bad), media))
    return min(max(1.0 - cost / WORST, 0.0), 1.0)


def _reordered(ranking: Ranking, row: int) -> Ranking:
    """The ranking with candidate `row` taken first, for certain."""
    propensity = np.zeros(len(ranking.candidates))
    propensity[row] = 1.0
    return replace(ranking, order=(row, *(other for other in ranking.order if other != row)), propensity=propensity)


def refuse_unasked(scenario: Scenario) -> None:
    """Refuses scenarios in which nobody could be asked from outside.

    Raises:
        ConfigError: With what is allowed.
    """
    routing, mode = scenario.routing, scenario.control.mode
    if mode != "modelled":
        raise ConfigError(
            f"nodes that decide for themselves ask nobody: {mode!r}", key="control.mode", allowed=["modelled"]
        )
    if routing.protocol:
        raise ConfigError(
            f"a routing protocol asks nobody: {routing.protocol!r}", key="routing.protocol", allowed=["''"]
        )
    if routing.batch > 0.0:
        raise ConfigError("calls ranked ahead ask nobody as they start", key="routing.batch", allowed=["0"])
    if routing.policy in DRAWING:
        raise ConfigError(
            f"{routing.policy!r} draws, and what somebody else chooses has no such odds",
            key="routing.policy",
            allowed=["a policy that draws nothing: weighted, shortest, learned, ..."],
        )
