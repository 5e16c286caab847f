"""Uniform draws one by one from streams that give them in blocks."""

from __future__ import annotations

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
