"""The simulator's side of a twin: the episode with an agent in every node, looked at second by second."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.lab.twin.lived import Lived, Second
from meshsim.lab.twin.world import Observer
from meshsim.measure.trace import Trace
from meshsim.mesh.media import MediaType
from meshsim.mesh.time import NANOSECONDS
from meshsim.sim.simulation import begin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.lab.twin.world import Weather
    from meshsim.routing.policies import Policy
    from meshsim.scenario.plan import Plan
    from meshsim.sim import World
    from meshsim.sim.simulation import Episode
    from meshsim.sim.world import PathTruth

STEP = 1.0
"""Seconds between two looks at the world."""


def simulate(
    plan: Plan, out: Path, *, policy: str | Policy | None = None, progress: Callable[[float], None] | None = None
) -> tuple[list[Lived], Weather]:
    """Runs the episode and returns what came of each planned call, and what the world was like meanwhile.

    Args:
        plan: With agents as its control plane, without a warm-up.
        out: Folder of the trace; must hold none yet.
        policy: Instead of the scenario's.
        progress: Told the share that is done.
    """
    episode = begin(plan, out, policy=policy, progress=progress)
    observer, seconds = Observer(plan), _Seconds(episode)
    for step in range(int(plan.scenario.duration / STEP) + 1):
        t = step * STEP
        episode.advance(t)
        observer.look(episode.world, t)
        seconds.look(t)
    episode.finish()
    return _lived(plan, Trace(out), seconds.seen), observer.weather()


class _Seconds:
    """What calls under way live through on the path their media take: there and back."""

    def __init__(self, episode: Episode) -> None:
        self._episode = episode
        self.seen: dict[int, list[tuple[tuple[int, ...], Second, Second]]] = {}

    def look(self, t: float) -> None:
        """Looks at every call whose media flow now."""
        world, board = self._episode.world, self._episode.board
        for number in range(len(self._episode.plan.calls)):
            flow = board.flow_of(number)
            if flow < 0:
                continue
            nodes = world.flow_paths(flow).nodes.tolist()
            truth = world.measure(world.flow_paths(flow)).pick(0)
            if truth.connected[0]:
                there, back = _ways(world, nodes, truth, t)
                self.seen.setdefault(number, []).append((tuple(nodes), there, back))


def _ways(world: World, nodes: list[int], whole: PathTruth, t: float) -> tuple[Second, Second]:
    """A path there and back: its links added up, and what the whole path has besides them shared by both ways."""
    ways = [world.link_truth(path[:-1], path[1:]) for path in (nodes, nodes[::-1])]
    delays = [float(way.delay.sum()) for way in ways]
    kept = [float(np.prod(1.0 - way.loss)) for way in ways]
    sending = (float(whole.rtt[0]) - sum(delays)) / 2.0
    passed = (1.0 - float(whole.loss[0])) / min(kept)  # by relays that drop on purpose
    there, back = (
        Second(at=t, delay=delay + sending, jitter=float(np.sqrt((way.jitter**2).sum())), loss=1.0 - share * passed)
        for way, delay, share in zip(ways, delays, kept, strict=True)
    )
    return there, back


def _lived(plan: Plan, trace: Trace, seen: dict[int, list[tuple[tuple[int, ...], Second, Second]]]) -> list[Lived]:
    calls = trace.columns("calls")
    rows = {int(number): row for row, number in enumerate(calls["call"].tolist())}
    changes = _changes(trace)
    lived = []
    for number, media in enumerate(plan.calls.media):
        row = rows.get(number)
        if row is None:
            lived.append(Lived(outcome="absent", media=MediaType(media)))
            continue
        path = tuple(int(node) for node in calls["path"][row])
        first = [(there, back) for taken, there, back in seen.get(number, []) if taken == path]
        call = Lived(
            outcome=str(calls["outcome"][row]),
            reason=str(calls["reason"][row]),
            media=MediaType(media),
            path=path,
            final_path=tuple(int(node) for node in calls["final_path"][row]),
            there=[there for there, _ in first],
            back=[back for _, back in first],
        )
        if "path_lost" in changes.get(number, {}):
            call.lost = changes[number]["path_lost"]
            call.restored = changes[number].get("failover", call.restored)
        lived.append(call)
    return lived


def _changes(trace: Trace) -> dict[int, dict[str, float]]:
    """When each call first lost its path, and when it first had another, seconds."""
    events = trace.columns("events")
    found: dict[int, dict[str, float]] = {}
    for at, kind, call in zip(events["time_ns"].tolist(), events["kind"], events["call"].tolist(), strict=True):
        if kind in {"path_lost", "failover"} and call >= 0:
            found.setdefault(int(call), {}).setdefault(str(kind), at / NANOSECONDS)
    return found
