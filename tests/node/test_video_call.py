"""Calls with video over a relay, and from the relay to a direct link: real nodes, links and codecs, on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshsim.agent import AgentConfig
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import CallFailed
from meshsim.mesh.ids import did_key
from meshsim.node import Node, NodeConfig
from meshsim.node.commands import place_call
from meshsim.node.metrics import Gauges
from meshsim.node.video import FRAMES_PER_SECOND

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.5, keepalive=0.3, dead_after=5)
NAMES = ("alice", "relay", "bob")
SIGNERS = {name: Ed25519Signer.from_seed(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}
LONG = 60.0


def describe(folder: Path, name: str, url: str, **more: Any) -> NodeConfig:
    """Alice and bob behind symmetric NATs, each linked with the relay alone."""
    SIGNERS[name].to_file(folder / f"{name}.key")
    others = ("alice", "bob") if name == "relay" else ("relay",)
    common: dict[str, Any] = {
        "aura": f"@{name}.aura", "key": str(folder / f"{name}.key"), "registry": url, "policy": "shortest",
        "agent": PACE, "aic": True, "neighbours": tuple(did_key(SIGNERS[other].node_id) for other in others),
        "role": "relay" if name == "relay" else "peer", "nat": "open" if name == "relay" else "symmetric",
    }  # fmt: skip
    return NodeConfig(**(common | more))


@asynccontextmanager
async def mesh(folder: Path, **more: dict[str, Any]) -> AsyncIterator[tuple[dict[str, Node], dict[str, list[Any]]]]:
    """The three, linked, and what each told."""
    told: dict[str, list[Any]] = {name: [] for name in NAMES}
    async with embedded() as url, asyncio.timeout(LONG), AsyncExitStack() as stack:
        nodes = {}
        for name in ("relay", "bob", "alice"):
            node = Node(describe(folder, name, url, **more.get(name, {})), told[name].append)
            nodes[name] = await stack.enter_async_context(node)
        for node in nodes.values():
            assert await node.wait_linked()
        await asyncio.sleep(1.5)  # two rounds of gossip
        yield nodes, told


async def test_a_call_with_video_over_a_relay_shows_every_picture_and_saves_what_aic_promises(tmp_path: Path) -> None:
    async with mesh(tmp_path, alice={"trace": str(tmp_path / "trace")}) as (nodes, told):
        call = await nodes["alice"].call("@bob.aura", media="audio_video", aic="require")
        await asyncio.sleep(4.0)
        call.hang_up()
        result = await call.ended()
        metrics = {
            sample.name: sample.value
            for family in text_string_to_metric_families(Gauges(nodes["alice"].standing).text().decode())
            for sample in family.samples
        }
        nodes["alice"].flush()
    assert [SIGNERS[name].node_id for name in NAMES] == list(result.path)
    heard = {name: next(event for event in told[name] if event["event"] == "heard") for name in ("alice", "bob")}
    for end in heard.values():
        seen = end["video"]
        assert seen["shown"] >= 2 * FRAMES_PER_SECOND
        assert (seen["frozen"], seen["wrong"]) == (0.0, 0)
        assert end["rtcp_rtts"]
        assert max(end["rtcp_rtts"]) < 1.0
        assert end["limits"]
        assert 0 < end["aic"]["sent_bytes"] < end["aic"]["plain_bytes"]
    aic = heard["alice"]["aic"]
    spared = aic["plain_bytes"] - aic["sent_bytes"]
    assert metrics["aicBandwidthSaved"] == pytest.approx(spared / 1e6, rel=0.1)
    assert metrics["meshsim_aic_spared_bytes_total"] == pytest.approx(spared, rel=0.1)
    calls = Trace(tmp_path / "trace").table("calls")
    assert calls.column("aic").to_pylist() == [True]
    assert calls.column("saved_bytes").to_pylist() == pytest.approx([2 * spared], rel=0.1)


async def test_where_a_hop_lacks_aic_a_call_that_prefers_it_goes_plain_and_one_that_requires_it_fails(
    tmp_path: Path,
) -> None:
    async with mesh(tmp_path, relay={"aic": False}) as (nodes, told):
        call = await nodes["alice"].call("@bob.aura", media="audio", aic="prefer")
        await asyncio.sleep(0.5)
        call.hang_up()
        await call.ended()
        with pytest.raises(CallFailed):
            await nodes["alice"].call("@bob.aura", media="audio", aic="require")
    heard = next(event for event in told["alice"] if event["event"] == "heard")
    assert heard["aic"] is None
    assert heard["video"] is None


async def test_a_call_begins_over_the_relay_and_moves_to_a_direct_link_without_a_gap(tmp_path: Path) -> None:
    agent = replace(PACE, relay_first=True, standby=True)
    ends: dict[str, Any] = {"nat": "cone", "policy": "direct", "agent": agent}
    async with mesh(tmp_path, alice=ends, bob=ends, relay={"agent": agent}) as (nodes, told):
        call = await nodes["alice"].call("@bob.aura", media="audio_video")
        assert [SIGNERS[name].node_id for name in NAMES] == list(call.path)
        await asyncio.sleep(3.0)
        call.hang_up()
        result = await call.ended()
    assert list(result.path) == [SIGNERS["alice"].node_id, SIGNERS["bob"].node_id]
    assert (result.outcome, result.failovers) == ("completed", 0)
    assert [event["event"] for event in told["alice"] if event["event"] in ("upgraded", "path_lost")] == ["upgraded"]
    for name in ("alice", "bob"):
        heard = next(event for event in told[name] if event["event"] == "heard")
        assert len(heard["routes"]) == 2
        assert max(after - before for before, after in pairwise(heard["arrivals"])) < 0.3
        assert (heard["voice"]["doubled"], heard["voice"]["lost"]) == (0, 0)
        assert (heard["video"]["frozen"], heard["video"]["wrong"]) == (0.0, 0)


async def test_the_command_line_calls_with_video(tmp_path: Path) -> None:
    async with embedded() as url, asyncio.timeout(LONG), AsyncExitStack() as stack:
        for name in ("relay", "bob"):
            await stack.enter_async_context(Node(describe(tmp_path, name, url)))
        path = tmp_path / "alice.yaml"
        path.write_bytes(msgspec.json.encode(describe(tmp_path, "alice", url)))
        told = await asyncio.to_thread(place_call, path, "@bob.aura", 2.0, media="audio_video", aic="prefer")
    assert told["outcome"] == "completed"
    assert told["video"]["shown"] > 0
    assert told["aic"]["sent_bytes"] < told["aic"]["plain_bytes"]
