"""The attacks of an episode under way: plain data that lives on the clock beside the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from meshsim.sim.attacks.claims import Claims
from meshsim.sim.attacks.conduct import next_turn, share_dropped
from meshsim.sim.environment import BEFORE

if TYPE_CHECKING:
    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World


class Calls(Protocol):
    """Who carries calls, as far as attacks matter to it."""

    def settle(self) -> None:
        """What calls live through has changed."""

    def silenced(self, node: int) -> None:
        """A relay passes nothing on any more."""


class Attacks:
    """Lets nodes turn bad and good in their time.

    Args:
        env: The clock.
        world: The truth, which knows who misbehaves.
        recorder: Where turns are written down.

    Attributes:
        claims: The lies about links.
    """

    _calls: Calls

    def __init__(self, env: Environment, world: World, recorder: Recorder) -> None:
        self._env, self._world, self._recorder = env, world, recorder
        self._villains = {villain.node: villain for villain in world.villains}
        self._cashing: set[int] = set()
        self.claims = Claims(world.villains)
        env.on("attack.turn", self._due)

    def start(self, calls: Calls) -> None:
        """Puts the turns of all that misbehave by the clock into the queue."""
        self._calls = calls
        for node in self._villains:
            self._schedule(node)

    def _schedule(self, node: int) -> None:
        at = next_turn(self._villains[node], self._env.now)
        if at < self._world.plan.scenario.duration:
            self._env.schedule_record(at, "attack.turn", node, priority=BEFORE)

    def _due(self, node: int, _: object) -> None:
        self._turn(node)
        self._schedule(node)

    def _turn(self, node: int) -> None:
        """A node behaves from now on as it wants to at this time."""
        villain, now = self._villains[node], self._env.now
        drop = share_dropped(villain, now, cashes_in=node in self._cashing)
        aims = self._world.spite.turn(node, active=now in villain.window)
        if drop == self._world.drop[node] and not aims:
            return
        self._world.behave(node, drop)
        self._calls.settle()
        self._calls.silenced(node)
        self._recorder.event(now, "turn", node=node, detail=f"drops {drop:g} of what it relays")
