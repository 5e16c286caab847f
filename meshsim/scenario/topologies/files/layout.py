"""Where places stand whose file does not say it: between their neighbours, or where the lengths of edges put them.

Places on a plane lie in kilometres around (0, 0) degrees, as those of generators do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOTHING = 1e-9

MOST_UNPLACED = 2000
"""Places that are laid out by lengths alone: the table of all distances must fit."""

METRES_PER_DEGREE = geo.EARTH_RADIUS * np.pi / 180

WIDEST = 80.0
"""Degrees from the middle of a plane, at most."""


def between_neighbours(at: NDArray[np.float64], pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Degrees of all N places: those unknown (NaN) at the middle of their known neighbours, round after round.

    A place that no known one can reach comes to stand in the middle of all.

    Args:
        at: (N, 2) latitude and longitude; NaN where unknown, some known.
        pairs: (M, 2) neighbours, each pair once.
    """
    sphere = _on_sphere(at)
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    while (unknown := np.isnan(sphere[:, 0])).any():
        useful = unknown[ends[:, 0]] & ~unknown[ends[:, 1]]
        total = np.zeros_like(sphere)
        np.add.at(total, ends[useful, 0], sphere[ends[useful, 1]])
        found = np.unique(ends[useful, 0])
        if len(found) == 0:
            found = np.flatnonzero(unknown)
            total[found] = sphere[~unknown].sum(axis=0)
        sphere[found] = _unit(total[found])
    return np.where(np.isnan(at), _degrees(sphere), at)


def _on_sphere(at: NDArray[np.float64]) -> NDArray[np.float64]:
    latitude, longitude = np.radians(at.T)
    east = np.cos(latitude)
    return np.stack([east * np.cos(longitude), east * np.sin(longitude), np.sin(latitude)], axis=1)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors of length 1; where they cancel out, the middle of the map."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.where(length > _NOTHING, vectors / np.maximum(length, _NOTHING), [[1.0, 0.0, 0.0]]))


def _degrees(sphere: NDArray[np.float64]) -> NDArray[np.float64]:
    latitude = np.arcsin(np.clip(sphere[:, 2], -1.0, 1.0))
    return np.asarray(np.degrees(np.stack([latitude, np.arctan2(sphere[:, 1], sphere[:, 0])], axis=1)))


def by_lengths(places: int, pairs: NDArray[np.int64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees (N, 2) whose distances are near those along the edges: classical scaling of shortest paths.

    Parts that no edge joins stand half as far apart again as the farthest places of one part.
    Source: Torgerson, "Multidimensional scaling: I", Psychometrika 17, 1952.

    Args:
        places: N, at most `MOST_UNPLACED`.
        pairs: (M, 2) neighbours, each pair once.
        length: (M,) metres.
    """
    square = _distances(places, pairs, length) ** 2
    centred = square - square.mean(axis=0) - square.mean(axis=1)[:, None] + square.mean()
    values, vectors = np.linalg.eigh(-0.5 * centred)
    at = np.zeros((places, 2))
    for axis in range(min(2, places)):
        vector = vectors[:, -1 - axis]
        # the sign of an eigenvector is the solver's whim
        sign = 1.0 if vector[np.argmax(np.abs(vector))] >= 0 else -1.0
        at[:, 1 - axis] = sign * vector * np.sqrt(max(values[-1 - axis], 0.0))
    degrees = on_plane(at)
    return np.asarray(degrees * min(1.0, WIDEST / max(np.abs(degrees).max(initial=0.0), WIDEST)))


def on_plane(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees (N, 2) of places at `metres` (north, east), around (0, 0)."""
    return np.asarray((metres - metres.mean(axis=0)) / METRES_PER_DEGREE)


def plane_distance(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres between places on a plane whose degrees (E, 2) `on_plane` made."""
    return np.asarray(np.hypot(*(start - end).T) * METRES_PER_DEGREE)


def _distances(places: int, pairs: NDArray[np.int64], length: NDArray[np.float64]) -> NDArray[np.float64]:
    try:
        from scipy.sparse import csr_array  # noqa: PLC0415 - an extra; few files need it
        from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
    weight = np.maximum(length, 1e-3)  # Dijkstra takes zeros for absent edges
    graph = csr_array((weight, (pairs[:, 0], pairs[:, 1])), shape=(places, places))
    distance = np.asarray(dijkstra(graph, directed=False))
    finite = np.isfinite(distance)
    return np.where(finite, distance, 1.5 * distance[finite].max(initial=0.0))
