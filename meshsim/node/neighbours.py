"""All links of one node: dialled and accepted through the registry's rendezvous, kept by peer, counted per peer.

Nothing here knows what a message means; a driver puts an agent on top.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from meshsim.mesh.errors import ProtocolError, RemoteProtocolError
from meshsim.mesh.ids import NodeId, short
from meshsim.node.signaling import Offer, Signaling, dials
from meshsim.node.traffic import TrafficBook
from meshsim.node.transport import LinkConfig, LinkHandlers, PeerLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.effects import Channel
    from meshsim.control.client import RegistryClient
    from meshsim.identity import Signer, Verifier
    from meshsim.node.emulation import EmulatorClient

OPENING_LIMIT = 32
"""Offers that may be under way at once; further ones are dropped and counted."""

_NO_LINK = (OSError, ProtocolError)
"""What keeps a link from opening: the network, the peer, or no room left here to count it or to map its address."""


def _ignore_message(peer: NodeId, channel: Channel, data: bytes) -> None: ...


def _ignore_media(peer: NodeId, packet: bytes) -> None: ...


def _ignore_peer(peer: NodeId) -> None: ...


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
        client: The node's connection to the registry.
        signer: The node's key.
        verifier: Checks other nodes' signatures.
        handlers: What to call.
        config: How links are made; `rewrite` is set here when there is an emulator.
        emulator: Stands between all nodes, if given.
        name: This node's name, in the emulator and in traffic books.
        name_of: A peer's name there; its short id by default.
        traffic: Where to count datagrams.

    Attributes:
        links: The open links by peer.
        malformed: Envelopes that were dropped: not one, forged, late, replayed, unwanted, or too many.
        failed: Links that were begun and did not open.
    """

    def __init__(  # noqa: PLR0913 - each part is exchangeable
        self,
        client: RegistryClient,
        signer: Signer,
        verifier: Verifier,
        *,
        handlers: NeighbourHandlers | None = None,
        config: LinkConfig | None = None,
        emulator: EmulatorClient | None = None,
        name: str = "",
        name_of: Callable[[NodeId], str] = short,
        traffic: TrafficBook | None = None,
    ) -> None:
        self.links: dict[NodeId, PeerLink] = {}
        self.malformed = self.failed = 0
        self.traffic = traffic or TrafficBook()
        self._own = signer.node_id
        self._client = client
        self._signaling = Signaling(signer, verifier, client.send)
        self._handlers = handlers or NeighbourHandlers()
        self._config = config or LinkConfig()
        self._emulator = emulator
        self._name = name or short(signer.node_id)
        self._name_of = name_of
        self._dialling: set[NodeId] = set()
        self._accepting = 0

    async def run(self) -> None:
        """Takes offers and answers until cancelled."""
        async with asyncio.TaskGroup() as openings:
            async for incoming in self._client.incoming():
                offer = self._receive(incoming.source, incoming.payload)
                if offer is not None:
                    openings.create_task(self._accept(offer))

    async def dial(self, peer: NodeId) -> PeerLink:
        """Connects to `peer`; the link replaces an older one.

        Raises:
            ConnectionError: If the link does not open.
        """
        self._dialling.add(peer)
        try:
            link = await PeerLink.dial(
                partial(self._signaling.offer, peer),
                config=self._link_config(peer),
                handlers=self._link_handlers(peer),
                traffic=self.traffic.of(self._name_of(peer)),
            )
        except _NO_LINK as error:
            self.failed += 1
            raise ConnectionError(f"no link to {short(peer)}: {error}") from error
        finally:
            self._dialling.discard(peer)
        await self._keep(peer, link)
        return link

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

    def _receive(self, source: NodeId, payload: bytes) -> Offer | None:
        try:
            offer = self._signaling.receive(source, payload)
        except RemoteProtocolError:
            self.malformed += 1
            return None
        if offer is None or self._is_welcome(source):
            return offer
        self.malformed += 1
        return None

    def _is_welcome(self, peer: NodeId) -> bool:
        crossing = peer in self._dialling and dials(self._own, peer)
        return not crossing and self._accepting < OPENING_LIMIT and self._handlers.may_connect(peer)

    async def _accept(self, offer: Offer) -> None:
        self._accepting += 1
        try:
            link = await PeerLink.accept(
                offer.sdp,
                partial(self._signaling.answer, offer),
                config=self._link_config(offer.peer),
                handlers=self._link_handlers(offer.peer),
                traffic=self.traffic.of(self._name_of(offer.peer)),
            )
        except _NO_LINK:
            self.failed += 1
            return
        finally:
            self._accepting -= 1
        await self._keep(offer.peer, link)

    async def _keep(self, peer: NodeId, link: PeerLink) -> None:
        """The newest link counts: a peer that dials again has lost the older one."""
        older = self.links.get(peer)
        self.links[peer] = link
        if link.closed:
            self._forget(peer)
        else:
            self._handlers.on_open(peer)
        if older is not None:
            await older.close()

    def _forget(self, peer: NodeId) -> None:
        link = self.links.get(peer)
        if link is not None and link.closed:
            del self.links[peer]
            self._handlers.on_closed(peer)

    def _link_config(self, peer: NodeId) -> LinkConfig:
        if self._emulator is None:
            return self._config
        rewrite = partial(self._emulator.rewrite, src=self._name_of(peer), dst=self._name)
        return replace(self._config, rewrite=rewrite)

    def _link_handlers(self, peer: NodeId) -> LinkHandlers:
        return LinkHandlers(
            on_message=partial(self._handlers.on_message, peer),
            on_media=partial(self._handlers.on_media, peer),
            on_closed=partial(self._forget, peer),
        )
