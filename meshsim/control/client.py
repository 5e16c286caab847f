"""The registry's SDK: register, resolve, and a rendezvous that reconnects by itself. Imports no server code."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit, urlunsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from meshsim.control.schema import (
    PAYLOAD_BYTES,
    SOCKET_BYTES,
    Beat,
    Challenge,
    Delivery,
    Envelope,
    Hello,
    Undelivered,
    Welcome,
    decode_server_frame,
    encode_frame,
    proof,
    record_to_json,
    records_from_json,
)
from meshsim.identity import Ed25519Verifier, NodeRecord, Signer, Verifier, verify_record
from meshsim.mesh.errors import IdentityError, LocalProtocolError, RemoteProtocolError
from meshsim.mesh.ids import AuraID, NodeId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 5.0
OPEN_TIMEOUT = 5.0
REQUEST_TIMEOUT = 5.0
INCOMING_SIZE = 256

_NOT_FOUND = 404
_REFUSED = (403, 422)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A payload that another node sent through the rendezvous.

    Attributes:
        source: Who sent it; the registry says so, the payload's signature must show it.
        payload: The bytes.
    """

    source: NodeId
    payload: bytes


def _ignore(*_: object) -> None: ...


class RegistryClient:
    """One node's connection to a registry; an async context manager.

    Args:
        url: The registry's, as in `http://127.0.0.1:8420`.
        signer: The node's key.
        verifier: Checks the records that the registry gives.
        on_undelivered: Told when a node could not be reached.
        on_connected: Told each time the rendezvous was entered: a registry that came back may have forgotten us.
        clock: Unix seconds.

    Attributes:
        malformed: Frames and records that were none, or were not signed by their node.
        dropped: Payloads that came in faster than they were taken.
        connections: How often the rendezvous was entered.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        *,
        verifier: Verifier | None = None,
        on_undelivered: Callable[[NodeId], None] = _ignore,
        on_connected: Callable[[], None] = _ignore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.malformed = self.dropped = self.connections = 0
        self._signer = signer
        self._verifier = verifier or Ed25519Verifier()
        self._on_undelivered = on_undelivered
        self._on_connected = on_connected
        self._clock = clock
        self._socket_url = _socket_url(url)
        # the registry's address is configured: a proxy of the environment must not come between
        self._http = httpx.AsyncClient(base_url=url, timeout=REQUEST_TIMEOUT, trust_env=False)
        self._incoming: asyncio.Queue[Incoming] = asyncio.Queue(INCOMING_SIZE)
        self._socket: ClientConnection | None = None
        self._online = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._http.aclose()

    @property
    def online(self) -> bool:
        """Whether the rendezvous is open now."""
        return self._online.is_set()

    async def register(self, record: NodeRecord) -> None:
        """Publishes our signed record.

        Raises:
            IdentityError: If the registry refuses it.
            ConnectionError: If the registry cannot be reached.
        """
        reply = await self._request("POST", "/v1/nodes", record_to_json(record))
        if reply.status_code in _REFUSED:
            raise IdentityError(f"the registry refuses the record: {reply.text}")
        _expect(reply, 204)

    async def resolve(self, aura: AuraID) -> list[NodeRecord]:
        """The verified records of `aura`'s nodes.

        Raises:
            IdentityError: If no node serves it.
            ConnectionError: If the registry cannot be reached.
        """
        reply = await self._request("GET", f"/v1/resolve/{quote(str(aura))}")
        if reply.status_code == _NOT_FOUND:
            raise IdentityError(f"no node serves {aura}")
        return [record for record in self._read_records(reply) if record.aura_id.name == aura.name]

    async def nodes(self) -> list[NodeRecord]:
        """The verified records of all nodes.

        Raises:
            ConnectionError: If the registry cannot be reached.
        """
        return self._read_records(await self._request("GET", "/v1/nodes"))

    async def wait_online(self, timeout: float = OPEN_TIMEOUT) -> None:  # noqa: ASYNC109 - the caller's patience
        """Waits until the rendezvous is open.

        Raises:
            ConnectionError: If it is not within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._online.wait()
        except TimeoutError:
            raise ConnectionError("the registry's rendezvous cannot be reached") from None

    async def send(self, to: NodeId, payload: bytes) -> None:
        """Sends a payload to a node through the rendezvous; there is no receipt.

        Raises:
            ConnectionError: If the rendezvous is not open, or closes.
            LocalProtocolError: If the payload is too long.
        """
        if len(payload) > PAYLOAD_BYTES:
            raise LocalProtocolError(f"a payload has at most {PAYLOAD_BYTES} bytes, not {len(payload)}")
        await self.wait_online()
        await self._put(Envelope(to, payload))

    async def beat(self) -> None:
        """Tells the registry that this node is alive.

        Raises:
            ConnectionError: If the rendezvous is not open, or closes.
        """
        await self._put(Beat())

    async def _put(self, frame: Envelope | Beat) -> None:
        if self._socket is None:
            raise ConnectionError("the rendezvous closed")
        try:
            await self._socket.send(encode_frame(frame))
        except WebSocketException as error:
            raise ConnectionError("the rendezvous closed") from error

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Payloads as they come in; for one reader."""
        while True:
            yield await self._incoming.get()

    async def _request(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        try:
            return await self._http.request(method, path, content=content)
        except httpx.HTTPError as error:
            raise ConnectionError(f"the registry cannot be reached: {error}") from error

    def _read_records(self, reply: httpx.Response) -> list[NodeRecord]:
        _expect(reply, 200)
        return [record for record in records_from_json(reply.content) if self._is_genuine(record)]

    def _is_genuine(self, record: NodeRecord) -> bool:
        try:
            verify_record(record, self._verifier, self._clock())
        except IdentityError:
            self.malformed += 1
            return False
        return True

    async def _stay_connected(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            before = self.connections
            with contextlib.suppress(OSError, WebSocketException, RemoteProtocolError):
                await self._visit()
            backoff = FIRST_BACKOFF if self.connections > before else min(2.0 * backoff, LONGEST_BACKOFF)
            # nodes that lost the same registry must not come back in step
            await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret

    async def _visit(self) -> None:
        """One connection, from challenge to end."""
        async with connect(
            self._socket_url, proxy=None, max_size=SOCKET_BYTES, open_timeout=OPEN_TIMEOUT, compression=None
        ) as socket:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await self._enter(socket)
            self.connections += 1
            self._socket = socket
            self._online.set()
            self._on_connected()
            try:
                async for data in socket:
                    self._take(data)
            finally:
                self._online.clear()
                self._socket = None

    async def _enter(self, socket: ClientConnection) -> None:
        challenge = decode_server_frame(await socket.recv())
        if not isinstance(challenge, Challenge):
            raise RemoteProtocolError("the registry did not begin with a challenge")
        await socket.send(encode_frame(Hello(self._signer.node_id, self._signer.sign(proof(challenge.nonce)))))
        if not isinstance(decode_server_frame(await socket.recv()), Welcome):
            raise RemoteProtocolError("the registry did not welcome us")

    def _take(self, data: bytes | str) -> None:
        try:
            frame = decode_server_frame(data)
        except RemoteProtocolError:
            self.malformed += 1
            return
        if isinstance(frame, Undelivered):
            self._on_undelivered(NodeId(frame.to))
        elif not isinstance(frame, Delivery):
            self.malformed += 1
        elif self._incoming.full():
            self.dropped += 1
        else:
            self._incoming.put_nowait(Incoming(NodeId(frame.source), frame.payload))


def _socket_url(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None:
        raise LocalProtocolError(f"not a registry URL: {url!r} (expected http://host:port)")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + "/v1/rendezvous", "", ""))


def _expect(reply: httpx.Response, status: int) -> None:
    if reply.status_code != status:
        raise ConnectionError(f"the registry answered {reply.status_code}: {reply.text[:200]}")
