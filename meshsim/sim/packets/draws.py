"""Uniform draws one by one from streams that give them in blocks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshsim.mesh.seeds import Stream

_BLOCK = 256


class Draws:
    """The draws of one stream; n may be any, but ascending n costs least.

    >>> from meshsim.mesh.seeds import SeedTree
    >>> stream = SeedTree(1).stream("flow.gap", 3)
    >>> Draws(stream).at(300) == stream.at(300)
    True
    """

    __slots__ = ("_block", "_number", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._number = -1
        self._block: list[float] = []

    def at(self, n: int) -> float:
        """Draw n, uniform in [0, 1)."""
        number, place = divmod(n, _BLOCK)
        if number != self._number:
            self._number = number
            self._block = self._stream.uniform(number * _BLOCK, _BLOCK).tolist()
        return self._block[place]


def exponential(u: float, mean: float, cap: float = 0.0) -> float:
    """The exponential value of mean `mean` at the uniform draw `u`, cut at `cap` means where cap is above 0.

    >>> exponential(0.999, 2.0, 3.0)
    6.0
    """
    value = -math.log1p(-u) * mean
    return min(value, cap * mean) if cap > 0.0 else value
