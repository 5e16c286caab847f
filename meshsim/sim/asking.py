"""When the engine is asked for the routes of planned calls: each as it starts, or all of a window together before.

With `routing.batch` the calls of each window are ranked when it begins, on what is believed then, and wait for their
turn with their rankings. What is made of a ranking stands in `calls`.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.routing.constraints import lets_newcomers_in
from meshsim.routing.policies import Outcome
from meshsim.routing.request import RouteRequest
from meshsim.sim.choice import await_calls
from meshsim.sim.compression import AicWishes
from meshsim.sim.environment import BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranked, Ranking, RoutingEngine
    from meshsim.routing.request import Barred
    from meshsim.scenario.plan import Plan
    from meshsim.sim.control import ControlPlane
    from meshsim.sim.environment import Environment
    from meshsim.sim.livecall import LiveCall
    from meshsim.sim.processes.federation import Domains
    from meshsim.sim.recorder import Recorder


class Asking:
    """The planned calls of an episode and what is ranked for them; puts `call.start` records into the queue.

    Args:
        env: The clock.
        plan: The episode.
        control: The belief.
        engine: Who is asked.
        recorder: Where the belief of a window is written.
        ids: Node ids, in index order.
        domains: What each domain knows of the others; None where all believe the same.
    """

    def __init__(
        self,
        env: Environment,
        plan: Plan,
        control: ControlPlane,
        engine: RoutingEngine,
        recorder: Recorder,
        ids: Sequence[NodeId],
        domains: Domains | None = None,
    ) -> None:
        self._domains = domains
        self._env, self._plan, self._control, self._engine = env, plan, control, engine
        self._recorder, self._ids, self._wishes = recorder, tuple(ids), AicWishes(plan)
        self._doors = SeedTree(plan.seed).stream("newcomers")
        self._banned: frozenset[NodeId] = frozenset()
        self._ranked: dict[int, Ranked] = {}
        self._ahead: dict[int, tuple[Ranking, NetworkView]] = {}
        # when the window ends whose calls stand in the queue each by itself
        self._window_end = 0.0 if plan.scenario.routing.batch > 0.0 else math.inf
        env.on("call.batch", self._rank_ahead)

    def schedule(self) -> None:
        """Puts all planned calls into the queue."""
        if self._plan.scenario.routing.batch > 0.0:  # each window schedules its own calls
            self._env.schedule_record(0.0, "call.batch", 0, priority=BEFORE)
        self._await(0)

    def _await(self, first: int) -> None:
        """Puts the calls of the window from number `first` on into the queue."""
        start = self._plan.calls.start
        await_calls(self._env, start[: np.searchsorted(start, self._window_end)], first)

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed: they wait instead of those that did."""
        self._env.cancel({"call.start"})
        self._await(first)

    def rank_anew(self) -> None:
        """What was ranked ahead holds no more: it is ranked again when its time comes."""
        self._ranked.clear()
        self._ahead.clear()

    def ranked(self, call: LiveCall) -> Ranked | None:
        """What was ranked ahead for a call together with others, told once; None if it is to be ranked alone."""
        return self._ranked.pop(call.number, None)

    def ranking(self, call: LiveCall) -> tuple[Ranking, NetworkView]:
        """The ranking of one call and the belief it was made on: from the beginning of its window, or of now."""
        return self._ahead.pop(call.number) if call.number in self._ahead else self._rank(call.number, call.callee)

    def best(self, ranking: Ranking) -> list[tuple[int, ...]]:
        """The paths of a ranking that are tried: the best and its fallbacks."""
        return [ranking.candidates.path(int(row)) for row in ranking.order[: 1 + self._engine.fallbacks]]

    def again(self, call: LiveCall) -> Sequence[tuple[int, ...]]:
        """The best of one fresh ranking without the relays found dead and the path that just failed, be it direct."""
        if call.asked:
            return []
        ranking = self._rank(call.number, call.callee, call.dead)[0]
        others = (path for path in map(ranking.candidates.path, ranking.order) if path != call.path)
        return list(islice(others, 1 + self._engine.fallbacks))

    def pause(self, call: LiveCall) -> None:
        """Another ranking would say the same: a call without a path gives up."""

    def node_down(self, node: int) -> None:
        """A node has vanished: it is believed for a while."""
        self._control.node_down(node, self._env.now)

    def relay(self) -> None:
        """Nodes hang on other places: what is probed leads over other ways."""
        self._control.relay()

    def remember_direct(self, caller: int, callee: int, lived: tuple[float, float, float]) -> None:
        """How the direct path was, for the callers' next rankings."""
        self._control.remember_direct(caller, callee, self._env.now, lived)

    def _rank(self, number: int, callee: int, dead: Iterable[int] = ()) -> tuple[Ranking, NetworkView]:
        """A ranking on the belief of now, without the relays found dead."""
        caller = self._plan.calls.caller.item(number)
        view = self._control.view(caller, callee, self._env.now, number)
        if self._domains is not None:
            view = self._domains.seen(view, caller)
        return self._engine.rank(self._request(number, callee, dead), view), view

    def learn(self, call: LiveCall, lived: tuple[float, float, float], *, connected: bool) -> None:
        """Both ends tell the area's controller how a path fared, at once: what learning policies learn from."""
        if self._engine.learns:
            rtt, jitter, loss = lived
            path = tuple(self._ids[node] for node in call.path)
            self._engine.observe(
                Outcome(
                    path=path,
                    media=call.media,
                    rtt=rtt,
                    jitter=jitter,
                    loss=loss,
                    connected=connected,
                    at=self._env.now,
                )
            )

    def _rank_ahead(self, step: int, _: Any) -> None:
        """Ranks all calls of the coming window together, on what is believed when it begins."""
        period, calls = self._plan.scenario.routing.batch, self._plan.calls
        # products, not sums: the n-th window begins at the same instant however it is reached
        first, last = np.searchsorted(calls.start, (step * period, (step + 1) * period)).tolist()
        self._window_end = (step + 1) * period
        self._env.schedule_record(self._window_end, "call.batch", step + 1, priority=BEFORE)
        self.rank_anew()  # what is left was for calls that failed as they started
        if first == last:
            return
        self._await(first)
        logged = bool(calls.start[last - 1] >= self._plan.scenario.warmup)
        if self._plan.scenario.record.candidates and logged:
            for number in range(first, last):
                self._ahead[number] = self._rank(number, calls.callee_node.item(number))
        else:
            self._rank_together(first, last)
            if logged:
                self._recorder.view(self._control.shared)

    def _rank_together(self, first: int, last: int) -> None:
        """Ranks calls number `first` to `last` - 1: those open to newcomers, and the others."""
        numbers = np.arange(first, last)
        lets_in = np.array([self._lets_in(number) for number in numbers.tolist()])
        for some in (numbers[lets_in], numbers[~lets_in]):
            if len(some):
                self._rank_alike(some)

    def _rank_alike(self, numbers: NDArray[np.int64]) -> None:
        calls = self._plan.calls
        ends = calls.caller[numbers], calls.callee_node[numbers]
        fresh = self._control.fresh_many(*ends, self._env.now, numbers)
        requests = [self._request(*call) for call in zip(numbers.tolist(), ends[1].tolist(), strict=True)]
        ranked = self._engine.rank_many(requests, self._control.shared, fresh)
        self._ranked.update(zip(numbers.tolist(), ranked, strict=True))

    def _barred(self, caller: int, callee: int) -> Barred:
        rules = () if self._domains is None else self._domains.barred(caller, callee)
        return (*rules, ("relay banned for abuse", self._banned)) if self._banned else rules

    def ban(self, nodes: frozenset[int]) -> None:
        """These nodes relay no call that is asked for from now on, nor one that was ranked ahead."""
        self._banned = frozenset(self._ids[node] for node in nodes)
        self.rank_anew()

    def _lets_in(self, number: int) -> bool:
        """Whether newcomers may relay a call."""
        return lets_newcomers_in(self._plan.scenario.trust.newcomers, self._doors, number)

    def _request(self, number: int, callee: int, dead: Iterable[int] = ()) -> RouteRequest:
        """What the engine is asked for one call."""
        calls = self._plan.calls
        media = MediaType(calls.media[number])
        return RouteRequest(
            source=self._ids[calls.caller.item(number)],
            destinations=(self._ids[callee],),
            media=media,
            aic=self._wishes.of(number, media),
            max_hops=self._plan.scenario.routing.max_hops or None,
            exclude=frozenset(self._ids[node] for node in dead),
            flow=number,
            newcomers=self._lets_in(number),
            barred=self._barred(calls.caller.item(number), callee),
        )
