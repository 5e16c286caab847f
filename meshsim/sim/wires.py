"""What messages between simulated agents go over: every link in one table, looked up together when the world drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.links.delay import ordered, transit
from meshsim.sim.resources import Hops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree, Stream
    from meshsim.sim.world import LinkTruth, World

RESEND = 0.1
"""Seconds, besides a round trip, until a reliable channel sends again what was lost."""

DRAWS = 64

Truth = tuple[float, float, float]
"""Delay, jitter (seconds) and loss."""


@dataclass(slots=True)
class Wire:
    """One direction between two nodes.

    Attributes:
        row: In the table of truths.
        stream: Its draws.
        last: Arrival of the last reliable message.
    """

    row: int
    stream: Stream
    last: float = 0.0
    _drawn: int = 0
    _draws: NDArray[np.float64] | None = None

    def draw(self) -> float:
        """The next uniform draw in [0, 1)."""
        place = self._drawn % DRAWS
        if self._draws is None or place == 0:
            self._draws = self.stream.uniform(self._drawn, DRAWS)
        self._drawn += 1
        return self._draws.item(place)


class Wires:
    """All links that messages ever went over.

    Args:
        world: The truth.
        seeds: Root of the draws.
    """

    def __init__(self, world: World, seeds: SeedTree) -> None:
        self._world, self._seeds = world, seeds
        self._wires: dict[tuple[int, int], Wire] = {}
        self._truth: list[Truth] = []
        self._laid = world.lay_links([], [])

    def wire(self, src: int, dst: int) -> Wire:
        """The wire from `src` to `dst`."""
        wire = self._wires.get((src, dst))
        if wire is None:
            stream = self._seeds.stream(f"agent.wire/{src}", dst)
            wire = self._wires[src, dst] = Wire(len(self._truth), stream)
            self._truth += _rows(self._world.link_truth([src], [dst]))
        return wire

    def delay(self, src: int, dst: int) -> float:
        """Mean one-way delay, seconds, when the world last drifted."""
        return self._truth[self.wire(src, dst).row][0]

    def relay(self) -> None:
        """Nodes hang on other places: all wires are laid anew."""
        self._laid = self._world.lay_links([], [])
        self.settle()

    def settle(self) -> None:
        """The world has drifted: what all wires are like is looked up, with the load there is."""
        laid = len(self._laid.indptr) - 1
        if laid < len(self._wires):
            new = np.array(list(self._wires)[laid:], dtype=np.int64)
            self._laid = _joined(self._laid, self._world.lay_links(new[:, 0], new[:, 1]))
        self._truth = _rows(self._world.hop_truth(self._laid))

    def arrival(self, src: int, dst: int, now: float, *, reliable: bool) -> float | None:
        """When a message sent at `now` arrives, seconds; None if it is lost.

        What a reliable channel loses it sends again, and it keeps the order.
        """
        wire = self.wire(src, dst)
        delay, jitter, loss = self._truth[wire.row]
        lost = wire.draw() < loss
        if lost and (not reliable or loss >= 1.0):  # nothing gets over a cut edge, however often it is sent
            return None
        # a mean delay of `delay` with exponential jitter around it
        arrival = transit(now, max(delay - jitter, 0.0), min(jitter, delay), wire.draw())
        if reliable:
            arrival = wire.last = ordered(arrival + (2 * delay + RESEND if lost else 0.0), wire.last)
        return arrival


def _rows(truth: LinkTruth) -> list[Truth]:
    return list(zip(truth.delay.tolist(), truth.jitter.tolist(), truth.loss.tolist(), strict=True))


def _joined(a: Hops, b: Hops) -> Hops:
    return Hops(
        resource=np.concatenate([a.resource, b.resource]),
        indptr=np.concatenate([a.indptr, a.indptr[-1] + b.indptr[1:]]),
    )
