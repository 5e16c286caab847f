"""A graph of places and directed links as arrays; to and from networkx. Where graphs come from: `scenario`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.display import some, table

if TYPE_CHECKING:
    import networkx as nx
    from numpy.typing import NDArray


MEASURES = ("delay", "jitter", "loss", "rate")
"""What a topology may say of its links beside their length."""


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
        delay: (E,) float64 one-way seconds, as measured, in place of what the length says.
        jitter: (E,) float64 seconds that packets stray even on an idle link, as measured.
        loss: (E,) float64 share of packets lost on an idle link.
        rate: (E,) float64 bits per second.

    The last four are None where the source says nothing of them, and NaN on links of which it says nothing.
    """

    name: str
    names: tuple[str, ...]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    length: NDArray[np.float64]
    delay: NDArray[np.float64] | None = None
    jitter: NDArray[np.float64] | None = None
    loss: NDArray[np.float64] | None = None
    rate: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"{self.name}: place names are not unique")
        for measure in MEASURES:
            values = getattr(self, measure)
            if values is not None and values.shape != self.src.shape:
                raise ValueError(f"{self.name}: {measure} has shape {values.shape}, links {self.src.shape}")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """CSR row starts by source, (N + 1,)."""
        return np.searchsorted(self.src, np.arange(len(self) + 1))

    @property
    def is_complete(self) -> bool:
        """Whether a link leads from each place to each other."""
        return len(self.src) == len(self) * (len(self) - 1)

    def _repr_html_(self) -> str:
        said = {name: getattr(self, name) for name in MEASURES}
        rows = {
            "places": some(self.names),
            "links": f"{len(self.src):,} directed",
            "link lengths": f"{self.length.min() / 1e3:,.0f} to {self.length.max() / 1e3:,.0f} km"
            if self.src.size
            else None,
            "measured": [name for name, values in said.items() if values is not None],
        }
        return table(f"topology {self.name}", rows)

    def node(self, index: int) -> Node:
        """Place `index` as a value."""
        return Node(
            name=self.names[index], latitude=float(self.latitude[index]), longitude=float(self.longitude[index])
        )

    def link(self, index: int) -> Link:
        """Link `index` as a value."""
        return Link(src=int(self.src[index]), dst=int(self.dst[index]), length=float(self.length[index]))

    def to_networkx(self) -> nx.DiGraph[int]:
        """The same for networkx: nodes by index with `name`, `latitude`, `longitude`; edges with `length` (metres).

        Edges also have those of `MEASURES` that the topology says of them.
        """
        import networkx as nx  # noqa: PLC0415 - an extra; only needed here

        graph: nx.DiGraph[int] = nx.DiGraph(name=self.name)
        for i, name in enumerate(self.names):
            graph.add_node(i, name=name, latitude=float(self.latitude[i]), longitude=float(self.longitude[i]))
        for i, length in enumerate(self.length.tolist()):
            graph.add_edge(int(self.src[i]), int(self.dst[i]), length=length, **self.measures(i))
        return graph

    def measures(self, index: int) -> dict[str, float]:
        """What the topology says of link `index` beside its length, by the names of `MEASURES`."""
        said = {name: values[index] for name in MEASURES if (values := getattr(self, name)) is not None}
        return {name: float(value) for name, value in said.items() if not np.isnan(value)}


def from_networkx(graph: nx.Graph[Any], *, name: str | None = None) -> Topology:
    """A topology from a networkx graph of any node labels; undirected edges become two links.

    Node attributes `latitude`, `longitude` (degrees) and edge attribute `length` (metres) are used where present; a
    length is otherwise the great-circle distance, and places without coordinates are put at (0, 0). Self-loops are
    left out; of parallel edges the shortest stays. Edge attributes named in `MEASURES` are kept.
    """
    labels = list(graph.nodes)
    place = {label: i for i, label in enumerate(labels)}
    data = [graph.nodes[label] for label in labels]
    latitude = np.array([float(d.get("latitude", 0.0)) for d in data])
    longitude = np.array([float(d.get("longitude", 0.0)) for d in data])
    links: dict[tuple[int, int], tuple[float, dict[str, Any]]] = {}
    for a, b, attributes in graph.edges(data=True):
        i, j = place[a], place[b]
        if i == j:
            continue
        fallback = float(geo.distance(latitude[i], longitude[i], latitude[j], longitude[j]))
        length = float(attributes.get("length", fallback))
        for pair in ((i, j),) if graph.is_directed() else ((i, j), (j, i)):
            if pair not in links or length < links[pair][0]:
                links[pair] = length, attributes
    pairs = sorted(links)
    return Topology(
        name=name or str(graph.graph.get("name", "graph")),
        names=tuple(str(d.get("name", label)) for label, d in zip(labels, data, strict=True)),
        latitude=latitude,
        longitude=longitude,
        src=np.array([p[0] for p in pairs], dtype=np.int32),
        dst=np.array([p[1] for p in pairs], dtype=np.int32),
        length=np.array([links[p][0] for p in pairs], dtype=np.float64),
        **measures([links[p][1] for p in pairs]),
    )


def measures(said: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Arrays (E,) of those of `MEASURES` that are said of any of E links; NaN where one says nothing.

    >>> measures([{"loss": 0.1}, {}])
    {'loss': array([0.1, nan])}
    """
    named = [name for name in MEASURES if any(name in link for link in said)]
    return {name: np.array([float(link.get(name, np.nan)) for link in said]) for name in named}
