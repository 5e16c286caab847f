"""Regions of the map, by which learning policies pool what they learn, and what the ends of calls felt as a cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.mesh.quality import mos, poor
from meshsim.mesh.quality.targets import places
from meshsim.routing.graph import Graph, Memo

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.quality.targets import Media
    from meshsim.mesh.view import NodeBelief
    from meshsim.routing.features import Features
    from meshsim.routing.policies.base import Outcome

CELLS = 8.0
"""Cells along the longer side of what a view covers, or up to twice as many."""

OPINION, POOR = 3.5, 1.0
"""What a path costs that leaves people nothing of their opinion, whatever the scale of their media; and being poor."""

WORST = OPINION + POOR
"""Cost of a path that carries nothing."""

_FLAWLESS = np.array([float(mos(media, 0.0, 0.0, 0.0)) for media in MediaType])

_LEAST_EXTENT = 1e-6
_LEVELS, _LEVEL_SHIFT, _ROW_SHIFT = 64, 52, 26


def cost_of(rtt: ArrayLike, jitter: ArrayLike, loss: ArrayLike, media: Media = MediaType.AUDIO) -> NDArray[np.float64]:
    """What a path costs the people of a call: the MOS forgone, and one more where the call is poor; in [0, `WORST`].

    Each type of media is judged by its own model and target, at its full rate. The models have scales of their own, so
    what is forgone counts as a share of what a flawless path would give.

    Args:
        rtt: Seconds, any shape.
        jitter: Seconds, same shape.
        loss: Probability, same shape.
        media: What the call carries; one for all, or as many as there are calls.

    >>> float(cost_of(0.9, 0.1, 1.0)), float(cost_of(0.0, 0.0, 0.0, MediaType.AUDIO_VIDEO))
    (4.5, 0.0)
    """
    return felt_cost(mos(media, np.asarray(rtt) / 2.0, jitter, loss), poor(rtt, jitter, loss, media), media)


def felt_cost(felt: NDArray[np.float64], bad: NDArray[np.bool_], media: Media) -> NDArray[np.float64]:
    """The same of what is judged already: `felt` is the MOS, `bad` whether the call is poor."""
    best = _FLAWLESS[places(media)]
    return np.asarray(OPINION * (best - felt) / (best - 1.0) + POOR * bad)


def lived_cost(outcome: Outcome) -> float:
    """The cost of an outcome; NaN where media came through and nobody measured them."""
    if not outcome.connected:
        return WORST
    measures = outcome.rtt, outcome.jitter, outcome.loss
    return math.nan if any(map(math.isnan, measures)) else float(cost_of(*measures, outcome.media))


def believed_cost(features: Features) -> NDArray[np.float64]:
    """(P,) what paths are believed to cost."""
    belief, media = features.belief, features.media
    return felt_cost(belief.mos, poor(belief.rtt, belief.jitter, belief.loss, media), media)


def media_of(features: Features) -> list[MediaType]:
    """What each of P paths is to carry."""
    known = tuple(MediaType)
    return [known[place] for place in np.broadcast_to(places(features.media), len(features)).tolist()]


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
