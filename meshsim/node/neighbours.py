"""All links of one node: dialled and accepted through a rendezvous, kept by peer, counted per peer.

Nothing here knows what a message means; a driver puts an agent on top. A link that replaces another takes over only
once its peer has shown who it is, and hands over what it carries only after all that the older one still had.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from meshsim.mesh.errors import ConfigError, IdentityError, ProtocolError, RemoteProtocolError
from meshsim.mesh.ids import NodeId, short
from meshsim.node.frames import Carried, Last
from meshsim.node.handshake import Handshake
from meshsim.node.rendezvous import MeshPost, from_text, to_text
from meshsim.node.signaling import HAND_LIFETIME, Offer, Signaling, decode_signal, dials
from meshsim.node.switching import Switches
from meshsim.node.traffic import TrafficBook
from meshsim.node.transport import LinkConfig, LinkHandlers, PeerLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from meshsim.agent.effects import Channel
    from meshsim.control.client import Incoming
    from meshsim.identity import Signer, Verifier
    from meshsim.node.emulation import EmulatorClient
    from meshsim.node.frames import Frame
    from meshsim.node.rendezvous import Rendezvous

OPENING_LIMIT = 32
"""Peers whose offers may be under way at once; those of further ones are dropped and counted."""

_NO_LINK = (OSError, ProtocolError, IdentityError, ConfigError)
"""What keeps a link from opening: the network, the peer, or no room left here to count it or to map its address."""


def _ignore_message(peer: NodeId, channel: Channel, data: bytes) -> None: ...


def _ignore_media(peer: NodeId, packet: bytes) -> None: ...


def _ignore_peer(peer: NodeId) -> None: ...


def _no_way(peer: NodeId) -> tuple[NodeId, ...]:  # noqa: ARG001 - the default of a map
    return ()


def _anyone(peer: NodeId) -> bool:  # noqa: ARG001 - the default of a predicate
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourHandlers:
    """What a node's links call; each returns at once.

    Attributes:
        on_message: A message came from a peer on a channel.
        on_media: An RTP packet came from a peer.
        on_open: A link to a peer is open.
        on_closed: A peer has no link any more.
        may_connect: Whether a peer's offer is taken.
    """

    on_message: Callable[[NodeId, Channel, bytes], None] = _ignore_message
    on_media: Callable[[NodeId, bytes], None] = _ignore_media
    on_open: Callable[[NodeId], None] = _ignore_peer
    on_closed: Callable[[NodeId], None] = _ignore_peer
    may_connect: Callable[[NodeId], bool] = _anyone


class Neighbours:
    """The links of one node. `run` must be running for offers and answers to come in.

    Args:
        rendezvous: Carries envelopes where the mesh cannot: the node's connection to the registry, or `NoRendezvous`.
        signer: The node's key.
        verifier: Checks other nodes' signatures.
        handlers: What to call.
        config: How links are made; `rewrite` is set here when there is an emulator.
        emulator: Stands between all nodes, if given.
        name: This node's name, in the emulator and in traffic books.
        name_of: A peer's name there; its short id by default.
        traffic: Where to count datagrams.
        find_way: A way through the mesh, from this node to another; () when none is known.
        clock: Unix seconds.

    Attributes:
        links: The open links by peer; the other end of each has shown that it is the peer.
        malformed: Envelopes that were dropped: not one, forged, late, replayed, unwanted, or too many.
        failed: Links that were begun and did not open.
        unproven: Those of them whose other end was somebody else.
        post: Envelopes that travel over these links.
    """

    def __init__(  # noqa: PLR0913 - each part is exchangeable
        self,
        rendezvous: Rendezvous,
        signer: Signer,
        verifier: Verifier,
        *,
        handlers: NeighbourHandlers | None = None,
        config: LinkConfig | None = None,
        emulator: EmulatorClient | None = None,
        name: str = "",
        name_of: Callable[[NodeId], str] = short,
        traffic: TrafficBook | None = None,
        find_way: Callable[[NodeId], tuple[NodeId, ...]] = _no_way,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.links: dict[NodeId, PeerLink] = {}
        self.malformed = self.failed = self.unproven = 0
        self.traffic = traffic or TrafficBook()
        self._own = signer.node_id
        self._signer, self._verifier = signer, verifier
        self._rendezvous = rendezvous
        self.post = MeshPost(signer.node_id, self._pass_on, find_way)
        self._signaling = Signaling(signer, verifier, rendezvous.send, by_mesh=self.post.send, clock=clock)
        self._handlers = handlers or NeighbourHandlers()
        self._config = config or LinkConfig()
        self._emulator = emulator
        self._name = name or short(signer.node_id)
        self._name_of = name_of
        self._dialling: dict[NodeId, asyncio.Future[PeerLink]] = {}
        self._accepting: dict[NodeId, asyncio.Future[PeerLink]] = {}
        self._taking: dict[NodeId, asyncio.Task[None]] = {}
        self._switches = Switches()

    async def run(self) -> None:
        """Takes offers and answers until cancelled."""
        async with asyncio.TaskGroup() as openings:
            openings.create_task(self._take(self._rendezvous.incoming(), openings, by_mesh=False))
            openings.create_task(self._take(self.post.incoming(), openings, by_mesh=True))

    async def dial(self, peer: NodeId) -> PeerLink:
        """Connects to `peer`, unless that is under way already; the link replaces an older one once it is open.

        Raises:
            ConnectionError: If the link does not open.
        """
        return await self._dial(peer, partial(self._signaling.offer, peer), self._config)

    async def dial_by_hand(self, peer: NodeId, carry: Callable[[str], Awaitable[str]]) -> PeerLink:
        """Connects to `peer` without a registry.

        Args:
            peer: The node.
            carry: Takes the line to be brought to the peer, returns the line that was brought back.

        Raises:
            ConnectionError: If the link does not open.
        """

        async def carried(envelope: bytes) -> bytes:
            """The other line's envelope for this one's."""
            return from_text(await carry(to_text(envelope)))

        exchange = partial(self._signaling.offer_by_hand, peer, carry=carried)
        return await self._dial(peer, exchange, replace(self._config, connect_timeout=HAND_LIFETIME))

    async def accept_by_hand(self, text: str, give: Callable[[str], Awaitable[None]]) -> PeerLink:
        """Lets the peer connect whose line was brought.

        Args:
            text: The line.
            give: Takes the line to be brought back.

        Raises:
            ConfigError: If `text` is no such line.
            RemoteProtocolError: If what it says does not hold.
            ConnectionError: If the link does not open.
        """
        envelope = from_text(text)
        offer = self._signaling.receive(NodeId(decode_signal(envelope).sender), envelope)
        if offer is None or not self._handlers.may_connect(offer.peer):
            raise RemoteProtocolError("not an offer that this node takes")

        async def reply(sdp: str) -> None:
            """Gives the answer away as a line."""
            await give(to_text(self._signaling.answer_by_hand(offer, sdp)))

        return await self._accept(offer, reply, replace(self._config, connect_timeout=HAND_LIFETIME))

    def counts(self) -> dict[str, int]:
        """What came of links and envelopes since the start, by kind."""
        return {
            "links_failed": self.failed,
            "links_unproven": self.unproven,
            "envelopes_refused": self.malformed,
            "envelopes_carried": self.post.carried,
            "envelopes_dropped": self.post.dropped,
        }

    def undelivered(self, peer: NodeId) -> None:
        """The registry could not hand an envelope to `peer`: dialling it fails at once."""
        self._signaling.undelivered(peer)

    def send(self, peer: NodeId, channel: Channel, data: bytes) -> bool:
        """Sends a message to a peer; False when there is no link that takes it."""
        link = self.links.get(peer)
        return link is not None and link.send(channel, data)

    def send_media(self, peer: NodeId, packet: bytes) -> bool:
        """Sends an RTP packet to a peer; False when there is no link that takes it."""
        link = self.links.get(peer)
        return link is not None and link.send_media(packet)

    async def drop(self, peer: NodeId) -> None:
        """Closes the link to `peer`, such as one whose heartbeats have stopped."""
        link = self.links.pop(peer, None)
        if link is not None:
            await link.close()
            self._handlers.on_closed(peer)

    async def close(self) -> None:
        """Closes all links."""
        for peer in sorted(self.links):
            await self.drop(peer)
        await self._switches.close()

    async def _take(self, incoming: AsyncIterator[Incoming], openings: asyncio.TaskGroup, *, by_mesh: bool) -> None:
        async for arrived in incoming:
            offer = self._receive(arrived.source, arrived.payload, by_mesh=by_mesh)
            if offer is not None:
                self._begin_accepting(offer, openings)

    def _begin_accepting(self, offer: Offer, openings: asyncio.TaskGroup) -> None:
        """Takes an offer up; of one peer the newest, for it may have started anew."""
        former = self._taking.get(offer.peer)
        if former is not None:
            former.cancel()
        task = self._taking[offer.peer] = openings.create_task(self._take_offer(offer))
        task.add_done_callback(partial(self._end_accepting, offer.peer))

    def _end_accepting(self, peer: NodeId, task: asyncio.Task[None]) -> None:
        if self._taking.get(peer) is task:
            del self._taking[peer]

    async def _take_offer(self, offer: Offer) -> None:
        with contextlib.suppress(ConnectionError):
            await self._accept(offer, partial(self._signaling.answer, offer), self._config)

    def _receive(self, source: NodeId, payload: bytes, *, by_mesh: bool) -> Offer | None:
        try:
            offer = self._signaling.receive(source, payload, by_mesh=by_mesh)
        except RemoteProtocolError:
            self.malformed += 1
            return None
        if offer is None or self._is_welcome(source):
            return offer
        self.malformed += 1
        return None

    def _is_welcome(self, peer: NodeId) -> bool:
        if len(self._taking) >= OPENING_LIMIT or not self._handlers.may_connect(peer):
            return False
        if peer in self._dialling:
            if dials(self._own, peer):
                return False
            self._signaling.give_way(peer)
        return True

    async def _dial(self, peer: NodeId, exchange: Callable[[str], Awaitable[str]], config: LinkConfig) -> PeerLink:
        under_way = self._dialling.get(peer) or self._accepting.get(peer)
        if under_way is not None:
            return await asyncio.shield(under_way)
        try:
            with _opening(self._dialling, peer) as opened:
                opened.set_result(await self._open(peer, partial(PeerLink.dial, exchange), config))
                return opened.result()
        except ConnectionError:
            came = self._accepting.get(peer)
            if came is None:
                raise
        return await asyncio.shield(came)

    async def _accept(self, offer: Offer, reply: Callable[[str], Awaitable[None]], config: LinkConfig) -> PeerLink:
        with _opening(self._accepting, offer.peer) as opened:
            opened.set_result(await self._open(offer.peer, partial(PeerLink.accept, offer.sdp, reply), config))
            return opened.result()

    async def _open(self, peer: NodeId, begin: Callable[..., Awaitable[PeerLink]], config: LinkConfig) -> PeerLink:
        try:
            return await begin(
                Handshake(self._signer, self._verifier, peer, replaces=peer in self.links),
                config=self._link_config(peer, config),
                handlers=self._link_handlers(peer),
                traffic=self.traffic.of(self._name_of(peer)),
            )
        except _NO_LINK as error:
            self.failed += 1
            self.unproven += isinstance(error, IdentityError)
            raise ConnectionError(f"no link to {short(peer)}: {error}") from error

    def _keep(self, peer: NodeId, link: PeerLink) -> None:
        """The newest link counts: a peer that dials again gives the older one up."""
        older = self.links.get(peer)
        self.links[peer] = link
        if older is not None:
            self._switches.begin(older, link)
        self._handlers.on_open(peer)

    def _forget(self, peer: NodeId, link: PeerLink) -> None:
        self._switches.forget(link)
        if self.links.get(peer) is link:
            del self.links[peer]
            self._handlers.on_closed(peer)

    def _take_frame(self, peer: NodeId, link: PeerLink, frame: Frame) -> None:
        match frame:
            case Last():
                self._switches.drained(link)
            case Carried():
                self.post.receive(peer, frame)
            case _:
                raise RemoteProtocolError(f"a {type(frame).__name__} out of its turn")

    def _pass_on(self, peer: NodeId, frame: Carried) -> bool:
        link = self.links.get(peer)
        return link is not None and link.send_frame(frame)

    def _link_config(self, peer: NodeId, config: LinkConfig) -> LinkConfig:
        if self._emulator is None:
            return config
        rewrite = partial(self._emulator.rewrite, src=self._name_of(peer), dst=self._name)
        return replace(config, rewrite=rewrite)

    def _link_handlers(self, peer: NodeId) -> LinkHandlers:
        return LinkHandlers(
            on_open=partial(self._keep, peer),
            on_message=partial(self._handlers.on_message, peer),
            on_media=partial(self._handlers.on_media, peer),
            on_frame=partial(self._take_frame, peer),
            on_closed=partial(self._forget, peer),
        )


@contextmanager
def _opening(openings: dict[NodeId, asyncio.Future[PeerLink]], peer: NodeId) -> Iterator[asyncio.Future[PeerLink]]:
    """While a link opens: the future that others who want it wait for."""
    opened: asyncio.Future[PeerLink] = asyncio.get_running_loop().create_future()
    openings[peer] = opened
    try:
        yield opened
    finally:
        if openings.get(peer) is opened:
            del openings[peer]
        if not opened.done():
            opened.set_exception(ConnectionError(f"no link to {short(peer)}"))
            opened.exception()
