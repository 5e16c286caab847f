"""A node's own small doors, the control socket and the metrics server, on a real node and alone."""

from __future__ import annotations

import asyncio
import json
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from meshsim.agent import AgentConfig
from meshsim.cli import main
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import did_key
from meshsim.node import Node, NodeConfig
from meshsim.node.calls import CallResult
from meshsim.node.commands import answer
from meshsim.node.control import LINE_BYTES, VISITORS, ControlSocket, ask, is_answered
from meshsim.node.metrics import Gauges, MetricsServer
from meshsim.node.status import BUCKETS, Tally

if TYPE_CHECKING:
    from meshsim.node.events import Command

PACE = AgentConfig(heartbeat=0.3, probe_period=0.1, digest_period=0.3, keepalive=0.3, dead_after=5)
ALICE, BOB = (Ed25519Signer.from_seed(bytes([n]) * 32) for n in (1, 2))


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[Node, Path]]:
    """Alice, who keeps a trace and is linked with Bob, and her socket."""
    for name, signer in (("alice", ALICE), ("bob", BOB)):
        signer.to_file(folder / f"{name}.key")
    async with embedded() as url, asyncio.timeout(30.0):
        common: dict[str, Any] = {"registry": url, "policy": "shortest", "agent": PACE}
        one = NodeConfig(
            aura="@alice.aura", key=str(folder / "alice.key"), neighbours=(did_key(BOB.node_id),),
            trace=str(folder / "trace"), role="relay", **common,
        )  # fmt: skip
        other = NodeConfig(
            aura="@bob.aura", key=str(folder / "bob.key"), neighbours=(did_key(ALICE.node_id),), **common
        )
        async with Node(one) as alice, Node(other):
            assert await alice.wait_linked()
            async with ControlSocket(one.socket, partial(answer, alice)):
                yield alice, one.socket


async def test_a_running_node_tells_its_owner_how_it_is_and_does_what_it_is_told(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        talk = {"do": "call", "callee": "@bob.aura", "seconds": 0.3}
        called = asyncio.create_task(asyncio.to_thread(ask, path, talk, 20.0))
        while not any(call.state == "active" for call in alice.calls.values()):  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0.01)
        told = await asyncio.to_thread(ask, path, {"do": "status"})
        assert (told["node"], told["aura"], told["role"]) == (did_key(ALICE.node_id), "@alice.aura", "relay")
        assert told["uptime_seconds"] > 0.0
        assert told["registry"]["connected"]
        (link,) = told["links"]
        assert (link["node"], link["up"], link["kept"]) == (did_key(BOB.node_id), True, True)
        assert 0.0 < link["rtt_seconds"] < 1.0
        (call,) = told["calls"]
        assert (call["peer"], call["state"], len(call["path"])) == ("@bob.aura", "active", 2)
        assert told["carried"] == {"routes": 0, "since_start": 0, "load": 0.0, "room": 24}
        assert told["view"]["nodes"] == 2
        gone = await called
        assert gone["outcome"] == "completed"
        assert gone["path"] == [did_key(ALICE.node_id), did_key(BOB.node_id)]
        assert gone["audio_packets_received"] > 0
        folder = Path((await asyncio.to_thread(ask, path, {"do": "flush"}))["folder"])
        assert Trace(folder).columns("calls")["outcome"] == ["completed"]
        ended = (await asyncio.to_thread(ask, path, {"do": "status"}))["ended"]
        assert ended == [{"direction": "outgoing", "outcome": "completed", "count": 1}]
        for wrong, said in (
            ({"do": "call", "callee": "bob"}, "bob"),
            ({"do": "call", "callee": "@bob.aura", "media": "smell"}, "smell"),
            ({"do": "dance"}, "not a command"),
        ):
            with pytest.raises(ConfigError, match=said):
                await asyncio.to_thread(ask, path, wrong)
        assert await asyncio.to_thread(ask, path, {"do": "stop"}) == {"stopping": True}
        await alice.stopped()
    assert not path.exists()


