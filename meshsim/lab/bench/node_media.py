"""What carrying video costs a relay, and what it mends: beside aiortc's MediaRelay in the same run.

Latency and CPU are measured between nodes of one process, so that one core does all the work of all ends; what a relay
adds is the difference to the same ends without one. Losses are measured between processes over the link emulator.
"""

from __future__ import annotations

import asyncio
import gc
import math
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.agent import CloseMedia, OpenMedia
from meshsim.lab.bench.node_kill import bed
from meshsim.lab.bench.node_place import places
from meshsim.lab.goals import judge
from meshsim.mesh.ids import CallId
from meshsim.mesh.media import PROFILES, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.node.bare_video import BareVideo
from meshsim.node.media import MediaPlane
from meshsim.node.rtp import RtpPacket, read_ssrc, route_ssrc, video_ssrc
from meshsim.node.testbed import START_TIMEOUT, running
from meshsim.node.video import FRAMES_PER_SECOND, VideoSink, VideoSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshsim.lab.bench.node_place import Place
    from meshsim.mesh.ids import NodeId

SECONDS, ROUNDS, TALK = 20.0, 4, 60.0
"""Of pictures for the latency; turns with and without a relay, so long each, for the CPU; of the call with losses."""
TURN = 6.0
RATE = 1e6
"""Bits per second of video; as many as the demand of a call says."""
LOSS = 0.02
_CALL = CallId(bytes(16))
_DIRECT, _RELAYED = 0x1D, 0x2E


@asynccontextmanager
async def _three() -> AsyncIterator[tuple[Place, Place, Place]]:
    """Two ends and a relay between them, all linked with each other; the relay passes one route on."""
    async with places(3) as (one, relay, far):
        for a, b in ((one, relay), (one, far), (relay, far)):
            await a.links.dial(b.id)
        async with asyncio.TaskGroup() as group:
            plane = MediaPlane(
                send_media=relay.links.send_media,
                send_data=relay.send,
                report=lambda _, __: None,
                count=lambda _, __, ___: None,
                stream=SeedTree(1).stream("bench/media", 0),
                group=group,
                aic=PROFILES["brief"],
            )
            passing = OpenMedia(
                call=_CALL, label=_RELAYED, upstream=one.id, downstream=far.id, media=MediaType.AUDIO_VIDEO
            )
            plane.open(passing)
            relay.take_media = plane.receive
            yield one, relay, far
            plane.close(CloseMedia(call=_CALL, label=_RELAYED))


async def added_latency(seconds: float = SECONDS) -> list[float]:
    """Seconds that a relay adds to each picture: sent over both routes at once, first over each in turns."""
    whole: dict[int, dict[int, float]] = {_DIRECT: {}, _RELAYED: {}}
    async with _three() as (one, relay, far):
        source = VideoSource(video_ssrc(_DIRECT), bit_rate=RATE)

        def arrive(_: NodeId, data: bytes) -> None:
            packet = RtpPacket.decode(data)
            if packet.marker:
                whole[video_ssrc(packet.ssrc)][packet.timestamp] = time.perf_counter()

        far.take_media = arrive
        for number in range(round(seconds * FRAMES_PER_SECOND)):
            packets = source.next_packets(time.monotonic_ns())
            routes = [(far.id, _DIRECT), (relay.id, _RELAYED)]
            for first, label in routes if number % 2 else reversed(routes):
                for packet in packets:
                    one.links.send_media(first, route_ssrc(packet, video_ssrc(label)))
            await asyncio.sleep(0.5 / FRAMES_PER_SECOND)
            source.prepare()
            await asyncio.sleep(0.5 / FRAMES_PER_SECOND)
    return [whole[_RELAYED][stamp] - at for stamp, at in whole[_DIRECT].items() if stamp in whole[_RELAYED]]


async def relay_cpu(turn: float = TURN, rounds: int = ROUNDS) -> list[dict[str, float]]:
    """Shares of a core: our ends and aiortc's, each without and with a relay between, in turns.

    Returns:
        Per turn the four shares, and bits per second of aiortc's last hop; ours sends `RATE`.
    """
    rows = []
    for _ in range(rounds):
        async with _three() as (one, relay, far):
            row = {"direct": await _spend(one, far, far.id, _DIRECT, turn)}
            row["relayed"] = await _spend(one, far, relay.id, _RELAYED, turn)
        for name, relayed in (("bare_direct", False), ("bare_relayed", True)):
            async with BareVideo.connected(relayed=relayed) as video:
                await asyncio.sleep(1.0)
                gc.collect()
                began, spent, sent = time.monotonic(), time.process_time(), video.traffic.sent_bytes
                await asyncio.sleep(turn)
                took = time.monotonic() - began
                row[name] = (time.process_time() - spent) / took
                row[f"{name}_bps"] = 8.0 * (video.traffic.sent_bytes - sent) / took
        rows.append(row)
    return rows


