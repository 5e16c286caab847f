"""The same scenario on real nodes: every link emulated as the simulator's world has it, and both measured."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent import AgentConfig
from meshsim.lab.loops import finish
from meshsim.lab.twin.world import link_parameters
from meshsim.measure.stats import Interval, mean_interval
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import MeshSimError
from meshsim.node.testbed import Bed, Talk, running, talk
from meshsim.sim import World

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.links import LinkParameters
    from meshsim.node.emulation import Precision
    from meshsim.node.testbed import Mesh
    from meshsim.node.traffic import Mismatch
    from meshsim.scenario.plan import Plan

PACE = AgentConfig(heartbeat=1.0, probe_period=0.25, digest_period=1.0, keepalive=0.08, standby=True)
"""How fast the agents of a testbed work: its calls last seconds, not minutes."""

DRAIN = 0.3
"""Seconds after the last node has left until every datagram on its way has been counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A link or path, in the simulator and on real datagrams; one-way seconds."""

    name: str
    simulated: float
    measured: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class RealCall:
    """What came of one call on real nodes.

    Attributes:
        names: Node names by row.
        talk: The call.
        links: Each measured link beside the simulator's.
        path: The call's first route beside the simulator's, from the send times in its audio packets.
        mismatches: Directed links on which the emulator saw other counts than the nodes sent: none in a valid run.
        precision_p99: How late datagrams left the emulator while the nodes ran, seconds.
        valid: Whether nothing went past the emulator, and it kept its time in the self-test before the nodes started.
        processes: Real node processes.
    """

    names: tuple[str, ...]
    talk: Talk
    links: tuple[Pair, ...]
    path: Pair
    mismatches: tuple[Mismatch, ...]
    precision_p99: float
    valid: bool
    processes: int

    def name_path(self, rows: tuple[int, ...]) -> list[str]:
        """Node names of a path."""
        return [self.names[i] for i in rows]

    @property
    def arrivals(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Monotonic seconds of the audio packets at the callee."""
        return np.asarray(self.talk.heard["arrivals"], dtype=np.float64)

    @property
    def detect_seconds(self) -> float:
        """From the kill to the moment an end gave the path up; NaN when no relay was killed."""
        if self.talk.killed is None:
            return float("nan")
        lost = [f["lost"] for f in self.talk.ended["failovers"] if f["lost"] >= self.talk.killed[1]]
        return float(lost[0] - self.talk.killed[1]) if lost else float("nan")

    @property
    def _resumed(self) -> bool:
        """Whether another route stood after the kill; packets that were on their way do not make one."""
        if self.talk.killed is None:
            return False
        return any(f["lost"] >= self.talk.killed[1] and f["restored"] is not None for f in self.talk.ended["failovers"])

    @property
    def gap(self) -> tuple[float, float]:
        """Last packet before and first after the silence that the kill caused, monotonic seconds; NaN without one."""
        if self.talk.killed is None or not self._resumed:
            return float("nan"), float("nan")
        after = self.arrivals[self.arrivals > self.talk.killed[1]]
        before = self.arrivals[self.arrivals <= self.talk.killed[1]]
        steps = np.concatenate([before[-1:], after])
        if len(steps) < 2:  # noqa: PLR2004 - a silence has two ends
            return float("nan"), float("nan")
        widest = int(np.argmax(np.diff(steps)))
        return float(steps[widest]), float(steps[widest + 1])


