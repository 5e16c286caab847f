"""The real side of a twin: a process for each node, calls and faults in their time, links as the simulator had them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.loops import finish
from meshsim.lab.twin.lived import Lived, Second
from meshsim.mesh.errors import MeshSimError
from meshsim.mesh.ids import did_key
from meshsim.mesh.media import MediaType
from meshsim.node.emulation import EmulatedLink
from meshsim.node.testbed import running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meshsim.lab.twin.world import Weather
    from meshsim.node.emulation import Precision
    from meshsim.node.testbed import Bed, Mesh, Process
    from meshsim.node.traffic import Mismatch
    from meshsim.scenario.plan import Plan

ROUNDS = 3.0
"""Rounds of gossip that the mesh has before the plan's clock begins to run."""
HEAD = 1.0
"""Seconds on the plan's clock before the first call or fault at which it begins."""
GRACE = 4.0
"""Seconds after the last call should have ended."""
TICK = 0.05
"""Seconds between two looks at the clock."""
DRAIN = 0.3
"""Seconds after the last node has left until every datagram on its way has been counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reality:
    """What came of a plan on real nodes.

    Attributes:
        calls: One for each planned call.
        mismatches: Directed links on which the emulator saw other counts than the nodes sent: none in a valid run.
        before: The emulator's error in its self-test before the nodes started.
        during: The same over the datagrams of the run.
        lag: How late this process, which does next to nothing, woke: 99th percentile, seconds. Where the machine has no
            time for it, it has none for nodes.
        processes: Real node processes.
    """

    calls: list[Lived]
    mismatches: tuple[Mismatch, ...]
    before: Precision
    during: Precision
    lag: float
    processes: int


def live(bed: Bed, plan: Plan, weather: Weather, *, progress: Callable[[float], None] | None = None) -> Reality:
    """Runs the plan's nodes as processes, lets its calls and faults happen, and returns what came of them.

    Args:
        bed: The testbed.
        plan: What is to happen; its clock runs as fast as the wall's.
        weather: What links are like when.
        progress: Told the share that is done.

    Raises:
        TestbedError: If a process does not do its part.
    """
    return finish(_live(bed, plan, weather, progress or (lambda _: None)))


async def _live(bed: Bed, plan: Plan, weather: Weather, progress: Callable[[float], None]) -> Reality:
    async with running(bed) as mesh:
        await mesh.settle(ROUNDS)
        play = _Play(mesh, plan, weather, progress)
        await play.run()
        await mesh.stop_nodes()
        await asyncio.sleep(DRAIN)
        return Reality(
            calls=play.lived(),
            mismatches=tuple(await mesh.counts()),
            before=mesh.precision,
            during=await mesh.emulator.precision(),
            lag=float(np.quantile(play.late, 0.99)),
            processes=len(mesh.nodes),
        )


class _Play:
    """The plan on the wall's clock."""

    def __init__(self, mesh: Mesh, plan: Plan, weather: Weather, progress: Callable[[float], None]) -> None:
        self._mesh, self._plan, self._weather, self._progress = mesh, plan, weather, progress
        starts = [*plan.calls.start.tolist(), *plan.faults.at.tolist()]
        self._first = max(0.0, min(starts, default=0.0) - HEAD)
        ends = (plan.calls.start + plan.calls.duration).tolist()
        self._last = min(max(ends, default=self._first), plan.scenario.duration) + GRACE
        self._placed: dict[int, list[int]] = {}
        self._callers: dict[int, Process] = {}
        self._zero = math.nan
        self.late: list[float] = [0.0]

    async def run(self) -> None:
        """Does everything in its time."""
        await self._set(self._weather.begin(self._first))
        loop = asyncio.get_running_loop()
        self._zero = loop.time() - self._first
        calls, faults = self._plan.calls, self._plan.faults
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                for at, changed in self._weather.changes(self._first):
                    if at <= self._last:
                        group.create_task(self._at(at, partial(self._set, changed)))
                for number, start in enumerate(calls.start.tolist()):
                    group.create_task(self._at(start, partial(self._place, number)))
                for at, kind, node in zip(faults.at.tolist(), faults.kind, faults.node.tolist(), strict=True):
                    if kind in {"down", "up"}:
                        group.create_task(self._at(at, partial(self._fault, kind, node)))
        except* MeshSimError as wrong:
            raise wrong.exceptions[0] from None

    async def _at(self, t: float, action: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(max(0.0, self._zero + t - asyncio.get_running_loop().time()))
        await action()

    async def _watch(self) -> None:
        """Tells how far it is, and notes how late it wakes."""
        loop = asyncio.get_running_loop()
        while (now := loop.time() - self._zero) < self._last:
            self._progress(max(0.0, (now - self._first) / (self._last - self._first)))
            await asyncio.sleep(TICK)
            self.late.append(loop.time() - self._zero - now - TICK)

    async def _set(self, links: dict[Any, Any]) -> None:
        names = [did_key(node) for node in self._mesh.ids]
        await self._mesh.emulator.set_links(tuple(EmulatedLink(names[a], names[b], p) for (a, b), p in links.items()))

    async def _place(self, number: int) -> None:
        calls = self._plan.calls
        caller = int(calls.caller[number])
        if not self._mesh.is_up(caller):
            return
        process = self._mesh.nodes[caller]
        self._callers[number] = process
        self._placed.setdefault(id(process), []).append(number)
        with contextlib.suppress(ConnectionError):  # it is being killed
            await process.tell(
                do="call",
                callee=calls.callee[number],
                media=calls.media[number],
                seconds=float(calls.start[number] + calls.duration[number])
                - (asyncio.get_running_loop().time() - self._zero),
            )

    async def _fault(self, kind: str, node: int) -> None:
        if kind == "down":
            self._mesh.kill(node)
        else:
            await self._mesh.restart(node)

    # What came of it --------------------------------------------------------------------------------------------------

    def lived(self) -> list[Lived]:
        """What came of each planned call, by what its ends told."""
        return [self._of(number) for number in range(len(self._plan.calls))]

    def _of(self, number: int) -> Lived:
        calls = self._plan.calls
        media = MediaType(calls.media[number])
        caller = self._callers.get(number)
        ended = None if caller is None else self._ended(caller, number)
        if caller is None or ended is None:
            reason = "caller offline" if caller is None else "caller vanished"
            return Lived(outcome="absent" if caller is None else "dropped", reason=reason, media=media)
        call = ended["call"]
        path = tuple(map(self._mesh.row, ended["path"]))
        lived = Lived(
            outcome=ended["outcome"],
            reason=ended["reason"],
            media=media,
            path=path,
            final_path=tuple(map(self._mesh.row, ended["final_path"])),
            back=self._heard(caller, call),
        )
        if path:
            lived.there = self._heard_by_any(path[-1], call)
        for event, name in (("path_lost", "lost"), ("failover", "restored")):
            told = [e["at"] for e in caller.events if e["event"] == event and e.get("call") == call]
            if told and not (name == "restored" and math.isnan(lived.lost)):
                setattr(lived, name, min(told) - self._zero)
        return lived

    def _ended(self, caller: Process, number: int) -> dict[str, Any] | None:
        """What the caller told of its end: its calls in the order in which they began are those it was asked for."""
        told = sorted((e for e in caller.events if e["event"] == "call"), key=lambda event: event["start"])
        asked = self._placed[id(caller)]
        return told[asked.index(number)] if len(told) == len(asked) else None

    def _heard_by_any(self, row: int, call: str) -> list[Second]:
        """What the callee heard, in whichever of its lives."""
        for process in self._mesh.lives(row):
            seconds = self._heard(process, call)
            if seconds:
                return seconds
        return []

    def _heard(self, process: Process, call: str) -> list[Second]:
        """The seconds of the first route; the last one, which the end of the route cut short, is left out."""
        heard = process.find("heard", call=call)
        if heard is None or not heard["seconds"]:
            return []
        first = heard["seconds"][0]["label"]
        return _seconds([second for second in heard["seconds"] if second["label"] == first], self._zero)


def _seconds(told: Sequence[dict[str, Any]], zero: float) -> list[Second]:
    return [
        Second(
            at=second["at"] - zero,
            delay=second["delay"],
            jitter=second["jitter"],
            loss=second["loss"],
            packets=second["received"] / max(1e-9, 1.0 - second["loss"]),
        )
        for second in told
        if second["received"]
    ]
