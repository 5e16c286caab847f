"""What a mesh of real processes lives through: one test for each fault, each pass or fail.

alice calls bob over relays; every datagram goes through the emulator. Faults of one process alone (a full disk, a
reader that does not read, a clock that jumps) are in `test_faults` and `test_clock`.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.lab.bench.node_kill import bed
from meshsim.mesh.ids import did_key
from meshsim.node.emulation import EmulatedLink
from meshsim.node.testbed import Mesh, Process, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

pytestmark = pytest.mark.full

ALICE, BOB = 0, 1
PATIENCE = 30.0


class Story:
    """One call under which something happens."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.caller, self.callee = mesh.nodes[ALICE], mesh.nodes[BOB]

    async def call(self, seconds: float) -> str:
        begun = len(self.caller.events)
        await self.caller.tell(do="call", callee="@bob.aura", media="audio", seconds=seconds)
        stands = partial(_next, self.caller, begun, "media_open")
        opened: dict[str, Any] = await self.caller.wait(stands, "an accepted call", PATIENCE)
        return str(opened["call"])

    async def result(self, call: str) -> dict[str, Any]:
        ended: dict[str, Any] = await self.caller.wait(
            partial(self.caller.find, "call", call=call), "the end of the call", PATIENCE
        )
        return ended

    def relay(self) -> int:
        """Row of the relay that carries the call now."""
        return self.mesh.row([event["via"] for event in self.caller.events if event["event"] == "media_open"][-1])

    async def silences(self, call: str) -> list[float]:
        """The longest times without a packet at the callee, longest first; its node ends for it."""
        await self.mesh.stop_nodes()
        heard = self.callee.find("heard", call=call)
        assert heard is not None
        assert heard["voice"]["doubled"] == 0
        return sorted(np.diff(np.sort(heard["arrivals"])).tolist(), reverse=True)

    async def cut(self, rows: set[int], *, whole: bool) -> None:
        """Loses all that goes between `rows` and the others, or lets it through again."""
        names = [did_key(node) for node in self.mesh.ids]
        changed = {
            (a, b): parameters if whole else replace(parameters, loss=1.0, burst=1.0)
            for (a, b), parameters in self.mesh.bed.parameters.items()
            if (a in rows) != (b in rows)
        }
        await self.mesh.emulator.set_links(tuple(EmulatedLink(names[a], names[b], p) for (a, b), p in changed.items()))


def _next(process: Process, begun: int, event: str) -> dict[str, Any] | None:
    return next((one for one in process.events[begun:] if one["event"] == event), None)


@asynccontextmanager
async def mesh_of(folder: Path, *overrides: str, **behaviours: str) -> AsyncIterator[Story]:
    async with running(bed(folder / "bed", *overrides, **behaviours)) as mesh:
        await mesh.settle(3.0)
        yield Story(mesh)


def tell(folder: Path, story: Callable[[Story], Coroutine[Any, Any, None]], *said: str, **behaviours: str) -> None:
    async def run() -> None:
        async with mesh_of(folder, *said, **behaviours) as begun:
            await story(begun)

    asyncio.run(run())


def test_a_relay_that_is_killed_costs_less_than_a_second(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        call = await it.call(5.0)
        await asyncio.sleep(2.0)
        it.mesh.kill(it.relay())
        assert (await it.result(call))["outcome"] == "completed"
        assert (await it.silences(call))[0] < 1.0

    tell(tmp_path, story)


def test_a_relay_that_stands_still_for_five_seconds_is_left_and_is_of_use_again(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        call = await it.call(9.0)
        await asyncio.sleep(2.0)
        row = it.relay()
        still = it.mesh.nodes[row]
        still.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(5.0)
        still.process.send_signal(signal.SIGCONT)
        ended = await it.result(call)
        assert ended["outcome"] == "completed"
        assert ended["path"] != ended["final_path"]
        back = partial(it.caller.find, "neighbour_back", node=did_key(it.mesh.ids[row]))
        wanted = {did_key(node) for node in (it.mesh.ids[ALICE], it.mesh.ids[BOB])}
        await still.wait(lambda: still.linked(wanted), "links after it stood still", PATIENCE)
        assert it.mesh.is_up(row)
        assert back() is not None or it.caller.linked({did_key(it.mesh.ids[row])})
        assert (await it.silences(call))[0] < 1.0

    tell(tmp_path, story)


def test_a_call_outlives_a_partition_of_three_seconds(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        call = await it.call(12.0)
        await asyncio.sleep(2.0)
        await it.cut({ALICE}, whole=False)
        await asyncio.sleep(3.0)
        await it.cut({ALICE}, whole=True)
        assert (await it.result(call))["outcome"] == "completed"
        assert 2.5 < (await it.silences(call))[0] < 8.0

    tell(tmp_path, story)


def test_two_relays_that_die_within_ten_seconds_cost_two_short_gaps(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        call = await it.call(8.0)
        for _ in range(2):
            await asyncio.sleep(2.5)
            it.mesh.kill(it.relay())
        assert (await it.result(call))["outcome"] == "completed"
        assert (await it.silences(call))[0] < 1.0

    tell(tmp_path, story)


def test_calls_are_made_when_the_rendezvous_is_gone(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        first = await it.call(1.0)
        assert (await it.result(first))["outcome"] == "completed"
        it.mesh.registry.kill()
        await it.mesh.registry.process.wait()
        await asyncio.sleep(0.5)
        second = await it.call(2.0)
        assert (await it.result(second))["outcome"] == "completed"

    tell(tmp_path, story)


def test_nodes_come_back_to_a_registry_that_starts_anew_and_names_resolve_again(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        it.mesh.registry.kill()
        await it.mesh.registry.process.wait()
        await asyncio.sleep(1.0)
        await it.mesh.restart_registry()
        await asyncio.sleep(4.0)
        call = await it.call(2.0)
        assert (await it.result(call))["outcome"] == "completed"

    tell(tmp_path, story)


def test_relays_that_drop_a_third_of_what_they_carry_are_left_within_ten_seconds_each(tmp_path: Path) -> None:
    gray = {"r3", "r4"}  # the two best ones

    async def story(it: Story) -> None:
        names = it.mesh.bed.nodes.names
        call = await it.call(26.0)
        ended = await it.result(call)
        assert names[it.mesh.row(ended["path"][1])] in gray
        assert names[it.mesh.row(ended["final_path"][1])] not in gray
        moved = [event["at"] for event in it.caller.events if event["event"] == "failover"]
        opened = next(event["at"] for event in it.caller.events if event["event"] == "media_open")
        assert moved[0] - opened < 10.0

    tell(tmp_path, story, **dict.fromkeys(gray, "gray_hole"))


def test_a_relay_that_lies_about_its_links_does_not_end_calls(tmp_path: Path) -> None:
    async def story(it: Story) -> None:
        for _ in range(3):
            call = await it.call(1.5)
            assert (await it.result(call))["outcome"] == "completed"

    tell(tmp_path, story, r2="lying_metrics")
