"""From what an agent knows to the arrays that routing reads.

Statements are the same objects for all who hold them and never change; so what is read from one is read once and kept.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from itertools import chain, repeat
from math import cos, radians, sin
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.time import to_seconds
from meshsim.mesh.view import LinkBelief, Nat, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.agent.messages import LinkEntry, LinkState
    from meshsim.identity.records import NodeRecord
    from meshsim.mesh.ids import NodeId

DELAY_CHANGE, DELAY_STEP = 0.1, 0.002
LOSS_STEP, LOAD_STEP = 0.005, 0.1
"""Smaller changes are not worth a new statement."""

KEPT_COLUMNS = 16_384
"""Statements of which the columns are kept; those read first go first."""

Row = tuple[int, int, float, float, float, float, float]
"""src, dst, delay, jitter, loss, rate, age of one link."""

Traits = tuple[float, float, float, float, float, float, float]
"""What a record says, in numbers: role, NAT, latitude, longitude, AIC, most calls, capacity."""


class Columns(NamedTuple):
    """The links of one statement.

    Attributes:
        to: The neighbours.
        values: (4, links) delay, jitter (seconds), loss, rate (bits per second).
    """

    to: tuple[NodeId, ...]
    values: NDArray[np.float64]


_KEPT: OrderedDict[int, tuple[LinkState, Columns]] = OrderedDict()


def columns_of(statement: LinkState) -> Columns:
    """The links of `statement` as columns."""
    kept = _KEPT.get(id(statement))
    if kept is None:
        links = statement.links
        values = [(to_seconds(e.delay_ns), to_seconds(e.jitter_ns), e.loss, e.rate_bps) for e in links]
        table = np.array(values, dtype=np.float64).reshape(len(links), 4).T
        kept = _KEPT[id(statement)] = statement, Columns(tuple(entry.to for entry in links), table)
        if len(_KEPT) > KEPT_COLUMNS:
            _KEPT.popitem(last=False)
    return kept[1]


def stated_links(statements: Sequence[tuple[int, float, LinkState]], index: Mapping[NodeId, int]) -> LinkBelief:
    """The links between known nodes that statements tell of.

    Args:
        statements: Row of the origin, age in seconds, and the statement, by row.
        index: Row of each known node.
    """
    columns = [columns_of(statement) for _, _, statement in statements]
    counts = [len(column.to) for column in columns]
    ends = chain.from_iterable(column.to for column in columns)
    dst = np.fromiter(map(index.get, ends, repeat(-1)), dtype=np.int32, count=sum(counts))
    src = np.repeat(np.array([row for row, _, _ in statements], dtype=np.int32), counts)
    age = np.repeat(np.array([age for _, age, _ in statements], dtype=np.float64), counts)
    values = np.concatenate([np.empty((4, 0)), *(column.values for column in columns)], axis=1)
    known = np.flatnonzero(dst >= 0)
    order = known[np.lexsort((dst[known], src[known]))]
    return _belief(src[order], dst[order], values[:, order], age[order])


def links_of(rows: Iterable[Row]) -> LinkBelief:
    """Links from rows in any order."""
    table = sorted(rows)
    columns = np.array(table, dtype=np.float64).reshape(len(table), 7).T
    return _belief(columns[0].astype(np.int32), columns[1].astype(np.int32), columns[2:6], columns[6].copy())


def _belief(
    src: NDArray[np.int32], dst: NDArray[np.int32], values: NDArray[np.float64], age: NDArray[np.float64]
) -> LinkBelief:
    delay, jitter, loss, rate = (column.copy() for column in values)
    observed = np.ones(len(src), dtype=np.bool_)
    return LinkBelief(src=src, dst=dst, delay=delay, jitter=jitter, loss=loss, rate=rate, age=age, observed=observed)


def traits_of(record: NodeRecord) -> Traits:
    """`record` in numbers."""
    role, nat = float(Role[record.role.upper()]), float(nat_of(record))
    return role, nat, record.latitude, record.longitude, record.aic, record.max_calls, record.capacity_bps


def nat_of(record: NodeRecord) -> Nat:
    """The NAT type a record names; an unknown word is taken for the most restrictive."""
    return Nat[record.nat.upper()] if record.nat.upper() in Nat.__members__ else Nat.SYMMETRIC


@lru_cache(maxsize=KEPT_COLUMNS)
def place_of(latitude: float, longitude: float) -> tuple[float, float, float]:
    """The point of the unit sphere at `latitude`, `longitude` (degrees)."""
    phi, theta = radians(latitude), radians(longitude)
    return cos(phi) * cos(theta), cos(phi) * sin(theta), sin(phi)


def chord(a: tuple[float, float, float], record: NodeRecord) -> float:
    """Squared length of the straight line from `a` to the place of `record`, both on the unit sphere.

    It grows with the distance along the ground and takes a tenth of the time to work out.
    """
    x, y, z = place_of(record.latitude, record.longitude)
    return (a[0] - x) ** 2 + (a[1] - y) ** 2 + (a[2] - z) ** 2


def are_alike(last: LinkState, links: tuple[LinkEntry, ...], load: float) -> bool:
    """Whether a new statement would say about what the last one said."""
    if [entry.to for entry in last.links] != [entry.to for entry in links] or abs(last.load - load) > LOAD_STEP:
        return False
    return all(_is_close(a, b) for a, b in zip(last.links, links, strict=True))


def _is_close(a: LinkEntry, b: LinkEntry) -> bool:
    delays = to_seconds(a.delay_ns), to_seconds(b.delay_ns)
    moved = abs(delays[0] - delays[1])
    return moved <= max(DELAY_STEP, DELAY_CHANGE * max(delays)) and abs(a.loss - b.loss) <= LOSS_STEP
