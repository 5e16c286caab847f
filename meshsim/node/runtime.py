"""One real node: registry, links, agent and media under one TaskGroup. What it does, it tells as JSON lines.

The agent decides; this file connects wires. Commands come as JSON lines on standard input when the configuration says
so: `{"do": "call", "callee": "@bob.aura", "media": "audio", "seconds": 8}` and `{"do": "stop"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.agent import CallRequest, CallSample, Channel, EventSample, MeshAgent, ReceiptSample
from meshsim.control.client import RegistryClient
from meshsim.identity import Ed25519Signer, Ed25519Verifier, NodeRecord, sign_record
from meshsim.mesh.errors import ConfigError, IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, CallId, NodeId, did_key
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.node.attack import misbehaviour
from meshsim.node.config import NodeConfig, load_config
from meshsim.node.driver import NodeDriver
from meshsim.node.emulation import EmulatorClient
from meshsim.node.events import Command, told_of, told_of_heard
from meshsim.node.journal import Journal
from meshsim.node.media import MediaPlane
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.signaling import dials
from meshsim.node.trace import NodeTrace
from meshsim.node.traffic import TrafficBook
from meshsim.node.transport import LinkConfig
from meshsim.routing import RoutingEngine
from meshsim.routing.policies import Learned, load_model
from meshsim.routing.policies.learned import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from meshsim.agent import CloseMedia, OpenMedia, Sample

REDIAL_FIRST, REDIAL_LONGEST = 0.3, 5.0
RECORD_LIFETIME = 3600.0
"""Seconds; a record is signed anew at half of it."""
RENEW_PAUSE = 5.0
"""Seconds after which a record that the registry did not take is offered again."""
SAMPLE_PERIOD = 1.0
RESOLVE_TIMEOUT = 3.0
JOIN_PATIENCE = 5.0
"""Seconds that a registry has to answer."""
LINK_PATIENCE = 10.0
"""Seconds that a caller who just came waits for links to its neighbours."""
GOSSIP_PATIENCE = 2.0
"""Seconds until it has been told of the mesh, and has measured its links."""
LOST_PATIENCE = 3.0
"""Seconds of silence, after a neighbour was taken for dead, after which its link is given up and dialled anew."""


class Node:
    """The running node. Its methods are the driver's wires; `run` is its life.

    Args:
        config: What it was told.
        tell: Takes what it does, as JSON values.
    """

    def __init__(self, config: NodeConfig, tell: Callable[[dict[str, Any]], None]) -> None:
        self.config = config
        self.signer = Ed25519Signer.from_file(Path(config.key))
        self._tell = tell
        self._stopped, self._linked, self._returned = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._verifier = Ed25519Verifier()
        self._record = self._describe()
        self._agent = self._make_agent()
        self._trace = NodeTrace(config, self.signer.node_id) if config.trace is not None else None
        self._journal = Journal(config, self.signer.node_id)
        self._malformed, self._leaving = 0, False
        self._tasks: set[asyncio.Task[None]] = set()
        self._farewells: dict[NodeId, asyncio.Task[None]] = {}
        self._hang_ups: dict[CallId, float] = {}
        self._finished: dict[CallId, asyncio.Future[CallSample]] = {}

    async def run(self, then: Callable[[Node], Awaitable[None]] | None = None) -> None:
        """Lives until told to stop; with `then`, until that is done.

        Raises:
            ConfigError: If the registry or the emulator is not there.
        """
        async with AsyncExitStack() as stack:
            emulator = await self._find_emulator(stack)
            client = RegistryClient(
                self.config.registry,
                self.signer,
                on_undelivered=self._undelivered,
                on_connected=self._returned.set,
            )
            self._client = await stack.enter_async_context(client)
            await self._join()
            self._group = await stack.enter_async_context(asyncio.TaskGroup())
            self._assemble(emulator)
            self._tell({"event": "ready", "node": did_key(self.signer.node_id), "aura": self.config.aura})
            for part in (self._neighbours.run(), self._keep_neighbours(), self._sample_links(), self._keep_record()):
                self._start(part)
            if self.config.stdio and then is None:
                self._start(self._obey())
            try:
                await (then(self) if then is not None else self._stopped.wait())
            finally:
                await self._leave()

    def stop(self) -> None:
        """Ends `run`."""
        self._stopped.set()

    async def wait_linked(self) -> bool:
        """Waits until every neighbour has had a link; False if that does not come about in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINK_PATIENCE):
                await self._linked.wait()
        return self._linked.is_set()

    async def call(self, callee: AuraID, media: MediaType, seconds: float) -> CallSample:
        """Calls `callee`, talks for `seconds` once the media flow, hangs up, and returns what the agent says of it."""
        caller = AuraID.parse(self.config.aura)
        request = CallRequest(caller=caller, callee=callee, media=media, aic=AicPolicy.OFF, duration=seconds)
        call = self._driver.place_call(request)
        self._hang_ups.setdefault(call, seconds)
        finished = self._finished.setdefault(call, asyncio.get_running_loop().create_future())
        return await finished

    # Wires: what the driver performs effects with ---------------------------------------------------------------------

    def send(self, to: NodeId, channel: str, data: bytes) -> None:
        """Sends to a neighbour; lost without a link."""
        self._neighbours.send(to, Channel(channel), data)

    def dial(self, node: NodeId) -> None:
        """Makes a link; the driver is told when it is up or cannot be made."""
        self._start(self._dial(node))

    def undial(self, node: NodeId) -> None:
        """Closes a link that was made for calls."""
        self._start(self._neighbours.drop(node))

    def resolve(self, token: int, aura: AuraID) -> None:
        """Asks the registry; the driver is told the answer."""
        self._start(self._resolve(token, aura))

    def open_media(self, effect: OpenMedia) -> None:
        """Lets media flow."""
        self._media.open(effect)
        if effect.call in self._hang_ups and effect.upstream is None:
            seconds = self._hang_ups.pop(effect.call)
            asyncio.get_running_loop().call_later(seconds, self._driver.hang_up, effect.call)
        via = effect.downstream or effect.upstream
        self._tell_media("media_open", effect.call, effect.label, via="" if via is None else did_key(via))

    def close_media(self, effect: CloseMedia) -> None:
        """Stops media."""
        self._media.close(effect)
        self._tell_media("media_closed", effect.call, effect.label)
        if not self._media.is_open(effect.call):
            self._tell_heard(effect.call)

    def emit(self, sample: Sample) -> None:
        """Tells and keeps what the agent wants known."""
        self._tell(told_of(sample))
        if self._trace is not None:
            self._trace.keep(sample)
        match sample:
            case CallSample():
                finished = self._finished.pop(sample.call, None)
                if finished is not None and not finished.done():
                    finished.set_result(sample)
            case EventSample(kind="neighbour_lost", node=node):
                if node not in self._farewells:
                    self._farewells[node] = self._start(self._give_up(node))
            case EventSample(kind="neighbour_back", node=node):
                self._keep_link(node)
            case ReceiptSample():
                self._journal.keep(sample)

    # Putting together -------------------------------------------------------------------------------------------------

    async def _find_emulator(self, stack: AsyncExitStack) -> EmulatorClient | None:
        if self.config.emulator is None:
            return None
        host, _, port = self.config.emulator.rpartition(":")
        try:
            client = await EmulatorClient.connect(host, int(port))
        except OSError as gone:
            raise ConfigError(f"no emulator at {self.config.emulator}: {gone}", key="emulator") from gone
        stack.push_async_callback(client.close)
        return client

    async def _join(self) -> None:
        try:
            await self._client.wait_online(JOIN_PATIENCE)
            self._returned.clear()
            await self._client.register(self._record)
        except ConnectionError as gone:
            raise ConfigError(f"no registry at {self.config.registry}: {gone}", key="registry") from gone

    def _assemble(self, emulator: EmulatorClient | None) -> None:
        config = self.config
        self._driver = NodeDriver(self._agent, self)
        self._neighbours = Neighbours(
            self._client,
            self.signer,
            self._verifier,
            handlers=NeighbourHandlers(
                on_message=self._receive,
                on_media=self._receive_media,
                on_open=self._link_up,
                on_closed=self._link_down,
                may_connect=self._may_connect,
            ),
            config=LinkConfig(addresses=config.addresses),
            emulator=emulator,
            name=did_key(self.signer.node_id),
            name_of=did_key,
            traffic=TrafficBook(Path(config.traffic)) if config.traffic is not None else None,
        )
        self._media = MediaPlane(
            send_media=self._neighbours.send_media,
            send_data=lambda to, frame: self._neighbours.send(to, Channel.DATA, frame),
            report=self._driver.media_report,
            count=self._driver.media_carried,
            stream=SeedTree(config.seed).stream("node/drop", int.from_bytes(self.signer.node_id[:6], "big")),
            group=self._group,
        )

    def _describe(self) -> NodeRecord:
        config = self.config
        record = NodeRecord(
            node=self.signer.node_id,
            aura=config.aura,
            role=config.role,
            nat=config.nat,
            latitude=config.latitude,
            longitude=config.longitude,
            aic=config.aic,
            capacity_bps=config.capacity_bps,
            max_calls=config.max_calls,
            expires_unix=time.time() + RECORD_LIFETIME,
        )
        return sign_record(record, self.signer)

    def _make_agent(self) -> MeshAgent:
        config = self.config
        seeds, entity = SeedTree(config.seed), int.from_bytes(self.signer.node_id[:6], "big")
        learned = config.policy == Learned.name
        policy = load_model(config.model or DEFAULT_MODEL, signer=config.signer_id) if learned else config.policy
        start = time.monotonic()
        return MeshAgent(
            config.behaviour,
            self._record,
            self.signer,
            self._verifier,
            RoutingEngine(
                policy, candidates=config.candidates, trust_floor=config.trust_floor, fallbacks=config.fallbacks
            ),
            config.make_model(),
            config.neighbour_ids,
            seeds.stream("node/agent", entity),
            interceptors=misbehaviour(config.misbehaviour, config.strength, config.attack, self.signer, seeds, start),
            anchors=config.anchor_ids,
        )

    # Life -------------------------------------------------------------------------------------------------------------

    def _start(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `part` until it is done or this node leaves."""
        task = self._group.create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._leaving:
            task.cancel()
        return task

    def _undelivered(self, peer: NodeId) -> None:
        self._neighbours.undelivered(peer)

    def _link_up(self, peer: NodeId) -> None:
        self._tell({"event": "link", "peer": did_key(peer), "up": True})
        self._keep_link(peer)
        self._driver.link_up(peer)
        if self._neighbours.links.keys() >= set(self.config.neighbour_ids):
            self._linked.set()

    def _may_connect(self, peer: NodeId) -> bool:
        """Whether an offer of `peer` is taken: strangers find a place while there is one, neighbours always."""
        links = self._neighbours.links
        return peer in links or peer in self.config.neighbour_ids or len(links) < self.config.agent.max_neighbours

    def _link_down(self, peer: NodeId) -> None:
        self._tell({"event": "link", "peer": did_key(peer), "up": False})
        self._driver.link_down(peer)

    def _receive(self, peer: NodeId, channel: Channel, data: bytes) -> None:
        if channel is Channel.DATA:
            with self._counting():
                self._media.receive_data(peer, data)
        else:
            self._driver.receive(peer, data)

    def _receive_media(self, peer: NodeId, packet: bytes) -> None:
        with self._counting():
            self._media.receive(peer, packet)

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """What a peer sent and nobody can read is counted and dropped."""
        try:
            yield
        except RemoteProtocolError:
            self._malformed += 1

    async def _give_up(self, peer: NodeId) -> None:
        """Drops the link of a neighbour that stays silent; who keeps it dials again."""
        await asyncio.sleep(LOST_PATIENCE)
        del self._farewells[peer]
        await self._neighbours.drop(peer)

    def _keep_link(self, peer: NodeId) -> None:
        farewell = self._farewells.pop(peer, None)
        if farewell is not None:
            farewell.cancel()

    async def _dial(self, node: NodeId) -> None:
        try:
            await self._neighbours.dial(node)
        except ConnectionError:
            self._driver.link_down(node)

    async def _resolve(self, token: int, aura: AuraID) -> None:
        answer: list[NodeRecord] | IdentityError
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                answer = await self._client.resolve(aura)
        except IdentityError as unknown:
            answer = unknown
        except (ConnectionError, TimeoutError, RemoteProtocolError) as failed:
            answer = IdentityError(f"{aura} cannot be resolved: {failed}")
        self._driver.resolved(token, answer)

    async def _keep_record(self) -> None:
        """Renews the record at half its life, and when the registry is back, which may have forgotten it."""
        pause = RECORD_LIFETIME / 2
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._returned.wait()
            self._returned.clear()
            pause = RECORD_LIFETIME / 2 if await self._renew() else RENEW_PAUSE

    async def _renew(self) -> bool:
        """Signs the record anew and registers it; whether the registry took it."""
        self._record = self._describe()
        self._driver.renew(self._record)
        try:
            await self._client.register(self._record)
        except (ConnectionError, IdentityError) as failed:
            self._tell({"event": "error", "reason": f"the record could not be renewed: {failed}"})
            return False
        return True

    async def _keep_neighbours(self) -> None:
        """Dials the neighbours that are this node's to dial, and dials again when a link is gone."""
        own = self.signer.node_id
        async with asyncio.TaskGroup() as group:
            for peer in self.config.neighbour_ids:
                if dials(own, peer):
                    group.create_task(self._keep(peer))

    async def _keep(self, peer: NodeId) -> None:
        pause = REDIAL_FIRST
        while True:
            if peer not in self._neighbours.links:
                try:
                    await self._neighbours.dial(peer)
                    pause = REDIAL_FIRST
                except ConnectionError:
                    pause = min(2 * pause, REDIAL_LONGEST)
            await asyncio.sleep(pause)

    async def _sample_links(self) -> None:
        """Each second, what the agent has measured of its own links: its last pings, not what it smooths them to."""
        while self._trace is not None:
            await asyncio.sleep(SAMPLE_PERIOD)
            view = self._driver.view()
            if view.fresh is not None:
                delays = {neighbour.node: neighbour.last_rtt / 2 for neighbour in self._agent.neighbours()}
                self._trace.links(view, view.fresh, delays, SAMPLE_PERIOD)

    async def _obey(self) -> None:
        """Carries out commands from standard input; its end is the end of this node."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for line in reader:
            try:
                command = msgspec.json.decode(line, type=Command)
            except msgspec.DecodeError as wrong:
                self._tell({"event": "error", "reason": f"not a command: {wrong}"})
                continue
            if command.do == "stop":
                break
            self._start(self._make_call(command))
        self.stop()

    async def _make_call(self, command: Command) -> None:
        try:
            await self.call(AuraID.parse(command.callee), MediaType(command.media), command.seconds)
        except (IdentityError, ValueError) as wrong:
            self._tell({"event": "error", "reason": str(wrong)})

    async def _leave(self) -> None:
        for call in list(self._finished):
            self._driver.hang_up(call)
        self._leaving = True
        for task in list(self._tasks):
            task.cancel()
        for call in self._media.settle():
            self._tell_heard(call)
        self._driver.close()
        await self._neighbours.close()
        if self._trace is not None:
            self._trace.close()
        self._tell({
            "event": "left", "rejected": self._driver.rejected, "unroutable": self._media.unroutable,
            "malformed": self._malformed, "codecs": count_codecs(),
        })  # fmt: skip

    def _tell_media(self, event: str, call: CallId, label: int, **more: str) -> None:
        self._tell({"event": event, "call": call.hex(), "label": label, "at": time.monotonic(), **more})

    def _tell_heard(self, call: CallId) -> None:
        heard = self._media.heard.get(call)
        if heard is not None:
            self._tell(told_of_heard(call, heard))


def count_codecs() -> int:
    """Codecs alive in this process: none where the module of the talking ends was never loaded."""
    audio = sys.modules.get("meshsim.node.audio")
    return 0 if audio is None else int(audio.count_codecs())


def _print_line(event: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # who listened is gone, and with it standard input, which ends this node
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\n")
        sys.stdout.buffer.flush()


async def _live(config: NodeConfig) -> None:
    node = Node(config, _print_line)
    # SIGINT cancels `run`, which leaves as well: that is asyncio's own doing, and ends in exit code 130.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, node.stop)
    await node.run()


def run_node(path: Path) -> int:
    """Runs the node that the file `path` describes until it is told to stop; the exit code.

    Raises:
        ConfigError: If the file is wrong, or the registry or the emulator is not there.
    """
    asyncio.run(_live(load_config(path)))
    return 0


def place_call(path: Path, callee: str, seconds: float) -> dict[str, Any]:
    """Joins the mesh as the node that the file `path` describes, calls `callee`, and returns how it went.

    Raises:
        ConfigError: If the file, or the callee's name, is wrong, or the registry is not there.
    """
    config = load_config(path)
    try:
        name = AuraID.parse(callee)
    except IdentityError as wrong:
        raise ConfigError(str(wrong), key="CALLEE") from wrong
    told: list[dict[str, Any]] = []

    async def talk(node: Node) -> None:
        """Calls once the node knows its surroundings."""
        await node.wait_linked()
        await asyncio.sleep(GOSSIP_PATIENCE)
        await node.call(name, MediaType.AUDIO, seconds)

    asyncio.run(Node(config, told.append).run(talk))
    ended = next(event for event in told if event["event"] == "call")
    heard = next((event for event in told if event["event"] == "heard"), {})
    hidden = {*ended, "arrivals", "seconds"}
    return {**ended, **{key: value for key, value in heard.items() if key not in hidden}}
