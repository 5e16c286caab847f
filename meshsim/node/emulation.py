"""How nodes talk to the emulator: its configuration, requests, replies and client, and SDPs that name only it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from meshsim.links import LinkParameters
from meshsim.mesh.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshsim.node.traffic import DirectedLink

FRAME_BYTES = 1 << 22
"""No request or reply is longer."""
LENGTH_BYTES = 4
START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0

Address = tuple[str, int]
"""(IPv4 address, UDP port)."""


class EmulatedLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A directed link between two named nodes.

    Attributes:
        src: Name of the node that sends.
        dst: Name of the node that receives.
        parameters: How the link treats packets.
    """

    src: str
    dst: str
    parameters: LinkParameters


class EmulatorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an emulator starts with.

    Attributes:
        links: All directed links; a pair without an entry cannot communicate.
        seed: Of losses and jitter.
        host: Loopback address of all its sockets.
        port: TCP port of the control socket; 0 lets the system choose.
    """

    links: tuple[EmulatedLink, ...] = ()
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0


class MapAddress(msgspec.Struct, frozen=True, tag="map"):
    """Asks for the address that `dst` must use to reach `address` of node `src`."""

    src: str
    dst: str
    address: Address


class SetLinks(msgspec.Struct, frozen=True, tag="set"):
    """Makes links, or changes them under traffic, all at once."""

    links: tuple[EmulatedLink, ...]


class ReadCounts(msgspec.Struct, frozen=True, tag="counts"):
    """Asks what has passed, per directed link."""


class Calibrate(msgspec.Struct, frozen=True, tag="calibrate"):
    """Asks for a self-test.

    Attributes:
        packets: How many datagrams to send, one per millisecond.
        delay: Asked of the calibration links, in seconds.
        links: How many links of its own they take turns on.
    """

    packets: int = 200
    delay: float = 0.02
    links: int = 1


class ReadPrecision(msgspec.Struct, frozen=True, tag="precision"):
    """Asks how late datagrams left, over the latest of the run itself."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Ends the emulator."""


Request = MapAddress | SetLinks | ReadCounts | Calibrate | ReadPrecision | Stop


class Mapped(msgspec.Struct, frozen=True, tag="mapped"):
    """The emulated address."""

    address: Address


class LinkCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the datagrams of one directed link.

    Attributes:
        src: Who sent them.
        dst: For whom.
        received: Datagrams that came in.
        received_bytes: Their UDP payload bytes.
        forwarded: Datagrams that went out.
        dropped_loss: Lost by the channel.
        dropped_queue: Refused by the full queue.
        refused: The system did not take them on their way out.
        waiting: Not yet due.
    """

    src: str
    dst: str
    received: int
    received_bytes: int
    forwarded: int
    dropped_loss: int
    dropped_queue: int
    refused: int
    waiting: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """Counts of all directed links."""

    links: tuple[LinkCounts, ...]


class Precision(msgspec.Struct, frozen=True, tag="measured", kw_only=True):
    """How far departures were from their time.

    Attributes:
        samples: Datagrams measured.
        lost: Datagrams sent but not measured.
        median: Absolute error, seconds.
        p99: Its 99th percentile, seconds.
        worst: Its maximum, seconds.
    """

    samples: int
    lost: int = 0
    median: float
    p99: float
    worst: float

    def holds(self, bound: float = 0.002) -> bool:
        """Whether the 99th percentile is within `bound` seconds; if not, a run's delays are not to be trusted."""
        return self.samples > 0 and self.p99 <= bound


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request was carried out."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The request was not carried out."""

    reason: str


Reply = Mapped | Counted | Precision | Done | Failed

request_encoder = msgspec.msgpack.Encoder()
request_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
reply_encoder = msgspec.msgpack.Encoder()
_address_decoder: msgspec.json.Decoder[Address] = msgspec.json.Decoder(Address)
reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)

R = TypeVar("R")


