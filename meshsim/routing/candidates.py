"""Which paths are worth scoring: the direct one, then the k - 1 fastest loopless ones within the hop limit, exactly.

Best-first search over loopless prefixes. The bound of a prefix is its delay plus the least delay of any walk to the
target in the hops that remain, from a vectorised Bellman-Ford backwards; a bound that never overestimates makes the
order exact (Hart, Nilsson, Raphael 1968). Whether a path may be used is decided in `constraints`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.graph import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.view import LinkBelief, NetworkView
    from meshsim.routing.graph import Graph

_UNDER = 1.0 - 1e-12
"""Keeps bounds below the sums they bound, whatever the order of summation."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """P paths, ragged as CSR.

    Attributes:
        nodes: int32 node indices of all paths, one after another; path i has H_i + 1 of them.
        indptr: (P + 1,) int64 starts into `nodes`.
    """

    nodes: NDArray[np.int32]
    indptr: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return (self.path(i) for i in range(len(self)))

    def path(self, i: int) -> tuple[int, ...]:
        """Node indices of path `i`, source first."""
        return tuple(self.nodes[self.indptr[i] : self.indptr[i + 1]].tolist())

    @cached_property
    def hops(self) -> NDArray[np.int64]:
        """Links of each path; (P,)."""
        return np.diff(self.indptr) - 1

    @cached_property
    def hop_path(self) -> NDArray[np.int64]:
        """The path each hop belongs to; (sum H,)."""
        return np.repeat(np.arange(len(self)), self.hops)

    @cached_property
    def hop_indptr(self) -> NDArray[np.int64]:
        """Starts of the paths' hops; (P + 1,)."""
        return self.indptr - np.arange(len(self) + 1)

    @cached_property
    def hop_src(self) -> NDArray[np.int32]:
        """Source node of each hop; (sum H,)."""
        return np.delete(self.nodes, self.indptr[1:] - 1)

    @cached_property
    def hop_dst(self) -> NDArray[np.int32]:
        """Destination node of each hop; (sum H,)."""
        return np.delete(self.nodes, self.indptr[:-1])

    def take(self, rows: Sequence[int]) -> Candidates:
        """The paths `rows`, in that order."""
        return candidates_of([self.path(i) for i in rows])


def candidates_of(paths: Sequence[Sequence[int]]) -> Candidates:
    """Candidates from plain paths of node indices, each with at least two nodes.

    >>> candidates_of([(0, 2), (0, 1, 2)]).hop_src.tolist()
    [0, 0, 1]
    """
    return Candidates(
        nodes=np.array([node for path in paths for node in path], dtype=np.int32),
        indptr=np.cumsum([0, *(len(path) for path in paths)], dtype=np.int64),
    )


class _Weights:
    """Believed delays of the links: the shared belief's, replaced and extended by what is fresh."""

    def __init__(self, graph: Graph, fresh: LinkBelief | None) -> None:
        self.graph = graph
        self.delay = graph.links.delay
        self.extra: dict[int, tuple[NDArray[np.int32], NDArray[np.float64]]] = {}
        if fresh is not None and len(fresh):
            self._overlay(fresh)

    def _overlay(self, fresh: LinkBelief) -> None:
        row = self.graph.find(fresh.src, fresh.dst)
        known = row >= 0
        self.delay = self.delay.copy()
        self.delay[row[known]] = fresh.delay[known]
        new = np.flatnonzero(~known)
        for src in np.unique(fresh.src[new]).tolist():
            rows = new[fresh.src[new] == src]
            self.extra[src] = (fresh.dst[rows], fresh.delay[rows])

    def out(self, node: int) -> Iterator[tuple[NDArray[np.int32], NDArray[np.float64]]]:
        """Neighbours of `node` and the delays to them, in one or two pieces."""
        start, stop = self.graph.indptr[node], self.graph.indptr[node + 1]
        yield self.graph.links.dst[start:stop], self.delay[start:stop]
        if node in self.extra:
            yield self.extra[node]

    def step_back(self, bound: NDArray[np.float64]) -> NDArray[np.float64]:
        """Least delay from each node over one link and then `bound`; (N,) -> (N,)."""
        best = np.full(len(bound), np.inf)
        if len(self.delay):
            through = self.delay + bound[self.graph.links.dst]
            best[self.graph.rows] = np.fmin.reduceat(through, self.graph.starts)
        for src, (dst, delay) in self.extra.items():
            best[src] = min(best[src], float(np.min(delay + bound[dst])))
        return best


def _bounds(weights: _Weights, target: int, hops: int, usable: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Row r, (N,): least delay from each usable node to `target` in at most r links; `hops` rows."""
    bound = np.full(len(usable), np.inf)
    bound[target] = 0.0
    rows = [bound]
    for _ in range(hops - 1):
        bound = np.where(usable, weights.step_back(bound), np.inf)
        bound[target] = 0.0
        rows.append(bound * _UNDER)
    return rows


def k_shortest(
    view: NetworkView, source: int, target: int, k: int, max_hops: int, relay_ok: NDArray[np.bool_]
) -> Candidates:
    """The direct path, then the loopless paths of least believed delay.

    Args:
        view: What is believed.
        source: Index of the calling node.
        target: Index of the called node, another one.
        k: Most paths, the direct one included.
        max_hops: Most links of a path.
        relay_ok: (N,) bool, nodes that may relay; source and target never do.

    Returns:
        At most `k` paths. The first is (source, target), known or not; the others come in order of delay, equal
        delays in the order of node ids.
    """
    paths = [(source, target), *_relayed(view, source, target, k - 1, max_hops, relay_ok)]
    return candidates_of(paths)


def _relayed(
    view: NetworkView, source: int, target: int, k: int, max_hops: int, relay_ok: NDArray[np.bool_]
) -> list[tuple[int, ...]]:
    if max_hops < 2 or k < 1:  # noqa: PLR2004 - a relayed path has two hops at least
        return []
    graph = graph_of(view)
    usable = relay_ok.copy()
    usable[[source, target]] = False
    weights = _Weights(graph, view.fresh)
    return _best_first(weights, _bounds(weights, target, max_hops, usable), (source, target), k)


def _best_first(
    weights: _Weights, bounds: list[NDArray[np.float64]], ends: tuple[int, int], k: int
) -> list[tuple[int, ...]]:
    source, target = ends
    rank = weights.graph.rank
    found: list[tuple[int, ...]] = []
    heap: list[tuple[float, tuple[int, ...], tuple[int, ...], float]] = [(0.0, (), (source,), 0.0)]
    while heap and len(found) < k:
        _, ranks, path, delay = heapq.heappop(heap)
        if path[-1] == target:
            found.append(path)
            continue
        for node, total, bound in _children(weights, bounds[len(bounds) - len(path)], path, delay):
            if node not in path and not (node == target and len(path) == 1):
                heapq.heappush(heap, (bound, (*ranks, rank[node]), (*path, node), total))
    return found


def _children(
    weights: _Weights, bound: NDArray[np.float64], path: tuple[int, ...], delay: float
) -> Iterator[tuple[int, float, float]]:
    """Next nodes of a prefix that can still reach the target, with the delay so far and the least delay in all."""
    for dst, step in weights.out(path[-1]):
        total = delay + step
        least = total + bound[dst]
        keep = np.flatnonzero(least < np.inf)
        yield from zip(dst[keep].tolist(), total[keep].tolist(), least[keep].tolist(), strict=True)


def merged(parts: Sequence[Candidates]) -> Candidates:
    """All paths of `parts`, in order."""
    if len(parts) == 1:
        return parts[0]
    return candidates_of([path for part in parts for path in part])
