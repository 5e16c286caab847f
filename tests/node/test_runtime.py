"""Whole nodes in this process, over a real registry and real links on loopback; and as processes, to be told to end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from meshsim.agent import AgentConfig, Channel
from meshsim.control import schema
from meshsim.control.client import RegistryClient
from meshsim.control.http import embedded
from meshsim.control.service import RegistryService
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import AuraID, NodeId, did_key
from meshsim.node import commands, life, parts
from meshsim.node.commands import place_call, run_node
from meshsim.node.config import LIVE, NodeConfig
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.runtime import Node
from meshsim.routing.artefact import find_model, sign_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.5, keepalive=0.3, dead_after=5)
CALM = replace(LIVE, keepalive=0.3)  # four nodes in one process may pause for a quarter of a second
# By id, so that the first of two neighbours is the one that dials.
SIGNERS = sorted((Ed25519Signer.from_seed(bytes([n]) * 32) for n in range(1, 4)), key=lambda signer: signer.node_id)
LONG = 60.0


class Told(list[dict[str, Any]]):
    """What a node told, to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._news = asyncio.Event()

    def append(self, event: dict[str, Any]) -> None:
        super().append(event)
        self._news.set()

    def all(self, event: str, **values: object) -> list[dict[str, Any]]:
        wanted = {"event": event, **values}
        return [one for one in self if all(one.get(key) == value for key, value in wanted.items())]

    async def until(self, event: str, count: int = 1, **values: object) -> dict[str, Any]:
        async with asyncio.timeout(LONG):
            while len(self.all(event, **values)) < count:
                self._news.clear()
                await self._news.wait()
        return self.all(event, **values)[count - 1]


def describe(folder: Path, which: int, url: str, **more: Any) -> NodeConfig:
    key = folder / f"{which}.key"
    if not key.exists():
        SIGNERS[which].to_file(key)
    settings = {"aura": f"@n{which}.aura", "policy": "shortest", "agent": PACE} | more
    return NodeConfig(key=str(key), registry=url, **settings)


@asynccontextmanager
async def living(config: NodeConfig) -> AsyncIterator[tuple[Node, Told]]:
    told = Told()
    async with Node(config, told.append) as node:
        yield node, told


@asynccontextmanager
async def stranger(url: str, which: int, on_open: Callable[[Any], None] = lambda _: None) -> AsyncIterator[Neighbours]:
    """A peer with links and nothing that speaks or answers."""
    async with RegistryClient(url, SIGNERS[which]) as client:
        links = Neighbours(client, SIGNERS[which], Ed25519Verifier(), handlers=NeighbourHandlers(on_open=on_open))
        running = asyncio.create_task(links.run())
        await client.wait_online()
        yield links
        await links.close()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_malformed_bytes_are_counted_and_dropped_and_the_node_lives(tmp_path: Path) -> None:
    async with embedded() as url:
        async with living(describe(tmp_path, 1, url)) as (_, told), stranger(url, 0) as links:
            link = await links.dial(SIGNERS[1].node_id)
            await told.until("link", up=True)
            for channel in Channel:
                assert link.send(channel, b"\xffnonsense")
            assert link.send(Channel.CONTROL, b"\xff" * 200_000)
            assert link.send_media(b"\x80\x6f" + bytes(10))  # RTP of a route that nobody opened
            await asyncio.wait_for(_answered(links, told), LONG)
        left = told.all("left")[0]
    assert sum(left["rejected"].values()) == 3
    assert left["malformed"] == 1
    assert left["unroutable"] == 1


async def test_what_a_node_said_last_arrives_though_it_leaves_at_once(tmp_path: Path) -> None:
    said = 20  # kilobytes: more than a young link takes at once
    async with embedded() as url:
        async with living(describe(tmp_path, 1, url)) as (_, told):
            friend = SIGNERS[1].node_id
            async with living(describe(tmp_path, 0, url, neighbours=(did_key(friend),))) as (node, _):
                assert await node.wait_linked()
                for _ in range(said):
                    node.send(friend, Channel.CONTROL, b"\xff" * 1000)
            await told.until("link", up=False)
        assert sum(told.all("left")[0]["rejected"].values()) == said


