"""A node as a process: what it is told on standard input, what it tells on standard output, how it begins and ends.

Commands are JSON lines: `{"do": "call", "callee": "@bob.aura", "media": "audio", "seconds": 8}` and `{"do": "stop"}`.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.mesh.errors import ConfigError, IdentityError
from meshsim.mesh.ids import AuraID
from meshsim.mesh.media import MediaType
from meshsim.node.config import load_config
from meshsim.node.events import Command
from meshsim.node.runtime import Node
from meshsim.node.telling import Teller

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from meshsim.node.config import NodeConfig

GOSSIP_PATIENCE = 2.0
"""Seconds until a caller who just came has been told of the mesh, and has measured its links."""


async def obey(node: Node) -> None:
    """Carries out commands from standard input; its end is the end of `node`."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        try:
            command = msgspec.json.decode(line, type=Command)
        except msgspec.DecodeError as wrong:
            node.tell({"event": "error", "reason": f"not a command: {wrong}"})
            continue
        if command.do == "stop":
            break
        node.start(_make_call(node, command))
    node.stop()


async def _make_call(node: Node, command: Command) -> None:
    try:
        await node.talk(AuraID.parse(command.callee), MediaType(command.media), command.seconds)
    except (IdentityError, ValueError) as wrong:
        node.tell({"event": "error", "reason": str(wrong)})


async def _live(config: NodeConfig) -> None:
    teller = Teller(events=config.events, log=config.log == "json")
    node = Node(config, teller)
    loop = asyncio.get_running_loop()
    # SIGINT cancels this, and the node leaves as well: that is asyncio's own doing, and ends in exit code 130.
    loop.add_signal_handler(signal.SIGTERM, node.stop)
    loop.add_signal_handler(signal.SIGHUP, _ignore)  # a terminal that closes ends no node
    try:
        async with node:
            if config.stdio:
                node.start(obey(node))
            await node.stopped()
    finally:
        teller.close()


def _ignore() -> None: ...


def run_node(path: Path, said: Sequence[str] = ()) -> int:
    """Runs the node that the file `path` describes until it is told to stop; the exit code.

    Args:
        path: The file.
        said: `key=value`, instead of what the file says.

    Raises:
        ConfigError: If the file is wrong, or the registry or the emulator is not there.
    """
    asyncio.run(_live(load_config(path, said=said)))
    return 0


def place_call(path: Path, callee: str, seconds: float, said: Sequence[str] = ()) -> dict[str, Any]:
    """Joins the mesh as the node that the file `path` describes, calls `callee`, and returns how it went.

    Args:
        path: The file.
        callee: Who is called, `@bob.aura`.
        seconds: How long to talk.
        said: `key=value`, instead of what the file says.

    Raises:
        ConfigError: If the file, or the callee's name, is wrong, or the registry is not there.
    """
    config = load_config(path, said=said)
    try:
        name = AuraID.parse(callee)
    except IdentityError as wrong:
        raise ConfigError(str(wrong), key="CALLEE") from wrong
    told: list[dict[str, Any]] = []
    asyncio.run(_talk(Node(config, told.append), name, seconds))
    ended = next(event for event in told if event["event"] == "call")
    heard = next((event for event in told if event["event"] == "heard"), {})
    hidden = {*ended, "arrivals", "seconds"}
    return {**ended, **{key: value for key, value in heard.items() if key not in hidden}}


async def _talk(node: Node, callee: AuraID, seconds: float) -> None:
    """Calls once the node knows its surroundings."""
    async with node:
        await node.wait_linked()
        await asyncio.sleep(GOSSIP_PATIENCE)
        await node.talk(callee, MediaType.AUDIO, seconds)
