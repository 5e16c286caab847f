"""What stands between asking for a call and asking for its route: finding who is called, and their answering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from meshsim.sim.processes.ringing import Bells
from meshsim.sim.processes.steps import Answered, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshsim.scenario.plan import Plan
    from meshsim.sim.environment import Environment
    from meshsim.sim.processes.federation import Domains
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World


class Waited(NamedTuple):
    """Seconds that a call waited; NaN for what it had not to wait for.

    Attributes:
        ring: Until it was answered or given up.
        resolve: Until another domain said who is called.
    """

    ring: float = math.nan
    resolve: float = math.nan


class Greeting:
    """The calls of an episode that have no route yet. Without ringing, planned nodes answer at once.

    Args:
        plan: The episode.
        world: Who is online.
        domains: Who is told of whom; None where all are at home.
    """

    def __init__(self, plan: Plan, world: World, domains: Domains | None = None) -> None:
        self._plan, self._domains = plan, domains
        self._bells = Bells(plan, world) if plan.scenario.calls.ringing.enabled else None
        self._rang: dict[int, float] = {}

    def step(self, number: int, now: float) -> Step:
        """Takes the next step of call `number`.

        Args:
            number: Row in the plan.
            now: Seconds; when the call starts, or when the last step said to look again.
        """
        unresolved = self._domains.step(number, now) if self._domains is not None else None
        if unresolved is not None:
            return unresolved
        if self._bells is None:
            return Answered(self._plan.calls.callee_node.item(number))
        step = self._bells.step(number, now)
        self._rang[number] = self._bells.rang(number, now)
        return step

    def start(self, env: Environment, recorder: Recorder, cut: Callable[[], None]) -> None:
        """Puts what happens by itself on the clock; `cut` ends the calls whose path does not pass any more."""
        if self._domains is not None:
            self._domains.start(env, recorder, cut)

    def passes(self, path: Sequence[int]) -> bool:
        """Whether the domains on `path` let a call through."""
        return self._domains is None or self._domains.passes(path)

    def borders(self, path: Sequence[int]) -> int:
        """Border relays on `path` if it leads from one domain to another, else -1."""
        return -1 if self._domains is None else self._domains.borders(path)

    def waited(self, number: int) -> Waited:
        """How long call `number` waited for whom."""
        resolve = math.nan if self._domains is None else self._domains.resolved(number)
        return Waited(ring=self._rang.get(number, math.nan), resolve=resolve)

    def forget(self, number: int, now: float) -> None:
        """The call is over."""
        self._rang.pop(number, None)
        if self._domains is not None:
            self._domains.forget(number)
        if self._bells is not None:
            self._bells.forget(number, now)
