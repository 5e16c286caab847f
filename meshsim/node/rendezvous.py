"""How envelopes get from node to node before there is a link: through a registry, through the mesh, or by hand.

The mesh carries an envelope along a way that its sender chose, over the control channels of authenticated neighbours:
a node that has joined needs no registry to make further links. By hand, a person carries two lines of text. What stands
in an envelope, and whether it holds, is `signaling`'s affair: no carrier is trusted.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meshsim.control.client import Incoming
from meshsim.mesh.errors import ConfigError, RemoteProtocolError
from meshsim.mesh.ids import NodeId, short
from meshsim.node.frames import ENVELOPE_BYTES, WAY_NODES, Carried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meshsim.mesh.view import NetworkView

RATE, BURST = 10.0, 40.0
"""Envelopes per second that one neighbour may send through this node or to it, and how many at once."""
ARRIVED_MOST = 64
"""Envelopes that wait to be read; more are dropped."""
RETURN_WAYS = 256
"""Nodes whose last way to this one is remembered, and neighbours whose allowance is."""

_HAND_PREFIX = "meshsim-envelope:"


class Rendezvous(Protocol):
    """What carries envelopes between nodes that have no link."""

    async def send(self, to: NodeId, payload: bytes) -> None:
        """Sends an envelope; there is no receipt.

        Raises:
            ConnectionError: If it cannot be sent.
        """

    def incoming(self) -> AsyncIterator[Incoming]:
        """Envelopes as they come in; for one reader."""


class NoRendezvous:
    """For nodes without a registry: they meet by hand and through the mesh."""

    async def send(self, to: NodeId, payload: bytes) -> None:  # noqa: ARG002 - as the protocol has it
        """Sends nothing.

        Raises:
            ConnectionError: Always.
        """
        raise ConnectionError(f"no registry to reach {short(to)} through")

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Waits for ever."""
        await asyncio.Event().wait()
        yield Incoming(NodeId(b""), b"")


@dataclass(slots=True)
class _Allowance:
    left: float
    at: float


class MeshPost:
    """Sends, passes on and receives envelopes over the links of one node.

    Args:
        own: This node.
        pass_on: Sends a frame to a neighbour; False without a link that takes it.
        find_way: The nodes from this one to another over links that both ends report, this one first; () when none is
            known.
        clock: Monotonic seconds.

    Attributes:
        carried: Envelopes passed on for others.
        dropped: Envelopes that could not be passed on, or found no room.
    """

    def __init__(
        self,
        own: NodeId,
        pass_on: Callable[[NodeId, Carried], bool],
        find_way: Callable[[NodeId], tuple[NodeId, ...]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.carried = self.dropped = 0
        self._own = own
        self._pass_on = pass_on
        self._find_way = find_way
        self._clock = clock
        self._allowances: dict[NodeId, _Allowance] = {}
        self._return_ways: OrderedDict[NodeId, tuple[NodeId, ...]] = OrderedDict()
        self._arrived: asyncio.Queue[Incoming] = asyncio.Queue(ARRIVED_MOST)

    def send(self, to: NodeId, envelope: bytes) -> bool:
        """Sends an envelope; False if there is no way, or its first link does not take it."""
        if len(envelope) > ENVELOPE_BYTES:
            return False
        ways = (self._return_ways.pop(to, ()), self._find_way(to))
        return any(2 < len(way) <= WAY_NODES and self._pass_on(way[1], Carried(way, 1, envelope)) for way in ways)  # noqa: PLR2004 - nobody needs a way to a neighbour

    def receive(self, source: NodeId, carried: Carried) -> None:
        """Takes what a neighbour sent: passes it on, or keeps it for `incoming`.

        Raises:
            RemoteProtocolError: If the way is none, the neighbour is not the one before us, or it sends too much.
        """
        way, at = carried.way, carried.at
        if len(set(way)) != len(way) or at >= len(way) or way[at] != self._own or way[at - 1] != source:
            raise RemoteProtocolError("an envelope off its way")
        if not self._allows(source):
            raise RemoteProtocolError(f"too many envelopes from {short(source)}")
        if at + 1 < len(way):
            self._carry(NodeId(way[at + 1]), Carried(way, at + 1, carried.envelope))
        else:
            self._deliver(carried)

    async def incoming(self) -> AsyncIterator[Incoming]:
        """Envelopes for this node as they come in; for one reader."""
        while True:
            yield await self._arrived.get()

    def _carry(self, to: NodeId, onward: Carried) -> None:
        if self._pass_on(to, onward):
            self.carried += 1
        else:
            self.dropped += 1

    def _deliver(self, carried: Carried) -> None:
        source = NodeId(carried.way[0])
        if self._arrived.full():
            self.dropped += 1
            return
        self._return_ways[source] = tuple(NodeId(node) for node in reversed(carried.way))
        if len(self._return_ways) > RETURN_WAYS:
            self._return_ways.popitem(last=False)
        self._arrived.put_nowait(Incoming(source, carried.envelope))

    def _refilled(self, neighbour: NodeId) -> float:
        allowance = self._allowances[neighbour]
        return min(BURST, allowance.left + RATE * (self._clock() - allowance.at))

    def _allows(self, neighbour: NodeId) -> bool:
        """Takes one envelope off what `neighbour` may still send; False if nothing is left."""
        if len(self._allowances) >= RETURN_WAYS:
            self._allowances = {node: kept for node, kept in self._allowances.items() if self._refilled(node) < BURST}
        self._allowances.setdefault(neighbour, _Allowance(BURST, self._clock()))
        left = self._refilled(neighbour)
        self._allowances[neighbour] = _Allowance(left - 1.0 if left >= 1.0 else left, self._clock())
        return left >= 1.0


def find_way(view: NetworkView, to: NodeId) -> tuple[NodeId, ...]:
    """The fewest nodes from the owner of `view` to `to` over measured links, both included; () when there is no way.

    Of ways of equal length, the one over the nodes that come first in the view.
    """
    goal = view.index.get(to)
    if goal is None or view.owner < 0:
        return ()
    links = view.links
    before = {view.owner: view.owner}
    known = links.observed & view.nodes.online[links.dst]
    nexts: dict[int, list[int]] = {}
    for src, dst in zip(links.src[known].tolist(), links.dst[known].tolist(), strict=True):
        nexts.setdefault(src, []).append(dst)
    reached = deque([view.owner])
    while reached and goal not in before:
        node = reached.popleft()
        for other in sorted(nexts.get(node, ())):
            if other not in before:
                before[other] = node
                reached.append(other)
    if goal not in before:
        return ()
    way = [goal]
    while way[-1] != view.owner:
        way.append(before[way[-1]])
    return tuple(view.nodes.ids[node] for node in reversed(way))


def to_text(envelope: bytes) -> str:
    """An envelope as one line that a person can carry.

    >>> from_text(to_text(b"envelope"))
    b'envelope'
    """
    return _HAND_PREFIX + base64.urlsafe_b64encode(envelope).decode()


def from_text(text: str) -> bytes:
    """The envelope in a line that a person brought; white space within it does not matter.

    Raises:
        ConfigError: If it is none.
    """
    line = "".join(text.split())
    if not line.startswith(_HAND_PREFIX):
        raise ConfigError(f"not an envelope: it begins with {line[: len(_HAND_PREFIX)]!r}, not {_HAND_PREFIX!r}")
    try:
        return base64.b64decode(line.removeprefix(_HAND_PREFIX), altchars=b"-_", validate=True)
    except binascii.Error as wrong:
        raise ConfigError(f"not an envelope: {wrong}") from wrong
