"""What ends of links report of them: the truth as measured, or what suits the one that reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.agent.adversary.lies import improved, tunnelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.sim.attacks.cast import Villain


class Reports(NamedTuple):
    """What one end of each of K links reports; arrays (K,) float64, in seconds, shares, bits per second."""

    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]


class Claims:
    """The lies about links in an episode.

    Args:
        villains: Who misbehaves.
    """

    def __init__(self, villains: Sequence[Villain]) -> None:
        self._liars = [villain for villain in villains if villain.does("lying_metrics") and villain.strength > 0.0]
        self._tunnels = [villain for villain in villains if villain.does("wormhole") and villain.strength > 0.0]

    def __bool__(self) -> bool:
        return bool(self._liars or self._tunnels)

    def reported(self, by: NDArray[np.int32], other: NDArray[np.int32], measured: Reports, t: float) -> Reports:
        """What nodes report of their links to others.

        Args:
            by: (K,) nodes that report.
            other: (K,) the other ends.
            measured: What each has measured.
            t: Now, seconds.
        """
        told = measured
        for villain in self._liars:
            if t in villain.window:
                times = np.where(by == villain.node, improved(villain.strength, villain.factor), 1.0)
                told = Reports(told.delay / times, told.jitter / times, told.loss / times, told.rate * times)
        for villain in self._tunnels:
            if t in villain.window:
                told = told._replace(delay=_tunnel(villain, by, other, told.delay))
        return told


def _tunnel(
    villain: Villain, by: NDArray[np.int32], other: NDArray[np.int32], delay: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Delays, those of the link to the other end of a wormhole shortened."""
    short = delay.copy()
    for row in np.flatnonzero((by == villain.node) & (other == villain.tunnel)).tolist():
        short[row] = tunnelled(float(delay[row]), villain.strength)
    return short
