"""What is computed once per shared belief and kept: sorted link keys, rows by source, an order of the ids.

Shared beliefs (`view.nodes`, `view.links`) are never changed in place; a new belief is a new object. So object
identity is the key of every cache here, and two owners whose version numbers happen to agree cannot be taken for one
another.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from meshsim.mesh.view import LinkBelief, NetworkView, NodeBelief
    from meshsim.routing.constraints import RelayRefusals
    from meshsim.routing.request import Barred

T = TypeVar("T")

CACHED_BELIEFS = 8


class Graph:
    """The shared belief of a view (N nodes, E links) with what routing derives from it.

    Attributes:
        nodes: The nodes of the view.
        links: The links of the view.
        refusals: What `constraints.relay_refusals` has found out of these nodes, by what it was asked.
    """

    def __init__(self, nodes: NodeBelief, links: LinkBelief) -> None:
        self.nodes = nodes
        self.links = links
        self.refusals: dict[tuple[float, float, bool, bool, Barred], RelayRefusals] = {}
        self._among: tuple[bytes, tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]] | None = None

    @cached_property
    def key(self) -> NDArray[np.int64]:
        """`src * N + dst` of each link, ascending; shape (E,)."""
        return self.links.src.astype(np.int64) * len(self.nodes) + self.links.dst

    @cached_property
    def indptr(self) -> list[int]:
        """CSR row starts of the links by source, N + 1 entries."""
        starts: list[int] = np.searchsorted(self.links.src, np.arange(len(self.nodes) + 1)).tolist()
        return starts

    @cached_property
    def starts_out(self) -> NDArray[np.int64]:
        """`indptr` as an array; (N + 1,)."""
        return np.asarray(self.indptr, dtype=np.int64)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Nodes that have an outgoing link, ascending."""
        return np.flatnonzero(np.diff(self.indptr))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First link of each node in `rows`."""
        return self.starts_out[self.rows]

    @cached_property
    def rank(self) -> list[int]:
        """Place of each node in the order of ids: breaks ties the same way however nodes are numbered."""
        order = sorted(range(len(self.nodes)), key=self.nodes.ids.__getitem__)
        rank = [0] * len(order)
        for place, node in enumerate(order):
            rank[node] = place
        return rank

    @cached_property
    def rank_array(self) -> NDArray[np.int64]:
        """`rank` as an array; (N,)."""
        return np.array(self.rank, dtype=np.int64)

    @cached_property
    def inward(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the links sorted by destination, (E,), and where those to each node start, (N + 1,)."""
        order = np.argsort(self.links.dst, kind="stable")
        return order, np.searchsorted(self.links.dst[order], np.arange(len(self.nodes) + 1))

    def into(self, node: int) -> NDArray[np.int64]:
        """Rows of the links to `node`."""
        order, starts = self.inward
        return order[starts[node] : starts[node + 1]]

    def among(self, ok: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Rows, sources and destinations of the links between nodes that are `ok` (N,); the last answer is kept."""
        key = ok.tobytes()
        if self._among is None or self._among[0] != key:
            rows = np.flatnonzero(ok[self.links.src] & ok[self.links.dst])
            self._among = key, (rows, self.links.src[rows], self.links.dst[rows])
        return self._among[1]

    def find(self, src: NDArray[np.int32], dst: NDArray[np.int32]) -> NDArray[np.int64]:
        """Rows of the links from `src` to `dst`, -1 where there is none; (K,) -> (K,)."""
        return find_key(self.key, src.astype(np.int64) * len(self.nodes) + dst)


def find_key(key: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each of `wanted` (K,) in the ascending `key`, -1 where absent."""
    if not len(key):
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[at] == wanted, at, -1)


def ragged(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers from each start to its stop, one range after the other, and the range each is of."""
    lengths = stops - starts
    owner = np.repeat(np.arange(len(starts)), lengths)
    return owner, np.arange(len(owner)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)


class Memo(Generic[T]):
    """The last few values built from graphs, by the graph's identity."""

    def __init__(self, build: Callable[[Graph], T], size: int = CACHED_BELIEFS) -> None:
        self._build = build
        self._size = size
        self._kept: OrderedDict[int, tuple[Graph, T]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        # identities mean nothing in a copy
        return {"_build": self._build, "_size": self._size, "_kept": OrderedDict()}

    def __call__(self, graph: Graph) -> T:
        """The value for `graph`, built at most once while it is kept."""
        kept = self._kept.get(id(graph))
        if kept is None:
            kept = self._kept[id(graph)] = (graph, self._build(graph))
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(id(graph))
        return kept[1]


_GRAPHS: OrderedDict[tuple[int, int], Graph] = OrderedDict()


def graph_of(view: NetworkView) -> Graph:
    """The graph of the view's shared belief; views that share `nodes` and `links` share it."""
    key = (id(view.nodes), id(view.links))
    graph = _GRAPHS.get(key)
    if graph is None:
        graph = _GRAPHS[key] = Graph(view.nodes, view.links)
        if len(_GRAPHS) > CACHED_BELIEFS:
            _GRAPHS.popitem(last=False)
    else:
        _GRAPHS.move_to_end(key)
    return graph
