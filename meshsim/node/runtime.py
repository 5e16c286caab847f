"""One real node: registry, links, agent and media under one TaskGroup. What it does, it tells as JSON values.

The agent decides; this file connects wires. `parts` makes what is connected, `life` keeps the node among others,
`commands` makes a process of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from meshsim.agent import CallSample, Channel, EventSample, ReceiptSample
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.errors import CallFailed, ConfigError, IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, CallId, NodeId, did_key
from meshsim.mesh.media import PROFILES, AicPolicy, MediaType
from meshsim.node import parts
from meshsim.node.alone import HandPost
from meshsim.node.calls import Switchboard
from meshsim.node.clock import NodeClock
from meshsim.node.devices import NONE
from meshsim.node.driver import NodeDriver
from meshsim.node.events import told_of, told_of_heard
from meshsim.node.journal import Journal
from meshsim.node.life import Upkeep
from meshsim.node.media import MediaPlane
from meshsim.node.names import Names
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.rendezvous import find_way
from meshsim.node.status import Standing, Tally
from meshsim.node.trace import NodeTrace
from meshsim.node.traffic import TrafficBook
from meshsim.node.transport import LinkConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

    from meshsim.agent import CloseMedia, MediaReport, OpenMedia, Sample
    from meshsim.identity import NodeRecord
    from meshsim.mesh.view import NetworkView
    from meshsim.node.calls import Call
    from meshsim.node.config import NodeConfig
    from meshsim.node.data import Talk
    from meshsim.node.devices import Devices
    from meshsim.node.emulation import EmulatorClient

LAST_WORDS, LAST_WORDS_MOST = 0.02, 0.5
"""Seconds that a leaving node stays for what it said last, beside two round trips; and at most."""
LINK_PATIENCE = 10.0
"""Seconds that a caller who just came waits for links to its neighbours."""


def _ignore(event: dict[str, Any]) -> None: ...


class Node:
    """A node of the mesh, alive inside its `async with` block. Its methods are the driver's wires.

    Args:
        config: What it was told.
        tell: Takes what it does, as JSON values.
        clock: Tells the time.
        devices: What it speaks, shows, hears and sees with in its calls; the lab's own voice and pictures when absent.

    Attributes:
        config: What it was told.
        signer: Its key.
        calls: The calls of which it is an end, for as long as they last.
        listeners: All who take what it does.
        tally: What it has counted.
    """

    def __init__(
        self,
        config: NodeConfig,
        tell: Callable[[dict[str, Any]], None] = _ignore,
        *,
        clock: NodeClock | None = None,
        devices: Devices | None = None,
    ) -> None:
        self.config = config
        self._devices = devices or NONE
        self.listeners = [tell]
        self._clock = clock or NodeClock()
        self.tally = Tally()
        self._board = Switchboard(AuraID.parse(config.aura), self.tally, lambda: self._driver, self._talk_of)
        self.calls = self._board.calls
        self._started = time.monotonic()
        self.signer = Ed25519Signer.from_file(Path(config.key))
        self._stopped, self._linked, self._returned = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._verifier = Ed25519Verifier()
        self._record = parts.make_record(config, self.signer, self._clock.unix())
        self._agent = parts.make_agent(config, self._record, self.signer, self._verifier)
        self._trace = NodeTrace(config, self.signer.node_id, self.tell) if config.trace is not None else None
        self._journal = Journal(config, self.signer.node_id, self.tell)
        self._moved = asyncio.Event()
        self._leaving = self._hurried = False
        self._carried: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Joins the mesh.

        Raises:
            ConfigError: If the registry or the emulator is not there.
        """
        async with AsyncExitStack() as stack:
            emulator = await parts.find_emulator(self.config, stack)
            self._client = await parts.find_registry(
                self.config,
                self.signer,
                stack,
                on_undelivered=self._undelivered,
                on_connected=self._returned.set,
                clock=self._clock.unix,
            )
            await self._register()
            self._group = await stack.enter_async_context(asyncio.TaskGroup())
            self._assemble(emulator)
            self.tell({"event": "ready", "node": did_key(self.signer.node_id), "aura": self.config.aura})
            for part in (
                self._neighbours.run(),
                self._upkeep.keep_neighbours(),
                self._upkeep.keep_record(),
                self._upkeep.beat(),
            ):
                self.start(part)
            if self.config.metrics is not None:
                from meshsim.node.metrics import Gauges, MetricsServer  # noqa: PLC0415 - an extra

                await stack.enter_async_context(MetricsServer(self.config.metrics, Gauges(self.standing)))
            if self._trace is not None:
                self.start(self._trace.follow(self._driver.view, self._agent.neighbours))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._leave()
        finally:
            # the group of tasks needs to know of its own cancelling, and would wrap any other error
            if isinstance(error, asyncio.CancelledError):
                await self._stack.__aexit__(kind, error, trace)
            else:
                await self._stack.aclose()

    def tell(self, event: dict[str, Any]) -> None:
        """Tells all listeners."""
        for listener in list(self.listeners):
            listener(event)

    def standing(self) -> Standing:
        """How it is, in numbers."""
        return Standing(
            config=self.config,
            agent=self._agent,
            driver=self._driver,
            client=self._client,
            neighbours=self._neighbours,
            media=self._media,
            calls=self.calls,
            carried=self._carried,
            tally=self.tally,
            trace=self._trace,
            started=self._started,
            clock=self._clock,
        )

    def flush(self) -> Path:
        """Makes its trace whole on the disk; the folder.

        Raises:
            ConfigError: If it keeps none, or the disk took no more.
        """
        if self._trace is None:
            raise ConfigError("this node keeps no trace", key="trace")
        self._trace.flush()
        if self._trace.given_up:
            raise ConfigError(f"the disk took no more of the trace: {self._trace.given_up}", key="trace")
        return self._trace.folder.absolute()

    def stop(self) -> None:
        """Lets `stopped` return; told again, the node does not wait for the calls that it carries to move."""
        self._hurried = self._stopped.is_set()
        self._stopped.set()
        self._moved.set()

    async def stopped(self) -> None:
        """Waits until the node is told to stop."""
        await self._stopped.wait()

    @property
    def is_linked(self) -> bool:
        """Whether every neighbour has had a link."""
        return self._linked.is_set()

    def view(self) -> NetworkView:
        """What it believes of the mesh now."""
        return self._driver.view()

    async def wait_linked(self) -> bool:
        """Waits until every neighbour has had a link; False if that does not come about in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINK_PATIENCE):
                await self._linked.wait()
        return self._linked.is_set()

    async def call(
        self,
        callee: AuraID | str,
        media: MediaType | str = MediaType.AUDIO,
        aic: AicPolicy | str = AicPolicy.OFF,
        *,
        duration: float = math.nan,
    ) -> Call:
        """Calls `callee`; the call, once its media flow.

        Args:
            callee: Who is called, `@bob.aura`.
            media: What the call carries.
            aic: How AIC is treated.
            duration: Seconds after which it will be hung up, as far as is known: routes are chosen by it.

        Raises:
            CallFailed: If it never stands: nobody there, busy, no route.
            IdentityError: If `callee` is no AuraID.
            ConfigError: If there is no such media or policy.
        """
        call = self.place(callee, media, aic, duration=duration)
        try:
            if await call.stood():
                return call
        except asyncio.CancelledError:
            call.hang_up()
            raise
        raise CallFailed((await call.ended()).reason)

    def place(
        self,
        callee: AuraID | str,
        media: MediaType | str = MediaType.AUDIO,
        aic: AicPolicy | str = AicPolicy.OFF,
        *,
        duration: float = math.nan,
    ) -> Call:
        """Begins a call and returns it at once; its `stood` says whether it comes about.

        Raises:
            IdentityError: If `callee` is no AuraID.
            ConfigError: If there is no such media or policy.
        """
        return self._board.place(callee, media, aic, duration)

    def on_call(self, callback: Callable[[Call], object]) -> None:
        """Calls `callback` with each call that comes in; an error it raises is the event loop's to tell."""
        self._board.greeters.append(callback)

    # Wires: what the driver performs effects with ---------------------------------------------------------------------

    def send(self, to: NodeId, channel: str, data: bytes) -> None:
        """Sends to a neighbour; lost without a link."""
        self._neighbours.send(to, Channel(channel), data)

    def dial(self, node: NodeId) -> None:
        """Makes a link; the driver is told when it is up or cannot be made."""
        self.start(self._dial(node))

    def undial(self, node: NodeId) -> None:
        """Closes a link that was made for calls."""
        self.start(self._neighbours.drop(node))

    def resolve(self, token: int, aura: AuraID) -> None:
        """Asks the registry; the driver is told the answer."""
        self.start(self._resolve(token, aura))

    def open_media(self, effect: OpenMedia) -> None:
        """Lets media flow."""
        self._media.open(effect)
        if effect.upstream is not None and effect.downstream is not None:
            self._carried.add(effect.label)
            self.tally.carried += 1
        self._board.open(effect)
        via = effect.downstream or effect.upstream
        self._tell_media("media_open", effect.call, effect.label, via="" if via is None else did_key(via))

    def close_media(self, effect: CloseMedia) -> None:
        """Stops media."""
        self._media.close(effect)
        self._carried.discard(effect.label)
        self._moved.set()
        self._tell_media("media_closed", effect.call, effect.label)
        if not self._media.is_open(effect.call):
            self._tell_heard(effect.call)
        self._board.close(effect)

    def emit(self, sample: Sample) -> None:
        """Tells and keeps what the agent wants known."""
        self.tell(told_of(sample))
        self.tally.count(sample)
        if self._trace is not None:
            self._trace.keep(sample, self._media.spared_in(sample.call) if isinstance(sample, CallSample) else None)
        match sample:
            case CallSample():
                self._board.end(sample)
            case EventSample(kind="neighbour_lost", node=node):
                self._upkeep.miss(node)
            case EventSample(kind="neighbour_back", node=node):
                self._upkeep.hear(node)
            case ReceiptSample():
                self._journal.keep(sample)

    # Putting together -------------------------------------------------------------------------------------------------

    async def _register(self) -> None:
        self._returned.clear()
        try:
            await self._client.register(self._record)
        except ConnectionError as gone:
            raise ConfigError(f"no registry at {self.config.registry}: {gone}", key="registry") from gone

    def _assemble(self, emulator: EmulatorClient | None) -> None:
        config = self.config
        self._driver = NodeDriver(self._agent, self, clock=self._clock)
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
            clock=self._clock.unix,
            traffic=TrafficBook(Path(config.traffic)) if config.traffic is not None else None,
            find_way=lambda to: find_way(self._driver.view(), to),
        )
        self._names = Names(self._client.resolve, self._agent.records, clock=self._clock.unix)
        self.hands = HandPost(self._neighbours, self.start)
        self._media = MediaPlane(
            send_media=self._neighbours.send_media,
            send_data=lambda to, frame: self._neighbours.send(to, Channel.DATA, frame),
            report=self._media_report,
            count=self._driver.media_carried,
            stream=parts.drop_stream(config, self.signer),
            group=self._group,
            aic=PROFILES[config.aic_profile],
            devices=self._devices,
        )
        self._upkeep = Upkeep(
            config,
            self.signer,
            driver=self._driver,
            client=self._client,
            neighbours=self._neighbours,
            tell=self.tell,
            returned=self._returned,
            clock=self._clock.unix,
            start=self.start,
        )

    # Life -------------------------------------------------------------------------------------------------------------

    def start(self, part: Coroutine[Any, Any, None]) -> None:
        """Runs `part` until it is done or this node leaves; not at all once it is leaving."""
        if self._leaving:
            part.close()
            return
        try:
            task = self._group.create_task(part)
        except RuntimeError:  # one of its tasks failed, so that the group takes no more: this node is about to leave
            part.close()
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _undelivered(self, peer: NodeId) -> None:
        self._neighbours.undelivered(peer)

    def _link_up(self, peer: NodeId) -> None:
        self.tell({"event": "link", "peer": did_key(peer), "up": True})
        self._upkeep.hear(peer)
        self._driver.link_up(peer)
        if self._neighbours.links.keys() >= set(self.config.neighbour_ids):
            self._linked.set()

    def _may_connect(self, peer: NodeId) -> bool:
        """Whether an offer of `peer` is taken: strangers find a place while there is one, neighbours always."""
        links = self._neighbours.links
        return peer in links or peer in self.config.neighbour_ids or len(links) < self.config.agent.max_neighbours

    def _link_down(self, peer: NodeId) -> None:
        self.tell({"event": "link", "peer": did_key(peer), "up": False})
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

    def _talk_of(self, call: CallId) -> Talk | None:
        return self._media.data.talks.get(call)

    def _media_report(self, call: CallId, report: MediaReport) -> None:
        self._driver.media_report(call, report)
        self._board.hear(call, report)

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        """What a peer sent and nobody can read is counted and dropped."""
        try:
            yield
        except RemoteProtocolError:
            self.tally.malformed += 1

    async def _dial(self, node: NodeId) -> None:
        try:
            await self._neighbours.dial(node)
        except ConnectionError:
            self._driver.link_down(node)

    async def _resolve(self, token: int, aura: AuraID) -> None:
        answer: list[NodeRecord] | IdentityError
        try:
            answer = await self._names.resolve(aura)
        except IdentityError as unknown:
            answer = unknown
        self._driver.resolved(token, answer)

    async def _leave(self) -> None:
        """Hangs up, lets the calls that it carries move elsewhere, and closes its links."""
        self.tell({"event": "draining", "calls": len(self.calls), "carried": len(self._carried)})
        self._driver.leave()
        await self._drain()
        await self._speak_out()
        self._leaving = True
        self._upkeep.close()
        for task in list(self._tasks):
            task.cancel()
        for settled in self._media.settle():
            self._tell_heard(settled)
        self._driver.close()
        await self._neighbours.close()
        if self._trace is not None:
            self._trace.flush()
        self.tell({
            "event": "left", "rejected": self._driver.rejected, "unroutable": self._media.unroutable,
            "malformed": self.tally.malformed, "codecs": count_codecs(),
        })  # fmt: skip

    async def _drain(self) -> None:
        """Waits until nothing is carried any more, but no longer than its owner says, or than until told twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.config.drain):
                while self._carried and not self._hurried:
                    self._moved.clear()
                    await self._moved.wait()

    async def _speak_out(self) -> None:
        """Gives the last words time to get out: a link that closes drops what waits for room on the way."""
        rtts = [neighbour.rtt for neighbour in self._agent.neighbours() if neighbour.rtt > 0.0]
        if self._neighbours.links:
            await asyncio.sleep(min(LAST_WORDS_MOST, LAST_WORDS + 2 * max(rtts, default=0.0)))

    def _tell_media(self, event: str, call: CallId, label: int, **more: str) -> None:
        self.tell({"event": event, "call": call.hex(), "label": label, "at": time.monotonic(), **more})

    def _tell_heard(self, call: CallId) -> None:
        heard = self._media.heard.get(call)
        if heard is not None:
            self.tell(told_of_heard(call, heard))


def count_codecs() -> int:
    """Codecs alive in this process: none where the modules of the talking ends were never loaded."""
    audio = sys.modules.get("meshsim.node.audio")
    return 0 if audio is None else int(audio.count_codecs())
