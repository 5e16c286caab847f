"""What a mesh goes through once its nodes have joined: whole nodes in this process, on loopback."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.agent import AgentConfig
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.mesh.ids import did_key
from meshsim.node.config import NodeConfig
from meshsim.node.runtime import Node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.3, keepalive=0.3, dead_after=5)
SIGNERS = sorted((Ed25519Signer.from_seed(bytes([n]) * 32) for n in range(1, 4)), key=lambda signer: signer.node_id)
LOOK = 0.02


def describe(folder: Path, which: int, url: str, *neighbours: int) -> NodeConfig:
    key = folder / f"{which}.key"
    SIGNERS[which].to_file(key)
    return NodeConfig(
        key=str(key),
        registry=url,
        aura=f"@n{which}.aura",
        policy="shortest",
        agent=PACE,
        neighbours=tuple(did_key(SIGNERS[peer].node_id) for peer in neighbours),
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20.0):
        for _ in iter(holds, True):
            await asyncio.sleep(LOOK)


@pytest.mark.full
async def test_a_mesh_whose_registry_is_dead_still_makes_new_links_and_calls(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(AsyncExitStack())
        url = await registry.enter_async_context(embedded())
        middle = await stack.enter_async_context(Node(describe(tmp_path, 1, url)))
        caller = await stack.enter_async_context(Node(describe(tmp_path, 0, url, 1), told.append))
        callee = await stack.enter_async_context(Node(describe(tmp_path, 2, url, 1)))
        await until(lambda: all(int(node.view().nodes.online.sum()) == 3 for node in (caller, middle, callee)))
        await until(lambda: len(caller.view().links.src[caller.view().links.observed]) >= 4)
        await registry.aclose()
        call = await caller.call("@n2.aura")
        assert SIGNERS[2].node_id in caller._neighbours.links
        assert middle._neighbours.post.carried == 2
        call.hang_up()
        await call.ended()


@pytest.mark.full
async def test_a_link_that_falls_silent_is_replaced_before_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []
    first, second = (signer.node_id for signer in SIGNERS[:2])
    async with (
        embedded() as url,
        Node(describe(tmp_path, 1, url, 0)) as other,
        Node(describe(tmp_path, 0, url, 1), told.append) as node,
    ):
        await node.wait_linked()
        silent = node._neighbours.links[second]
        for link in (silent, other._neighbours.links[first]):
            monkeypatch.setattr(link, "_send", lambda _, __: True)
        await until(lambda: any(event["event"] == "neighbour_lost" for event in told))
        await until(lambda: node._neighbours.links.get(second, silent) is not silent)
        await until(lambda: int(node.view().nodes.online.sum()) == 2)
        await until(lambda: silent.closed)
        assert not [event for event in told if event["event"] == "link" and not event["up"]]
