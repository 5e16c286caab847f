"""What a call lives through when its relay vanishes, or goes in an orderly way: real processes, real packets.

alice calls bob over the relay nearest to both; others stand around it. Once the second route stands by, the relay gets
SIGKILL or SIGTERM. What is told: how long until an end noticed, and how long the callee's ear was without a packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.lab.goals import judge
from meshsim.lab.loops import finish
from meshsim.lab.twin.world import link_parameters
from meshsim.mesh.ids import did_key
from meshsim.node.testbed import START_TIMEOUT, Bed, TestbedError, running
from meshsim.scenario import compile_plan, load
from meshsim.sim import World
from meshsim.sim.driver import agent_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.node.testbed import Mesh

KILLS, LEAVES = 30, 10
BEFORE, AFTER = 2.0, 2.0
"""Seconds that a call has before its relay goes, and after."""
REST = 2.5
"""Seconds until a node that was started again has told its neighbours what it measured."""
_PEOPLE = (("alice", "Seattle"), ("bob", "Houston"))
_RELAYS = (("r1", "Boulder"), ("r2", "Lincoln"), ("r3", "San-Diego"), ("r4", "Salt-Lake-City"))
STRENGTH = 0.3
"""Of misbehaviour: a gray hole drops so much."""
_FRAME = 0.020
"""Seconds between two voice packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One relay that went under a call.

    Attributes:
        kind: `kill` or `leave`.
        relay: Its name.
        noticed: Seconds until an end of the call knew; NaN if none did.
        gap: Longest time without a packet at the callee from then on, less what is usual between two; seconds.
        completed: Whether the call went on to its end.
        doubled: Packets that came to the application twice.
    """

    kind: str
    relay: str
    noticed: float
    gap: float
    completed: bool
    doubled: int


def losses(
    *, kills: int = KILLS, leaves: int = LEAVES, folder: Path | None = None, progress: Callable[[float], None]
) -> list[Loss]:
    """Lets relays go under calls, one after the other.

    Args:
        kills: By SIGKILL.
        leaves: By SIGTERM.
        folder: For what the processes write; a temporary one when None.
        progress: Told the share that is done.
    """
    with tempfile.TemporaryDirectory() if folder is None else contextlib.nullcontext(str(folder)) as place:
        return finish(_losses(Path(place), ["kill"] * kills + ["leave"] * leaves, progress))


def bed(folder: Path, *overrides: str, **behaviours: str) -> Bed:
    """Alice and bob, and four relays around them: links without loss, and nobody who is avoided for what happened.

    Args:
        folder: For what the processes write.
        overrides: Of the scenario.
        behaviours: How relays misbehave, by name.
    """
    named = [
        *({"name": name, "role": "peer", "at": at, "nat": "symmetric"} for name, at in _PEOPLE),
        *({"name": name, "role": "relay", "at": at} for name, at in _RELAYS),
    ]
    for node in named:
        if node["name"] in behaviours:
            node |= {"behaviour": behaviours[node["name"]], "strength": str(STRENGTH)}
    said = [
        f"nodes.count={len(named)}",
        f"nodes.roles={{relay: {len(_RELAYS)}}}",
        f"nodes.named={named}",
        "calls.listed=[]",
        "faults=[]",
        "routing.trust_floor=0",
        "underlay.loss=0",
        "nodes.access.peer.loss=0",
        "nodes.access.relay.loss=0",
        *overrides,
    ]
    plan = compile_plan(load("twin_churn", said), seed=1)
    return Bed(
        nodes=plan.nodes,
        links=plan.links,
        parameters=link_parameters(plan, World(plan)),
        folder=folder,
        seed=1,
        agent=agent_config(plan.scenario),
        routing=plan.scenario.routing,
        trust=plan.scenario.trust,
        policy="shortest",
    )


async def _losses(folder: Path, kinds: list[str], progress: Callable[[float], None]) -> list[Loss]:
    async with running(bed(folder)) as mesh:
        await mesh.settle(3.0)
        went = []
        for number, kind in enumerate(kinds):
            went.append(await _lose(mesh, kind))
            progress((number + 1) / len(kinds))
        callee = mesh.nodes[1]
        await mesh.stop_nodes()
        heard = {event["call"]: event for event in callee.events if event["event"] == "heard"}
        return [_told(mesh, one, heard) for one in went]


async def _lose(mesh: Mesh, kind: str) -> dict[str, Any]:
    """One call, under which one relay goes; the relay is back when this returns."""
    caller = mesh.nodes[0]
    begun = len(caller.events)
    await caller.tell(do="call", callee="@bob.aura", media="audio", seconds=BEFORE + AFTER)
    opened = await caller.wait(lambda: _after(caller.events[begun:], "media_open"), "an accepted call", START_TIMEOUT)
    await asyncio.sleep(BEFORE)
    row = mesh.row([event["via"] for event in caller.events if event["event"] == "media_open"][-1])
    relay = mesh.nodes[row]
    if kind == "kill":
        at = mesh.kill(row)
    else:
        at = asyncio.get_running_loop().time()
        relay.process.send_signal(signal.SIGTERM)
        mesh.killed.add(row)
    ended = await caller.wait(
        lambda: caller.find("call", call=opened["call"]), "the end of the call", AFTER + START_TIMEOUT
    )
    with contextlib.suppress(TestbedError):
        await relay.wait(lambda: relay.find("ended"), "the end of the relay", START_TIMEOUT)
    await relay.process.wait()
    await mesh.restart(row)
    await _back(mesh, row)
    return {"kind": kind, "row": row, "at": at, "ended": ended}


def _after(events: list[dict[str, Any]], kind: str) -> dict[str, Any] | None:
    return next((event for event in events if event["event"] == kind), None)


async def _back(mesh: Mesh, row: int) -> None:
    node = mesh.nodes[row]
    wanted = {did_key(mesh.ids[j]) for j in mesh.bed.links.dst[mesh.bed.links.src == row].tolist()}
    await node.wait(partial(node.linked, wanted), "links to all neighbours", START_TIMEOUT)
    await asyncio.sleep(REST)


def _told(mesh: Mesh, one: dict[str, Any], heard: dict[str, dict[str, Any]]) -> Loss:
    at, ended = one["at"], one["ended"]
    lost = [failover["lost"] for failover in ended["failovers"] if failover["lost"] >= at]
    arrivals = np.asarray(heard.get(ended["call"], {"arrivals": []})["arrivals"], dtype=np.float64)
    around = arrivals[np.searchsorted(arrivals, at) - 1 :] if len(arrivals) and arrivals[0] < at else arrivals[:0]
    widest = float(np.diff(np.sort(around)).max()) - _FRAME if len(around) > 1 else math.nan
    return Loss(
        kind=one["kind"],
        relay=mesh.bed.nodes.names[one["row"]],
        noticed=lost[0] - at if lost else math.nan,
        gap=max(0.0, widest),
        completed=ended["outcome"] == "completed" and ended["path"] != ended["final_path"],
        doubled=int(heard.get(ended["call"], {"voice": {"doubled": 0}})["voice"]["doubled"]),
    )


def goals(went: list[Loss]) -> list[dict[str, Any]]:
    """What the issue asks of failures: milliseconds, quantiles over all of a kind."""
    kills = [one for one in went if one.kind == "kill"]
    leaves = [one for one in went if one.kind == "leave"]
    noticed, gaps = (np.array([getattr(one, key) for one in kills]) for key in ("noticed", "gap"))
    judged = [
        judge("kill_noticed_p95_ms", 1e3 * _quantile(noticed, 0.95), "<=", 400.0),
        judge("kill_gap_p50_ms", 1e3 * _quantile(gaps, 0.5), "<=", 500.0),
        judge("kill_gap_p99_ms", 1e3 * _quantile(gaps, 0.99), "<=", 1000.0),
        judge("calls_that_went_on", float(np.mean([one.completed for one in went])), "==", 1.0),
        judge("doubled_packets", float(sum(one.doubled for one in went)), "==", 0.0),
    ]
    if leaves:
        worst = max(one.gap for one in leaves)
        judged.append(judge("leave_gap_ms", 1e3 * worst, "<=", 60.0))
    return judged


def _quantile(values: np.ndarray[Any, np.dtype[np.float64]], q: float) -> float:
    """The sample's quantile; infinite when one was never measured within it."""
    return float(np.quantile(np.where(np.isnan(values), np.inf, values), q, method="higher"))


def table(went: list[Loss]) -> list[dict[str, Any]]:
    """One row for each relay that went."""
    return [
        {"kind": one.kind, "relay": one.relay, "noticed_ms": 1e3 * one.noticed, "gap_ms": 1e3 * one.gap}
        | {"went_on": one.completed, "doubled": one.doubled}
        for one in went
    ]
