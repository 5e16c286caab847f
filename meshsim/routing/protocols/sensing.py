"""What hellos tell of links: who is there, who hears us, what share of hellos comes through, and how long they travel.

The share received is counted over the last 16 hellos by their sequence numbers; with the share that the neighbour
tells of ours it makes ETX (De Couto et al., "A high-throughput path metric for multi-hop wireless routing", MobiCom
2003; RFC 7779 has the same for OLSRv2). Round trips are measured as RFC 9616 does, without common clocks.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshsim.routing.protocols.packet import SEQUENCES

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

WINDOW = 16
"""Hellos that a share is counted over."""

SMOOTHING = 0.836
"""Weight of the old round-trip time when a new one comes (RFC 9616, section 3.3)."""

TICK = 1e-6
"""Seconds: the unit of time stamps."""

STAMPS = 1 << 32
"""Time stamps wrap around after 71 minutes."""

_FULL = (1 << WINDOW) - 1
_NEVER = -math.inf
_NO_WAY = (math.inf, 0, 0)


@dataclass(slots=True)
class Heard:
    """What is known of one neighbour.

    Attributes:
        at: When its last hello came, seconds.
        sequence: Of that hello.
        until: Until when it is known to hear us, seconds.
        reverse: Share of our hellos that it says it receives.
        rtt: Round trip, seconds, smoothed; NaN before the first measurement.
        stamp: Its clock in that hello.
        history: Bit i tells whether the hello i before the last came.
        depth: Bits that count.
    """

    at: float
    sequence: int
    until: float = _NEVER
    reverse: float = 0.0
    rtt: float = math.nan
    stamp: int = 0
    history: int = 1
    depth: int = 1

    def hear(self, sequence: int, now: float) -> None:
        """A further hello has come."""
        gap = (sequence - self.sequence) % SEQUENCES
        self.at, self.sequence = now, sequence
        if 0 < gap <= WINDOW:
            self.history = ((self.history << gap) | 1) & _FULL
            self.depth = min(self.depth + gap, WINDOW)
        elif gap:  # it was away, or has started anew
            self.history, self.depth = 1, 1

    def forward(self, interval: float, now: float) -> float:
        """Share of its hellos that have come through, those that are overdue counted as lost.

        Args:
            interval: Seconds between its hellos.
            now: Seconds.
        """
        overdue = max(int((now - self.at) / interval) - 1, 0)
        kept = min(self.depth, max(WINDOW - overdue, 0))
        return (self.history & ((1 << kept) - 1)).bit_count() / (kept + overdue)

    def measure(self, rtt: float) -> None:
        """Takes a measured round trip, seconds, into the mean."""
        self.rtt = rtt if math.isnan(self.rtt) else SMOOTHING * self.rtt + (1 - SMOOTHING) * rtt

    def hears_us(self, now: float) -> bool:
        """Whether the link is known to work both ways."""
        return now <= self.until


def write_share(share: float) -> int:
    """A share as one byte; what is more than nothing stays so."""
    return math.ceil(share * 255)


def read_share(byte: int) -> float:
    """The share that one byte stands for."""
    return byte / 255


def etx(forward: float, reverse: float) -> float:
    """Expected transmissions until a packet and its acknowledgement are through; infinite for a link that is dead.

    >>> etx(0.5, 1.0)
    2.0
    """
    both = forward * reverse
    return 1.0 / both if both > 0.0 else math.inf


def stamp(now: float) -> int:
    """A clock reading in 32 bits."""
    return round(now / TICK) % STAMPS


def since(now: float, then: int) -> float:
    """Seconds from the stamp `then` to `now`, over the wrap-around."""
    return ((stamp(now) - then) % STAMPS) * TICK


def first_hops(
    root: int, links: Mapping[int, Mapping[int, float]], relays: Container[int]
) -> dict[int, tuple[float, int]]:
    """Cost of the cheapest path to every node that can be reached, and its first hop (Dijkstra).

    Args:
        root: Where paths begin; not in the answer.
        links: Cost, more than zero, of each link from each node.
        relays: Those that paths may pass through.

    >>> first_hops(0, {0: {1: 1.0, 2: 5.0}, 1: {2: 1.0}}, {1})
    {1: (1.0, 1), 2: (2.0, 1)}
    """
    found: dict[int, tuple[float, int]] = {root: (0.0, root)}
    # hops before addresses: of equal costs the shorter path is taken, everywhere
    ahead = [(cost, 1, node, node) for node, cost in links.get(root, {}).items() if cost < math.inf]
    heapq.heapify(ahead)
    best = {node: (cost, 1, node) for cost, _, node, _ in ahead}
    best[root] = 0.0, 0, root
    while ahead:
        cost, hops, node, first = heapq.heappop(ahead)
        if node in found:
            continue
        found[node] = cost, first
        if node in relays:
            for further, step in links.get(node, {}).items():
                way = cost + step, hops + 1, first
                if way < best.get(further, _NO_WAY):
                    best[further] = way
                    heapq.heappush(ahead, (way[0], way[1], further, first))
    del found[root]
    return found
