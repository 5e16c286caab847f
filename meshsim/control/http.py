"""The registry over HTTP and WebSocket: FastAPI stays in this file. The work is `RegistryService`'s."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect

from meshsim.control.schema import (
    RECORD_BYTES,
    SOCKET_BYTES,
    Beat,
    Challenge,
    Delivery,
    Envelope,
    Hello,
    NodeFrame,
    Undelivered,
    Welcome,
    decode_node_frame,
    encode_frame,
    record_from_json,
    records_to_json,
)
from meshsim.control.service import FileStore, Mailbox, RegistryService, Store
from meshsim.mesh.errors import IdentityError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, NodeId, did_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

HELLO_TIMEOUT = 5.0
"""Seconds in which a node must answer the challenge."""
MALFORMED_LIMIT = 3
"""Malformed frames on one connection before it is closed."""
CLOSE_POLICY = 1008
"""WebSocket close code of a peer that breaks the rules (RFC 6455)."""
_JSON = "application/json"
_START_STEP = 0.005


def create_app(service: RegistryService) -> FastAPI:
    """The registry's HTTP interface."""
    app = FastAPI(title="meshsim registry", docs_url=None, redoc_url=None)

    @app.get("/healthz")
    async def health() -> dict[str, object]:
        """Whether the registry answers, how many nodes it knows, how many are connected and how many alive."""
        online = sum(presence.online for presence in service.presence())
        return {"status": "ok", "nodes": len(service.nodes()), "connected": service.connected, "online": online}

    @app.post("/v1/nodes")
    async def register(request: Request) -> Response:
        """Keeps a signed node record; 422 when malformed, 403 when it does not hold."""
        try:
            service.register(record_from_json(await _read_body(request, RECORD_BYTES)))
        except RemoteProtocolError as error:
            service.malformed += 1
            return _problem(422, error)
        except IdentityError as error:
            return _problem(403, error)
        return Response(status_code=204)

    @app.get("/v1/nodes")
    async def nodes() -> Response:
        """Every record that is known."""
        return Response(records_to_json(service.nodes()), media_type=_JSON)

    @app.get("/v1/presence")
    async def presence() -> Response:
        """Who was heard when; who missed three heartbeats is offline."""
        heard = [
            {"node": did_key(one.node), "online": one.online, "silent_seconds": one.silent}
            for one in service.presence()
        ]
        return Response(msgspec.json.encode(heard), media_type=_JSON)

    @app.get("/v1/resolve/{aura}")
    async def resolve(aura: str) -> Response:
        """The nodes of an identity; 404 when unknown or withheld."""
        try:
            name = AuraID.parse(aura)
        except IdentityError as error:
            return _problem(422, error)
        try:
            return Response(records_to_json(service.resolve(name)), media_type=_JSON)
        except IdentityError as error:
            return _problem(404, error)

    _add_rendezvous(app, service)
    return app


def _add_rendezvous(app: FastAPI, service: RegistryService) -> None:
    @app.websocket("/v1/rendezvous")
    async def rendezvous(websocket: WebSocket) -> None:
        """Carries envelopes between nodes that have proved their keys."""
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await _Visit(service, websocket).run()


def _problem(status: int, error: Exception) -> Response:
    return Response(msgspec.json.encode({"error": str(error)}), status_code=status, media_type=_JSON)


async def _read_body(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise RemoteProtocolError(f"a request has at most {limit} bytes")
    return bytes(body)


class _Visit:
    """One node's stay at the rendezvous."""

    def __init__(self, service: RegistryService, websocket: WebSocket) -> None:
        self._service = service
        self._websocket = websocket
        self._malformed = 0

    async def run(self) -> None:
        try:
            mailbox = await self._enter()
        except (RemoteProtocolError, IdentityError, TimeoutError):
            self._service.malformed += 1
            await self._websocket.close(CLOSE_POLICY)
            return
        try:
            await self._stay(mailbox)
        finally:
            self._service.leave(mailbox)

    async def _enter(self) -> Mailbox:
        nonce = self._service.challenge()
        await self._websocket.send_bytes(encode_frame(Challenge(nonce)))
        async with asyncio.timeout(HELLO_TIMEOUT):
            hello = await self._receive()
        if not isinstance(hello, Hello):
            raise RemoteProtocolError("the first frame must answer the challenge")
        mailbox = self._service.enter(NodeId(hello.node), nonce, hello.signature)
        await self._websocket.send_bytes(encode_frame(Welcome()))
        return mailbox

    async def _stay(self, mailbox: Mailbox) -> None:
        """Reads and writes at the same time; whichever ends first ends the other."""
        tasks = {asyncio.create_task(self._read(mailbox)), asyncio.create_task(self._write(mailbox))}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._websocket.close(CLOSE_POLICY)

    async def _read(self, mailbox: Mailbox) -> None:
        while self._malformed < MALFORMED_LIMIT:
            try:
                frame = await self._receive_later()
            except RemoteProtocolError:
                self._service.malformed += 1
                self._malformed += 1
                continue
            if isinstance(frame, Beat):
                self._service.beat(mailbox.node)
            elif not self._service.carry(mailbox.node, NodeId(frame.to), frame.payload):
                await self._websocket.send_bytes(encode_frame(Undelivered(frame.to)))

    async def _write(self, mailbox: Mailbox) -> None:
        while (envelope := await mailbox.get()) is not None:
            await self._websocket.send_bytes(encode_frame(Delivery(*envelope)))

    async def _receive_later(self) -> Envelope | Beat:
        frame = await self._receive()
        if isinstance(frame, Hello):
            raise RemoteProtocolError("a second hello")
        return frame

    async def _receive(self) -> NodeFrame:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        return decode_node_frame(message.get("bytes") or message.get("text") or b"")


class _Server(uvicorn.Server):
    """uvicorn inside somebody else's program: it leaves the signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(service: RegistryService) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(service),
        log_level="warning",
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=SOCKET_BYTES,
        timeout_graceful_shutdown=1,
    )


def _listen(host: str, port: int) -> tuple[socket.socket, str]:
    sock = socket.create_server((host, port))
    return sock, f"http://{host}:{sock.getsockname()[1]}"


@asynccontextmanager
async def embedded(
    service: RegistryService | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """A registry in this event loop, for as long as the block lasts; gives its URL."""
    sock, url = _listen(host, port)
    server = _Server(_config(service or RegistryService()))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110 - uvicorn has a flag, no event
            await asyncio.sleep(_START_STEP)
        yield url
    finally:
        server.should_exit = True
        await task
        sock.close()


def serve(
    host: str = "127.0.0.1",
    port: int = 8420,
    store: Store | Path | None = None,
    *,
    domain: str = "",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a registry until interrupted.

    Args:
        host: Address to listen on.
        port: TCP port; 0 lets the system choose.
        store: Where records outlive the process: a store, the path of a file, or None for memory only.
        domain: The home domain.
        ready: Told the URL once the socket listens.
    """
    service = RegistryService(FileStore(store) if isinstance(store, Path) else store, domain=domain)
    sock, url = _listen(host, port)
    if ready is not None:
        ready(url)
    with sock:
        uvicorn.Server(_config(service)).run(sockets=[sock])
