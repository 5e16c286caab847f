"""Which nodes serve an AuraID: asked of the registry, remembered, and taken from the mesh when no registry answers."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from meshsim.mesh.errors import IdentityError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from meshsim.identity import NodeRecord
    from meshsim.mesh.ids import AuraID

RESOLVE_TIMEOUT = 3.0
"""Seconds that a registry has to answer."""
REMEMBERED_MOST = 1024
"""Names whose last answer is kept."""


class Names:
    """Resolves names for one node.

    Without the registry nobody says who holds a name: what it said last counts, and after that a name that only one
    node of the mesh bears. A name that several bear is then nobody's.

    Args:
        ask: Asks the registry; raises `IdentityError` where it knows nobody, `ConnectionError` where it is not there.
        known: The signed records of all nodes that this one has heard of.
        clock: Unix seconds.
    """

    def __init__(
        self,
        ask: Callable[[AuraID], Awaitable[list[NodeRecord]]],
        known: Callable[[], Iterable[NodeRecord]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ask = ask
        self._known = known
        self._clock = clock
        self._answers: OrderedDict[AuraID, list[NodeRecord]] = OrderedDict()

    async def resolve(self, aura: AuraID) -> list[NodeRecord]:
        """The records of the nodes that serve `aura`.

        Raises:
            IdentityError: If nobody serves it, or nobody can say who does.
        """
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                answer = await self._ask(aura)
        except (ConnectionError, TimeoutError, RemoteProtocolError) as failed:
            return self._remember_or_guess(aura, str(failed))
        self._answers[aura] = answer
        self._answers.move_to_end(aura)
        if len(self._answers) > REMEMBERED_MOST:
            self._answers.popitem(last=False)
        return answer

    def _remember_or_guess(self, aura: AuraID, failed: str) -> list[NodeRecord]:
        remembered = self._living(self._answers.get(aura, ()))
        if remembered:
            return remembered
        if aura.domain:
            raise IdentityError(f"{aura} cannot be resolved: {failed}")
        bearers = self._living(record for record in self._known() if record.aura_id.name == aura.name)
        if len(bearers) != 1:
            raise IdentityError(
                f"{aura} cannot be resolved: {failed}, and {len(bearers)} nodes of the mesh bear the name"
            )
        return bearers

    def _living(self, records: Iterable[NodeRecord]) -> list[NodeRecord]:
        now = self._clock()
        return [record for record in records if record.expires_unix > now]
