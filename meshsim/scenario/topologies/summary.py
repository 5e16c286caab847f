"""What a topology is like, in numbers for people: size, degrees, parts, how far its ends are apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.errors import MissingExtra
from meshsim.mesh.topology import MEASURES
from meshsim.scenario.topologies.allowed import Use, allowed_for

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A topology in numbers.

    Attributes:
        name: As the topology has it.
        use: The most that it may be used for.
        nodes, links: Places, and directed links.
        directed: Whether some link has no link back.
        degree_min, degree_median, degree_max: Links from a place.
        components: Parts in each of which all places can reach each other.
        diameter_hops: Most links of a shortest path in the largest part.
        diameter_km: Its longest shortest path by length.
        link_length_mean_km, link_length_max_km: Of all links.
        said: Which of `mesh.topology.MEASURES` it says, with the share of links of which it does.
    """

    name: str
    use: Use
    nodes: int
    links: int
    directed: bool
    degree_min: int
    degree_median: float
    degree_max: int
    components: int
    diameter_hops: int
    diameter_km: float
    link_length_mean_km: float
    link_length_max_km: float
    said: dict[str, float]


def summarise(topology: Topology) -> Summary:
    """`topology` in numbers.

    >>> from meshsim.scenario.topologies import load
    >>> ring = summarise(load("ring", places=6, spacing=1e5))
    >>> ring.nodes, ring.degree_max, ring.diameter_hops, round(ring.diameter_km)
    (6, 2, 3, 300)
    """
    degree = np.bincount(topology.src, minlength=len(topology))
    components, hops, metres = _parts(topology)
    pairs = set(zip(topology.src.tolist(), topology.dst.tolist(), strict=True))
    return Summary(
        name=topology.name,
        use=allowed_for(topology.name),
        nodes=len(topology),
        links=len(topology.src),
        directed=any((b, a) not in pairs for a, b in pairs),
        degree_min=int(degree.min()),
        degree_median=float(np.median(degree)),
        degree_max=int(degree.max()),
        components=components,
        diameter_hops=hops,
        diameter_km=metres / 1e3,
        link_length_mean_km=float(topology.length.mean()) / 1e3,
        link_length_max_km=float(topology.length.max()) / 1e3,
        said={name: _share(values) for name in MEASURES if (values := getattr(topology, name)) is not None},
    )


def _share(values: NDArray[np.float64]) -> float:
    return float(np.mean(~np.isnan(values)))


def _parts(topology: Topology) -> tuple[int, int, float]:
    """Number of parts; links and metres of the longest shortest paths in the largest."""
    try:
        from scipy.sparse import csr_array  # noqa: PLC0415 - an extra; only this asks for it
        from scipy.sparse.csgraph import connected_components, dijkstra  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
    # graphs take zeros for absent edges
    weights = np.maximum(topology.length, 1e-3)
    graph = csr_array((weights, (topology.src, topology.dst)), shape=(len(topology),) * 2)
    count, part = connected_components(graph, connection="strong")
    largest = np.flatnonzero(part == np.bincount(part).argmax())
    inside = graph[largest][:, largest]
    hops = dijkstra(inside, unweighted=True).max()
    return int(count), int(hops), float(dijkstra(inside).max())