async def test_the_command_line_asks_a_running_node_and_reads_its_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHSIM_NODE_REGISTRY", "http://127.0.0.1:9")
    path = tmp_path / "alice.yaml"
    path.write_text(f'aura: "@alice.aura"\nkey: {tmp_path / "alice.key"}\ntrace: {tmp_path / "trace"}\n')

    def typed(*words: str) -> str:
        assert main(["node", words[0], str(path), *words[1:]]) == 0
        return capsys.readouterr().out

    async with pair(tmp_path):
        called = json.loads(await asyncio.to_thread(typed, "call", "@bob.aura", "--seconds", "0.2", "--json"))
        assert called["outcome"] == "completed"
        assert json.loads(await asyncio.to_thread(typed, "status", "--json"))["aura"] == "@alice.aura"
        table = await asyncio.to_thread(typed, "status")
        for word in ("links", "rtt seconds", did_key(BOB.node_id)[:20], "uptime_seconds", "completed"):
            assert word in table
        shown = json.loads(await asyncio.to_thread(typed, "trace", "--json"))
        assert (shown["folder"], shown["rows"]["calls"]) == (str(tmp_path / "trace"), 1)
    assert main(["node", "status", str(path)]) == 2
    assert "no node answers at" in capsys.readouterr().err
    (row,) = [json.loads(line) for line in typed("trace", "--table", "calls", "--json").splitlines()]
    assert (row["outcome"], row["media"]) == ("completed", "audio")
    assert "completed" in typed("trace", "--table", "calls", "--out", str(tmp_path / "copy"))
    assert Trace(tmp_path / "copy").columns("calls")["outcome"] == ["completed"]


async def _echo(command: Command) -> dict[str, Any]:
    return {"did": command.do}


async def test_two_nodes_do_not_answer_at_one_place_and_a_dead_ones_place_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    assert not is_answered(path)
    async with ControlSocket(path, _echo):
        with pytest.raises(ConfigError, match="already"):
            await ControlSocket(path, _echo).__aenter__()
        assert await asyncio.to_thread(ask, path, {"do": "status"}) == {"did": "status"}
    with pytest.raises(ConfigError, match="no node answers"):
        ask(path, {"do": "status"})
    with pytest.raises(ConfigError, match="cannot listen") as wrong:
        await ControlSocket(tmp_path / ("x" * 120), _echo).__aenter__()
    assert wrong.value.key == "control"


async def test_visitors_that_are_too_many_or_say_too_much_are_shown_out(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with asyncio.timeout(10.0), ControlSocket(path, _echo):
        doors = [await asyncio.open_unix_connection(path) for _ in range(VISITORS)]
        for reader, writer in doors:
            writer.write(b'{"do": "status"}\n')
            assert json.loads(await reader.readline()) == {"did": "status"}
        reader, late = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        late.close()
        reader, writer = doors[0]
        writer.write(b"x" * (2 * LINE_BYTES))
        assert await reader.read() == b""
        for _, writer in doors:
            writer.close()


async def test_prometheus_reads_a_node_by_canonical_names_and_by_the_briefs(tmp_path: Path) -> None:
    async with pair(tmp_path) as (alice, _):
        call = await alice.call("@bob.aura")
        call.hang_up()
        await call.ended()
        server = MetricsServer("127.0.0.1:0", Gauges(alice.standing))
        async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            reply = await client.get("/metrics")
            assert reply.status_code == 200
            assert (await client.get("/healthz")).text == "ok\n"
            assert (await client.get("/elsewhere")).status_code == 404
            assert (await client.post("/metrics")).status_code == 405
            with pytest.raises(ConfigError, match="cannot listen"):
                await MetricsServer(f"127.0.0.1:{server.port}", Gauges(alice.standing)).__aenter__()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }
    peer = (("peer", did_key(BOB.node_id)),)
    assert samples["meshsim_calls_total", (("direction", "outgoing"), ("outcome", "completed"))] == 1.0
    assert samples["meshsim_call_duration_seconds_count", ()] == 1.0
    assert samples["meshsim_link_up", peer] == 1.0
    assert 0.0 < samples["meshsim_link_rtt_seconds", peer] < 1.0
    assert samples["meshsim_registry_connected", ()] == 1.0
    brief = ["callsTotal", "meshNodesOnline", "meshRoutesOptimal", "meshReputationEvents", "aicEnabledRoutesTotal"]
    assert {name: samples[name, ()] for name in brief} == {
        "callsTotal": 1.0, "meshNodesOnline": 2.0, "meshRoutesOptimal": 1.0,
        "meshReputationEvents": samples["meshReputationEvents", ()], "aicEnabledRoutesTotal": 0.0,
    }  # fmt: skip
    assert samples["callDuration_count", ()] == 1.0
    assert ("meshAIScoreAvg", ()) in samples


def test_lengths_of_calls_are_counted_in_the_class_that_holds_them() -> None:
    tally = Tally()
    for seconds in (0.0, 0.5, 1.0, 2.0, 1e6):
        result = CallResult(
            outcome="completed" if seconds else "failed", reason="", path=(), seconds=seconds, rtt=0.1, jitter=0.0,
            loss=0.0, mos=4.0, failovers=0,
        )  # fmt: skip
        tally.count_call("incoming", result)
    assert tally.lengths == [2, 1, *[0] * (len(BUCKETS) - 3), 1]
    assert tally.calls == {("incoming", "completed"): 4, ("incoming", "failed"): 1}