async def _answered(links: Neighbours, told: Told) -> None:
    """All channels are empty when the link has closed: SCTP says so last."""
    await asyncio.sleep(0.3)  # unordered channels have no end to wait for
    await links.close()
    await told.until("link", up=False)


async def test_strangers_find_a_place_while_there_is_one_and_neighbours_always(tmp_path: Path) -> None:
    known = SIGNERS[2].node_id
    pace = dataclasses.replace(PACE, max_neighbours=1)
    async with embedded() as url:
        config = describe(tmp_path, 1, url, agent=pace, neighbours=(did_key(known),))
        async with living(config) as (node, told), stranger(url, 0) as first:
            await first.dial(SIGNERS[1].node_id)
            await told.until("link", up=True, peer=did_key(SIGNERS[0].node_id))
            assert node._may_connect(known)
            assert node._may_connect(SIGNERS[0].node_id)
            assert not node._may_connect(NodeId(bytes(32)))


async def test_a_neighbour_that_falls_silent_is_dropped_and_dialled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "LOST_PATIENCE", 0.1)
    silent = SIGNERS[1].node_id
    async with embedded() as url, stranger(url, 1), AsyncExitStack() as stack:
        config = describe(tmp_path, 0, url, neighbours=(did_key(silent),))
        _, told = await stack.enter_async_context(living(config))
        await told.until("link", up=True)
        await told.until("neighbour_lost")
        await told.until("link", up=False)
        await told.until("link", count=2, up=True)
    assert told.all("left")


async def test_a_neighbour_that_comes_later_is_linked_when_it_is_there(tmp_path: Path) -> None:
    late = SIGNERS[1].node_id
    async with embedded() as url, AsyncExitStack() as stack:
        config = describe(tmp_path, 0, url, neighbours=(did_key(late),))
        node, told = await stack.enter_async_context(living(config))
        await asyncio.sleep(0.5)  # the first offer finds nobody
        await stack.enter_async_context(stranger(url, 1))
        assert await node.wait_linked()
        assert len(told.all("link", up=True)) == 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not holds():  # noqa: ASYNC110 - the registry has no event for it
            await asyncio.sleep(0.02)


async def test_a_node_stays_registered_for_longer_than_its_first_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "RECORD_LIFETIME", 1.0)
    service = RegistryService()
    async with embedded(service) as url, living(describe(tmp_path, 0, url)) as (node, told):
        ends = [service.nodes()[0].expires_unix]
        await until(lambda: service.nodes()[0].expires_unix > ends[0] + 1.0)
        assert node._agent.record == service.nodes()[0]
        assert service.nodes()[0].node == SIGNERS[0].node_id
    assert not told.all("error")


async def test_a_node_registers_again_with_a_registry_that_forgot_it(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with embedded() as url:
            _, told = await stack.enter_async_context(living(describe(tmp_path, 0, url)))
        service = RegistryService()
        assert service.nodes() == ()
        await stack.enter_async_context(embedded(service, port=urlsplit(url).port or 0))
        await until(lambda: bool(service.nodes()))
        assert service.resolve(AuraID("n0"))[0].node == SIGNERS[0].node_id
    assert told.all("left")


async def test_a_node_beats_so_that_the_registry_knows_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BEAT_PERIOD", 0.05)
    now = 0.0
    service = RegistryService(steady=lambda: now)
    async with embedded(service) as url, living(describe(tmp_path, 0, url)):
        now = 50.0
        await until(lambda: service.presence()[0].silent == 0.0)
        assert service.presence()[0].online


async def test_a_node_that_the_registry_refuses_says_so_and_offers_its_record_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "RENEW_PAUSE", 0.05)
    async with AsyncExitStack() as stack:
        async with embedded() as url:
            _, told = await stack.enter_async_context(living(describe(tmp_path, 0, url)))
        service = RegistryService(capacity=0)
        await stack.enter_async_context(embedded(service, port=urlsplit(url).port or 0))
        refused = await told.until("error", count=2)
        assert "the registry is full" in refused["reason"]
        service.capacity = 1
        await until(lambda: bool(service.nodes()))


