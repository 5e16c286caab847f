"""A mesh of real nodes on this machine: a process each, every datagram through the link emulator, and a registry.

Only loopback is used, every load is bounded, and every process started here ends with the block that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import MeshSimError
from meshsim.mesh.ids import NodeId, did_key
from meshsim.mesh.view import Nat, Role
from meshsim.node.config import NodeConfig
from meshsim.node.emulation import EmulatedLink, EmulatorConfig, Precision, emulator_process
from meshsim.node.traffic import Mismatch, TrafficBook, compare_counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from meshsim.agent import AgentConfig
    from meshsim.links import LinkParameters
    from meshsim.node.emulation import EmulatorClient
    from meshsim.scenario.plan import PlannedCalls, PlannedLinks, PlannedNodes
    from meshsim.scenario.schema import RoutingConfig, TrustConfig

START_TIMEOUT = 40.0
STOP_TIMEOUT = 10.0
CALIBRATIONS = 3
FAREWELL = 3.0
LINE_BYTES = 1 << 24
"""No child tells more at once: a call of an hour is ten million."""


class TestbedError(MeshSimError):
    """A process of the testbed did not do its part in time."""

    __test__ = False


@dataclass(slots=True)
class Process:
    """One child that tells what it does as JSON lines.

    Attributes:
        name: For people.
        process: The running child.
        listens: Whether it ends when its input does.
        events: All it has told.
    """

    name: str
    process: asyncio.subprocess.Process
    listens: bool = True
    events: list[dict[str, Any]] = field(default_factory=list)
    _told: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, name: str, *arguments: str, log: Path, listens: bool = True, module: str = "meshsim"
    ) -> Process:
        """Starts `python -m <module> <arguments>`; its complaints go to the file `log`."""
        with log.open("wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=complaints,
                limit=LINE_BYTES,
            )  # fmt: skip
        child = cls(name, process, listens)
        child._reader = asyncio.create_task(child._read())
        return child

    async def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        async for line in self.process.stdout:
            async with self._told:
                self.events.append({"event": "told"} | msgspec.json.decode(line))
                self._told.notify_all()
        async with self._told:
            self.events.append({"event": "ended"})
            self._told.notify_all()

    def find(self, event: str, **values: object) -> dict[str, Any] | None:
        """The first thing told of this kind and with these values."""
        wanted = {"event": event, **values}
        return next((e for e in self.events if all(e.get(k) == v for k, v in wanted.items())), None)

    def linked(self, wanted: set[str]) -> bool:
        """Whether it told of links to all the `wanted` nodes, and not of their end."""
        up: set[str] = set()
        for event in self.events:
            if event["event"] == "link":
                (up.add if event["up"] else up.discard)(event["peer"])
        return wanted <= up

    async def wait(self, until: Callable[[], Any], what: str, timeout: float) -> Any:  # noqa: ASYNC109 - the message names the limit
        """Waits until `until()` is true of what was told.

        Raises:
            TestbedError: If it is not in time, or the process ends.
        """
        try:
            async with asyncio.timeout(timeout), self._told:
                while not (found := until()):
                    if self.find("ended") is not None:
                        raise TestbedError(f"{self.name} ended before: {what}")
                    await self._told.wait()
                return found
        except TimeoutError:
            last = ", ".join(e["event"] for e in self.events[-8:])
            raise TestbedError(f"{self.name}: not within {timeout:g} s: {what}; it told last: {last}") from None

    async def tell(self, **command: object) -> None:
        """Gives the child a command."""
        assert self.process.stdin is not None  # noqa: S101 - it was asked for
        self.process.stdin.write(msgspec.json.encode(command) + b"\n")
        await self.process.stdin.drain()

    def kill(self) -> float:
        """SIGKILL, no farewell; returns the monotonic second."""
        now = time.monotonic()
        self.process.send_signal(signal.SIGKILL)
        return now

    async def stop(self) -> None:
        """Ends the child by ending its input; by force if it does not listen."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        if not self.listens and self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            await self._reader


@dataclass(frozen=True, kw_only=True)
class Bed:
    """What to build.

    Attributes:
        nodes: Who.
        links: Which links are kept up.
        parameters: How each directed link treats packets, by node rows; a pair without an entry cannot connect.
        folder: For configurations, keys, counters, traces and complaints.
        seed: Of losses and jitter.
        agent: Periods of the agents.
        routing: How routes are chosen: candidates, trust floor, fallbacks.
        trust: The reputation model.
        policy: Who ranks routes.
        model: Artefact of the learned policy.
    """

    nodes: PlannedNodes
    links: PlannedLinks
    parameters: Mapping[tuple[int, int], LinkParameters]
    folder: Path
    seed: int
    agent: AgentConfig
    routing: RoutingConfig
    trust: TrustConfig
    policy: str = "learned"
    model: str | None = None


