"""Real processes: two ends and two relays, every datagram through the emulator, and one relay killed in the call."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from meshsim.agent import AgentConfig
from meshsim.links import LinkParameters
from meshsim.measure.trace import Trace
from meshsim.mesh.ids import did_key
from meshsim.node.testbed import Bed, Mesh, Process, Talk, TestbedError, running, talk
from meshsim.scenario import compile_plan, load

if TYPE_CHECKING:
    from meshsim.node.traffic import Mismatch
    from meshsim.scenario.plan import Plan

ALICE, BOB, RELAYS = 0, 1, (2, 3)
PACE = AgentConfig(heartbeat=1.0, probe_period=0.25, digest_period=1.0, keepalive=0.25, dead_after=4)
WIRE = LinkParameters(rate_bps=20e6, propagation=0.010, jitter=0.0, loss=0.0, burst=1.0, queue_bytes=200_000)


def bed(plan: Plan, folder: Path) -> Bed:
    ends = [(ALICE, BOB), (BOB, ALICE)]
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b and (a, b) not in ends]
    return Bed(
        nodes=plan.nodes,
        links=plan.links,
        parameters=dict.fromkeys(pairs, WIRE),
        folder=folder,
        seed=1,
        agent=PACE,
        routing=plan.scenario.routing,
        trust=plan.scenario.trust,
        policy="shortest",
    )


async def converse(plan: Plan, folder: Path) -> tuple[Mesh, Talk, list[Mismatch]]:
    async with running(bed(plan, folder)) as mesh:
        await mesh.settle(1.0)
        done = await talk(mesh, plan.calls, 0, seconds=3.0, kill_after=1.2)
        await asyncio.sleep(0.3)  # the emulator holds a datagram for its delay
        return mesh, done, await mesh.counts()


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mesh, Talk, list[Mismatch]]:
    """One call of three seconds whose relay is killed after 1.2; every test below looks at another side of it."""
    plan = compile_plan(load(Path(__file__).parent / "four.yaml"), 1)
    return asyncio.run(converse(plan, tmp_path_factory.mktemp("bed")))


def test_the_call_goes_over_a_relay_and_on_over_the_other(conversation) -> None:
    mesh, done, _ = conversation
    assert done.path in {(ALICE, relay, BOB) for relay in RELAYS}
    assert done.final_path in {(ALICE, relay, BOB) for relay in RELAYS}
    assert done.final_path != done.path
    assert done.killed is not None
    assert mesh.killed == {done.killed[0]} == {done.path[1]}


def test_the_call_is_completed_and_tells_of_its_failover(conversation) -> None:
    _, done, _ = conversation
    assert done.ended["outcome"] == "completed"
    assert len(done.ended["failovers"]) == 1
    failover = done.ended["failovers"][0]
    assert failover["heard"] <= failover["lost"] <= failover["restored"]
    assert failover["lost"] >= done.killed[1]


def test_both_ends_decode_one_voice_that_came_over_both_routes(conversation) -> None:
    _, done, _ = conversation
    for heard in (done.heard, done.caller_heard):
        voice, each = heard["voice"], [route["received"] for route in heard["routes"]]
        assert len(each) == 2
        assert all(received > 0 for received in each)
        assert heard["audio_packets_received"] == len(heard["arrivals"]) == voice["received"] == voice["decoded"]
        assert sum(each) == voice["received"] + voice["duplicates"]
        assert voice["doubled"] == 0
        assert voice["frequency"] == pytest.approx(440, abs=30)


def test_audio_comes_before_and_after_the_kill(conversation) -> None:
    _, done, _ = conversation
    arrivals = np.asarray(done.heard["arrivals"])
    assert (arrivals < done.killed[1]).any()
    assert (arrivals > done.ended["failovers"][0]["restored"]).any()


def test_data_messages_come_in_and_their_echoes_took_two_ways_over_two_links(conversation) -> None:
    _, done, _ = conversation
    for heard in (done.heard, done.caller_heard):
        assert heard["data_messages_received"] > 0
        assert min(heard["data_rtts"]) >= 4 * WIRE.propagation * 0.95


def test_nothing_went_past_the_emulator(conversation) -> None:
    mesh, _, mismatches = conversation
    assert mismatches == []
    assert (mesh.bed.folder / "registry.log").exists()


def test_the_relay_never_held_a_codec(conversation) -> None:
    mesh, done, _ = conversation
    alive = done.final_path[1]
    left = mesh.nodes[alive].find("left")
    assert left["codecs"] == 0
    assert left["unroutable"] >= 0
    assert all(mesh.nodes[end].find("left") is not None for end in (ALICE, BOB))


def test_every_node_that_lived_leaves_a_whole_trace_and_no_complaint(conversation) -> None:
    mesh, _, _ = conversation
    for row, name in enumerate(mesh.bed.nodes.names):
        if row not in mesh.killed:
            trace = Trace(mesh.bed.folder / f"{name}-trace")
            assert trace.header["source"] == "node"
            assert len(trace.columns("link_samples")["delay_seconds"]) > 0
            assert (mesh.bed.folder / f"{name}.log").read_text() == ""
    calls = Trace(mesh.bed.folder / "alice-trace").columns("calls")
    assert calls["outcome"] == ["completed"]
    assert calls["failovers"].tolist() == [1]


def test_no_process_outlives_the_block(conversation) -> None:
    mesh, _, _ = conversation
    assert all(node.process.returncode is not None for node in mesh.nodes)


def test_nodes_are_found_by_their_did(conversation) -> None:
    mesh, _, _ = conversation
    assert [mesh.row(did_key(node)) for node in mesh.ids] == [0, 1, 2, 3]


async def test_a_child_that_ends_early_is_told_by_name(tmp_path: Path) -> None:
    child = await Process.start("nobody", "node", "run", str(tmp_path / "absent.json"), log=tmp_path / "log")
    with pytest.raises(TestbedError, match="nobody ended before: a word"):
        await child.wait(lambda: child.find("word"), "a word", 60.0)
    await child.stop()
    assert child.process.returncode == 2
    assert "absent.json" in (tmp_path / "log").read_text()


async def test_a_child_that_is_silent_is_told_with_what_was_awaited(tmp_path: Path) -> None:
    child = await Process.start(
        "registry", "registry", "serve", "--port", "0", "--json", log=tmp_path / "log", listens=False
    )
    started = time.monotonic()
    with pytest.raises(TestbedError, match=r"not within 0\.1 s: a miracle"):
        await child.wait(lambda: child.find("miracle"), "a miracle", 0.1)
    assert time.monotonic() - started >= 0.1
    assert msgspec.json.decode(msgspec.json.encode(child.events)) == child.events
    await child.stop()
    assert child.process.returncode is not None
