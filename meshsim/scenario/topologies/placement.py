"""Where in the world nodes are: at any place alike, where people live, where measured nodes were, or by tier.

A node attaches to an underlay place. What places it can have, and how likely each is, comes from here; the draw itself
is the node's own (`scenario.population`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.scenario.part import Part
from meshsim.scenario.topologies.generators import CORE, REGION
from meshsim.scenario.topologies.measured import cities, table
from meshsim.scenario.topologies.registry import reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.topology import Topology

PlacementName = Literal["places", "population", "bitnodes_2022", "tiers"]

_ONE_WAY = geo.RTT_PER_METRE / 2


class Placement(Part):
    """Where nodes are.

    `places`: at each underlay place with the same probability. `population`: by the inhabitants of 241 cities, each of
    which counts for the place nearest to it. `bitnodes_2022`: where a node of the Bitcoin network with a known address
    was, attached to the nearest place; the way there adds 8.7 ms for 1000 km to its last mile. `tiers`: in a
    `hierarchical` topology super nodes at cores, relays and edges at regions, peers below.
    """

    peers: PlacementName = "places"
    """Of peers and edges."""
    relays: PlacementName = "places"
    """Of relays and super nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spots:
    """K spots where a node may be, each with a probability.

    Attributes:
        router: (K,) int64, the underlay place that a node there attaches to.
        bound: (K,) float64, cumulated probabilities; None where all are alike.
        at: (K, 2) degrees of the node itself (latitude, longitude), or None where it is near its place.
        delay: (K,) seconds of the way to the place, one way.
    """

    router: NDArray[np.int64]
    bound: NDArray[np.float64] | None
    at: NDArray[np.float64] | None
    delay: NDArray[np.float64]

    def pick(self, u: float) -> int:
        """The spot that a draw `u` in [0, 1) falls on."""
        if self.bound is None:
            return int(u * len(self.router))
        return int(np.searchsorted(self.bound[:-1], u, side="right"))


def spots(config: Placement, topology: Topology, role: str) -> Spots:
    """Where nodes of `role` may be on `topology`.

    Raises:
        ConfigError: If data are needed that are not at hand, or the topology has no tiers.
    """
    kind = config.relays if role in ("relay", "super_node") else config.peers
    return _tier(topology, role) if kind == "tiers" else _ANY_ROLE[kind](topology)


def _alike(router: NDArray[np.int64]) -> Spots:
    return Spots(router=router, bound=None, at=None, delay=np.zeros(len(router)))


def _anywhere(topology: Topology) -> Spots:
    return _alike(np.arange(len(topology)))


def _population(topology: Topology) -> Spots:
    _, at, inhabitants = cities()
    router, _ = nearest_places(topology, at)
    weight = np.bincount(router, weights=inhabitants, minlength=len(topology))
    bound = np.cumsum(weight) / weight.sum()
    return Spots(router=np.arange(len(topology)), bound=bound, at=None, delay=np.zeros(len(topology)))


def _bitnodes(topology: Topology) -> Spots:
    at = _bitnodes_at()
    router, metres = nearest_places(topology, at)
    return Spots(router=router, bound=None, at=at, delay=metres * _ONE_WAY)


@cache
def _bitnodes_at() -> NDArray[np.float64]:
    """Degrees of the nodes that have an address; those behind Tor were somewhere else."""
    with reading("bitnodes_2022", "nodes.csv.gz") as path:
        at = [(float(row["lat"]), float(row["lon"])) for row in table(path) if row["net"] != "onion"]
        if not at:
            raise ValueError("no node has a place")
        return np.array(at)


def _tier(topology: Topology, role: str) -> Spots:
    tier = np.array([name.startswith(CORE) * 2 + name.startswith(REGION) for name in topology.names])
    here = np.flatnonzero(tier == {"super_node": 2, "relay": 1, "edge": 1}.get(role, 0))
    if set(tier) != {0, 1, 2}:
        problem = f"{topology.name} has no tiers"
        raise ConfigError(problem, key="nodes.placement", allowed=["tiers of {generator: hierarchical}"])
    return _alike(here)


def nearest_places(topology: Topology, at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The place nearest to each of K points, and how far it is, metres; both (K,).

    Args:
        topology: With places in degrees.
        at: (K, 2) degrees: latitude, longitude.
    """
    points, which = np.unique(at, axis=0, return_inverse=True)
    metres = geo.distance(points[:, None, 0], points[:, None, 1], topology.latitude, topology.longitude)
    router = metres.argmin(axis=1)
    return router[which], metres[np.arange(len(points)), router][which]


_ANY_ROLE: dict[str, Callable[[Topology], Spots]] = {
    "places": _anywhere,
    "population": _population,
    "bitnodes_2022": _bitnodes,
}
