"""People who are called: their devices ring by `identity.notify`, and they pick up, decline, or let it ring out.

Whether a person takes a call is one draw of the call; how soon is one of each device. The first device that is picked
up decides. All draws are functions of the call's number and the device, so nobody's answer depends on other calls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshsim.identity.notify import Device, Incoming, Preferences, QuietHours, Ring, RingMode, Silence, decide
from meshsim.links.normal import normal_quantile
from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.sim.processes.steps import Answered, Ended, Step, Wait

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshsim.scenario.plan import Plan
    from meshsim.sim.world import World

_HOUR = 3600.0
_DEGREES_PER_HOUR = 15.0
_INTENT, _PATIENCE = 0, 1
_TAKE, _DECLINE, _IGNORE = "take", "decline", ""


@dataclass(slots=True, kw_only=True)
class _Bell:
    """A call that rings.

    Attributes:
        began: Seconds.
        pickups: When which node is picked up, seconds and node index, in order of time.
        intent: What the person does then.
        ends: When it stops ringing, seconds.
        why: Why it stops.
    """

    began: float
    pickups: list[tuple[float, int]] = field(default_factory=list)
    intent: str = _IGNORE
    ends: float = math.inf
    why: str = ""


class Bells:
    """All calls that ring in an episode, and who is in a call.

    Args:
        plan: The episode.
        world: Who is online.
    """

    def __init__(self, plan: Plan, world: World) -> None:
        self._plan, self._world, self._config = plan, world, plan.scenario.calls.ringing
        self._seeds = SeedTree(plan.seed)
        self._devices: dict[str, list[int]] = {}
        for node, aura in enumerate(plan.nodes.auras):
            self._devices.setdefault(aura, []).append(node)
        self._bells: dict[int, _Bell] = {}
        self._engaged: dict[str, int] = {}
        self._ends: dict[int, tuple[int, ...]] = {}
        self._used: dict[int, float] = {}

    def step(self, number: int, now: float) -> Step:
        """Lets call `number` ring, or looks what has become of it.

        Args:
            number: Row in the plan.
            now: Seconds; when the last step said to look again.
        """
        bell = self._bells.get(number)
        if bell is None:
            self._ends[number] = (self._plan.calls.caller.item(number),)
            self._engage(number, 1)
            return self._begin(number, now)
        while bell.pickups and bell.pickups[0][0] <= now:
            _, node = bell.pickups.pop(0)
            if self._world.online[node]:
                return self._picked_up(number, bell, node)
        return self._waits(bell, now)

    def rang(self, number: int, now: float) -> float:
        """Seconds that call `number` has rung; NaN if it has not come to that."""
        return now - self._bells[number].began if number in self._bells else math.nan

    def forget(self, number: int, now: float) -> None:
        """The call is over."""
        if number in self._ends:
            self._engage(number, -1)
            self._used.update(dict.fromkeys(self._ends.pop(number), now))
        self._bells.pop(number, None)

    # --- ringing ------------------------------------------------------------------------------------------------------

    def _begin(self, number: int, now: float) -> Step:
        bell = self._bells[number] = _Bell(began=now)
        person = self._plan.calls.callee[number]
        if self._busy(person):
            return Ended("busy", "callee is in another call")
        decision = decide(self._preferences(person), self._incoming(number, person), self._config.clock + now)
        if isinstance(decision, Silence):
            return Ended("unanswered", decision.reason)
        bell.intent = self._intent(number)
        bell.ends, bell.why = now + decision.timeout, "no answer"
        patience = self._patience(number)
        if patience < decision.timeout:
            bell.ends, bell.why = now + patience, "caller hung up"
        if bell.intent != _IGNORE:
            bell.pickups = sorted(self._pickups(number, decision, now))
        return self._waits(bell, now)

    def _waits(self, bell: _Bell, now: float) -> Step:
        if now >= bell.ends:
            return Ended("unanswered", bell.why)
        return Wait(min(bell.ends, bell.pickups[0][0]) if bell.pickups else bell.ends)

    def _picked_up(self, number: int, bell: _Bell, node: int) -> Step:
        if bell.intent == _DECLINE:
            return Ended("declined", "callee declined")
        if self._busy(self._plan.nodes.auras[node]):  # took another call while this one rang
            return Ended("busy", "callee is in another call")
        self._engage(number, -1)
        self._ends[number] = (*self._ends[number], node)
        self._engage(number, 1)
        return Answered(node)

    def _pickups(self, number: int, ring: Ring, now: float) -> Iterable[tuple[float, int]]:
        for name, start, end in ring.turns():
            node = int(name)
            after = start + self._reaction(number, node)
            if after < end:
                yield now + after, node

    # --- people -------------------------------------------------------------------------------------------------------

    def _preferences(self, person: str) -> Preferences:
        config = self._config
        quiet, undisturbed = self._seeds.stream(f"ringing/{person}").uniform(0, 2)
        longitude = self._plan.nodes.longitude.item(self._devices[person][0])
        hours = (QuietHours(start=config.quiet.start, end=config.quiet.end),) if quiet < config.quiet.share else ()
        return Preferences(
            do_not_disturb=bool(undisturbed < config.do_not_disturb),
            quiet=hours,
            utc_offset=_HOUR * round(longitude / _DEGREES_PER_HOUR),
            timeout=config.timeout,
            mode=RingMode(config.mode),
            smart=config.smart,
        )

    def _incoming(self, number: int, person: str) -> Incoming:
        calls, clock = self._plan.calls, self._config.clock
        devices = (
            Device(
                name=str(node), online=bool(self._world.online[node]), used_at=clock + self._used.get(node, -math.inf)
            )
            for node in self._devices[person]
        )
        caller = self._plan.nodes.auras[calls.caller.item(number)]
        return Incoming(caller=caller, media=MediaType(calls.media[number]), devices=tuple(devices))

    def _busy(self, person: str) -> bool:
        return self._config.busy == "refuse" and person in self._engaged

    def _engage(self, number: int, by: int) -> None:
        for node in self._ends[number]:
            person = self._plan.nodes.auras[node]
            self._engaged[person] = self._engaged.get(person, 0) + by
            if not self._engaged[person]:
                del self._engaged[person]

    # --- draws --------------------------------------------------------------------------------------------------------

    def _intent(self, number: int) -> str:
        drawn = self._seeds.stream("ringing/intent", number).at(_INTENT)
        if drawn < self._config.answer:
            return _TAKE
        return _DECLINE if drawn < self._config.answer + self._config.decline else _IGNORE

    def _reaction(self, number: int, node: int) -> float:
        drawn = self._seeds.stream("ringing/reaction", number).at(node)
        reaction = self._config.reaction
        return reaction.median * math.exp(reaction.sigma * normal_quantile(drawn))

    def _patience(self, number: int) -> float:
        if not self._config.patience:
            return math.inf
        drawn = self._seeds.stream("ringing/intent", number).at(_PATIENCE)
        return -self._config.patience * math.log1p(-drawn)
