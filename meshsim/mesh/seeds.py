"""Randomness without state: every draw is a function of (seed, stream name, entity, n).

Counter-based Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): nothing to copy when a
world is saved, common random numbers by construction, and adding a stream or an entity shifts nobody's draws.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TO_UNIT = 2.0**-53


def _key(seed: int, name: str, entity: int) -> int:
    text = f"meshsim/1/{seed}/{name}/{entity}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "little")


@dataclass(frozen=True, slots=True)
class Stream:
    """An endless sequence of draws; the n-th is a function of n.

    Attributes:
        key: The 128-bit Philox key.
    """

    key: int

    def uniform(self, n: int, size: int = 1) -> NDArray[np.float64]:
        """Draws n, n + 1, ... n + size - 1, each uniform in [0, 1); shape (size,).

        >>> SeedTree(1).stream("churn", 7).uniform(3)[0] == SeedTree(1).stream("churn", 7).uniform(0, 9)[3]
        np.True_
        """
        first, skip = divmod(n, 4)
        raw = np.random.Philox(key=self.key, counter=first).random_raw(skip + size)
        return (raw[skip:] >> np.uint64(11)).astype(np.float64) * _TO_UNIT

    def at(self, n: int) -> float:
        """Draw n alone."""
        return float(self.uniform(n)[0])

    def generator(self) -> np.random.Generator:
        """A fresh NumPy generator at the start of this stream, for vector draws of any distribution."""
        return np.random.Generator(np.random.Philox(key=self.key))


@dataclass(frozen=True, slots=True)
class SeedTree:
    """The root of all randomness of a run.

    Attributes:
        seed: Any integer; the same seed gives the same streams everywhere.
    """

    seed: int

    def stream(self, name: str, entity: int = 0) -> Stream:
        """The stream `name` of `entity` (a node, link or call index)."""
        return Stream(_key(self.seed, name, entity))

    def generator(self, name: str, entity: int = 0) -> np.random.Generator:
        """A fresh generator on the stream `name` of `entity`."""
        return self.stream(name, entity).generator()
