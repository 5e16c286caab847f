"""Distances on the Earth, and what they say about delay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EARTH_RADIUS = 6_371_000.0
"""Metres."""

FIBRE_SPEED = 2.0e8
"""Metres per second: light in glass."""

LIGHT_SPEED = 299_792_458.0
"""Metres per second: light in a vacuum, which nothing outruns."""

RTT_INTERCEPT = 0.0314
RTT_PER_METRE = 0.0174 / 1e6
"""Regression on measured RTT matrices: 31.4 ms + 17.4 ms per 1000 km."""


def distance(
    latitude_a: ArrayLike, longitude_a: ArrayLike, latitude_b: ArrayLike, longitude_b: ArrayLike
) -> NDArray[np.float64]:
    """Great-circle distance in metres between points given in degrees (haversine); shapes broadcast.

    >>> round(float(distance(0.0, 0.0, 0.0, 90.0)) / 1e3)
    10008
    """
    a, b = np.radians(latitude_a), np.radians(latitude_b)
    half = (
        np.sin((b - a) / 2) ** 2
        + np.cos(a) * np.cos(b) * np.sin(np.radians(np.subtract(longitude_b, longitude_a)) / 2) ** 2
    )
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))


def predicted_rtt(metres: ArrayLike) -> NDArray[np.float64]:
    """Round-trip seconds to expect over a distance when nothing was measured."""
    return np.asarray(RTT_INTERCEPT + RTT_PER_METRE * np.asarray(metres, dtype=np.float64))


def light_delay(metres: ArrayLike) -> NDArray[np.float64]:
    """One-way seconds that nothing over a distance can take less than.

    >>> round(float(light_delay(6_000_000.0)), 3)
    0.02
    """
    return np.asarray(metres, dtype=np.float64) / LIGHT_SPEED
