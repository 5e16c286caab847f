"""Which paths are worth scoring: the direct one, then the k - 1 fastest loopless ones within the hop limit, exactly.

Paths of at most three hops, which is all that calls take, are enumerated as arrays and sorted. Longer ones are found as
Yen does (`yen` has it for any number of hops): the next path leaves one of those before it at some node, and goes on
from there by A*. The bound of a prefix is its delay plus the least delay of any walk to the target in the hops that
remain, from a vectorised Bellman-Ford backwards; a bound that never overestimates makes the order exact (Hart, Nilsson,
Raphael 1968). Whether a path may be used is decided in `constraints`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.graph import graph_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.view import LinkBelief, NetworkView
    from meshsim.routing.graph import Graph

MOST_ENUMERATED = 3
"""Hops up to which all paths are looked at."""

_FEW = 4
"""Times as many paths as wanted, beyond which those that cannot be among them are dropped before sorting."""

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
        return iter(self.paths)

    def path(self, i: int) -> tuple[int, ...]:
        """Node indices of path `i`, source first."""
        return self.paths[i]

    @cached_property
    def paths(self) -> tuple[tuple[int, ...], ...]:
        """Node indices of all paths."""
        nodes = self.nodes.tolist()
        return tuple(tuple(nodes[start:stop]) for start, stop in pairwise(self.indptr.tolist()))

    @cached_property
    def inner(self) -> NDArray[np.bool_]:
        """Which of `nodes` relay: neither first nor last of their path."""
        inner = np.ones(len(self.nodes), dtype=np.bool_)
        inner[self.indptr[:-1]] = False
        inner[self.indptr[1:] - 1] = False
        return inner

    @cached_property
    def hops(self) -> NDArray[np.int64]:
        """Links of each path; (P,)."""
        return self.indptr[1:] - self.indptr[:-1] - 1

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
        kept = np.ones(len(self.nodes), dtype=np.bool_)
        kept[self.indptr[1:] - 1] = False
        return self.nodes[kept]

    @cached_property
    def hop_dst(self) -> NDArray[np.int32]:
        """Destination node of each hop; (sum H,)."""
        kept = np.ones(len(self.nodes), dtype=np.bool_)
        kept[self.indptr[:-1]] = False
        return self.nodes[kept]

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
        indptr=np.array([0, *accumulate(map(len, paths))], dtype=np.int64),
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

    def along(self, path: Sequence[int]) -> list[float]:
        """Delay from the first node of `path` to each, summed from the beginning."""
        total = [0.0]
        for node, further in pairwise(path):
            step = next(delay[to == further] for to, delay in self.out(node) if further in to)
            total.append(total[-1] + step.item(0))
        return total

    def among(self, ok: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
        """Source, destination and delay of the links between nodes that are `ok`."""
        rows, src, dst = self.graph.among(ok)
        pieces = [(src, dst, self.delay[rows])]
        for node, (to, delay) in self.extra.items():
            if ok[node] and ok[to].any():
                near = np.flatnonzero(ok[to])
                pieces.append((np.full(len(near), node, dtype=np.int32), to[near], delay[near]))
        if len(pieces) == 1:
            return pieces[0]
        return tuple(np.concatenate(column) for column in zip(*pieces, strict=True))  # type: ignore[return-value]

    def outward(self, source: int) -> NDArray[np.float64]:
        """(N,) delay of the link from `source` to each node, infinite where there is none."""
        reach = np.full(len(self.graph.nodes), np.inf)
        for dst, delay in self.out(source):
            reach[dst] = delay
        return reach

    def inward(self, target: int) -> NDArray[np.float64]:
        """(N,) delay of the link from each node to `target`, infinite where there is none."""
        reach = np.full(len(self.graph.nodes), np.inf)
        rows = self.graph.into(target)
        reach[self.graph.links.src[rows]] = self.delay[rows]
        for src, (to, delay) in self.extra.items():
            here = np.flatnonzero(to == target)
            if len(here):
                reach[src] = delay[here[0]]
        return reach

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
    weights = _Weights(graph_of(view), view.fresh)
    if max_hops <= MOST_ENUMERATED:
        return _enumerated(weights, (source, target), k, max_hops, relay_ok)
    usable = relay_ok.copy()
    usable[[source, target]] = False
    return _deviating(weights, _bounds(weights, target, max_hops, usable), (source, target), k)


def _enumerated(
    weights: _Weights, ends: tuple[int, int], k: int, max_hops: int, relay_ok: NDArray[np.bool_]
) -> list[tuple[int, ...]]:
    """The `k` best paths over one relay, or over one or two, all of them looked at."""
    source, target = ends
    first, last = weights.outward(source), weights.inward(target)
    first[~relay_ok] = np.inf
    last[~relay_ok] = np.inf
    first[[source, target]] = last[[source, target]] = np.inf
    total = first + last
    near = np.flatnonzero(total < np.inf)
    delay, one, two = total[near], near, np.full(len(near), -1)
    if max_hops == MOST_ENUMERATED:
        src, dst, step = weights.among(relay_ok)
        total = first[src] + step + last[dst]
        rows = np.flatnonzero(total < np.inf)
        delay = np.concatenate([delay, total[rows]])
        one, two = np.concatenate([one, src[rows]]), np.concatenate([two, dst[rows]])
    return _least(weights.graph.rank_array, (delay, one, two), ends, k)


def _least(
    rank: NDArray[np.int64],
    found: tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]],
    ends: tuple[int, int],
    k: int,
) -> list[tuple[int, ...]]:
    """The `k` paths of least delay, equals in the order of ids; `found` is delay, first and second relay or -1."""
    delay, one, two = found
    if len(delay) > _FEW * k:
        near = np.flatnonzero(delay <= np.partition(delay, k - 1)[k - 1])
        delay, one, two = delay[near], one[near], two[near]
    source, target = ends
    order = np.lexsort((rank[np.where(two < 0, target, two)], rank[one], delay))[:k]
    pairs = zip(one[order].tolist(), two[order].tolist(), strict=True)
    return [(source, a, target) if b < 0 else (source, a, b, target) for a, b in pairs]


def _deviating(
    weights: _Weights, bounds: list[NDArray[np.float64]], ends: tuple[int, int], k: int
) -> list[tuple[int, ...]]:
    """The `k` best paths of two hops or more: each further one leaves one before it somewhere (Yen, Lawler)."""
    source, target = ends
    rank = weights.graph.rank
    found: list[tuple[int, ...]] = []
    first = _spur(weights, bounds, (source,), 0.0, {target}, target)
    waiting = [(first[0], [rank[node] for node in first[1]], first[1], 0)] if first else []
    while waiting and len(found) < k:
        _, _, path, left = heapq.heappop(waiting)
        found.append(path)
        delays = weights.along(path)
        for place in range(left, len(path) - 1):
            root = path[: place + 1]
            barred = {other[place + 1] for other in found if other[: place + 1] == root}
            barred |= {target} if place == 0 else set()
            other = _spur(weights, bounds, root, delays[place], barred, target)
            if other:
                heapq.heappush(waiting, (other[0], [rank[node] for node in other[1]], other[1], place))
    return found


def _spur(
    weights: _Weights,
    bounds: list[NDArray[np.float64]],
    root: tuple[int, ...],
    delay: float,
    barred: set[int],
    target: int,
) -> tuple[float, tuple[int, ...]] | None:
    """The fastest path that begins with `root` and goes on to none of `barred`, and its delay; A* within the hops left.

    A prefix that comes to a node later than another one, and with no fewer hops, leads to nothing better; so the work
    is bounded by links times hops. What is left is loopless, for delays are positive.
    """
    rank, begun = weights.graph.rank, len(root)
    came: dict[int, list[tuple[float, int]]] = {node: [(-np.inf, 0)] for node in root[:-1]}
    heap: list[tuple[float, tuple[int, ...], tuple[int, ...], float]] = [(delay, (), root, delay)]
    while heap:
        _, ranks, path, so_far = heapq.heappop(heap)
        if path[-1] == target:
            return so_far, path
        before = came.setdefault(path[-1], [])
        if len(path) > len(bounds) or any(d <= so_far and hops <= len(path) for d, hops in before):
            continue
        before.append((so_far, len(path)))
        for node, total, bound in _children(weights, bounds[len(bounds) - len(path)], path, so_far):
            if not (len(path) == begun and node in barred):
                heapq.heappush(heap, (bound, (*ranks, rank[node]), (*path, node), total))
    return None


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
