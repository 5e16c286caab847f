"""Where the next hops of a protocol lead a call: the twin of `sim.asking`, which asks the engine.

A call takes the path that its set-up walks from node to node, and keeps it until media break. Where there is none, or
one over a node that is gone, it tries again while tables converge, as long as its people wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NoReturn

from meshsim.mesh.errors import LocalProtocolError
from meshsim.routing.engine import NO_CLAIMS, Ranked
from meshsim.sim.choice import await_calls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.routing.engine import Ranking
    from meshsim.sim.environment import Environment
    from meshsim.sim.livecall import LiveCall
    from meshsim.sim.protocols.mesh import ProtocolMesh
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World

PATIENCE = 15.0
"""Seconds for which people wait for media, at the start and after a break."""

MOST_ASKED = 30
"""Times that a call looks for a path without media, however soon it is refused."""

PAUSE = 0.5
"""Seconds after which a call without a route looks again."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Where next hops led.

    Attributes:
        path: Nodes in order.
        end: `reached`, `loop`, `dead end` (a node without a next hop) or `void` (the last node is offline, or the link
            to it is cut).
    """

    path: tuple[int, ...]
    end: str


def walk(mesh: ProtocolMesh, world: World, source: int, destination: int) -> Walk:
    """Follows next hops from `source` to `destination`."""
    path, seen, node = [source], {source}, source
    while node != destination:
        if not world.online[node]:
            return Walk(tuple(path), "void")
        further = mesh.next_hop(node, destination)
        if further is None or further in seen:
            return Walk(tuple(path), "dead end" if further is None else "loop")
        path.append(further)
        if (node, further) in mesh.cut:
            return Walk(tuple(path), "void")
        seen.add(further)
        node = further
    return Walk(tuple(path), "reached")


class Following:
    """Paths of calls, by the tables of a protocol.

    Args:
        env: The clock.
        world: The truth.
        mesh: The nodes.
        recorder: Where loops are written.
        silence: Seconds until the ends of a call notice that nothing comes through.
    """

    def __init__(self, env: Environment, world: World, mesh: ProtocolMesh, recorder: Recorder, silence: float) -> None:
        self._env, self._world, self._mesh, self._recorder = env, world, mesh, recorder
        self._plan, self._silence = world.plan, silence
        env.on("protocol.void", self._miss)

    def schedule(self) -> None:
        """Puts all planned calls into the queue."""
        await_calls(self._env, self._plan.calls.start, 0)

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed: they wait instead of those that did."""
        self._env.cancel({"call.start"})
        await_calls(self._env, self._plan.calls.start, first)

    def rank_anew(self) -> None:
        """Nothing is ranked ahead."""

    def ranked(self, call: LiveCall) -> Ranked:
        """The path that the set-up of a call walks now."""
        return Ranked(paths=self._walked(call.caller, call.callee, call.number), claims=NO_CLAIMS)

    def ranking(self, call: LiveCall) -> NoReturn:
        """Never asked: `ranked` always answers.

        Raises:
            LocalProtocolError: Always.
        """
        raise LocalProtocolError(f"call {call.number}: tables rank nothing")

    def best(self, ranking: Ranking) -> NoReturn:
        """Never asked either.

        Raises:
            LocalProtocolError: Always.
        """
        raise LocalProtocolError(f"{len(ranking.order)} paths were ranked by nobody: tables rank nothing")

    def again(self, call: LiveCall) -> Sequence[tuple[int, ...]]:
        """The path walked anew, while people wait; what was found dead before does not count, tables know better."""
        for node, further in pairwise(call.path):
            self._miss(node, further)
        if not self._waits(call):
            return ()
        call.dead.clear()
        return self._walked(call.caller, call.callee, call.number)

    def pause(self, call: LiveCall) -> float | None:
        """Seconds until a call without a path looks again; None when it gives up."""
        return PAUSE if self._waits(call) else None

    def node_down(self, node: int) -> None:
        """Nobody tells the protocol: its hellos do."""

    def ban(self, nodes: frozenset[int]) -> None:
        """Protocols know nobody to be banned."""

    def relay(self) -> None:
        """Nodes hang on other places: packets go other ways."""
        self._mesh.relay()

    def remember_direct(self, caller: int, callee: int, lived: tuple[float, float, float]) -> None:
        """Protocols learn nothing from calls."""

    def learn(self, call: LiveCall, lived: tuple[float, float, float], *, connected: bool) -> None:
        """Nor from how they fared."""

    def _waits(self, call: LiveCall) -> bool:
        since = call.answered if math.isnan(call.broken_at) else call.broken_at
        return self._env.now - since < PATIENCE and call.asked < MOST_ASKED

    def _walked(self, source: int, destination: int, call: int) -> tuple[tuple[int, ...], ...]:
        found = walk(self._mesh, self._world, source, destination)
        self._mesh.want(source, destination)
        if found.end == "reached":
            return (found.path,)
        self._recorder.event(self._env.now, found.end.replace(" ", "_"), node=found.path[-1], call=call)
        if found.end == "void":
            self._env.schedule_record(self._env.now + self._silence, "protocol.void", found.path[-2], found.path[-1])
        return ()

    def _miss(self, node: int, neighbour: Any) -> None:
        """What `node` sent to `neighbour` was never answered."""
        if not self._world.online[neighbour] or (node, neighbour) in self._mesh.cut:
            self._mesh.lose(node, neighbour)
