"""How a running node is asked and told things from outside: a Unix socket for its owner alone, JSON lines both ways.

`{"do": "status"}`, `{"do": "flush"}` (its trace), `{"do": "stop"}`, and
`{"do": "call", "callee": "@bob.aura", "media": "audio", "seconds": 8}`. Each is answered by one line; it has `error`
in it if it cannot be done.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import TYPE_CHECKING, Any, Self

import msgspec

from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.node.events import Command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

LINE_BYTES = 65_536
"""No question is longer."""
LONGEST_NAME = 107
"""Bytes in the name of a Unix socket."""
VISITORS = 16
"""Most connections at once."""
PATIENCE = 5.0
"""Seconds that a node has to answer what needs no time."""


class ControlSocket:
    """Listens for the node's owner.

    Args:
        path: Where; readable and writable by the owner only.
        answer: Does what a command says.

    Raises:
        ConfigError: On entering, if another node answers there already, or nobody can listen there.
    """

    def __init__(self, path: Path, answer: Callable[[Command], Awaitable[dict[str, Any]]]) -> None:
        self._path = path
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if is_answered(self._path):
            raise ConfigError(f"a node answers at {self._path} already", key="control")
        try:
            self._path.unlink(missing_ok=True)  # of a node that was killed
            before = os.umask(0o177)
            try:
                self._server = await asyncio.start_unix_server(self._visit, self._path, limit=LINE_BYTES)
            finally:
                os.umask(before)
        except OSError as wrong:
            raise ConfigError(f"cannot listen at {self._path}: {wrong}", key="control") from wrong
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for visit in list(self._visits):
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._visits) >= VISITORS:
            writer.close()
            return
        self._visits.add(task)
        try:
            # gone, or a line that is too long, or this node leaves: asyncio would make a traceback of a cancelled visit
            with contextlib.suppress(OSError, ValueError, asyncio.CancelledError):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(await self._obey(line)) + b"\n")
                    await writer.drain()
        finally:
            self._visits.discard(task)
            writer.close()

    async def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            return await self._answer(msgspec.json.decode(line, type=Command))
        except msgspec.DecodeError as wrong:
            return {"error": f"not a command: {wrong}"}
        except MeshSimError as wrong:
            return {"error": str(wrong)}


def is_answered(path: Path) -> bool:
    """Whether a running node answers at `path`."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        line.connect(str(path))
        return True
    return False


def ask(path: Path, command: dict[str, Any], patience: float = PATIENCE) -> dict[str, Any]:
    """What the running node at `path` answers to `command`.

    Args:
        path: Its socket.
        command: As JSON values.
        patience: Seconds that it has.

    Raises:
        ConfigError: If nobody answers there, or the node says that it cannot be done.
    """
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(patience)
            line.connect(str(path))
            line.sendall(json.dumps(command).encode() + b"\n")
            with line.makefile("rb") as answers:
                answer = answers.readline()
    except OSError as gone:
        raise ConfigError(f"no node answers at {path}: {gone}", key="control") from gone
    if not answer:
        raise ConfigError(f"the node at {path} left without an answer", key="control")
    told: dict[str, Any] = json.loads(answer)
    if "error" in told:
        raise ConfigError(str(told["error"]), key=str(command["do"]))
    return told