async def test_a_call_in_this_process_is_spoken_heard_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "GOSSIP_PATIENCE", 0.3)
    path = tmp_path / "caller.json"
    async with embedded() as url:
        friends = (did_key(SIGNERS[1].node_id),)
        describe(tmp_path, 0, url)
        path.write_text(
            json.dumps({
                "aura": "@n0.aura", "key": str(tmp_path / "0.key"), "registry": url, "policy": "shortest",
                "neighbours": friends, "agent": {"keepalive": 0.3, "dead_after": 5},
            })
        )  # fmt: skip
        async with living(describe(tmp_path, 1, url)) as (_, told):
            told_of_call = await asyncio.to_thread(place_call, path, "@n1.aura", 1.0)
            await told.until("heard")
            heard = told.all("heard")[0]
    assert told_of_call["outcome"] == "completed"
    assert told_of_call["path"] == [did_key(SIGNERS[0].node_id), *friends]
    assert told_of_call["audio_packets_received"] > 0
    assert told_of_call["data_messages_received"] > 0
    assert heard["audio_packets_received"] > 0


@pytest.mark.parametrize(
    ("behaviour", "strength"), [("black_hole", 1.0), pytest.param("gray_hole", 0.5, marks=pytest.mark.full)]
)
async def test_a_relay_misbehaves_as_its_file_says(behaviour: str, strength: float, tmp_path: Path) -> None:
    caller, callee, relay = 0, 2, 1
    middle = (did_key(SIGNERS[relay].node_id),)
    async with embedded() as url, AsyncExitStack() as stack:
        hole = describe(
            tmp_path, relay, url, role="relay", max_calls=5, misbehaviour=behaviour, strength=strength,
            neighbours=tuple(did_key(SIGNERS[end].node_id) for end in (caller, callee)),
        )  # fmt: skip
        await stack.enter_async_context(living(hole))
        _, ear = await stack.enter_async_context(
            living(describe(tmp_path, callee, url, nat="symmetric", neighbours=middle))
        )
        node, _ = await stack.enter_async_context(
            living(describe(tmp_path, caller, url, nat="symmetric", neighbours=middle))
        )
        assert await node.wait_linked()
        await ear.until("link", up=True)
        await asyncio.sleep(1.5)  # rounds of gossip
        call = await node.call("@n2.aura")
        await asyncio.sleep(1.5)
        call.hang_up()
        sample = await call.ended()
    assert len(sample.path) == 3
    (heard,) = ear.all("heard")
    sent = 1.5 / 0.02
    share = heard["audio_packets_received"] / sent
    assert share == 0.0 if strength == 1.0 else 0.1 < share < 0.9


