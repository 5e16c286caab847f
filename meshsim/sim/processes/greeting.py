"""What stands between asking for a call and asking for its route: finding who is called, and their answering."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from meshsim.sim.processes.ringing import Bells
from meshsim.sim.processes.steps import Answered, Step

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan
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
    """

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan = plan
        self._bells = Bells(plan, world) if plan.scenario.calls.ringing.enabled else None
        self._rang: dict[int, float] = {}

    def step(self, number: int, now: float) -> Step:
        """Takes the next step of call `number`.

        Args:
            number: Row in the plan.
            now: Seconds; when the call starts, or when the last step said to look again.
        """
        if self._bells is None:
            return Answered(self._plan.calls.callee_node.item(number))
        step = self._bells.step(number, now)
        self._rang[number] = self._bells.rang(number, now)
        return step

    def waited(self, number: int) -> Waited:
        """How long call `number` waited for whom."""
        return Waited(ring=self._rang.get(number, math.nan))

    def forget(self, number: int, now: float) -> None:
        """The call is over."""
        self._rang.pop(number, None)
        if self._bells is not None:
            self._bells.forget(number, now)
