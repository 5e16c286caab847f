"""The k shortest loopless paths of a belief, however long: Yen's algorithm.

Source: Yen, "Finding the k shortest loopless paths in a network", Management Science 17(11), 1971, with the saving of
Lawler, "A procedure for computing the k best solutions to discrete optimization problems", Management Science 18(7),
1972: a path is only deviated from behind the place where it deviated itself. It takes O(k N (E + N log N)) at worst,
whatever the graph; `candidates` is faster for the few hops that calls take, and this is what it is held to.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from meshsim.routing.graph import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView

Path = tuple[int, ...]


@dataclass(slots=True)
class _Search:
    """The neighbours of each node with their delays, the order of ids, and what was found."""

    out: list[dict[int, float]]
    rank: list[int]
    target: int
    found: list[Path] = field(default_factory=list)

    def shortest(self, start: int, avoided: set[int], barred: set[int]) -> Path:
        """The fastest path from `start` to the target, () if there is none: Dijkstra's, equals by the order of ids.

        Args:
            start: Where it begins.
            avoided: Nodes it may not touch.
            barred: Nodes it may not go to from `start`.
        """
        best, before = {start: 0.0}, {start: start}
        heap = [(0.0, self.rank[start], start)]
        while heap:
            delay, _, node = heapq.heappop(heap)
            if node == self.target:
                return self._back(before)
            if delay > best[node]:
                continue
            for further, step in self.out[node].items():
                total = delay + step
                closed = further in avoided or (node == start and further in barred)
                if not closed and total < best.get(further, math.inf):
                    best[further], before[further] = total, node
                    heapq.heappush(heap, (total, self.rank[further], further))
        return ()

    def _back(self, before: dict[int, int]) -> Path:
        path = [self.target]
        while before[path[-1]] != path[-1]:
            path.append(before[path[-1]])
        return tuple(reversed(path))

    def delay(self, path: Path) -> float:
        """One-way delay of a path, seconds, summed from its beginning."""
        total = 0.0
        for node, further in pairwise(path):
            total += self.out[node][further]
        return total

    def deviations(self, path: Path, first: int) -> Iterator[tuple[Path, int]]:
        """The fastest paths that leave `path` at each of its nodes from number `first` on, and where they leave."""
        for place in range(first, len(path) - 1):
            root = path[: place + 1]
            barred = {other[place + 1] for other in self.found if other[: place + 1] == root}
            rest = self.shortest(path[place], set(root[:-1]), barred)
            if rest:
                yield (*root[:-1], *rest), place


def yen(
    view: NetworkView, source: int, target: int, k: int, relay_ok: NDArray[np.bool_] | None = None
) -> tuple[Path, ...]:
    """The `k` loopless paths of least believed delay, over any number of hops, fastest first.

    Args:
        view: What is believed; links of unknown delay are not used.
        source: Node index.
        target: Node index, another one.
        k: Most paths.
        relay_ok: (N,) bool, nodes that may relay; all if None.

    Raises:
        ValueError: If the ends are the same.

    >>> from meshsim.mesh import NodeId
    >>> from meshsim.mesh.view import LinkEntry, NodeEntry, make_view
    >>> links = [LinkEntry(src=0, dst=1, delay=0.09), LinkEntry(src=0, dst=2, delay=0.02)]
    >>> nodes = [NodeEntry(id=NodeId(bytes([i] * 32))) for i in range(3)]
    >>> yen(make_view(nodes, [*links, LinkEntry(src=2, dst=1, delay=0.03)]), 0, 1, 5)
    ((0, 2, 1), (0, 1))
    """
    if source == target:
        raise ValueError(f"a path has two ends: {source}, {target}")
    search = _Search(_neighbours(view, source, target, relay_ok), graph_of(view).rank, target)
    waiting: list[tuple[float, list[int], Path, int]] = []
    first = search.shortest(source, set(), set())
    if first and k > 0:
        heapq.heappush(waiting, (search.delay(first), [], first, 0))
    while waiting and len(search.found) < k:
        _, _, path, place = heapq.heappop(waiting)
        search.found.append(path)
        for other, left in search.deviations(path, place):
            heapq.heappush(waiting, (search.delay(other), [search.rank[node] for node in other], other, left))
    return tuple(search.found)


def _neighbours(
    view: NetworkView, source: int, target: int, relay_ok: NDArray[np.bool_] | None
) -> list[dict[int, float]]:
    """Believed delay to each node that each may pass a call on to; what is fresh replaces what is shared."""
    out: list[dict[int, float]] = [{} for _ in view.nodes.ids]
    usable = [True] * len(out) if relay_ok is None else relay_ok.tolist()
    usable[source] = usable[target] = True
    for links in (view.links, view.fresh):
        if links is not None:
            for src, dst, delay in zip(links.src.tolist(), links.dst.tolist(), links.delay.tolist(), strict=True):
                out[src].pop(dst, None)
                if delay < math.inf and usable[src] and usable[dst] and src != target and dst != source:
                    out[src][dst] = delay
    return out
