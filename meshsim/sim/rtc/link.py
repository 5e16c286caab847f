"""A link whose conditions change in time, at rows known beforehand: lost, queued, sent and carried by `meshsim.links`.

Its rate is a schedule that the queue knows, so that a packet that waits while the rate changes leaves when it truly
would, and its queue is one number, the instant at which it will be empty.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from meshsim.links import LinkParameters, admits, carried_bits, gilbert_elliott, ordered, transit, transmit
from meshsim.mesh.errors import ConfigError
from meshsim.sim.packets.draws import Draws

if TYPE_CHECKING:
    from meshsim.mesh.seeds import SeedTree

FOREVER = 1e9
"""Seconds after which a schedule of rates would begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedLink:
    """A directed link, piecewise constant in time.

    Attributes:
        at: Instants from which each row holds, seconds, ascending from 0.
        rows: What the link is like from each on; jitter is exponential with the row's mean, losses come in bursts.
        reorders: Whether jitter lets packets overtake each other.

    Raises:
        ConfigError: If the instants do not ascend from 0 or there is not one for each row.

    >>> TimedLink.steady(LinkParameters(rate_bps=1e6, propagation=0.02)).at
    (0.0,)
    """

    at: tuple[float, ...]
    rows: tuple[LinkParameters, ...]
    reorders: bool = False

    def __post_init__(self) -> None:
        ascends = all(a < b for a, b in zip(self.at, self.at[1:], strict=False))
        if not self.rows or len(self.at) != len(self.rows) or self.at[0] != 0.0 or not ascends:
            raise ConfigError(f"rows begin at instants that ascend from 0, one each, not at {self.at}", key="at")

    @classmethod
    def steady(cls, row: LinkParameters) -> Self:
        """A link that never changes."""
        return cls(at=(0.0,), rows=(row,))


class Carrier:
    """One link at work.

    Args:
        link: What it is like.
        seeds: Root of the draws.
        index: Names its streams of draws.

    Attributes:
        offered: Packets so far.
        lost: Of them, lost by the channel.
        overflowed: Of them, refused by a full queue.
    """

    def __init__(self, link: TimedLink, seeds: SeedTree, index: int) -> None:
        self._at, self._rows, self._reorders = list(link.at), link.rows, link.reorders
        self._coefficients = [row.coefficients() for row in link.rows]
        self._times = [*link.at, FOREVER]
        self._rates = [*(row.rate_bps for row in link.rows), 0.0]
        self._carried: list[float] = carried_bits(self._times, self._rates).tolist()
        self._loss, self._jitter = (Draws(seeds.stream(f"rtc.{name}", index)) for name in ("loss", "jitter"))
        self._row = 0
        self._bad = False
        self._free_at = self._last_arrival = -math.inf
        self.offered = self.lost = self.overflowed = 0

    def carry(self, size: float, now: float) -> float:
        """When a packet arrives that is offered now; infinite if it does not. Packets are offered in order of time.

        Args:
            size: Bytes on the wire.
            now: Seconds, at least 0.
        """
        n, self.offered = self.offered, self.offered + 1
        while self._row + 1 < len(self._at) and self._at[self._row + 1] <= now:
            self._row += 1
        link = self._coefficients[self._row]
        # a Gilbert channel (good_loss 0, bad_loss 1): any draw below 1 decides alike, as in `links.step`
        self._bad, lost = gilbert_elliott(self._bad, self._loss.at(n), 0.0, link.p, link.r, 0.0, 1.0)
        if lost:
            self.lost += 1
            return math.inf
        start = max(now, self._free_at)
        held = (self._carried_by(start) - self._carried_by(now)) / 8.0 if start > now else 0.0
        if not admits(0, held, 0.0, size, 0, link.queue_bytes, math.inf):
            self.overflowed += 1
            return math.inf
        self._free_at = transmit(start, 8.0 * size, self._times, self._rates, self._carried, 0, len(self._times))
        return self._arrival(n)

    def _arrival(self, n: int) -> float:
        """What left when the queue became free arrives under the conditions of that instant."""
        row = self._coefficients[self._row_at(self._free_at)]
        arrival = transit(self._free_at, row.propagation, row.jitter, self._jitter.at(n))
        if not self._reorders:
            arrival = self._last_arrival = ordered(arrival, self._last_arrival)
        return arrival

    def _row_at(self, t: float) -> int:
        if self._row + 1 == len(self._at) or t < self._at[self._row + 1]:
            return self._row
        return bisect_right(self._at, t) - 1

    def _carried_by(self, t: float) -> float:
        """Bits that the link can have carried from time 0 to `t`."""
        row = self._row_at(t)
        return self._carried[row] + (t - self._times[row]) * self._rates[row]
