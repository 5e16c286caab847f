"""What links of real nodes cost, beside bare aiortc in the same run: dials, a hop more, goodput over a relay, memory.

Dials, hops and goodput are measured between nodes of one process, so that one core does all the work of all ends. The
hundred links have their one end in a process of its own (`python -m meshsim.lab.bench.node_links hub`), whose memory
and time are told; the other ends are in another.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import math
import resource
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshsim.agent import Channel
from meshsim.control.client import RegistryClient
from meshsim.identity import Ed25519Verifier
from meshsim.lab.bench.node_place import make_signer, places
from meshsim.lab.goals import judge
from meshsim.mesh.ids import CALL_ID_BYTES, CallId
from meshsim.node.bare import Bare
from meshsim.node.data import DataPlane
from meshsim.node.lanes import MESSAGE_BYTES
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.testbed import START_TIMEOUT, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.lab.bench.node_place import Place
    from meshsim.mesh.ids import NodeId

DIALS, TRIPS, MEGABYTES, LINKS = 30, 400, 24, 100
IDLE = 10.0
"""Seconds for which a hundred links do nothing but probe each other."""
PROBE_PERIOD = 1.0
PATIENCE = 120.0
_LABEL = b"\x01lab"
_DIRECT, _RELAYED = 1, 2


# Nodes of one process -------------------------------------------------------------------------------------------------


def _relay(place: Place, one: NodeId, other: NodeId) -> None:
    """Lets a node pass on what comes with the label, as a relay does: look up, hand on."""
    onward = {(one, _LABEL): other, (other, _LABEL): one}

    def take(peer: NodeId, data: bytes) -> None:
        place.send(onward[peer, data[: len(_LABEL)]], data)

    place.take = take


async def dial_times(count: int = DIALS, progress: Callable[[float], None] = lambda _: None) -> list[dict[str, float]]:
    """Seconds until a link is open and authenticated, and until a bare channel is open, in turns."""
    rows = []
    async with places(2) as (one, other):
        for number in range(count + 1):
            started = time.perf_counter()
            bare = await Bare.connect()
            bare_took = time.perf_counter() - started
            await bare.close()
            started = time.perf_counter()
            await one.links.dial(other.id)
            took = time.perf_counter() - started
            await one.links.drop(other.id)
            await _until(partial(_is_alone, other))
            rows.append({"authenticated_s": took, "bare_s": bare_took})
            progress((number + 1) / (count + 1))
    return rows[1:]  # the first pays for what is loaded once


async def trip_times(count: int = TRIPS) -> list[dict[str, float]]:
    """Round trips in seconds of 100 bytes: over a bare channel, over one link, and over two with a relay between."""
    payload = _LABEL + bytes(96)
    async with places(3) as (one, relay, far):
        bare = await Bare.connect()
        await one.links.dial(relay.id)
        await one.links.dial(far.id)
        await relay.links.dial(far.id)
        _relay(relay, one.id, far.id)
        bare.channels[1].on("message", bare.channels[1].send)
        far.take = far.send
        back: asyncio.Queue[None] = asyncio.Queue()
        bare.channels[0].on("message", lambda _: back.put_nowait(None))
        one.take = lambda _, __: back.put_nowait(None)
        ways: dict[str, Callable[[], object]] = {
            "bare_s": partial(bare.channels[0].send, payload),
            "link_s": partial(one.send, far.id, payload),
            "relayed_s": partial(one.send, relay.id, payload),
        }
        rows = []
        for _ in range(count):
            row = {}
            for name, send in ways.items():
                started = time.perf_counter()
                send()
                async with asyncio.timeout(PATIENCE):
                    await back.get()
                row[name] = time.perf_counter() - started
            rows.append(row)
        await bare.close()
    return rows


async def goodput(megabytes: float = MEGABYTES, rounds: int = 3) -> list[dict[str, float]]:
    """Bits per second of a program's messages, in turns over one link and over two with a relay between.

    All that nodes do about them is in it: credit on each hop, confirmation from end to end, order.
    """
    rows = []
    async with places(3) as (one, relay, far):
        await one.links.dial(relay.id)
        await one.links.dial(far.id)
        await relay.links.dial(far.id)
        onward = {(one.id, _RELAYED): far.id, (far.id, _RELAYED): one.id}
        source, sink = _carry(one), _carry(far)
        _carry(relay, lambda peer, label: onward.get((peer, label)))
        for label, to, back in ((_DIRECT, far.id, one.id), (_RELAYED, relay.id, relay.id)):
            source.open(_call(label), label, to)
            sink.open(_call(label), label, back)
        for _ in range(rounds):
            count = math.ceil(1e6 * megabytes / rounds / MESSAGE_BYTES)
            rows.append({
                "direct_bps": await _stream(source, sink, _call(_DIRECT), count),
                "relayed_bps": await _stream(source, sink, _call(_RELAYED), count),
            })  # fmt: skip
        for label in (_DIRECT, _RELAYED):
            source.close(label)
            sink.close(label)
    return rows


def _call(label: int) -> CallId:
    return CallId(label.to_bytes(CALL_ID_BYTES, "big"))


def _carry(place: Place, onward: Callable[[NodeId, int], NodeId | None] = lambda _, __: None) -> DataPlane:
    """Lets a node carry messages as nodes do."""
    plane = DataPlane(place.send, onward)
    place.take = lambda peer, frame: plane.receive(peer, int.from_bytes(frame[:4], "big"), frame)
    return plane


async def _stream(source: DataPlane, sink: DataPlane, call: CallId, count: int) -> float:
    """Sends `count` messages, and waits until the last is there."""
    received, done = itertools.count(1), asyncio.Event()

    def take(_: bytes) -> None:
        if next(received) == count:
            done.set()

    heard = sink.talks[call].listen(take)
    message = bytes(MESSAGE_BYTES)
    started = time.perf_counter()
    async with asyncio.timeout(PATIENCE):
        for _ in range(count):
            await source.talks[call].send(message)
        await done.wait()
    heard()
    return 8.0 * MESSAGE_BYTES * count / (time.perf_counter() - started)


def _is_alone(place: Place) -> bool:
    return not place.links.links


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        for _ in iter(holds, True):
            await asyncio.sleep(0.001)


# A hundred links ------------------------------------------------------------------------------------------------------


async def many(links: int = LINKS, idle: float = IDLE) -> dict[str, float]:
    """What one process spends on many links that do nothing but probe each other once a second.

    Returns:
        `asked` and held `links`, `memory_mb` of each beyond the first, `idle_core` (a share), `left_fds` after closing.
    """
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            registry = await Process.start(
                "registry",
                "registry",
                "serve",
                "--port",
                "0",
                "--json",
                log=Path(folder) / "registry.log",
                listens=False,
            )
            stack.push_async_callback(registry.stop)
            url = (await registry.wait(lambda: registry.find("told"), "a listening socket", START_TIMEOUT))["url"]
            hosts = {}
            for name in ("peers", "hub"):
                hosts[name] = await Process.start(
                    name,
                    name,
                    url,
                    str(links),
                    str(idle),
                    log=Path(folder) / f"{name}.log",
                    module="meshsim.lab.bench.node_links",
                )
                stack.push_async_callback(hosts[name].stop)
                if name == "peers":
                    await hosts[name].wait(partial(hosts[name].find, "ready"), "all peers", PATIENCE)
            told = await hosts["hub"].wait(partial(hosts["hub"].find, "measured"), "the hub's numbers", PATIENCE + idle)
            return {key: float(value) for key, value in told.items() if key != "event"}


async def _peers(url: str, count: int) -> None:
    """Lives as the far ends until its input ends."""
    async with AsyncExitStack() as stack:
        for number in range(1, count + 1):
            await _live(stack, url, number)
        _tell({"event": "ready"})
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _hub(url: str, count: int, idle: float) -> None:
    async with AsyncExitStack() as stack:
        links = await _live(stack, url, 0)
        peers = [make_signer(number).node_id for number in range(1, count + 1)]
        await links.dial(peers[0])
        before, sockets = _resident(), _descriptors()
        for peer in peers[1:]:
            await links.dial(peer)
        each = (_resident() - before) / max(1, count - 1)
        probing = asyncio.create_task(_probe(links))
        started, spent = time.monotonic(), time.process_time()
        await asyncio.sleep(idle)
        core = (time.process_time() - spent) / (time.monotonic() - started)
        probing.cancel()
        alive = len(links.links)
        for peer in peers[1:]:
            await links.drop(peer)
        _tell({
            "event": "measured", "asked": count, "links": alive, "memory_mb": each / 1e6, "idle_core": core,
            "left_fds": _descriptors() - sockets,
        })  # fmt: skip


async def _live(stack: AsyncExitStack, url: str, number: int) -> Neighbours:
    """A node that answers probes."""
    client = await stack.enter_async_context(RegistryClient(url, make_signer(number)))
    place: list[Neighbours] = []

    def answer(peer: NodeId, channel: Channel, data: bytes) -> None:
        if data == b"ping":
            place[0].send(peer, channel, b"pong")

    place.append(
        Neighbours(client, make_signer(number), Ed25519Verifier(), handlers=NeighbourHandlers(on_message=answer))
    )
    running = asyncio.create_task(place[0].run())
    stack.callback(running.cancel)
    stack.push_async_callback(place[0].close)
    await client.wait_online()
    return place[0]


async def _probe(links: Neighbours) -> None:
    while True:
        for peer in list(links.links):
            links.send(peer, Channel.REALTIME, b"ping")
        await asyncio.sleep(PROBE_PERIOD)


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _tell(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


# Together -------------------------------------------------------------------------------------------------------------


def measure(
    *, quick: bool = False, progress: Callable[[float], None] = lambda _: None
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """All of it, held to the goals.

    Args:
        quick: Few of everything: whether it works, not how well.
        progress: Told the share that is done.

    Returns:
        The goals with their verdicts, and the tables behind them by name: `dials`, `trips`, `goodput`, `links`.

    Raises:
        TestbedError: If a process does not do its part.
    """
    dials = asyncio.run(dial_times(3 if quick else DIALS, lambda share: progress(0.4 * share)))
    trips = asyncio.run(trip_times(20 if quick else TRIPS))
    progress(0.5)
    streams = asyncio.run(goodput(1.0 if quick else MEGABYTES))
    progress(0.6)
    held = asyncio.run(many(5 if quick else LINKS, 1.0 if quick else IDLE))
    progress(1.0)
    return goals(dials, trips, streams, held), {
        "dials": dials, "trips": trips, "goodput": streams, "links": [held],
    }  # fmt: skip


def goals(
    dials: list[dict[str, float]],
    trips: list[dict[str, float]],
    streams: list[dict[str, float]],
    held: dict[str, float],
) -> list[dict[str, Any]]:
    """What was measured, held to the goals; medians over the rows."""

    def middle(rows: list[dict[str, float]], column: str) -> float:
        return statistics.median(row[column] for row in rows)

    added = middle(trips, "relayed_s") - middle(trips, "link_s")
    return [
        judge("dial_over_bare", middle(dials, "authenticated_s") / middle(dials, "bare_s"), "<=", 3.0),
        judge("dial_p50_ms", 1e3 * middle(dials, "authenticated_s"), "<=", 100.0),
        judge("added_hop_over_bare", added / middle(trips, "bare_s"), "<=", 1.5),
        judge("relayed_over_direct", middle(streams, "relayed_bps") / middle(streams, "direct_bps"), ">=", 0.4),
        judge("links_held", held["links"], ">=", held["asked"]),
        judge("link_memory_mb", held["memory_mb"], "<=", 0.6),
        judge("idle_core", held["idle_core"], "<=", 0.25),
        judge("left_descriptors", held["left_fds"], "<=", 0.0),
    ]


if __name__ == "__main__":
    _, role, where, wanted, seconds = sys.argv
    asyncio.run(_peers(where, int(wanted)) if role == "peers" else _hub(where, int(wanted), float(seconds)))
