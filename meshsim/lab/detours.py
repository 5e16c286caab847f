"""What a third place could save: the round trips of an underlay against the best detour over one relay.

Networks route by money and habit, so the round trip of two places is often longer than over a third: the triangle
inequality does not hold. Relays live from that. Only unloaded delay is looked at, each relay has
no last mile, and all places have one, so this is the most that relays between those places could gain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.scenario.overlay import place_round_trips

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.scenario.plan import Underlay

    Array = NDArray[np.float64]

_ROUNDING = 1e-9
"""Relative: a detour over a place that lies on the route itself is as long as the route, but for its last bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detours:
    """K unordered pairs of places.

    Attributes:
        direct: (K,) round-trip seconds of the route that the network takes.
        detour: (K,) round-trip seconds over the best third place.
        distance: (K,) metres of the great circle.
        violations: Share of all (pair, third place) that are shorter than the direct route: triangles that break the
            inequality.
    """

    direct: Array
    detour: Array
    distance: Array
    violations: float

    @property
    def gain(self) -> Array:
        """(K,) share of the round trip that the best detour saves; negative where it is longer."""
        return 1.0 - self.detour / self.direct

    def share(self, gain: float = 0.0) -> float:
        """Share of pairs whose best detour saves more than `gain` of the round trip.

        >>> pairs = Detours(direct=np.array([1.0, 1.0]), detour=np.array([0.5, 2.0]), distance=np.ones(2), violations=0)
        >>> pairs.share(), pairs.share(0.6)
        (0.5, 0.0)
        """
        return float((self.gain > gain + _ROUNDING).mean())


def detours(underlay: Underlay) -> Detours:
    """Of all pairs of places of `underlay`, at least three, that do not share a spot without delay between them."""
    topology, trip = underlay.topology, place_round_trips(underlay)
    best, shorter = best_detours(trip)
    first, last = np.triu_indices(len(topology), 1)
    first, last = (ends[trip[first, last] > 0.0] for ends in (first, last))
    at = topology.latitude, topology.longitude
    return Detours(
        direct=trip[first, last],
        detour=best[first, last],
        distance=geo.distance(at[0][first], at[1][first], at[0][last], at[1][last]),
        violations=shorter,
    )


def best_detours(trip: Array) -> tuple[Array, float]:
    """Round trips over the best third place, (U, U), and the share of triangles that are shorter than the direct route.

    Args:
        trip: (U, U) round-trip seconds, symmetric; U at least 3.
    """
    places = len(trip)
    best, shorter = np.full_like(trip, np.inf), 0
    for third in range(places):
        over = trip[:, third, None] + trip[third]
        over[third, :] = over[:, third] = np.inf
        np.fill_diagonal(over, np.inf)
        shorter += int((over < trip * (1.0 - _ROUNDING)).sum())
        np.minimum(best, over, out=best)
    return best, shorter / (places * (places - 1) * (places - 2))
