"""The attacks of an episode under way: plain data that lives on the clock beside the calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from meshsim.sim.attacks.claims import Claims
from meshsim.sim.attacks.conduct import next_turn, share_dropped
from meshsim.sim.attacks.reports import Spam
from meshsim.sim.attacks.words import Words
from meshsim.sim.environment import BEFORE, LATE
from meshsim.trust import Status

if TYPE_CHECKING:
    from meshsim.sim.attacks.cast import Villain
    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World
    from meshsim.trust import Reputation


class Calls(Protocol):
    """Who carries calls, as far as attacks matter to it."""

    def settle(self) -> None:
        """What calls live through has changed."""

    def silenced(self, node: int) -> None:
        """A relay passes nothing on any more."""


class Book(Protocol):
    """The reputations that a mesh goes by, as far as attackers look at them and get around them."""

    def published(self, node: int) -> Reputation:
        """What the last digest said of a node."""

    def renew(self, node: int, now: float) -> None:
        """A node has come back under a new name: nothing is known of it."""


class Desk(Protocol):
    """Who takes reports of abuse."""

    def renew(self, node: int, now: float) -> None:
        """A node has come back under a new name: nobody has reported it."""


_GOOD = frozenset({Status.TRUSTED, Status.VERIFIED})
_BAD = frozenset({Status.SUSPICIOUS, Status.BANNED})


class Attacks:
    """Lets nodes turn bad and good in their time, cash in a good name, and leave a bad one behind.

    Args:
        env: The clock.
        world: The truth, which knows who misbehaves.
        recorder: Where turns are written down.

    Attributes:
        claims: The lies about links.
        words: The lies about routes.
        spam: The reports of abuse that are made up.
    """

    _calls: Calls
    _book: Book
    _desk: Desk | None = None

    def __init__(self, env: Environment, world: World, recorder: Recorder) -> None:
        self._env, self._world, self._recorder = env, world, recorder
        self._villains = {villain.node: villain for villain in world.villains}
        self._cashing: set[int] = set()
        self._renewed: dict[int, float] = {}
        self.claims = Claims(world.villains)
        self.words = Words(world.villains, world.plan.seed)
        relays = np.flatnonzero(world.plan.nodes.max_calls > 0).tolist()
        self.spam = Spam(world.villains, relays, world.plan.seed)
        env.on("attack.turn", self._due)
        env.on("attack.watch", self._watch)

    def start(self, calls: Calls) -> None:
        """Puts the turns of all that misbehave by the clock into the queue."""
        self._calls = calls
        for node in self._villains:
            self._schedule(node)

    def watch(self, book: Book, desk: Desk | None = None) -> None:
        """Lets those who care for their name look at it after each digest; a new one is new to the `desk` as well."""
        self._book, self._desk = book, desk
        if any(villain.does("milking") or villain.does("whitewashing") for villain in self._villains.values()):
            self._env.schedule_record(self._period, "attack.watch", 1, priority=LATE)

    @property
    def _period(self) -> float:
        return self._world.plan.scenario.control.digest_period

    def _watch(self, step: int, _: object) -> None:
        for node, villain in self._villains.items():
            if villain.strength > 0.0 and self._env.now in villain.window:
                self._look(node, villain)
        # products, not sums: the n-th step is at the same instant however it is reached
        self._env.schedule_record((step + 1) * self._period, "attack.watch", step + 1, priority=LATE)

    def _look(self, node: int, villain: Villain) -> None:
        """A milking node cashes in once it is trusted; one that whitewashes gets a new name once its own is spoilt."""
        known, now = self._book.published(node), self._env.now
        if villain.does("milking") and node not in self._cashing and known.status in _GOOD:
            self._cashing.add(node)
            self._turn(node)
        spoilt = known.status in _BAD or known.mean < self._world.plan.scenario.routing.trust_floor
        rested = now - self._renewed.get(node, villain.window.since) >= villain.period
        if villain.does("whitewashing") and spoilt and rested:
            self._rejoin(node)

    def _rejoin(self, node: int) -> None:
        """A node leaves its name behind; if it cashed in the old one, it has to be trusted under the new one first."""
        now = self._env.now
        self._renewed[node] = now
        self._book.renew(node, now)
        if self._desk is not None:
            self._desk.renew(node, now)
        self._recorder.event(now, "rejoin", node=node, detail="under a new name")
        if node in self._cashing:
            self._cashing.remove(node)
            self._turn(node)

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
