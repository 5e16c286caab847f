"""Places and links of a topology on a flat map: what of them is where, without drawing any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.topology import Topology

_ROUND = 360.0
"""Degrees."""


def lines_of(graph: Topology) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """(N, 2) places, longitude first; (S, 2, 2) ends of lines, and (S,) their links: those over the edge are two lines.

    Where links cross the date line, the edge of the map runs through the widest gap between places.
    """
    links, east = np.stack([graph.src, graph.dst], axis=1), graph.longitude
    edge = 180.0
    if (np.abs(np.diff(east[links])) > _ROUND / 2).any():
        meridians = np.sort(east)
        gaps = np.diff(meridians, append=meridians[0] + _ROUND)
        edge = float(meridians[gaps.argmax()] + gaps.max() / 2) % _ROUND
        east = edge - (edge - east) % _ROUND
    places = np.stack([east, graph.latitude], axis=1)
    ends = places[links]
    way = np.diff(ends[:, :, 0])[:, 0]
    over = np.flatnonzero(np.abs(way) > _ROUND / 2)
    near = np.where(way[over] < 0.0, edge, edge - _ROUND)
    share = (near - ends[over, 0, 0]) / (way[over] - np.copysign(_ROUND, way[over]))
    latitude = ends[over, 0, 1] + share * (ends[over, 1, 1] - ends[over, 0, 1])
    beyond = ends[over]
    ends[over, 1] = np.stack([near, latitude], axis=1)
    beyond[:, 0] = np.stack([2 * edge - _ROUND - near, latitude], axis=1)
    return places, np.concatenate([ends, beyond]), np.concatenate([np.arange(len(way)), over])