async def _spend(one: Place, far: Place, first: NodeId, label: int, turn: float) -> float:
    """Share of a core that a video takes with both its ends, encoder and decoder among it."""
    ssrc = video_ssrc(label)
    source, sink = VideoSource(ssrc, bit_rate=RATE), VideoSink()

    def take(_: NodeId, packet: bytes) -> None:
        if read_ssrc(packet) == ssrc:
            sink.receive(packet, time.monotonic_ns())

    far.take_media = take
    gc.collect()
    began, spent = time.monotonic(), time.process_time()
    await source.play(lambda packet: one.links.send_media(first, packet), seconds=turn)
    share = (time.process_time() - spent) / (time.monotonic() - began)
    far.take_media = lambda _, __: None
    seen = sink.report()
    if seen.shown < 0.9 * turn * FRAMES_PER_SECOND:
        raise RuntimeError(f"only {seen.shown} pictures came in {turn:g} s")
    return share


async def lossy_call(folder: Path, seconds: float = TALK, loss: float = LOSS) -> dict[str, Any]:
    """One call with video over a relay, the hop from the caller to which loses packets in both directions.

    Returns:
        Per end the pictures expected, shown and frozen (a share), and their delay; packets resent; the relay's codecs.
    """
    plain = bed(folder)
    lossy = {pair: replace(link, loss=loss) if 0 in pair else link for pair, link in plain.parameters.items()}
    async with running(replace(plain, parameters=lossy)) as mesh:
        await mesh.settle(3.0)
        caller, callee = mesh.nodes[:2]
        await caller.tell(do="call", callee="@bob.aura", media="audio_video", seconds=seconds)
        opened = await caller.wait(lambda: caller.find("media_open"), "an accepted call", START_TIMEOUT)
        ended = await caller.wait(lambda: caller.find("call"), "the end of the call", seconds + START_TIMEOUT)
        for end in (caller, callee):
            await end.wait(partial(end.find, "heard", call=opened["call"]), "what it saw", START_TIMEOUT)
        await mesh.stop_nodes()
        relays = [mesh.nodes[mesh.row(node)].find("left") for node in ended["final_path"][1:-1]]
        told: dict[str, Any] = {"outcome": ended["outcome"], "hops": len(ended["final_path"]) - 1}
        told["relay_codecs"] = max((left["codecs"] for left in relays if left is not None), default=-1)
        for name, end in (("caller", caller), ("callee", callee)):
            heard = end.find("heard", call=opened["call"]) or {}
            video = heard["video"]
            told |= {f"{name}_{key}": video[key] for key in ("expected", "shown", "frozen", "wrong", "delay_median")}
            told[f"{name}_voice_loss"] = heard["voice"]["loss"]
    return told


def measure(
    *, quick: bool = False, progress: Callable[[float], None] = lambda _: None
) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """All of it, held to the goals.

    Args:
        quick: Few of everything: whether it works, not how well.
        progress: Told the share that is done.

    Returns:
        The goals with their verdicts, and the tables behind them by name: `video_latency`, `video_cpu`, `video_loss`.

    Raises:
        TestbedError: If a process does not do its part.
    """
    added = asyncio.run(added_latency(2.0 if quick else SECONDS))
    progress(0.2)
    shares = asyncio.run(relay_cpu(1.5 if quick else TURN, 1 if quick else ROUNDS))
    progress(0.6)
    with tempfile.TemporaryDirectory() as folder:
        call = asyncio.run(lossy_call(Path(folder) / "bed", 4.0 if quick else TALK))
    progress(1.0)
    latency = {f"p{q:g}_ms": float(1e3 * np.percentile(added, q)) for q in (50, 95, 99)} | {"pictures": len(added)}
    return goals(added, shares, call), {"video_latency": [latency], "video_cpu": shares, "video_loss": [call]}


def goals(added: list[float], shares: list[dict[str, float]], call: dict[str, Any]) -> list[dict[str, Any]]:
    """What was measured, held to the goals; CPU by medians over the turns."""

    def middle(column: str) -> float:
        return float(np.median([row[column] for row in shares]))

    ours, theirs = middle("relayed") - middle("direct"), middle("bare_relayed") - middle("bare_direct")
    expected = call["caller_expected"] + call["callee_expected"]
    lost = expected - call["caller_shown"] - call["callee_shown"]
    return [
        judge("relay_video_added_p50_ms", 1e3 * float(np.percentile(added, 50)), "<=", 10.0),
        judge("relay_video_added_p99_ms", 1e3 * float(np.percentile(added, 99)), "<=", 25.0),
        judge("relay_cpu_over_media_relay", max(0.0, ours) / theirs if theirs > 0.0 else math.inf, "<=", 0.3),
        judge("frames_lost_share", lost / expected if expected else 1.0, "<", 0.002),
        judge("relay_codecs", float(call["relay_codecs"]), "==", 0.0),
    ]
