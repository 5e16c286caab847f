"""From an older link of a peer to a newer one, so that nothing on the control channel is lost, doubled or out of turn.

Each end sends `Last` on the older link and goes on with the newer one. What the peer sends there is kept back until its
own `Last` has come over the older link, unless that is taken for dead. Media and the other channels do not wait.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from meshsim.node.frames import Last

if TYPE_CHECKING:
    from meshsim.node.transport import PeerLink

DRAIN = 3.0
"""Seconds that the older link has to bring the peer's `Last`: SCTP sends what is lost again after 1 s, then 2 s."""
SILENT = 1.5
"""Seconds without a message after which nothing is expected of the older link: neighbours probe it each second."""
LINGER = 3.0
"""Seconds after which it is closed then: time, too, for what this end still had under way there."""


class Switches:
    """The older links of a node that have given way, until they are closed."""

    def __init__(self) -> None:
        self._parting: set[PeerLink] = set()
        self._waiting: dict[PeerLink, PeerLink] = {}
        self._drained: set[PeerLink] = set()

    def begin(self, older: PeerLink, newer: PeerLink) -> None:
        """Lets `newer` take over from `older`, whether that still works or not."""
        self._parting.add(older)
        if older.closed or not newer.was_linked:
            self._part(older)
            return
        older.send_frame(Last())
        if older in self._drained or older.silence > SILENT:
            self._part_after(older, LINGER)
            return
        self._waiting[older] = newer
        newer.hold()
        self._part_after(older, DRAIN)

    def drained(self, older: PeerLink) -> None:
        """The peer has sent its last on `older`, perhaps before the newer link has opened here."""
        self._drained.add(older)
        newer = self._waiting.pop(older, None)
        if newer is not None:
            newer.release()
            self._part_after(older, LINGER)

    def forget(self, older: PeerLink) -> None:
        """`older` is closed: nobody waits for it any more."""
        self._parting.discard(older)
        self._drained.discard(older)
        newer = self._waiting.pop(older, None)
        if newer is not None:
            newer.release()

    async def close(self) -> None:
        """Closes what has not parted yet."""
        for older in list(self._parting):
            await older.close()

    def _part_after(self, older: PeerLink, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, partial(self._part, older))

    def _part(self, older: PeerLink) -> None:
        newer = self._waiting.pop(older, None)
        if newer is not None:
            newer.release()
        older.give_up()
