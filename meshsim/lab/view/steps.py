"""What nodes were like at evenly spaced times: reputation, load, score and presence, (T, N), small enough for a page.

Nothing here is drawn; all comes from the tables of a trace, in seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from meshsim.lab.view.paths import Legs

STEPS = 240
"""At most so many steps of time are kept."""

NONE = 255
"""Stands where there is no value."""

HALVES = 2.0
"""Bytes hold halves of a point of 0..100, or of a percent."""

_SECOND = 1e9
"""Nanoseconds."""


def seconds(nanoseconds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Times of a trace in seconds."""
    return np.asarray(nanoseconds, dtype=np.float64) / _SECOND


def grid(end: float, steps: int = STEPS) -> NDArray[np.float64]:
    """Times from 0 to `end` (seconds), equally many whole seconds apart but for the last, at most `steps` of them.

    Examples:
        >>> grid(10.0, 6).tolist()
        [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    apart = max(1.0, np.ceil(end / (steps - 1)))
    return np.asarray(np.minimum(np.arange(int(np.ceil(end / apart)) + 1) * apart, end))


def presence(events: Mapping[str, Any], times: NDArray[np.float64], nodes: int) -> NDArray[np.bool_]:
    """(T, N): who was up, by the events `down` and `up`."""
    kinds = np.array(events["kind"], dtype=object)
    moved = np.flatnonzero((kinds == "down") | (kinds == "up"))
    when = np.searchsorted(times, seconds(events["time_ns"][moved]), side="left")
    change = np.zeros((len(times) + 1, nodes), dtype=np.int32)
    np.add.at(change, (when, events["node"][moved]), np.where(kinds[moved] == "up", 1, -1))
    return np.asarray(1 + change.cumsum(axis=0)[:-1] > 0)


def reputation(trust: Mapping[str, Any], times: NDArray[np.float64], nodes: int) -> NDArray[np.uint8]:
    """(T, N), halves of a point: the score that was held last, the mean where several observers hold one."""
    order = np.lexsort((np.arange(len(trust["node"])), trust["observer"], trust["node"]))
    node, observer, score = (trust[name][order] for name in ("node", "observer", "score"))
    first = np.ones(len(node), dtype=bool)
    first[1:] = (np.diff(node) != 0) | (np.diff(observer) != 0)
    step = np.where(first, score, np.diff(score, prepend=0.0))
    when = np.searchsorted(times, seconds(trust["time_ns"][order]), side="left")
    held, observers = (np.zeros((len(times) + 1, nodes)) for _ in range(2))
    np.add.at(held, (when, node), step)
    np.add.at(observers, (when, node), first.astype(float))
    held, observers = held.cumsum(axis=0)[:-1], observers.cumsum(axis=0)[:-1]
    return coded(np.divide(held, observers, out=np.full_like(held, np.nan), where=observers > 0.0))


def load(legs: Legs, times: NDArray[np.float64], most: NDArray[np.int32]) -> NDArray[np.uint8]:
    """(T, N), halves of a percent: calls carried for others, of as many as a node carries at most (`most`, (N,))."""
    change = np.zeros((len(times) + 1, len(most)), dtype=np.int32)
    row, node = legs.relays()
    np.add.at(change, (np.searchsorted(times, legs.begin[row], side="left"), node), 1)
    np.add.at(change, (np.searchsorted(times, legs.end[row], side="left"), node), -1)
    carried = change.cumsum(axis=0)[:-1].astype(np.float64)
    return coded(np.divide(100.0 * carried, most, out=np.full_like(carried, np.nan), where=most > 0))


def running(legs: Legs, times: NDArray[np.float64]) -> NDArray[np.int32]:
    """(T,): how many calls had a route."""
    begin, end = np.sort(legs.begin), np.sort(legs.end)
    began = np.searchsorted(begin, times, side="right")
    return (began - np.searchsorted(end, times, side="right")).astype(np.int32)


def score(legs: Legs, chosen: NDArray[np.float64], times: NDArray[np.float64], nodes: int) -> NDArray[np.uint8]:
    """(T, N), halves of a point: the score of the last choice that led over a node or from it; `chosen` by leg."""
    row, node = legs.members()
    told = np.isfinite(chosen[row])
    row, node = row[told], node[told]
    order = np.argsort(legs.begin[row], kind="stable")
    row, node = row[order], node[order]
    when = np.searchsorted(times, legs.begin[row], side="left")
    inside = when < len(times)
    last = np.full((len(times), nodes), -1, dtype=np.int64)
    np.maximum.at(last, (when[inside], node[inside]), np.arange(len(row))[inside])
    last = np.maximum.accumulate(last, axis=0)
    return coded(np.where(last >= 0, chosen[row][last] if len(row) else np.nan, np.nan))


def coded(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Values in halves as bytes; `NONE` where there is none."""
    halves = np.clip(np.nan_to_num(values) * HALVES, 0.0, NONE - 1)
    return np.where(np.isfinite(values), np.rint(halves), NONE).astype(np.uint8)
