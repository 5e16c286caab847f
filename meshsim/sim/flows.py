"""The open flows of a world, their rows one after another in a few arrays, so that all can be looked at in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.graph import ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.sim.resources import Paths

_FLOWS, _ROWS = 64, 2048
_COLUMNS = ("way", "resource", "amount", "sending")
"""Columns of `Paths` that are kept for all flows together."""


class Flows:
    """Flows by number; numbers are used again.

    Attributes:
        first: Where the rows of each flow begin.
        last: Where they end; as `first` where no flow is.
        dropped: Log-survival at the relays of each flow.
        lowest: Share of its rate that each flow never gives up.
        share: Share of its rate that each direction of each flow has now, (flows, 2).
        way, resource, amount, sending: Rows, as in `Paths`; some belong to flows that have closed.
    """

    def __init__(self) -> None:
        self.first = np.zeros(_FLOWS, dtype=np.int64)
        self.last = np.zeros(_FLOWS, dtype=np.int64)
        self.dropped = np.zeros(_FLOWS)
        self.lowest = np.ones(_FLOWS)
        self.share = np.ones((_FLOWS, 2))
        self.way = np.zeros(_ROWS, dtype=np.int8)
        self.resource = np.zeros(_ROWS, dtype=np.int64)
        self.amount, self.sending = np.zeros(_ROWS), np.zeros(_ROWS)
        self._paths: dict[int, Paths] = {}
        self._free = list(range(_FLOWS - 1, -1, -1))
        self._end = self._dead = 0

    def __getitem__(self, number: int) -> Paths:
        """The path of an open flow."""
        return self._paths[number]

    def rate(self, number: int) -> float:
        """Full rate of one direction of an open flow, bits per second: what its first row, an access link, carries."""
        return self._paths[number].amount.item(0)

    def rows(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All rows of some open flows, and for each row which of the `numbers` it belongs to."""
        owner, rows = ragged(self.first[numbers], self.last[numbers])
        return rows, owner

    def amounts(self, number: int) -> NDArray[np.float64]:
        """What an open flow puts on its rows now; as its path says until it adapts."""
        return self.amount[self.first[number] : self.last[number]]

    def open(self, paths: Paths, dropped: float, lowest: float = 1.0) -> int:
        """Takes a single path in; returns its number."""
        rows = len(paths.resource)
        if self._end + rows > len(self.way):
            self._make_room(rows)
        if not self._free:
            self._grow()
        number, here = self._free.pop(), slice(self._end, self._end + rows)
        for name in _COLUMNS:
            getattr(self, name)[here] = getattr(paths, name)
        self.first[number], self.last[number], self.dropped[number] = here.start, here.stop, dropped
        self.lowest[number], self.share[number] = lowest, 1.0
        self._paths[number], self._end = paths, here.stop
        return number

    def close(self, number: int) -> Paths:
        """Gives a path back."""
        paths = self._paths.pop(number)
        self.last[number] = self.first[number]
        self._dead += len(paths.resource)
        self._free.append(number)
        return paths

    def numbers(self) -> NDArray[np.int64]:
        """Numbers of the open flows, ascending."""
        return np.flatnonzero(self.last > self.first)

    def load(self, size: int) -> NDArray[np.float64]:
        """(size,) what all flows put on each resource."""
        self._compact()
        here = slice(0, self._end)
        return np.bincount(self.resource[here], weights=self.amount[here], minlength=size).astype(np.float64)

    def _make_room(self, rows: int) -> None:
        """Drops what has closed, if that is most of it, or else doubles the arrays."""
        if 2 * self._dead >= self._end:
            self._compact()
        while self._end + rows > len(self.way):
            for name in _COLUMNS:
                values = getattr(self, name)
                setattr(self, name, np.concatenate([values, np.zeros_like(values)]))

    def _compact(self) -> None:
        """Moves the rows of open flows together, in the order in which they were opened."""
        if not self._dead:
            return
        numbers = self.numbers()
        numbers = numbers[np.argsort(self.first[numbers])]
        rows, _ = self.rows(numbers)
        lengths = self.last[numbers] - self.first[numbers]
        stops = np.cumsum(lengths)
        for name in _COLUMNS:
            values = getattr(self, name)
            values[: len(rows)] = values[rows]
        self.first[:] = self.last[:] = 0
        self.first[numbers], self.last[numbers] = stops - lengths, stops
        self._end, self._dead = len(rows), 0

    def _grow(self) -> None:
        size = len(self.first)
        for name in ("first", "last", "dropped", "lowest", "share"):
            values = getattr(self, name)
            setattr(self, name, np.concatenate([values, np.zeros_like(values)]))
        self._free.extend(range(2 * size - 1, size - 1, -1))
