"""Nodes without a registry: linked by lines that a test carries, then known by what they tell each other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from meshsim.cli import main
from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import CallFailed, ConfigError, RemoteProtocolError
from meshsim.mesh.ids import did_key
from meshsim.node import Node, load_config
from meshsim.node.commands import answer
from meshsim.node.control import ControlSocket

PACE = {"heartbeat": 0.3, "probe_period": 0.1, "digest_period": 0.3}
NAMES = ("alice", "bob")
SIGNERS = {name: Ed25519Signer.from_seed(bytes([n]) * 32) for n, name in enumerate(NAMES, start=1)}


@asynccontextmanager
async def alone(folder: Path) -> AsyncIterator[dict[str, Node]]:
    """Alice and Bob, each at home and with a socket."""
    async with asyncio.timeout(30.0), AsyncExitStack() as stack:
        nodes = {}
        for name in NAMES:
            SIGNERS[name].to_file(folder / f"{name}.key")
            path = folder / f"{name}.yaml"
            said = {"aura": f"@{name}.aura", "key": str(folder / f"{name}.key"), "registry": "none"}
            path.write_text(json.dumps(said | {"policy": "shortest", "agent": PACE}))
            nodes[name] = await stack.enter_async_context(Node(load_config(path, {})))
            await stack.enter_async_context(ControlSocket(nodes[name].config.socket, partial(answer, nodes[name])))
        yield nodes


async def test_nodes_without_a_registry_are_linked_by_hand_and_call_each_other_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(*words: str) -> str:
        assert main(["node", words[0], str(tmp_path / f"{words[1]}.yaml"), *words[2:]]) == 0
        return capsys.readouterr().out

    async with alone(tmp_path) as nodes:
        with pytest.raises(CallFailed, match="no registry"):
            await nodes["alice"].call("@bob.aura")
        offer, back = tmp_path / "offer.txt", tmp_path / "answer.txt"
        offer.write_text(await asyncio.to_thread(typed, "offer", "alice", did_key(SIGNERS["bob"].node_id)))
        back.write_text(await asyncio.to_thread(typed, "take", "bob", str(offer)))
        assert await asyncio.to_thread(typed, "take", "alice", str(back)) == "linked\n"
        while nodes["alice"].standing().view().nodes.online.sum() < 2:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0.05)
        call = await nodes["alice"].call("@bob.aura")
        assert call.path == tuple(SIGNERS[name].node_id for name in NAMES)
        call.hang_up()
        assert (await call.ended()).outcome == "completed"
        told = nodes["bob"].standing().tell()
        assert told["registry"] == {"url": "none", "connected": False}
        with pytest.raises(ConfigError, match="waits for this answer"):
            await nodes["alice"].hands.take(back.read_text())


async def test_what_is_no_line_or_is_not_for_this_node_is_refused_with_words(tmp_path: Path) -> None:
    async with alone(tmp_path) as nodes:
        with pytest.raises(ConfigError, match="not an envelope"):
            await nodes["alice"].hands.take("hello")
        line = await nodes["alice"].hands.offer(SIGNERS["bob"].node_id)
        with pytest.raises(ConfigError, match="already"):
            await nodes["alice"].hands.offer(SIGNERS["bob"].node_id)
        with pytest.raises(RemoteProtocolError):
            await nodes["alice"].hands.take(line)
