"""Draws for pairs of nodes: a pure function of stream, step and pair, so that a new node or link shifts nobody's draws.

The mixing is SplitMix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA
2014), applied to the key and then to each coordinate, vectorised over pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_TO_UNIT = 2.0**-53
_LOW_BITS = (1 << 64) - 1


def _mix(state: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (state ^ word) + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return np.asarray(z ^ (z >> np.uint64(31)))


def uniform(
    seeds: SeedTree, name: str, step: int, src: NDArray[np.int32], dst: NDArray[np.int32], kinds: int
) -> NDArray[np.float64]:
    """Draws in (0, 1) for pairs of nodes, shape (kinds, K).

    Args:
        seeds: Root of the draws.
        name: Name of the stream.
        step: Which draws of the stream.
        src: (K,) node indices.
        dst: (K,) node indices.
        kinds: How many independent draws each pair gets.
    """
    keys = np.full(len(src), _key(seeds, name, step), dtype=np.uint64)
    return _drawn(keys, src, dst, kinds)


def uniform_each(
    seeds: SeedTree,
    name: str,
    steps: NDArray[np.int64],
    which: NDArray[np.int64],
    src: NDArray[np.int32],
    dst: NDArray[np.int32],
    kinds: int,
) -> NDArray[np.float64]:
    """The same draws where pair k is of step `steps[which[k]]`; shape (kinds, K)."""
    keys = np.array([_key(seeds, name, step) for step in steps.tolist()], dtype=np.uint64)
    return _drawn(keys[which], src, dst, kinds)


def _key(seeds: SeedTree, name: str, step: int) -> int:
    return seeds.stream(name, step).key & _LOW_BITS


def _drawn(keys: NDArray[np.uint64], src: NDArray[np.int32], dst: NDArray[np.int32], kinds: int) -> NDArray[np.float64]:
    state = keys
    for word in (src, dst):
        state = _mix(state, np.asarray(word).astype(np.uint64))
    state = _mix(state[np.newaxis, :], np.arange(kinds, dtype=np.uint64)[:, np.newaxis])
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * _TO_UNIT


def normal(draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard normal draws from uniform ones, same shape."""
    return np.asarray(ndtri(draws))
