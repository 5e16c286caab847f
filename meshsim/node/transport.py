"""One peer connection per neighbour: three data channels and media on one DTLS transport, every datagram counted.

Who may connect is decided in `signaling`, who is there shown by `handshake`; what the bytes mean, in the agent. Which
addresses are used, and where datagrams are counted, is in `sockets`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiortc import InvalidAccessError, InvalidStateError, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from meshsim.agent.effects import Channel
from meshsim.mesh.errors import IdentityError, LocalProtocolError, RemoteProtocolError
from meshsim.node.certificate import used_fingerprints
from meshsim.node.frames import decode_frame, encode_frame, is_frame
from meshsim.node.rtp import MediaPort
from meshsim.node.sockets import gather_on
from meshsim.node.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

    from aiortc import RTCDataChannel

    from meshsim.node.frames import Frame
    from meshsim.node.handshake import Handshake

_AIORTC_ERRORS = (InvalidAccessError, InvalidStateError)
_MEDIA_LINES = re.compile(r"^m=(\S*)", re.MULTILINE)

_LAST_PORT, _PORT_DIGITS = 65_535, 5

SETTLE_STEPS = 4
"""Turns of the event loop that aiortc's own tasks need to end after `close`."""

HELD_MOST = 512
"""Messages that a link keeps back while an older one is drained; with one more it stops waiting."""

_CHANNELS: dict[Channel, dict[str, Any]] = {
    Channel.CONTROL: {"id": 0, "ordered": True},
    Channel.DATA: {"id": 2, "ordered": False},
    Channel.REALTIME: {"id": 4, "ordered": False, "maxRetransmits": 0},
}


