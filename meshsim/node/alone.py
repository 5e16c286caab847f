"""A node without a registry: links are made by hand, lines that people carry; then through the mesh."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from meshsim.control.client import Incoming, RegistryClient
from meshsim.mesh.errors import ConfigError, MeshSimError
from meshsim.mesh.ids import NodeId, short
from meshsim.node.rendezvous import from_text
from meshsim.node.signaling import decode_signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Any

    from meshsim.identity import NodeRecord
    from meshsim.mesh.ids import AuraID
    from meshsim.node.neighbours import Neighbours


class NoRegistry:
    """What stands where others have a registry: it takes everything and knows nothing."""

    online = False

    async def register(self, record: NodeRecord) -> None:
        """Tells nobody."""

    async def resolve(self, aura: AuraID) -> list[NodeRecord]:
        """Knows nobody.

        Raises:
            ConnectionError: Always.
        """
        raise ConnectionError(f"no registry to ask for {aura}")

    async def beat(self) -> None:
        """Tells nobody."""

    async def send(self, to: NodeId, payload: bytes) -> None:  # noqa: ARG002 - as registries have it
        """Sends nothing.

        Raises:
            ConnectionError: Always.
        """
        raise ConnectionError(f"no registry to reach {short(to)} through")

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Waits for ever."""
        await asyncio.Event().wait()
        yield Incoming(NodeId(b""), b"")


Registry: TypeAlias = RegistryClient | NoRegistry
"""Where a node meets others, if anywhere."""


class HandPost:
    """Links made by lines that people carry between two nodes: an offer there, an answer back.

    Args:
        neighbours: The node's links.
        start: Runs something until it is done or the node leaves.
    """

    def __init__(self, neighbours: Neighbours, start: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._neighbours = neighbours
        self._start = start
        self._waiting: dict[NodeId, tuple[asyncio.Future[str], asyncio.Future[None]]] = {}

    async def offer(self, peer: NodeId) -> str:
        """The line to be carried to `peer`; its answer is to be given to `take` within two minutes.

        Raises:
            ConfigError: If no offer can be made.
        """
        loop = asyncio.get_running_loop()
        line: asyncio.Future[str] = loop.create_future()
        answer: asyncio.Future[str] = loop.create_future()
        linked: asyncio.Future[None] = loop.create_future()

        async def carry(text: str) -> str:
            """Hands the offer out, and waits for what is brought back."""
            line.set_result(text)
            return await answer

        async def dial() -> None:
            """Holds the offer open."""
            self._waiting[peer] = answer, linked
            try:
                await self._neighbours.dial_by_hand(peer, carry)
                _settle(linked)
            except ConnectionError as failed:
                _settle(line, failed)
                _settle(linked, failed)
            finally:
                del self._waiting[peer]

        if peer in self._waiting:
            raise ConfigError(f"an offer to {short(peer)} waits for its answer already", key="peer")
        self._start(dial())
        try:
            return await line
        except ConnectionError as failed:
            raise ConfigError(str(failed), key="peer") from failed

    async def take(self, text: str) -> str:
        """Takes a line that was brought: the answer to be carried back if it is an offer, else "": there is a link.

        Raises:
            ConfigError: If `text` is no such line, or the answer to nothing, or the link does not come about.
            RemoteProtocolError: If what it says does not hold.
        """
        signal = decode_signal(from_text(text))
        sender = NodeId(signal.sender)
        if signal.kind == "offer":
            return await self._answer(text)
        if sender not in self._waiting:
            raise ConfigError(f"no offer to {short(sender)} waits for this answer", key="line")
        answer, linked = self._waiting[sender]
        if not answer.done():
            answer.set_result(text)
        try:
            await asyncio.shield(linked)
        except ConnectionError as failed:
            raise ConfigError(str(failed), key="line") from failed
        return ""

    async def _answer(self, text: str) -> str:
        line: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def give(answer: str) -> None:
            """Hands the answer out."""
            line.set_result(answer)

        async def accept() -> None:
            """Waits for who made the offer."""
            try:
                await self._neighbours.accept_by_hand(text, give)
            except (ConnectionError, MeshSimError) as failed:
                _settle(line, failed)

        self._start(accept())
        try:
            return await line
        except ConnectionError as failed:
            raise ConfigError(str(failed), key="line") from failed


def _settle(future: asyncio.Future[Any], wrong: Exception | None = None) -> None:
    """Lets a future be done, if nobody did before; an error that nobody waits for is none."""
    if future.done():
        return
    if wrong is None:
        future.set_result(None)
    else:
        future.set_exception(wrong)
        future.exception()
