"""Where nodes stand in the picture: where they are on earth, moved apart where they would lie on each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL = 65535
"""The picture's longer side, in steps of a place."""

_ROUND = 360.0
_GOLDEN = np.pi * (3.0 - np.sqrt(5.0))
_ROUNDS = 60
_ROOM = 0.45
"""Nodes come to stand so far apart, where as many as there are would stand 1 apart in a full square."""
_BENT = 0.5
"""How far places are drawn towards their ranks: regions with many nodes get room that oceans do not need."""
_TALL = 0.62
"""Height of the picture, of its width."""


def places(latitude: NDArray[np.float64], longitude: NDArray[np.float64]) -> NDArray[np.uint16]:
    """(N, 2) places, east and south, of nodes at `latitude` and `longitude` (N,), degrees.

    East stays east of west and north above south, distances do not stay: dense regions are widened, nodes on each other
    moved apart. The map is cut at the widest gap between meridians: neighbours over the date line stay neighbours.
    """
    spots = np.stack([_bent(_unrolled(longitude)), _TALL * _bent(-latitude)], axis=1)
    spots = _apart(spots, _ROOM / np.sqrt(len(spots)))
    spots -= spots.min(axis=0)
    return np.rint(FULL * spots / max(float(spots.max()), 1e-9)).astype(np.uint16)


def _bent(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """0..1: between where it is and the how-manieth it is."""
    straight = (degrees - degrees.min()) / max(float(np.ptp(degrees)), 1e-9)
    ranks = np.searchsorted(np.sort(degrees), degrees) / max(1, len(degrees) - 1)
    return np.asarray((1.0 - _BENT) * straight + _BENT * ranks)


def _unrolled(longitude: NDArray[np.float64]) -> NDArray[np.float64]:
    meridians = np.sort(longitude % _ROUND)
    gaps = np.diff(meridians, append=meridians[0] + _ROUND)
    edge = meridians[gaps.argmax()] + gaps.max() / 2
    return np.asarray((longitude - edge) % _ROUND)


def _apart(spots: NDArray[np.float64], room: float) -> NDArray[np.float64]:
    """Pushes pairs nearer than `room` away from each other, many times a little; equal spots part on a spiral."""
    rank = np.arange(len(spots))
    turn = np.stack([np.cos(_GOLDEN * rank), np.sin(_GOLDEN * rank)], axis=1)
    spots = spots + 1e-3 * room * turn * np.sqrt(1.0 + rank)[:, None]
    for _ in range(_ROUNDS):
        pairs = cKDTree(spots).query_pairs(room, output_type="ndarray")
        if not len(pairs):
            break
        way = spots[pairs[:, 1]] - spots[pairs[:, 0]]
        gap = np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-12)
        push = 0.25 * way * (room / gap - 1.0)[:, None].clip(max=10.0)
        np.add.at(spots, pairs[:, 1], push)
        np.add.at(spots, pairs[:, 0], -push)
    return spots
