"""How soon 64 real nodes know each other: eight processes with eight nodes each, and links of DTLS between them.

`python -m meshsim.lab.bench.node_mesh WANTED FILE...` is one of the processes: it lives as the nodes of the files.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.identity import Ed25519Signer
from meshsim.lab.loops import finish
from meshsim.mesh.ids import did_key
from meshsim.mesh.seeds import SeedTree
from meshsim.node import Node, NodeConfig
from meshsim.node.config import load_config
from meshsim.node.testbed import START_TIMEOUT, Process

if TYPE_CHECKING:
    from collections.abc import Callable

PROCESSES, NODES_EACH = 8, 8
NEIGHBOURS = 3
"""Links that each node keeps from its own side, the first of them to the next node in a ring."""
PATIENCE = 240.0
"""Seconds for all links, and as many for all nodes to be known."""
LOOK = 0.05
"""Seconds between two looks at what a node knows."""
_SEED = 64


def convergence(*, processes: int = PROCESSES, each: int = NODES_EACH) -> dict[str, Any]:
    """Starts the nodes, and measures from the last link that came up until every node knows every other.

    Returns:
        `nodes`, `links`, `linked_s` from the first start to the last link, `converged_s` from then on.
    """
    with tempfile.TemporaryDirectory() as folder:
        return finish(_converge(Path(folder), processes, each))


async def _converge(folder: Path, processes: int, each: int) -> dict[str, Any]:
    count = processes * each
    async with AsyncExitStack() as stack:
        registry = await Process.start(
            "registry", "registry", "serve", "--port", "0", "--json", log=folder / "registry.log", listens=False
        )
        stack.push_async_callback(registry.stop)
        url = (await registry.wait(lambda: registry.find("told"), "a listening socket", START_TIMEOUT))["url"]
        files, links = _files(folder, count, url)
        begun = time.monotonic()
        hosts = []
        for number in range(processes):
            batch = files[number * each : (number + 1) * each]
            host = await Process.start(
                f"host-{number}", str(count), *map(str, batch), log=folder / f"{number}.log",
                module="meshsim.lab.bench.node_mesh",
            )  # fmt: skip
            stack.push_async_callback(host.stop)
            hosts.append(host)
        linked = [await host.wait(_finder(host, "linked"), "all links", PATIENCE) for host in hosts]
        known = [await host.wait(_finder(host, "known"), "all nodes known", PATIENCE) for host in hosts]
        last = max(event["at"] for event in linked)
        return {
            "nodes": count,
            "links": links,
            "linked_s": last - begun,
            "converged_s": max(0.0, max(event["at"] for event in known) - last),
        }


def _finder(host: Process, event: str) -> Callable[[], dict[str, Any] | None]:
    return lambda: host.find(event)


def _files(folder: Path, count: int, url: str) -> tuple[list[Path], int]:
    """A key and a file for each node, and how many links they make: a ring with chords drawn at random."""
    signers = [Ed25519Signer.from_seed(number.to_bytes(32, "big")) for number in range(1, count + 1)]
    draws = SeedTree(_SEED).stream("chords", 0)
    links, files = set(), []
    for number, signer in enumerate(signers):
        key = folder / f"{number}.key"
        signer.to_file(key)
        chords = {int(draws.at(number * NEIGHBOURS + k) * count) for k in range(1, NEIGHBOURS)} - {number}
        peers = {(number + 1) % count, *chords}
        links |= {frozenset((number, peer)) for peer in peers}
        config = NodeConfig(
            aura=f"@n{number}.aura",
            key=str(key),
            registry=url,
            role="relay",
            max_calls=4,
            policy="shortest",
            neighbours=tuple(did_key(signers[peer].node_id) for peer in sorted(peers)),
        )
        files.append(folder / f"{number}.json")
        files[-1].write_bytes(msgspec.json.encode(config))
    return files, len(links)


async def _host(wanted: int, files: list[Path]) -> None:
    """Lives as the nodes of `files` until its input ends."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(Node(load_config(file))) for file in files]
        await _when("linked", lambda: all(node.is_linked for node in nodes))
        await _when("known", lambda: all(int(node.view().nodes.online.sum()) >= wanted for node in nodes))
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def _when(event: str, holds: Callable[[], bool]) -> None:
    """Tells when something first holds, to within `LOOK`."""
    while not holds():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(LOOK)
    sys.stdout.write(json.dumps({"event": event, "at": time.monotonic()}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_host(int(sys.argv[1]), [Path(file) for file in sys.argv[2:]]))
