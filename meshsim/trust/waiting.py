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

    Attributes:
        first: Since when the oldest waits, seconds; infinite where nothing does.
    """

    def __init__(self, room: int) -> None:
        self.first = math.inf
        self._room = room
        self._lines: dict[Any, deque[Item]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Item]:
        """Item by item, those of one source after those of another."""
        for line in self._lines.values():
            yield from line

    def push(self, item: Item) -> Item | None:
        """Takes an item in; the one that had to go for it, if one had."""
        gone = self._crowd_out(item.source) if self._size >= self._room else None
        line = self._lines.get(item.source)
        if line is None:
            line = self._lines[item.source] = deque()
        line.append(item)
        self._size += 1
        if item.since < self.first:  # noqa: PLR1730 - half the time of min, a million times
            self.first = item.since
        return gone

    def take_due(self, now: float, wait: float) -> list[Item]:
        """Takes out all that has waited for `wait` seconds by `now`."""
        taken: list[Item] = []
        for source in [source for source, line in self._lines.items() if now >= line[0].since + wait]:
            line = self._lines[source]
            while line and now >= line[0].since + wait:
                taken.append(line.popleft())
            if not line:
                del self._lines[source]
        self._size -= len(taken)
        self.first = self._oldest()
        return taken

    def _crowd_out(self, comer: Any) -> Item | None:
        """The oldest of the source with most items, if there is any."""
        if not self._lines:
            return None
        source = self._fullest(comer)
        line = self._lines[source]
        gone = line.popleft()
        if not line:
            del self._lines[source]
        self._size -= 1
        self.first = self._oldest()
        return gone

    def _fullest(self, comer: Any) -> Any:
        """The source with most items; of several, the one that brings another, else that of the oldest."""
        if len(self._lines) == 1:  # as good as always where nobody passes on what others said
            return next(iter(self._lines))
        return max(self._lines, key=lambda one: (len(self._lines[one]), one == comer, -self._lines[one][0].since))

    def _oldest(self) -> float:
        return min((line[0].since for line in self._lines.values()), default=math.inf)
