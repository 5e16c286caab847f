"""What waits, in order, with bounded room that nobody can fill for others."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Waiting(Protocol):
    """Something that waits since a time (seconds), and came by a source."""

    since: float
    source: Any


Item = TypeVar("Item", bound=Waiting)


class FairQueue(Generic[Item]):
    """Items of several sources, each source's in the order they came, which is that of their times.

    When it is full, the source with most items gives up its oldest: who floods it pushes out nobody else within an even
    share of the room, and where there is one source alone the oldest goes.

    Args:
        room: Most items.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._lines: dict[Any, deque[Item]] = {}
        self._size = 0
        self._first = math.inf

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        """Item by item, those of one source after those of another."""
        for line in self._lines.values():
            yield from line

    @property
    def first(self) -> float:
        """Since when the oldest waits, seconds; infinite where nothing does."""
        return self._first

    def push(self, item: Item) -> Item | None:
        """Takes an item in; the one that had to go for it, if one had."""
        gone = self._crowd_out(item.source) if self._size >= self._room else None
        line = self._lines.get(item.source)
        if line is None:
            line = self._lines[item.source] = deque()
        line.append(item)
        self._size += 1
        self._first = min(self._first, item.since)
        return gone

    def take_due(self, now: float, wait: float) -> list[Item]:
        """Takes out all that has waited for `wait` seconds by `now`."""
        if now < self._first + wait:
            return []
        taken = [item for source in list(self._lines) for item in self._take(source, now, wait)]
        self._first = self._oldest()
        return taken

    def _take(self, source: Any, now: float, wait: float) -> Iterator[Item]:
        line = self._lines[source]
        while line and now >= line[0].since + wait:
            yield self._pop(source)

    def _pop(self, source: Any) -> Item:
        line = self._lines[source]
        item = line.popleft()
        self._size -= 1
        if not line:
            del self._lines[source]
        return item

    def _crowd_out(self, comer: Any) -> Item | None:
        """The oldest of the source with most items; of several, of the one that brings another, else the oldest."""
        if not self._lines:
            return None
        gone = self._pop(
            max(self._lines, key=lambda one: (len(self._lines[one]), one == comer, -self._lines[one][0].since))
        )
        self._first = self._oldest()
        return gone

    def _oldest(self) -> float:
        return min((line[0].since for line in self._lines.values()), default=math.inf)