def _keep(sdp: str) -> Awaitable[str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ready.set_result(sdp)
    return ready


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """How links are made.

    Attributes:
        addresses: Local IPv4 addresses to use, and no others.
        connect_timeout: Seconds from dial or accept until the peer has shown who it is.
        buffer_bytes: A channel that holds more unsent bytes refuses to take more.
        rewrite: Changes the peer's SDP before it is applied, after it was verified: the emulator's place.
    """

    addresses: tuple[str, ...] = ("127.0.0.1",)
    connect_timeout: float = 10.0
    buffer_bytes: int = 1 << 20
    rewrite: Callable[[str], Awaitable[str]] = _keep


def _ignore_message(channel: Channel, data: bytes) -> None: ...


def _ignore_media(packet: bytes) -> None: ...


def _ignore_link(link: PeerLink) -> None: ...


def _ignore_frame(link: PeerLink, frame: Frame) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkHandlers:
    """What a link calls; each returns at once. A `RemoteProtocolError` raised in one is counted and ends there.

    Attributes:
        on_open: The peer has shown who it is; nothing else is called before.
        on_message: A message came in on a channel.
        on_media: An RTP packet came in, decrypted.
        on_frame: The peer says something about the link itself.
        on_closed: The link is gone, for whatever reason; called once, and not if it never opened.
    """

    on_open: Callable[[PeerLink], None] = _ignore_link
    on_message: Callable[[Channel, bytes], None] = _ignore_message
    on_media: Callable[[bytes], None] = _ignore_media
    on_frame: Callable[[PeerLink, Frame], None] = _ignore_frame
    on_closed: Callable[[PeerLink], None] = _ignore_link


class PeerLink:
    """A connection to one neighbour. Made by `dial` or `accept`.

    Attributes:
        traffic: Datagrams exchanged, of all kinds.
        malformed: Messages and packets that a handler refused.
        early: Messages and packets that came before the peer had shown who it is: dropped.
    """

    def __init__(self, *, handshake: Handshake, config: LinkConfig, handlers: LinkHandlers, traffic: Traffic) -> None:
        self.traffic = traffic
        self.malformed = self.early = 0
        self._handshake = handshake
        self._held: list[bytes] | None = None
        self._heard = asyncio.get_running_loop().time()
        self._config = config
        self._handlers = handlers
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channels = {channel: self._make_channel(channel) for channel in Channel}
        sctp = self._pc.sctp
        if sctp is None:
            raise LocalProtocolError("a peer connection without data channels")
        self._dtls = sctp.transport
        self._media = MediaPort(self._dtls, self._receive_media)
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing: asyncio.Task[None] | None = None
        self._pc.on("connectionstatechange", self._watch_state)

    @classmethod
    async def dial(
        cls,
        exchange: Callable[[str], Awaitable[str]],
        handshake: Handshake,
        *,
        config: LinkConfig | None = None,
        handlers: LinkHandlers | None = None,
        traffic: Traffic | None = None,
    ) -> PeerLink:
        """Connects to a peer.

        Args:
            exchange: Takes our offer, returns the peer's answer, verified.
            handshake: Shows the peer who we are, and us who the peer is.
            config: How to connect.
            handlers: What to call.
            traffic: Where to count datagrams.

        Raises:
            ConnectionError: If the link is not open in time.
            IdentityError: If the peer is not who it should be.
            RemoteProtocolError: If its answer cannot be used, or it breaks the handshake.
        """
        link = cls(
            handshake=handshake,
            config=config or LinkConfig(),
            handlers=handlers or LinkHandlers(),
            traffic=traffic or Traffic(),
        )
        async with _Opening(link):
            await link._describe(await link._pc.createOffer())
            await link._apply("answer", await exchange(link._pc.localDescription.sdp))
            await link._connected
        return link

    @classmethod
    async def accept(
        cls,
        offer: str,
        reply: Callable[[str], Awaitable[None]],
        handshake: Handshake,
        *,
        config: LinkConfig | None = None,
        handlers: LinkHandlers | None = None,
        traffic: Traffic | None = None,
    ) -> PeerLink:
        """Lets a peer connect that sent `offer` (SDP, verified).

        Args:
            offer: The peer's offer.
            reply: Sends our answer.
            handshake: Shows the peer who we are, and us who the peer is.
            config: How to connect.
            handlers: What to call.
            traffic: Where to count datagrams.

        Raises:
            ConnectionError: If the link is not open in time.
            IdentityError: If the peer is not who it should be.
            RemoteProtocolError: If the offer cannot be used, or the peer breaks the handshake.
        """
        link = cls(
            handshake=handshake,
            config=config or LinkConfig(),
            handlers=handlers or LinkHandlers(),
            traffic=traffic or Traffic(),
        )
        async with _Opening(link):
            await link._apply("offer", offer)
            await link._describe(await link._answer())
            await reply(link._pc.localDescription.sdp)
            await link._connected
        return link

    @property
    def closed(self) -> bool:
        """Whether the link is gone, or going."""
        return self._closing is not None

    @property
    def was_linked(self) -> bool:
        """Whether both ends have an older link, to which this one is the next."""
        return self._handshake.was_linked

    @property
    def silence(self) -> float:
        """Seconds since a message came in; media do not count."""
        return asyncio.get_running_loop().time() - self._heard

    @property
    def srtp_profile(self) -> str:
        """Name of the SRTP profile that protects media on this link."""
        return self._media.profile

    def send(self, channel: Channel, data: bytes) -> bool:
        """Sends one message; False when the link is not open or holds too much unsent data already."""
        return self._handshake.proven and self._send(channel, data)

    def send_frame(self, frame: Frame) -> bool:
        """Says something about the link itself, in order with what the control channel carries."""
        return self.send(Channel.CONTROL, encode_frame(frame))

    def send_media(self, packet: bytes) -> bool:
        """Sends one RTP packet at once; False when the link is not open."""
        return self._handshake.proven and not self.closed and self._media.send(packet)

    def hold(self) -> None:
        """Keeps back what comes in on the control channel, until `release`."""
        self._held = []

    def release(self) -> None:
        """Hands over, in order, what was kept back."""
        held, self._held = self._held or [], None
        for data in held:
            self._hand_over(Channel.CONTROL, data)

    async def close(self) -> None:
        """Closes the link and waits until nothing of it runs any more."""
        self.give_up()
        if self._closing is not None and self._closing is not asyncio.current_task():
            await asyncio.shield(self._closing)

    def give_up(self) -> None:
        """Begins to close the link, and waits for nothing."""
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close())

    async def _close(self) -> None:
        was_open = self._connected.done() and not self._connected.cancelled() and self._connected.exception() is None
        if not self._connected.done():
            self._connected.set_exception(ConnectionError("the link closed before it opened"))
            self._connected.exception()
        await self._pc.close()
        for _ in range(SETTLE_STEPS):
            await asyncio.sleep(0)
        if was_open:
            self._handlers.on_closed(self)

    def _make_channel(self, channel: Channel) -> RTCDataChannel:
        wire = self._pc.createDataChannel(channel.value, negotiated=True, **_CHANNELS[channel])

        def receive(data: bytes | str) -> None:
            self._receive_message(channel, data)

        wire.on("message", receive)
        wire.on("open", self._check_open)
        return wire

    def _check_open(self) -> None:
        if self._connected.done() or any(wire.readyState != "open" for wire in self._channels.values()):
            return
        try:
            self._send(Channel.CONTROL, self._handshake.begin(*used_fingerprints(self._dtls)))
        except LocalProtocolError as error:
            self._refuse(error)

    def _watch_state(self) -> None:
        if self._pc.connectionState in ("failed", "closed"):
            self.give_up()

    def _send(self, channel: Channel, data: bytes) -> bool:
        wire = self._channels[channel]
        if self.closed or wire.readyState != "open" or wire.bufferedAmount > self._config.buffer_bytes:
            return False
        wire.send(data)
        return True

    def _receive_message(self, channel: Channel, data: bytes | str) -> None:
        self._heard = asyncio.get_running_loop().time()
        data = data.encode() if isinstance(data, str) else data
        if not self._handshake.proven:
            self._prove(channel, data)
        elif channel is not Channel.CONTROL or self._held is None:
            self._hand_over(channel, data)
        else:
            self._held.append(data)
            if len(self._held) > HELD_MOST:
                self.release()

    def _prove(self, channel: Channel, data: bytes) -> None:
        """Nothing counts but the handshake until it is done."""
        if channel is not Channel.CONTROL or not is_frame(data) or self._connected.done():
            self.early += 1
            return
        try:
            reply = self._handshake.receive(data)
        except (IdentityError, RemoteProtocolError) as error:
            self._refuse(error)
            return
        if reply is not None:
            self._send(Channel.CONTROL, reply)
        if self._handshake.proven:
            self._connected.set_result(None)
            self._handlers.on_open(self)

    def _refuse(self, error: Exception) -> None:
        if not self._connected.done():
            self._connected.set_exception(error)
            self._connected.exception()
        self.give_up()

    def _hand_over(self, channel: Channel, data: bytes) -> None:
        try:
            if channel is Channel.CONTROL and is_frame(data):
                self._handlers.on_frame(self, decode_frame(data))
            else:
                self._handlers.on_message(channel, data)
        except RemoteProtocolError:
            self.malformed += 1

    def _receive_media(self, packet: bytes) -> None:
        if not self._handshake.proven:
            self.early += 1
            return
        try:
            self._handlers.on_media(packet)
        except RemoteProtocolError:
            self.malformed += 1

    async def _describe(self, description: RTCSessionDescription) -> None:
        """Gathers local candidates; the sockets made meanwhile are this link's."""
        with gather_on(self._config.addresses, self.traffic):
            await self._pc.setLocalDescription(description)

    async def _apply(self, kind: str, sdp: str) -> None:
        if _MEDIA_LINES.findall(sdp) != ["application"]:
            raise RemoteProtocolError(f"an SDP {kind} must have one section, for data channels")
        with _reading_sdp():
            sdp = await self._config.rewrite(keep_addresses(sdp))
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type=kind))

    async def _answer(self) -> RTCSessionDescription:
        with _reading_sdp():
            return await self._pc.createAnswer()


