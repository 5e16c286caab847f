"""Which nodes have a media link with which others, and who can have no more."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Connections:
    """Media links between nodes; calls over the same two nodes share one.

    Args:
        limit: Most nodes that a node is linked with at a time; 0 sets no limit.

    >>> links = Connections(1)
    >>> links.open((0, 1))
    >>> links.refusing((0, 1)), links.refusing((2, 1, 3))
    ([], [1])
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: dict[int, dict[int, int]] = {}

    def open(self, path: Sequence[int]) -> None:
        """A call takes a path of node indices."""
        if self._limit:
            for a, b in pairwise(path):
                self._join(a, b)
                self._join(b, a)

    def close(self, path: Sequence[int]) -> None:
        """A call leaves its path."""
        if self._limit:
            for a, b in pairwise(path):
                self._leave(a, b)
                self._leave(b, a)

    def refusing(self, path: Sequence[int]) -> list[int]:
        """Nodes of a path that could not keep up the links it needs, in its order."""
        if not self._limit:
            return []
        return [node for at, node in enumerate(path) if self._wanted(path, at) > self._limit]

    def _wanted(self, path: Sequence[int], at: int) -> int:
        """Links that a node of the path would have."""
        linked = self._calls.get(path[at], {})
        beside = {*path[max(at - 1, 0) : at], *path[at + 1 : at + 2]}
        return len(linked.keys() | beside)

    def _join(self, a: int, b: int) -> None:
        linked = self._calls.setdefault(a, {})
        linked[b] = linked.get(b, 0) + 1

    def _leave(self, a: int, b: int) -> None:
        linked = self._calls[a]
        linked[b] -= 1
        if not linked[b]:
            del linked[b]
