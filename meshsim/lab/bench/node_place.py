"""Nodes of one process, for what is measured between them: links and nothing above."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from meshsim.agent import Channel
from meshsim.control.client import Incoming
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.node.neighbours import NeighbourHandlers, Neighbours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshsim.mesh.ids import NodeId


class _Post:
    """A rendezvous within one process."""

    def __init__(self, own: NodeId, boxes: dict[NodeId, asyncio.Queue[Incoming]]) -> None:
        self._own = own
        self._boxes = boxes
        boxes[own] = asyncio.Queue()

    async def send(self, to: NodeId, payload: bytes) -> None:
        self._boxes[to].put_nowait(Incoming(self._own, payload))

    async def incoming(self) -> AsyncIterator[Incoming]:
        while True:
            yield await self._boxes[self._own].get()


class Place:
    """One node.

    Attributes:
        id: Its id.
        links: Its links.
        take: Told what comes on its data channels, and from whom.
        take_media: The same of media.
    """

    def __init__(self, number: int, boxes: dict[NodeId, asyncio.Queue[Incoming]]) -> None:
        signer = make_signer(number)
        self.id = signer.node_id
        self.take: Callable[[NodeId, bytes], object] = lambda _, __: None
        self.take_media: Callable[[NodeId, bytes], object] = lambda _, __: None
        self.links = Neighbours(
            _Post(self.id, boxes),
            signer,
            Ed25519Verifier(),
            handlers=NeighbourHandlers(on_message=self._receive, on_media=self._receive_media),
        )

    def send(self, peer: NodeId, data: bytes) -> bool:
        """Sends on the data channel."""
        return self.links.send(peer, Channel.DATA, data)

    def _receive(self, peer: NodeId, channel: Channel, data: bytes) -> None:  # noqa: ARG002 - there is one channel
        self.take(peer, data)

    def _receive_media(self, peer: NodeId, packet: bytes) -> None:
        self.take_media(peer, packet)


@asynccontextmanager
async def places(count: int) -> AsyncIterator[list[Place]]:
    """So many nodes, not linked yet; all links are closed with the block."""
    boxes: dict[NodeId, asyncio.Queue[Incoming]] = {}
    made = [Place(number, boxes) for number in range(count)]
    running = [asyncio.create_task(place.links.run()) for place in made]
    try:
        yield made
    finally:
        for place in made:
            await place.links.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def make_signer(number: int) -> Ed25519Signer:
    """The key of the so manieth node."""
    return Ed25519Signer.from_seed(number.to_bytes(32, "big"))
