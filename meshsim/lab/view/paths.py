"""Who carried which call from when to when, and what it could have had: the calls of a trace as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow.compute as pc

from meshsim.lab.view.steps import seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

CALLS = 4000
"""Of more calls, evenly many from the first to the last can be picked."""

CANDIDATES = 8
"""Of more candidates of a call, the chosen one and those of the highest utility can be seen."""


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different length: `values`, and where each row begins and the last ends, `start` (rows + 1,)."""

    values: NDArray[np.int32]
    start: NDArray[np.int64]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """A list column of a trace."""
        whole = column.combine_chunks()
        lengths = pc.list_value_length(whole).to_numpy(zero_copy_only=False).astype(np.int64)
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return cls(whole.flatten().to_numpy().astype(np.int32), start)

    @classmethod
    def joined(cls, rows: Sequence[NDArray[np.int64]]) -> Self:
        """Rows as they are."""
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(row) for row in rows], dtype=np.int64)])
        return cls(np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int32), start)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How long each row is."""
        return np.diff(self.start)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """These rows, in this order."""
        lengths = self.lengths[rows]
        start = np.concatenate([[0], np.cumsum(lengths)])
        place = np.arange(start[-1]) + np.repeat(self.start[rows] - start[:-1], lengths)
        return Ragged(self.values[place], start)

    def flat(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row of every value, and its place within the row."""
        row = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return row, np.arange(len(self.values)) - self.start[row]


@dataclass(frozen=True, slots=True)
class Legs:
    """Stretches of calls on one path: one for a call that kept its route, two for one that had to change it.

    Attributes:
        call: Row of the call, (L,).
        begin: Seconds, (L,).
        end: Seconds, (L,).
        path: Nodes, L rows.
    """

    call: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    path: Ragged

    def relays(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Leg and node of everybody who carried for others."""
        row, place = self.path.flat()
        inner = (place > 0) & (place < self.path.lengths[row] - 1)
        return row[inner], self.path.values[inner]

    def members(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Leg and node of everybody on a path but the callee, who chooses nothing and carries nothing."""
        row, place = self.path.flat()
        front = place < self.path.lengths[row] - 1
        return row[front], self.path.values[front]


def legs_of(calls: pa.Table, events: Mapping[str, Any]) -> Legs:
    """Of all calls that had a route: the first path until the first failover, from then on the last one."""
    begin, end = (seconds(calls[name].to_numpy()) for name in ("start_ns", "end_ns"))
    first, last = Ragged.of(calls["path"]), Ragged.of(calls["final_path"])
    changed = _failovers(calls["call"].to_numpy(), events, begin, end)
    routed, moved = np.flatnonzero(first.lengths > 0), np.flatnonzero((first.lengths > 0) & (changed < end))
    rows = np.concatenate([routed, moved])
    return Legs(
        rows,
        np.concatenate([begin[routed], changed[moved]]),
        np.concatenate([changed[routed], end[moved]]),
        _stacked(first.take(routed), last.take(moved)),
    )


def _failovers(
    calls: NDArray[np.int64], events: Mapping[str, Any], begin: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """When each call first changed its path, its end where it never did; seconds."""
    changed = end.copy()
    moved = np.flatnonzero(np.array(events["kind"], dtype=object) == "failover")
    order = np.argsort(calls, kind="stable")
    place = np.searchsorted(calls[order], events["call"][moved])
    known = place < len(calls)
    row, moved = order[place[known]], moved[known]
    same = calls[row] == events["call"][moved]
    np.minimum.at(changed, row[same], seconds(events["time_ns"][moved[same]]))
    return np.maximum(changed, begin)


def _stacked(above: Ragged, below: Ragged) -> Ragged:
    return Ragged(
        np.concatenate([above.values, below.values]),
        np.concatenate([above.start, above.start[-1] + below.start[1:]]),
    )


def kept_calls(count: int, most: int = CALLS) -> NDArray[np.int64]:
    """Rows of the calls that can be picked: all, or evenly many of them.

    Examples:
        >>> kept_calls(10, 5).tolist()
        [0, 2, 4, 6, 8]
    """
    return np.arange(count) if count <= most else np.arange(most) * count // most


def kept_candidates(call: NDArray[np.int64], chosen: NDArray[np.bool_], utility: NDArray[np.float64]) -> NDArray[Any]:
    """Rows of at most `CANDIDATES` of each call, by call: the chosen one first, then by utility."""
    wish = np.where(chosen, np.inf, np.nan_to_num(utility, nan=-np.inf))
    order = np.lexsort((np.arange(len(call)), -wish, call))
    first = np.searchsorted(call[order], call[order], side="left")
    return order[np.arange(len(call)) - first < CANDIDATES]
