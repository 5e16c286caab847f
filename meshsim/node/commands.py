"""A node as a process: what it is told on standard input, what it tells on standard output, how it begins and ends.

Commands are JSON lines: `{"do": "call", "callee": "@bob.aura", "media": "audio", "seconds": 8}` and `{"do": "stop"}`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from meshsim.mesh.errors import ConfigError, IdentityError, MeshSimError
from meshsim.mesh.ids import AuraID, from_did_key
from meshsim.node.config import load_config
from meshsim.node.control import LONGEST_NAME, ControlSocket, ask, is_answered
from meshsim.node.events import Command
from meshsim.node.runtime import Node
from meshsim.node.telling import Teller
from meshsim.node.trace import latest_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.node.config import NodeConfig

ASK_PATIENCE = 15.0
"""Seconds that a running node has to answer; a link made by hand opens within them, or not."""
CALL_PATIENCE = 60.0
"""Seconds, beyond those of the talk, that a running node has to say how a call went."""
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
        node.start(_tell_answer(node, command))
    node.stop()


async def _tell_answer(node: Node, command: Command) -> None:
    """What comes of a call, the agent tells; other answers are told as they are."""
    try:
        told = await answer(node, command)
    except MeshSimError as wrong:
        node.tell({"event": "error", "reason": str(wrong)})
    else:
        if command.do != "call":
            node.tell({"event": command.do} | told)


async def answer(node: Node, command: Command) -> dict[str, Any]:
    """Does what `command` says; what came of it, as JSON values.

    Raises:
        MeshSimError: If it cannot be done.
    """
    match command.do:
        case "status":
            return node.standing().tell() | {"dropped_lines": _dropped(node)}
        case "flush":
            return {"folder": str(node.flush())}
        case "call":
            return await _talk(node, command)
        case "offer":
            return {"line": await node.hands.offer(from_did_key(command.peer))}
        case "take":
            return {"line": await node.hands.take(command.line)}
        case "stop":
            node.stop()
            return {"stopping": True}


def _dropped(node: Node) -> int:
    """Lines that nobody read in time."""
    return sum(listener.dropped for listener in node.listeners if isinstance(listener, Teller))


async def _talk(node: Node, command: Command) -> dict[str, Any]:
    """Calls, talks for as long as is said, hangs up, and gives what was told of that call."""
    told: list[dict[str, Any]] = []
    node.listeners.append(told.append)
    try:
        call = node.place(command.callee, command.media, command.aic, duration=command.seconds)
        if await call.stood():
            asyncio.get_running_loop().call_later(command.seconds, call.hang_up)
        await call.ended()
    finally:
        node.listeners.remove(told.append)
    own = [event for event in told if event.get("call") == call.id.hex()]
    ended = next(event for event in own if event["event"] == "call")
    heard = next((event for event in own if event["event"] == "heard"), {})
    hidden = {*ended, "arrivals", "seconds"}
    return {**ended, **{key: value for key, value in heard.items() if key not in hidden}}


async def _live(config: NodeConfig) -> None:
    teller = Teller(events=config.events, log=config.log == "json")
    node = Node(config, teller)
    loop = asyncio.get_running_loop()
    # SIGINT cancels this, and the node leaves as well: that is asyncio's own doing, and ends in exit code 130.
    loop.add_signal_handler(signal.SIGTERM, node.stop)
    loop.add_signal_handler(signal.SIGHUP, _ignore)  # a terminal that closes ends no node
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(node)
            await _open_control(node, stack)
            if config.stdio:
                node.start(obey(node))
            await node.stopped()
    finally:
        teller.close()


async def _open_control(node: Node, stack: AsyncExitStack) -> None:
    """Listens for the owner; done without where the usual name is too long for a socket."""
    path = node.config.socket
    if node.config.control is None and len(os.fsencode(path)) > LONGEST_NAME:
        node.tell({"event": "error", "reason": f"no socket can have a name as long as {path}: say `control`"})
        return
    await stack.enter_async_context(ControlSocket(path, partial(answer, node)))


def _ignore() -> None: ...


def run_node(path: Path, said: Sequence[str] = ()) -> int:
    """Runs the node that the file `path` describes until it is told to stop; the exit code.

    Args:
        path: The file.
        said: `key=value`, instead of what the file says.

    Raises:
        ConfigError: If the file is wrong, or the registry or the emulator is not there.
    """
    config = load_config(path, said=said)
    if is_answered(config.socket):
        raise ConfigError(f"a node answers at {config.socket} already", key="control")
    asyncio.run(_live(config))
    return 0


def place_call(
    path: Path, callee: str, seconds: float, said: Sequence[str] = (), *, media: str = "audio", aic: str = "off"
) -> dict[str, Any]:
    """Calls `callee` from the node that the file `path` describes, and returns how it went.

    If that node runs, it is asked to call; else one joins the mesh for this call alone.

    Args:
        path: The file.
        callee: Who is called, `@bob.aura`.
        seconds: How long to talk.
        said: `key=value`, instead of what the file says.
        media: What the call carries: `audio` or `audio_video`.
        aic: How AIC is treated: `off`, `prefer` or `require`.

    Raises:
        ConfigError: If the file, or the callee's name, is wrong, or the registry is not there.
    """
    config = load_config(path, said=said)
    try:
        name = AuraID.parse(callee)
    except IdentityError as wrong:
        raise ConfigError(str(wrong), key="CALLEE") from wrong
    command = {"do": "call", "callee": str(name), "media": media, "aic": aic, "seconds": seconds}
    if is_answered(config.socket):
        return ask(config.socket, command, seconds + CALL_PATIENCE)
    return asyncio.run(_join_and_talk(Node(config), msgspec.convert(command, Command)))


async def _join_and_talk(node: Node, command: Command) -> dict[str, Any]:
    """Calls once the node knows its surroundings."""
    async with node:
        await node.wait_linked()
        await asyncio.sleep(GOSSIP_PATIENCE)
        return await _talk(node, command)


def ask_node(path: Path, do: str, said: Sequence[str] = (), **more: str) -> dict[str, Any]:
    """What the running node that the file `path` describes answers to the command `do`.

    Raises:
        ConfigError: If the file is wrong, or the node does not run, or it cannot do that.
    """
    return ask(load_config(path, said=said).socket, {"do": do, **more}, ASK_PATIENCE)


def find_trace(path: Path, said: Sequence[str] = ()) -> Path:
    """The folder of the last trace of the node that the file `path` describes; whole up to now if the node runs.

    Raises:
        ConfigError: If the file is wrong, or the node keeps no trace, or its disk took no more.
    """
    config = load_config(path, said=said)
    if is_answered(config.socket):
        return Path(ask(config.socket, {"do": "flush"})["folder"])
    if config.trace is None:
        raise ConfigError("this node keeps no trace", file=str(path), key="trace")
    return latest_folder(Path(config.trace))