@pytest.mark.parametrize("key", ["registry", "emulator"])
def test_a_registry_or_emulator_that_is_not_there_is_one_clear_error(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "JOIN_PATIENCE", 0.3)
    SIGNERS[0].to_file(tmp_path / "a.key")
    path = tmp_path / "a.json"
    more = {"emulator": "127.0.0.1:9"} if key == "emulator" else {}
    plain = {"aura": "@a.aura", "key": str(tmp_path / "a.key"), "registry": "http://127.0.0.1:9", "policy": "shortest"}
    path.write_text(json.dumps(plain | more))
    with pytest.raises(ConfigError, match=f"no {key} at ") as told:
        run_node(path)
    assert told.value.key == key


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_signal_makes_a_node_leave_in_order(number: int, code: int, tmp_path: Path) -> None:
    async with embedded() as url:
        describe(tmp_path, 0, url)
        path = tmp_path / "n.json"
        path.write_text(
            json.dumps({"aura": "@n0.aura", "key": str(tmp_path / "0.key"), "registry": url, "policy": "shortest"})
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "meshsim", "node", "run", str(path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(LONG):
            assert json.loads(await process.stdout.readline())["event"] == "ready"
            process.send_signal(number)
            out, err = await process.communicate()
    assert process.returncode == code
    assert json.loads(out.splitlines()[-1])["event"] == "left"
    assert b"Traceback" not in err


def test_a_node_starts_with_no_scorer_but_one_that_its_operator_signed(tmp_path: Path) -> None:
    model = Path(shutil.copytree(find_model("route-scorer"), tmp_path / "mine"))
    wanted = {"policy": "learned", "model": str(model), "model_signer": did_key(SIGNERS[1].node_id)}
    config = describe(tmp_path, 0, "http://127.0.0.1:9", **wanted)
    with pytest.raises(ConfigError, match="unsigned, expected the signature"):
        Node(config, Told().append)
    sign_model(model, SIGNERS[2])
    with pytest.raises(ConfigError, match="signed by did:key"):
        Node(config, Told().append)
    sign_model(model, SIGNERS[1])
    assert Node(config, Told().append).signer.node_id == SIGNERS[0].node_id


@asynccontextmanager
async def between(folder: Path, relays: int, **more: Any) -> AsyncIterator[tuple[Node, dict[NodeId, AsyncExitStack]]]:
    """A caller and a callee that need a relay, and some; the caller, and what ends each relay."""
    signers = [Ed25519Signer.from_seed(bytes([n]) * 32) for n in range(11, 13 + relays)]
    keys = [str(folder / f"m{which}.key") for which in range(len(signers))]
    for signer, key in zip(signers, keys, strict=True):
        signer.to_file(Path(key))
    ends, middle = signers[:2], signers[2:]
    async with embedded() as url, AsyncExitStack() as stack:
        lives = {}
        for signer, key in zip(middle, keys[2:], strict=True):
            config = NodeConfig(
                aura=f"@m{signer.node_id.hex()[:4]}.aura", key=key, registry=url, policy="shortest", role="relay",
                neighbours=tuple(did_key(end.node_id) for end in ends), agent=CALM, **more,
            )  # fmt: skip
            lives[signer.node_id] = await stack.enter_async_context(AsyncExitStack())
            await lives[signer.node_id].enter_async_context(Node(config))
        nodes = [
            NodeConfig(
                aura=f"@e{which}.aura", key=key, registry=url, policy="shortest", nat="symmetric", agent=CALM,
                neighbours=tuple(did_key(relay.node_id) for relay in middle),
            )
            for which, key in enumerate(keys[:2])
        ]  # fmt: skip
        caller = await stack.enter_async_context(Node(nodes[0]))
        callee = await stack.enter_async_context(Node(nodes[1]))
        assert await caller.wait_linked()
        assert await callee.wait_linked()
        await asyncio.sleep(2.5)  # a round of gossip
        yield caller, lives


@pytest.mark.full
async def test_a_relay_that_leaves_waits_until_the_call_it_carries_has_moved(tmp_path: Path) -> None:
    async with asyncio.timeout(LONG), between(tmp_path, 2) as (caller, relays):
        call = await caller.call("@e1.aura")
        await asyncio.sleep(1.0)
        first = call.path[1]
        await relays[first].aclose()
        assert call.path[1] in relays
        assert call.path[1] != first
        call.hang_up()
        result = await call.ended()
    assert (result.outcome, result.failovers) == ("completed", 1)


@pytest.mark.full
async def test_a_relay_whose_call_cannot_move_leaves_when_its_patience_is_over(tmp_path: Path) -> None:
    async with asyncio.timeout(LONG), between(tmp_path, 1, drain=0.5) as (caller, relays):
        call = await caller.call("@e1.aura")
        (life,) = relays.values()
        began = asyncio.get_running_loop().time()
        await life.aclose()
        assert 0.4 < asyncio.get_running_loop().time() - began < 5.0
        assert (await call.ended()).outcome == "dropped"
