"""A graph of places and directed links as arrays; to and from networkx. Where graphs come from: `scenario`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh import geo

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One place of a topology, as a value; coordinates in degrees."""

    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One directed link of a topology, as a value; length in metres."""

    src: int
    dst: int
    length: float


@dataclass(frozen=True, kw_only=True)
class Topology:
    """N places and E directed links, sorted by (src, dst).

    Attributes:
        name: As in `topozoo/HurricaneElectric`.
        names: N place names, unique.
        latitude, longitude: (N,) float64 degrees.
        src, dst: (E,) int32.
        length: (E,) float64 metres.
    """

    name: str
    names: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    length: NDArray[np.float64]

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"{self.name}: place names are not unique")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """CSR row starts by source, (N + 1,)."""
        return np.searchsorted(self.src, np.arange(len(self) + 1))

    def node(self, index: int) -> Node:
        """Place `index` as a value."""
        return Node(
            name=self.names[index], latitude=float(self.latitude[index]), longitude=float(self.longitude[index])
        )

    def link(self, index: int) -> Link:
        """Link `index` as a value."""
        return Link(src=int(self.src[index]), dst=int(self.dst[index]), length=float(self.length[index]))

    def to_networkx(self) -> nx.DiGraph[int]:
        """The same for networkx: nodes by index with `name`, `latitude`, `longitude`; edges with `length` (metres)."""
        import networkx as nx  # noqa: PLC0415 - an extra; only needed here

        graph: nx.DiGraph[int] = nx.DiGraph(name=self.name)
        for i, name in enumerate(self.names):
            graph.add_node(i, name=name, latitude=float(self.latitude[i]), longitude=float(self.longitude[i]))
        for src, dst, length in zip(self.src, self.dst, self.length, strict=True):
            graph.add_edge(int(src), int(dst), length=float(length))
        return graph


def from_networkx(graph: nx.Graph[Any], *, name: str | None = None) -> Topology:
    """A topology from a networkx graph of any node labels; undirected edges become two links.

    Node attributes `latitude`, `longitude` (degrees) and edge attribute `length` (metres) are used where present; a
    length is otherwise the great-circle distance, and places without coordinates are put at (0, 0). Self-loops are
    left out.
    """
    labels = list(graph.nodes)
    place = {label: i for i, label in enumerate(labels)}
    data = [graph.nodes[label] for label in labels]
    latitude = np.array([float(d.get("latitude", 0.0)) for d in data])
    longitude = np.array([float(d.get("longitude", 0.0)) for d in data])
    lengths: dict[tuple[int, int], float] = {}
    for a, b, attributes in graph.edges(data=True):
        i, j = place[a], place[b]
        if i == j:
            continue
        fallback = float(geo.distance(latitude[i], longitude[i], latitude[j], longitude[j]))
        length = float(attributes.get("length", fallback))
        for pair in ((i, j),) if graph.is_directed() else ((i, j), (j, i)):
            lengths[pair] = min(length, lengths.get(pair, length))
    pairs = sorted(lengths)
    return Topology(
        name=name or str(graph.graph.get("name", "graph")),
        names=tuple(str(d.get("name", label)) for label, d in zip(labels, data, strict=True)),
        latitude=latitude,
        longitude=longitude,
        src=np.array([p[0] for p in pairs], dtype=np.int32),
        dst=np.array([p[1] for p in pairs], dtype=np.int32),
        length=np.array([lengths[p] for p in pairs], dtype=np.float64),
    )
