"""What keeps a node alive among others: its record at the registry, and links to its neighbours."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from meshsim.control import schema
from meshsim.mesh.errors import IdentityError
from meshsim.node import parts
from meshsim.node.signaling import dials

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from meshsim.identity import Ed25519Signer
    from meshsim.mesh.ids import NodeId
    from meshsim.node.alone import Registry
    from meshsim.node.config import NodeConfig
    from meshsim.node.driver import NodeDriver
    from meshsim.node.neighbours import Neighbours

THEIR_TURN = 2.0
"""Seconds that a neighbour has to dial which this node would else dial."""
REDIAL_FIRST, REDIAL_LONGEST = 0.3, 5.0
RENEW_PAUSE = 5.0
"""Seconds after which a record that the registry did not take is offered again."""

REDIAL_AFTER, LOST_PATIENCE = 1.0, 3.0
"""Seconds that a neighbour taken for dead is silent until it is dialled anew, and until its link is given up."""


class Upkeep:
    """Renews the node's record and keeps its links.

    Args:
        config: The node's.
        signer: Its key.
        driver: Its agent's.
        client: Its connection to the registry.
        neighbours: Its links.
        tell: Takes what goes wrong, as JSON values.
        returned: Set when the registry was entered: it may have forgotten this node.
        clock: Unix seconds.
        start: Runs something until it is done or the node leaves.
    """

    def __init__(  # noqa: PLR0913 - each part is exchangeable
        self,
        config: NodeConfig,
        signer: Ed25519Signer,
        *,
        driver: NodeDriver,
        client: Registry,
        neighbours: Neighbours,
        tell: Callable[[dict[str, Any]], None],
        returned: asyncio.Event,
        clock: Callable[[], float],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._config = config
        self._signer = signer
        self._driver = driver
        self._client = client
        self._neighbours = neighbours
        self._tell = tell
        self._returned = returned
        self._clock = clock
        self._start = start
        self._farewells: dict[NodeId, asyncio.TimerHandle] = {}

    async def keep_record(self) -> None:
        """Renews the record at half its life, and when the registry is back, which may have forgotten it."""
        pause = parts.RECORD_LIFETIME / 2
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._returned.wait()
            self._returned.clear()
            pause = parts.RECORD_LIFETIME / 2 if await self._renew() else RENEW_PAUSE

    async def _renew(self) -> bool:
        """Signs the record anew and registers it; whether the registry took it."""
        record = parts.make_record(self._config, self._signer, self._clock())
        self._driver.renew(record)
        try:
            await self._client.register(record)
        except (ConnectionError, IdentityError) as failed:
            self._tell({"event": "error", "reason": f"the record could not be renewed: {failed}"})
            return False
        return True

    async def beat(self) -> None:
        """Tells the registry again and again that this node is alive; one that is away hears it when it is back."""
        while True:
            await asyncio.sleep(schema.BEAT_PERIOD)
            with contextlib.suppress(ConnectionError):
                await self._client.beat()

    async def keep_neighbours(self) -> None:
        """Dials the neighbours that are this node's to dial, and dials again when a link is gone.

        Others are left to dial for a while: they may not have this node among their neighbours.
        """
        async with asyncio.TaskGroup() as group:
            for peer in self._config.neighbour_ids:
                own = dials(self._signer.node_id, peer)
                group.create_task(self._keep(peer, 0.0 if own else THEIR_TURN))

    async def _keep(self, peer: NodeId, turn: float) -> None:
        await asyncio.sleep(turn)
        pause = REDIAL_FIRST
        while True:
            if peer not in self._neighbours.links:
                try:
                    await self._neighbours.dial(peer)
                    pause = REDIAL_FIRST
                except ConnectionError:
                    pause = min(2 * pause, REDIAL_LONGEST)
            await asyncio.sleep(pause + turn)

    def miss(self, peer: NodeId) -> None:
        """A neighbour was taken for dead: its link is given up if it stays silent."""
        if peer not in self._farewells:
            loop = asyncio.get_running_loop()
            self._farewells[peer] = loop.call_later(REDIAL_AFTER, self._redial, peer)

    def hear(self, peer: NodeId) -> None:
        """A neighbour is there after all."""
        farewell = self._farewells.pop(peer, None)
        if farewell is not None:
            farewell.cancel()

    def close(self) -> None:
        """Gives nobody up any more."""
        for farewell in self._farewells.values():
            farewell.cancel()

    def _redial(self, peer: NodeId) -> None:
        """Dials a neighbour that stays silent: the new link takes over if it comes about, the old one if it wakes."""
        loop = asyncio.get_running_loop()
        self._farewells[peer] = loop.call_later(LOST_PATIENCE - REDIAL_AFTER, self._give_up, peer)
        if dials(self._signer.node_id, peer):
            self._start(self._dial_beside(peer))

    async def _dial_beside(self, peer: NodeId) -> None:
        with contextlib.suppress(ConnectionError):
            await self._neighbours.dial(peer)

    def _give_up(self, peer: NodeId) -> None:
        """Drops the link of a neighbour that stays silent; who keeps it dials again."""
        del self._farewells[peer]
        self._start(self._neighbours.drop(peer))