@dataclass(slots=True, kw_only=True)
class Mesh:
    """A running mesh.

    Attributes:
        bed: What was asked for.
        ids: Node ids by row.
        nodes: The processes by row.
        emulator: Between all of them.
        precision: The emulator's own error before the run.
        registry: Where the nodes meet.
        start: Starts a node's process: its row, and how many it had before.
        restart_registry: Starts a registry in the place of one that has ended, which remembers nothing.
        past: Processes that nodes had before their present ones, by row.
        killed: Rows of nodes that were killed and have not been started again.
    """

    bed: Bed
    ids: tuple[NodeId, ...]
    nodes: list[Process]
    emulator: EmulatorClient
    precision: Precision
    registry: Process
    start: Callable[[int, int], Awaitable[Process]]
    restart_registry: Callable[[], Awaitable[Process]]
    past: dict[int, list[Process]] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)

    def is_up(self, row: int) -> bool:
        """Whether a node runs now."""
        return self.nodes[row].process.returncode is None and row not in self.killed

    def lives(self, row: int) -> list[Process]:
        """The processes that a node has had, one after the other."""
        return [*self.past.get(row, []), self.nodes[row]]

    def kill(self, row: int) -> float:
        """SIGKILL, no farewell; returns the monotonic second."""
        self.killed.add(row)
        return self.nodes[row].kill()

    async def restart(self, row: int) -> None:
        """A node that was killed starts anew: the same key, a new process that remembers nothing."""
        if self.is_up(row):
            return
        self.past.setdefault(row, []).append(self.nodes[row])
        self.nodes[row] = await self.start(row, len(self.past[row]))
        self.killed.discard(row)

    def row(self, did: str) -> int:
        """The row of a node by its did:key."""
        return next(i for i, node in enumerate(self.ids) if did_key(node) == did)

    async def settle(self, rounds: float) -> None:
        """Waits until every planned link is up and gossip had time for `rounds` digests."""
        for i, node in enumerate(self.nodes):
            wanted = {did_key(self.ids[j]) for j in self.bed.links.dst[self.bed.links.src == i].tolist()}
            await node.wait(partial(node.linked, wanted), "links to all neighbours", START_TIMEOUT)
        await asyncio.sleep(rounds * self.bed.agent.digest_period)

    async def stop_nodes(self) -> None:
        """Ends all nodes at once, so that no more datagrams are sent."""
        await asyncio.gather(*(life.stop() for row in range(len(self.nodes)) for life in self.lives(row)))

    async def counts(self) -> list[Mismatch]:
        """Where the nodes' counts of sent datagrams and the emulator's differ; empty when nothing went past it.

        To be asked after `stop_nodes`: counts of a running mesh differ by what is on its way.
        """
        received = {pair: counts.received for pair, counts in (await self.emulator.counters()).items()}
        sent: dict[tuple[str, str], int] = {}
        for row, node in enumerate(self.ids):
            for life in range(len(self.lives(row))):
                book = TrafficBook.read(_traffic_file(self.bed.folder, node, life))
                for peer, traffic in book.items():
                    link = did_key(node), peer
                    sent[link] = sent.get(link, 0) + traffic.sent
        killed = frozenset(did_key(self.ids[i]) for i in {*self.killed, *self.past})
        return compare_counts(sent, received, killed=killed)


@asynccontextmanager
async def running(bed: Bed) -> AsyncIterator[Mesh]:
    """Builds the mesh, calibrates the emulator, and ends all processes with the block."""
    bed.folder.mkdir(parents=True, exist_ok=True)
    signers = [Ed25519Signer.from_seed(bytes(seed)) for seed in bed.nodes.key_seed]
    names = [did_key(signer.node_id) for signer in signers]
    links = tuple(EmulatedLink(names[a], names[b], p) for (a, b), p in sorted(bed.parameters.items()))
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(emulator_process(EmulatorConfig(links=links, seed=bed.seed)))
        precision = await _calibrated(emulator)

        async def start_registry(port: str = "0") -> tuple[Process, str]:
            """The registry, listening, and its URL."""
            process = await Process.start(
                "registry",
                "registry",
                "serve",
                "--port",
                port,
                "--json",
                log=bed.folder / "registry.log",
                listens=False,
            )
            stack.push_async_callback(process.stop)
            told = await process.wait(lambda: process.find("told"), "a listening socket", START_TIMEOUT)
            return process, told["url"]

        registry, url = await start_registry()

        async def restart_registry() -> Process:
            """A new one where the last one listened."""
            mesh.registry, _ = await start_registry(url.rpartition(":")[2])
            return mesh.registry

        async def start(row: int, life: int) -> Process:
            """The node of that row, for the so manieth time."""
            name = bed.nodes.names[row] + (f"-{life}" if life else "")
            config = _configure(bed, row, signers, url, emulator.address, name, life)
            path = bed.folder / f"{name}.json"
            path.write_bytes(msgspec.json.encode(config))
            node = await Process.start(name, "node", "run", str(path), log=bed.folder / f"{name}.log")
            stack.push_async_callback(node.stop)
            return node

        for row, signer in enumerate(signers):
            signer.to_file(bed.folder / f"{bed.nodes.names[row]}.key")
        nodes = [await start(row, 0) for row in range(len(signers))]
        for node in nodes:
            await node.wait(partial(node.find, "ready"), "joined the registry", START_TIMEOUT)
        ids = tuple(signer.node_id for signer in signers)
        mesh = Mesh(
            bed=bed, ids=ids, nodes=nodes, emulator=emulator, precision=precision,
            registry=registry, start=start, restart_registry=restart_registry,
        )  # fmt: skip
        yield mesh


