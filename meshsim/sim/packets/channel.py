"""What a link does besides queueing: it loses packets, takes its time to send and to carry them, and doubles some."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from meshsim.links import bernoulli, gilbert_elliott, lost_in_trace, ordered
from meshsim.links.delay import JITTERS, exponential, jitter_delay
from meshsim.links.rate import carried_bits, transmit
from meshsim.sim.packets.draws import Draws

if TYPE_CHECKING:
    from meshsim.mesh.seeds import SeedTree
    from meshsim.sim.kernel.network import PacketLink


class Channel:
    """One link's channel and server. Packets are told apart by their number among those offered to the link.

    Args:
        link: What is declared.
        key: Names its streams of draws.
        seeds: Root of the draws.

    Attributes:
        rate: Bits per second, where an estimate needs one: of a rate trace the mean.
    """

    def __init__(self, link: PacketLink, key: int, seeds: SeedTree) -> None:
        self._link = link
        self._loss, self._service, self._jitter, self._duplicate = (
            Draws(seeds.stream(f"link.{name}", key)) for name in ("loss", "service", "jitter", "duplicate")
        )
        self._bad = False
        self._last_arrival = -math.inf
        self._times = [float(time) for time in link.rate_trace]
        self._values = [float(value) for value in link.rate_values]
        self._carried = carried_bits(self._times, self._values).tolist() if self._times else []
        self.rate = self._carried[-1] / self._times[-1] if self._times else link.rate_bps
        self._kind = JITTERS.index(link.jitter.kind)
        self._jitter_trace = [float(delay) for delay in link.jitter.trace]
        self._lost_trace = [float(lost) for lost in link.loss.trace]

    def loses(self, n: int) -> bool:
        """Whether packet n is lost; to be asked for each packet, in order."""
        loss = self._link.loss
        if loss.kind == "bernoulli":
            return bernoulli(self._loss.at(n), loss.probability)
        if loss.kind == "gilbert_elliott":
            u_state, u_loss = self._loss.at(2 * n), self._loss.at(2 * n + 1)
            self._bad, lost = gilbert_elliott(self._bad, u_state, u_loss, loss.p, loss.r, loss.good_loss, loss.bad_loss)
            return lost
        if loss.kind == "trace":
            return lost_in_trace(n, self._lost_trace, 0, len(self._lost_trace))
        return False

    def sent_at(self, start: float, size: float, n: int) -> float:
        """When the last bit of packet n leaves, if its first does at `start`; seconds."""
        if self._link.redraw > 0.0:
            return start + exponential(self._service.at(n), self._link.redraw)
        if self._times:
            return transmit(start, size * 8.0, self._times, self._values, self._carried, 0, len(self._times))
        return start + size * 8.0 / self._link.rate_bps

    def arrives_at(self, departure: float, n: int) -> float:
        """When packet n arrives, whose last bit left at `departure`; to be asked in order of departure."""
        arrival = departure + self._link.propagation
        jitter, trace = self._link.jitter, self._jitter_trace
        if self._kind > 0:
            u = self._jitter.at(n)
            arrival += jitter_delay(self._kind, u, n, jitter.scale, jitter.shape, trace, 0, len(trace))
        if jitter.reorders:
            return arrival
        self._last_arrival = ordered(arrival, self._last_arrival)
        return self._last_arrival

    def doubles(self, n: int) -> bool:
        """Whether packet n arrives twice."""
        return self._link.duplicate > 0.0 and self._duplicate.at(n) < self._link.duplicate
