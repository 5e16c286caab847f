"""Measured lengths of sessions: files of them, and what ages of sessions under way tell of their lengths."""

from __future__ import annotations

import csv
import gzip
import zlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.errors import ConfigError, nearest
from meshsim.scenario.quantities import LONGEST, refuse
from meshsim.scenario.topologies.registry import data_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_FIVE_YEARS = 5 * 365 * 86400.0
"""Seconds: a router that says it is up for longer has no clock."""


class _Known(NamedTuple):
    """A set of the data folder."""

    path: str
    column: str
    unit: str
    most: float


DATA = {
    "mesh_router_uptime": _Known("mesh_router_uptime/uptime.csv.gz", "uptime_h", "h", _FIVE_YEARS),
    "bitnodes_2022": _Known("bitnodes_2022/nodes.csv.gz", "conn_age_h", "h", _FIVE_YEARS),
}
"""Sets of ages in the folder that MESHSIM_DATA_DIR names."""


class Lengths(NamedTuple):
    """K different lengths of sessions.

    Attributes:
        length: (K,) seconds, ascending.
        drawn: (K - 1,) below which draw each length comes but the last.
        covered: (K - 1,) the same for the session that is under way at a random instant.
        mean: Seconds.
    """

    length: NDArray[np.float64]
    drawn: NDArray[np.float64]
    covered: NDArray[np.float64]
    mean: float


def read_lengths(file: str, column: str, unit: str, *, ages: bool) -> Lengths:
    """The lengths in a file or set of the data folder.

    Args:
        file: Path, or name in `DATA`.
        column: Of a file; the first when empty.
        unit: Of a file: `s`, `min` or `h`.
        ages: Whether the file has ages of sessions under way.
    """
    known = DATA.get(file)
    if known is None:
        return _read(_place(file), column, unit, None, ages=ages)
    try:
        path = data_file(*known.path.split("/", 1))
    except ConfigError as error:
        raise refuse(error.message, allowed=["<path>.csv", *error.allowed]) from error
    return _read(str(path), known.column, known.unit, known.most, ages=True)


def _place(file: str) -> str:
    try:
        found = Path(file).is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise refuse(f"no file {file!r}", allowed=["<path>.csv", *DATA], near=nearest(file, tuple(DATA)))
    return file


def _read(path: str, column: str, unit: str, most: float | None, *, ages: bool) -> Lengths:
    # a file that is written anew is read anew
    return _cached(path, Path(path).stat().st_mtime_ns, column, unit, most, ages)


@lru_cache(maxsize=16)
def _cached(path: str, _stamp: int, column: str, unit: str, most: float | None, ages: bool) -> Lengths:  # noqa: FBT001 - a key of the cache
    kept = _column(path, column, unit, most)
    length, chance = of_ages(kept) if ages else (kept, np.full(len(kept), 1.0 / len(kept)))
    mean = float(length @ chance)
    # the last bounds are left out: shares may sum to a hair less than 1
    return Lengths(length, np.cumsum(chance)[:-1], np.cumsum(length * chance / mean)[:-1], mean)


def read_ages(name: str) -> NDArray[np.float64]:
    """The ages of sessions under way in the set `name` of `DATA`: (n,) seconds, ascending, as they were measured.

    Raises:
        ConfigError: If the data are not at hand.
    """
    known = DATA[name]
    return _column(str(data_file(*known.path.split("/", 1))), known.column, known.unit, known.most)


def _column(path: str, column: str, unit: str, most: float | None) -> NDArray[np.float64]:
    """The lengths above 0 and up to `most` in a column, seconds, ascending."""
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as file:
            lengths = _lengths(list(csv.reader(file)), column, strict=most is None)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        raise refuse(f"{path} cannot be read as CSV: {error}") from error
    seconds = np.sort(np.array(lengths, dtype=np.float64)) * _SECONDS[unit]
    kept = seconds[(seconds > 0.0) & (seconds <= (most or LONGEST))]
    if not len(kept):
        raise refuse(f"{path} has no lengths above 0")
    return np.asarray(kept)


def _lengths(rows: Sequence[Sequence[str]], column: str, *, strict: bool) -> list[float]:
    """The numbers of one column; empty fields are left out, as is the head. Measured data have some that are none."""
    head = rows[0] if rows else []
    if column and column not in head:
        raise refuse(f"no column {column!r}", allowed=list(head), near=nearest(column, tuple(head)))
    place = head.index(column) if column else 0
    first = 1 if column or not head or _number(head[place]) is None else 0
    lengths = []
    for line, row in enumerate(rows[first:], first + 1):
        if len(row) <= place or not row[place].strip():
            continue
        length = _number(row[place])
        if strict and (length is None or length < 0.0):
            raise refuse(f"line {line}: not a length: {row[place]!r}", allowed=["<number> >= 0"])
        lengths.append(-1.0 if length is None else length)
    return lengths


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def of_ages(ages: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lengths of sessions, ascending, and the probability of each, from the ages of n sessions under way.

    Ages have the falling density (1 - F) / E[X]. Its maximum likelihood estimate is the slope of the least concave
    majorant of their distribution (Grenander, "On the theory of mortality measurement", 1956), where it falls sessions
    end. The estimate is inconsistent at 0, which is what E[X] hangs on, so the youngest n^(-1/3) of the ages are taken
    together (after Kulikov and Lopuhaa, Annals of Statistics 34(2), 2006).

    Args:
        ages: (n,) seconds, ascending, above 0.

    >>> lengths, chance = of_ages(np.array([1.0, 2.0, 3.0, 4.0]))
    >>> lengths.tolist(), chance.tolist()
    ([4.0], [1.0])
    """
    x, last = np.unique(ages, return_index=False, return_counts=True)
    share = np.cumsum(last) / len(ages)
    pooled = int(np.searchsorted(share, len(ages) ** (-1.0 / 3.0)))
    hull = _majorant(np.concatenate([[0.0], x[pooled:]]), np.concatenate([[0.0], share[pooled:]]))
    knots, heights = hull[:, 0], hull[:, 1]
    slope = np.diff(heights) / np.diff(knots)
    chance = (slope - np.append(slope[1:], 0.0)) / slope[0]
    return knots[1:], chance


def _majorant(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners (K, 2) of the least concave function above the points, in order of x."""
    hull: list[tuple[float, float]] = []
    for point in zip(x.tolist(), y.tolist(), strict=True):
        while len(hull) > 1 and _rises(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return np.array(hull)


def _rises(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether `b` lies on or below the line from `a` to `c`."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