def frame(body: bytes) -> bytes:
    """`body` behind its length."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def read_candidates(sdp: str) -> tuple[Address, ...]:
    """The addresses of the UDP candidates in `sdp`, in order.

    >>> read_candidates("a=candidate:1 1 udp 9 127.0.0.1 5000 typ host")
    (('127.0.0.1', 5000),)
    """
    words = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    return tuple((line[4], int(line[5])) for line in words if line[2].lower() == "udp")


def emulated_sdp(sdp: str, address: Address) -> str:
    """`sdp` with one candidate left, at `address`, and with no trace of another address.

    Raises:
        RemoteProtocolError: If `sdp` has no UDP candidate to take the place of.
    """
    host, port = address
    lines: list[str] = []
    placed = False
    for line in sdp.splitlines():
        if line.startswith("a=candidate:"):
            words = line.split()
            if not placed and words[2].lower() == "udp":
                lines.append(" ".join([*words[:4], host, str(port), "typ", "host"]))
                placed = True
        elif line.startswith("m="):
            kind, _, rest = line.split(" ", 2)
            lines.append(f"{kind} {port} {rest}")
        else:
            lines.append(f"c=IN IP4 {host}" if line.startswith("c=") else line)
    if not placed:
        raise RemoteProtocolError("an SDP without a UDP candidate")
    return "\r\n".join(lines) + "\r\n"


@dataclass(frozen=True, slots=True)
class EmulatorClient:
    """A connection to a running emulator; made by `connect`. Requests of several tasks take turns."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _turn: asyncio.Lock

    @classmethod
    async def connect(cls, host: str, port: int) -> EmulatorClient:
        """Connects to the emulator's control socket."""
        reader, writer = await asyncio.open_connection(host, port)
        return cls(reader, writer, asyncio.Lock())

    @property
    def address(self) -> Address:
        """Host and TCP port of the emulator's control socket, for further clients."""
        host, port = self._writer.get_extra_info("peername")
        return host, port

    async def map(self, src: str, dst: str, address: Address) -> Address:
        """The address that `dst` must use to reach `address` of node `src`."""
        return (await self._ask(MapAddress(src, dst, address), Mapped)).address

    async def rewrite(self, sdp: str, *, src: str, dst: str) -> str:
        """The SDP that `src` sent, as `dst` may apply it: with the emulator's address only."""
        candidates = read_candidates(sdp)
        if not candidates:
            raise RemoteProtocolError("an SDP without a UDP candidate")
        return emulated_sdp(sdp, await self.map(src, dst, candidates[0]))

    async def set_link(self, src: str, dst: str, parameters: LinkParameters) -> None:
        """Makes or changes the directed link `src` -> `dst`, at once."""
        await self.set_links((EmulatedLink(src, dst, parameters),))

    async def set_links(self, links: tuple[EmulatedLink, ...]) -> None:
        """Makes or changes directed links, all at once."""
        await self._ask(SetLinks(links), Done)

    async def counters(self) -> dict[DirectedLink, LinkCounts]:
        """What has passed, per directed link."""
        counted = await self._ask(ReadCounts(), Counted)
        return {(link.src, link.dst): link for link in counted.links}

    async def calibrate(self, *, packets: int = 200, delay: float = 0.02, links: int = 1) -> Precision:
        """Has the emulator measure its own error on links of its own, with real datagrams that take turns on them."""
        return await self._ask(Calibrate(packets, delay, links), Precision)

    async def precision(self) -> Precision:
        """How late the latest datagrams of the run left."""
        return await self._ask(ReadPrecision(), Precision)

    async def stop(self) -> None:
        """Ends the emulator."""
        await self._ask(Stop(), Done)

    async def close(self) -> None:
        """Closes this connection; the emulator goes on."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    async def _ask(self, request: Request, kind: type[R]) -> R:
        async with self._turn:
            self._writer.write(frame(request_encoder.encode(request)))
            try:
                size = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
                reply = reply_decoder.decode(await self._reader.readexactly(size))
            except (asyncio.IncompleteReadError, ConnectionError) as gone:
                raise LocalProtocolError("the emulator has ended") from gone
        if not isinstance(reply, kind):
            raise LocalProtocolError(reply.reason if isinstance(reply, Failed) else f"unexpected reply {reply!r}")
        return reply


@asynccontextmanager
async def emulator_process(config: EmulatorConfig) -> AsyncIterator[EmulatorClient]:
    """An emulator in a process of its own, and a client of it; the process ends with the block, or with us."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshsim.node.emulator",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        host, port = await _start(process, config)
        client = await EmulatorClient.connect(host, port)
        try:
            yield client
        finally:
            await client.close()
    finally:
        await _end(process)


async def _start(process: asyncio.subprocess.Process, config: EmulatorConfig) -> Address:
    if process.stdin is None or process.stdout is None:
        raise LocalProtocolError("the emulator's process has no pipes")
    process.stdin.write(msgspec.json.encode(config) + b"\n")
    async with asyncio.timeout(START_TIMEOUT):
        line = await process.stdout.readline()
    if not line:
        raise LocalProtocolError("the emulator did not start")
    return _address_decoder.decode(line)


async def _end(process: asyncio.subprocess.Process) -> None:
    """The emulator ends when its standard input does."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