def real_call(
    plan: Plan,
    folder: Path,
    *,
    seconds: float,
    kill_after: float | None,
    policy: str = "learned",
    model: Path | None = None,
) -> RealCall:
    """Runs the plan's nodes as processes, makes its first call over emulated links, and kills the relay under it.

    Args:
        plan: Who there is; its first call is made.
        folder: For keys, configurations, traces and complaints of the processes; must not hold an earlier run.
        seconds: How long the call lasts.
        kill_after: Seconds into the call after which its first relay gets SIGKILL; None lets it live.
        policy: Who ranks routes on every node.
        model: Artefact of the learned policy.
    """
    parameters = link_parameters(plan, World(plan))
    bed = Bed(
        nodes=plan.nodes,
        links=plan.links,
        parameters=parameters,
        folder=folder,
        seed=plan.seed,
        agent=PACE,
        routing=plan.scenario.routing,
        trust=plan.scenario.trust,
        policy=policy,
        model=None if model is None else str(model.resolve()),
    )
    done, mesh, mismatches, kept = finish(_run(bed, plan, seconds, kill_after))
    return RealCall(
        names=plan.nodes.names,
        talk=done,
        links=tuple(_compare_links(plan, mesh, parameters)),
        path=_compare_path(plan, done, parameters),
        mismatches=tuple(mismatches),
        precision_p99=kept.p99,
        valid=not mismatches and mesh.precision.holds(),
        processes=len(mesh.nodes),
    )


async def _run(
    bed: Bed, plan: Plan, seconds: float, kill_after: float | None
) -> tuple[Talk, Mesh, list[Mismatch], Precision]:
    async with running(bed) as mesh:
        await mesh.settle(2.0)
        done = await talk(mesh, plan.calls, 0, seconds=seconds, kill_after=kill_after)
        await asyncio.sleep(DRAIN)
        return done, mesh, await mesh.counts(), await mesh.emulator.precision()


def _one_way(parameters: dict[tuple[int, int], LinkParameters], a: int, b: int) -> float:
    return parameters[a, b].propagation + parameters[a, b].jitter


def _compare_links(plan: Plan, mesh: Mesh, parameters: dict[tuple[int, int], LinkParameters]) -> list[Pair]:
    """Each link that was kept up, as its two ends measured it with pings."""
    rows = {bytes(node): i for i, node in enumerate(mesh.ids)}
    measured: dict[tuple[int, int], list[float]] = {}
    for i, name in enumerate(plan.nodes.names):
        if i in mesh.killed:
            continue
        for (a, b), delays in _own_links(mesh.bed.folder / f"{name}-trace", rows).items():
            measured.setdefault((min(a, b), max(a, b)), []).extend(delays)
    return [
        Pair(
            name=f"{plan.nodes.names[a]} - {plan.nodes.names[b]}",
            simulated=(_one_way(parameters, a, b) + _one_way(parameters, b, a)) / 2,
            measured=mean_interval(delays),
        )
        for (a, b), delays in sorted(measured.items())
    ]


def _own_links(folder: Path, rows: dict[bytes, int]) -> dict[tuple[int, int], list[float]]:
    trace = Trace(folder)
    ids = dict(zip(trace.columns("nodes")["node"].tolist(), trace.columns("nodes")["node_id"], strict=True))
    samples = trace.columns("link_samples")
    found: dict[tuple[int, int], list[float]] = {}
    for src, dst, delay in zip(samples["src"].tolist(), samples["dst"].tolist(), samples["delay_seconds"], strict=True):
        a, b = rows[bytes(ids[src])], rows[bytes(ids[dst])]
        found.setdefault((a, b), []).append(float(delay))
    return found


def _compare_path(plan: Plan, done: Talk, parameters: dict[tuple[int, int], LinkParameters]) -> Pair:
    """The first route, from caller to callee, as the callee timed its audio packets."""
    if not done.heard["routes"]:
        raise MeshSimError("the callee heard nothing")
    first = done.heard["routes"][0]
    hops = zip(done.path[:-1], done.path[1:], strict=True)
    mean, half = first["delay_mean"], 1.96 * first["delay_sd"] / max(1, first["received"]) ** 0.5
    return Pair(
        name=" → ".join(plan.nodes.names[i] for i in done.path),
        simulated=sum(_one_way(parameters, a, b) for a, b in hops),
        measured=Interval(mean, mean - half, mean + half),
    )