async def _calibrated(emulator: EmulatorClient) -> Precision:
    """The emulator's own error before the run; measured again, twice at most, when something else disturbed it."""
    precision = await emulator.calibrate()
    for _ in range(CALIBRATIONS - 1):
        if precision.holds():
            break
        precision = await emulator.calibrate()
    return precision


def _traffic_file(folder: Path, node: NodeId, life: int) -> Path:
    return folder / f"traffic-{node[:8].hex()}-{life}"


def _configure(
    bed: Bed, row: int, signers: list[Ed25519Signer], registry: str, emulator: tuple[str, int], name: str, life: int
) -> NodeConfig:
    nodes, own = bed.nodes, signers[row].node_id
    return NodeConfig(
        aura=nodes.auras[row],
        key=str(bed.folder / f"{nodes.names[row]}.key"),
        registry=registry,
        role=Role(nodes.role[row]).name.lower(),
        nat=Nat(nodes.nat[row]).name.lower(),
        latitude=float(nodes.latitude[row]),
        longitude=float(nodes.longitude[row]),
        aic=bool(nodes.aic[row]),
        capacity_bps=float(min(nodes.access_up[row], nodes.access_down[row])),
        max_calls=int(nodes.max_calls[row]),
        neighbours=tuple(did_key(signers[j].node_id) for j in bed.links.dst[bed.links.src == row].tolist()),
        policy=bed.policy,
        model=bed.model,
        candidates=bed.routing.candidates,
        fallbacks=bed.routing.fallbacks,
        trust_floor=bed.routing.trust_floor,
        reputation=bed.trust.model,
        reputation_half_life=bed.trust.half_life,
        reputation_parameters=bed.trust.parameters,
        emulator=f"{emulator[0]}:{emulator[1]}",
        traffic=str(_traffic_file(bed.folder, own, life)),
        trace=str(bed.folder / f"{name}-trace"),
        misbehaviour=nodes.behaviour[row],
        strength=float(nodes.strength[row]),
        seed=bed.seed,
        agent=replace(bed.agent, newcomers=bed.trust.newcomers, epoch=bed.agent.epoch + life + 1),
        stdio=True,
    )


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One call that was made on real nodes; times are monotonic seconds of this machine.

    Attributes:
        path: Rows of the first route.
        final_path: Rows of the last route.
        killed: Row of the relay that was killed, and when; None when none was.
        ended: What the caller's agent told of the whole call.
        heard: What the callee received: packets, arrivals, data.
        caller_heard: What the caller received.
        events: What the caller's agent told meanwhile.
    """

    path: tuple[int, ...]
    final_path: tuple[int, ...]
    killed: tuple[int, float] | None
    ended: dict[str, Any]
    heard: dict[str, Any]
    caller_heard: dict[str, Any]
    events: tuple[dict[str, Any], ...]


async def talk(mesh: Mesh, calls: PlannedCalls, which: int, *, seconds: float, kill_after: float | None) -> Talk:
    """Makes a planned call now, kills the relay under it `kill_after` seconds into it, and ends the nodes after it.

    Raises:
        TestbedError: If the call does not come about, or does not end.
    """
    caller, callee = mesh.nodes[int(calls.caller[which])], mesh.nodes[int(calls.callee_node[which])]
    await caller.tell(do="call", callee=calls.callee[which], media=calls.media[which], seconds=seconds)
    opened = await caller.wait(lambda: caller.find("media_open"), "an accepted call", START_TIMEOUT)
    killed = None if kill_after is None else await _kill_relay(mesh, caller, callee, kill_after)
    ended = await caller.wait(lambda: caller.find("call"), "the end of the call", seconds + START_TIMEOUT)
    # An end that lost its path knows nothing of the farewell: it tells when it leaves.
    with contextlib.suppress(TestbedError):
        await callee.wait(lambda: callee.find("heard"), "the callee's report", FAREWELL)
    await mesh.stop_nodes()
    heard, own = (node.find("heard", call=opened["call"]) for node in (callee, caller))
    if heard is None or own is None:
        raise TestbedError("an end of the call did not tell what it heard")
    return Talk(
        path=tuple(map(mesh.row, ended["path"])), final_path=tuple(map(mesh.row, ended["final_path"])),
        killed=killed, ended=ended, heard=heard, caller_heard=own, events=tuple(caller.events),
    )  # fmt: skip


async def _kill_relay(mesh: Mesh, caller: Process, callee: Process, after: float) -> tuple[int, float] | None:
    """Kills the first relay of the route that is open after `after` seconds; None on a direct route."""
    await asyncio.sleep(after)
    via = [event["via"] for event in caller.events if event["event"] == "media_open"][-1]
    row = mesh.row(via)
    if mesh.nodes[row] is callee:
        return None
    return row, mesh.kill(row)
