"""What links over third nodes say of a pair that nobody has measured: the sides of triangles bound the third.

Delays obey the triangle inequality roughly, since paths through the underlay share their ends: over the best common
neighbour there is a way this long, and no neighbour can be nearer to one end than to the other by more than the pair's
own delay. A neighbour next door makes both bounds tight (Ng, Zhang, "Predicting Internet network distance with
coordinates-based approaches", INFOCOM 2002; Gummadi, Saroiu, Gribble, "King", IMW 2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.graph import ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.graph import Graph


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangles:
    """What third nodes say of K pairs; every array is (K,) float64, NaN where there is no measured detour.

    Attributes:
        above: One-way seconds over the best common neighbour.
        below: Seconds by which one common neighbour is at least nearer to one end than to the other.
        jitter: Seconds, over that best neighbour.
        loss: Probability, over that best neighbour.
    """

    above: NDArray[np.float64]
    below: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]


def triangles(graph: Graph, src: NDArray[np.int32], dst: NDArray[np.int32]) -> Triangles:
    """What measured links by way of common neighbours say of the pairs `src` to `dst`.

    Args:
        graph: The shared belief.
        src: (K,) node indices.
        dst: (K,) node indices.
    """
    links, count = graph.links, len(src)
    pair, first = ragged(graph.starts_out[src], graph.starts_out[src.astype(np.int64) + 1])
    second = graph.find(links.dst[first], dst[pair])
    kept = (second >= 0) & links.observed[first] & links.observed[second]
    pair, first, second = pair[kept], first[kept], second[kept]
    near, far = links.delay[first], links.delay[second]
    best = np.lexsort((near + far, pair))
    best = best[np.flatnonzero(np.diff(pair[best], prepend=-1))]
    below = np.full(count, -np.inf)
    np.maximum.at(below, pair, np.abs(near - far))
    values = np.full((3, count), np.nan)
    one, two, at = first[best], second[best], pair[best]
    values[0, at] = links.delay[one] + links.delay[two]
    values[1, at] = np.hypot(links.jitter[one], links.jitter[two])
    values[2, at] = 1.0 - (1.0 - links.loss[one]) * (1.0 - links.loss[two])
    above, jitter, loss = values
    return Triangles(above=above, below=np.where(np.isnan(above), np.nan, below), jitter=jitter, loss=loss)
