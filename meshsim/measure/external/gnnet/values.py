"""What a sample of the GNNet challenge says: routers, flows, and what was measured of flows and links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Policy = Literal["FIFO", "SP", "WFQ", "DRR"]
Gaps = Literal["poisson", "cbr", "on_off"]

POLICIES: tuple[Policy, ...] = ("FIFO", "SP", "WFQ", "DRR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """A node; what it says holds for each of its output ports.

    Attributes:
        policy: Who is sent next.
        queues: Queues of a port.
        buffer_bits: Bits per queue, the packet in service included; 0 where packets are counted.
        buffer_packets: Packets per queue likewise; 0 where bits are counted.
        weights: Share of each queue (WFQ, DRR), summing to 1; empty otherwise.
        queue_of_tos: Queue of each class.
    """

    policy: Policy
    queues: int
    buffer_bits: float
    buffer_packets: int
    weights: tuple[float, ...]
    queue_of_tos: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The packets that one node sends to another.

    Attributes:
        source: Node.
        target: Node.
        route: Links, in order.
        gaps: Kind of gaps between packets.
        rate: Packets per second (while on).
        on: Mean seconds on; 0 unless `gaps` is `on_off`.
        off: Mean seconds off; likewise.
        cap: Longest exponential gap, in means; 0 sets none.
        sizes: Bits.
        shares: Probability of each size.
        tos: Class.
    """

    source: int
    target: int
    route: tuple[int, ...]
    gaps: Gaps
    rate: float
    on: float
    off: float
    cap: float
    sizes: tuple[float, ...]
    shares: tuple[float, ...]
    tos: int

    @property
    def packet_rate(self) -> float:
        """Packets per second in the long run: on-off flows send one more at the beginning of each on time."""
        if self.gaps != "on_off":
            return self.rate
        return (self.rate * self.on + 1.0) / (self.on + self.off)

    def mean_bits(self, power: int = 1) -> float:
        """Mean of a power of the packet size, in bits."""
        return sum(share * size**power for size, share in zip(self.sizes, self.shares, strict=True))


class Measured(NamedTuple):
    """What the original run measured of F flows; arrays of shape (F,).

    Attributes:
        packets: Sent per second.
        dropped: Per second.
        delay: Mean of delivered packets, seconds; NaN without any.
        variance: Of that delay, s^2.
    """

    packets: NDArray[np.float64]
    dropped: NDArray[np.float64]
    delay: NDArray[np.float64]
    variance: NDArray[np.float64]

    @property
    def loss(self) -> NDArray[np.float64]:
        """Share of packets dropped, (F,)."""
        return self.dropped / np.maximum(self.packets, 1e-300)


class Usage(NamedTuple):
    """What the original run measured of E links of at most Q queues.

    Attributes:
        utilisation: Share of time in service, (E,).
        loss: Share of arriving packets dropped, (E,).
        queue_utilisation: A queue's part, (E, Q); 0 for queues that are not there.
        queue_loss: (E, Q).
        sojourn: Mean seconds that an average packet waits and is sent, (E, Q).
    """

    utilisation: NDArray[np.float64]
    loss: NDArray[np.float64]
    queue_utilisation: NDArray[np.float64]
    queue_loss: NDArray[np.float64]
    sojourn: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One simulated network.

    Attributes:
        name: As in `Place.name`.
        intensity: Upper limit of the flows' rates, bits per second.
        duration: Measured span, seconds.
        routers: By node.
        links: E pairs of source and target.
        bandwidth: Bits per second, (E,).
        flows: F flows.
        measured: Of the flows.
        usage: Of the links.
    """

    name: str
    intensity: float
    duration: float
    routers: tuple[Router, ...]
    links: tuple[tuple[int, int], ...]
    bandwidth: NDArray[np.float64]
    flows: tuple[Flow, ...]
    measured: Measured
    usage: Usage

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The policies met in this network."""
        return tuple(policy for policy in POLICIES if any(router.policy == policy for router in self.routers))
