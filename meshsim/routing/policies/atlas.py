"""Regions of the map, by which learning policies pool what they learn, and what the ends of calls felt as a cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.quality import poor, voice_mos
from meshsim.routing.graph import Graph, Memo

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.view import NodeBelief
    from meshsim.routing.features import Features
    from meshsim.routing.policies.base import Outcome

CELLS = 8.0
"""Cells along the longer side of what a view covers, or up to twice as many."""

BEST_MOS = 4.5
WORST = BEST_MOS
"""Cost of a path that carries nothing: that of the worst MOS, and of being poor."""

_LEAST_EXTENT = 1e-6
_LEVELS, _LEVEL_SHIFT, _ROW_SHIFT = 64, 52, 26


def cost_of(rtt: ArrayLike, jitter: ArrayLike, loss: ArrayLike) -> NDArray[np.float64]:
    """What a path costs its people: the MOS forgone by a voice on it, and one more where that voice would be poor.

    Whatever calls carry, the network's measures are judged as if by a voice, so that all calls teach the same lesson.

    Args:
        rtt: Seconds, any shape.
        jitter: Seconds, same shape.
        loss: Probability, same shape.

    >>> float(cost_of(0.9, 0.1, 1.0))
    4.5
    """
    felt = voice_mos(np.asarray(rtt) / 2.0, jitter, loss)
    return np.asarray(BEST_MOS - felt + poor(rtt, jitter, loss))


def lived_cost(outcome: Outcome) -> float:
    """The cost of an outcome; NaN where media came through and nobody measured them."""
    if not outcome.connected:
        return WORST
    measures = outcome.rtt, outcome.jitter, outcome.loss
    return math.nan if any(map(math.isnan, measures)) else float(cost_of(*measures))


def believed_cost(features: Features) -> NDArray[np.float64]:
    """(P,) what paths are believed to cost."""
    belief = features.belief
    return cost_of(belief.rtt, belief.jitter, belief.loss)


def _cells(graph: Graph) -> list[int]:
    """Number of the cell of each node; cells are squares of a power of two of degrees, and carry that in the number.

    So cells stay the same until the view covers twice as much, and cells of two sizes are never taken for one another.
    """
    latitude, longitude = graph.nodes.latitude, graph.nodes.longitude
    extent = max(np.ptp(latitude), np.ptp(longitude), _LEAST_EXTENT) if len(latitude) else _LEAST_EXTENT
    level = math.ceil(math.log2(extent / CELLS))
    row, column = np.floor(latitude / 2.0**level), np.floor(longitude / 2.0**level)
    inside = (1 << _ROW_SHIFT) - 1
    numbers = zip(row.astype(np.int64).tolist(), column.astype(np.int64).tolist(), strict=True)
    return [((level + _LEVELS) << _LEVEL_SHIFT) | ((y & inside) << _ROW_SHIFT) | (x & inside) for y, x in numbers]


cells = Memo(_cells)


class Atlas:
    """Which region each node is in, as last seen on a view; outcomes name nodes alone.

    Attributes:
        region: Number of the cell of each node ever seen.
    """

    def __init__(self) -> None:
        self.region: dict[NodeId, int] = {}
        self._seen: NodeBelief | None = None

    def look(self, graph: Graph) -> list[int]:
        """Takes note of where the nodes of a view are; the cells of all of them, in index order."""
        found = cells(graph)
        if graph.nodes is not self._seen:
            self.region.update(zip(graph.nodes.ids, found, strict=True))
            self._seen = graph.nodes
        return found

    def of(self, node: NodeId) -> int | None:
        """The region of a node, None of one never seen."""
        return self.region.get(node)