@contextmanager
def _reading_sdp() -> Iterator[None]:
    """Whatever aiortc's parser raises on a peer's SDP, asserts among it, is the peer's fault."""
    try:
        yield
    except (ValueError, LookupError, AttributeError, TypeError, AssertionError, *_AIORTC_ERRORS) as error:
        raise RemoteProtocolError(f"unusable SDP: {error!r}") from error


class _Opening:
    """Closes a link whose opening failed, was cancelled or took too long."""

    def __init__(self, link: PeerLink) -> None:
        self._link = link
        self._timeout = asyncio.timeout(link._config.connect_timeout)  # noqa: SLF001 - its other half

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            await self._link.close()
            raise ConnectionError("the peer did not connect in time") from error
        if error is not None:
            await self._link.close()


def keep_addresses(sdp: str) -> str:
    """`sdp` without the candidates that are names (`.local`) instead of addresses, or not UDP.

    >>> keep_addresses("a=candidate:1 1 udp 9 x.local 5 typ host")
    ''
    """
    return "".join(line for line in sdp.splitlines(keepends=True) if not _is_unusable(line))


def _is_unusable(line: str) -> bool:
    if not line.startswith("a=candidate:"):
        return False
    words = line.split()
    if len(words) < 6:  # noqa: PLR2004 - RFC 8839, 5.1
        return True
    return words[2].lower() != "udp" or not _is_address(words[4]) or not _is_port(words[5])


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _PORT_DIGITS and 0 < int(text) <= _LAST_PORT


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
