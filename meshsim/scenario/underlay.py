"""The network below: the quality of its edges, and the routes between its places, chosen not by distance alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError, MissingExtra
from meshsim.scenario.plan import Underlay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.network import UnderlayConfig

MOST_PLACES = 600
"""Routes are kept for all pairs of places."""

_MOST_UTILISATION = 0.97
_MOST_LOSS = 0.5


def build_underlay(config: UnderlayConfig, topology: Topology, seeds: SeedTree) -> Underlay:
    """The underlay on `topology`.

    Raises:
        ConfigError: If the topology is too large, or not in one part.
    """
    if len(topology) > MOST_PLACES:
        problem = f"{topology.name} has {len(topology)} places"
        raise ConfigError(problem, key="underlay.topology", allowed=[f"<= {MOST_PLACES}"])
    indptr, route_edge = _routes(topology, _weights(config, topology, seeds))
    edges = len(topology.src)
    return Underlay(
        topology=topology,
        capacity=config.capacity * np.exp(config.capacity_spread * _normal(seeds, "underlay/capacity", edges)),
        propagation=topology.length * config.fibre_stretch / geo.FIBRE_SPEED + config.hop_delay,
        utilisation=_utilisation(config, seeds, edges),
        loss=_loss(config, seeds, edges),
        route_indptr=indptr,
        route_edge=route_edge,
    )


def _normal(seeds: SeedTree, name: str, edges: int) -> NDArray[np.float64]:
    return seeds.generator(name).standard_normal(edges)


def _utilisation(config: UnderlayConfig, seeds: SeedTree, edges: int) -> NDArray[np.float64]:
    """Mean utilisation of each edge: normal on the logit scale around the configured median."""
    median = config.utilisation_mean / (1.0 - config.utilisation_mean)
    odds = median * np.exp(config.utilisation_spread * _normal(seeds, "underlay/utilisation", edges))
    return np.asarray(np.minimum(odds / (1.0 + odds), _MOST_UTILISATION))


def _loss(config: UnderlayConfig, seeds: SeedTree, edges: int) -> NDArray[np.float64]:
    """Base loss of each edge: log-normal with the configured mean."""
    sigma = config.loss_spread
    factor = np.exp(sigma * _normal(seeds, "underlay/loss", edges) - sigma**2 / 2)
    return np.asarray(np.minimum(config.loss * factor, _MOST_LOSS))


def _weights(config: UnderlayConfig, topology: Topology, seeds: SeedTree) -> NDArray[np.float64]:
    """Routing weight of each edge, metres; positive, for Dijkstra takes zeros for absent edges."""
    factor = np.exp(config.routing_inflation * _normal(seeds, "underlay/routing", len(topology.src)))
    return np.asarray(topology.length * factor + config.hop_cost + 1.0)


def _routes(topology: Topology, weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Least-weight routes between all places as CSR: `route_indptr` (U * U + 1,), `route_edge`."""
    places = len(topology)
    before = _predecessors(topology, weight)
    edge_of = np.full((places, places), -1, dtype=np.int32)
    edge_of[topology.src, topology.dst] = np.arange(len(topology.src), dtype=np.int32)
    source = np.repeat(np.arange(places), places)
    at = np.tile(np.arange(places), places)
    steps = []  # one array per step back from the target: the edge entered, -1 where the source is reached
    while (away := at != source).any():
        previous = np.where(away, before[source, at], at)
        steps.append(np.where(away, edge_of[previous, at], -1))
        at = previous
    backwards = np.stack(steps, axis=1) if steps else np.empty((places * places, 0), dtype=np.int32)
    forwards = backwards[:, ::-1]
    taken = forwards >= 0
    indptr = np.concatenate([[0], np.cumsum(taken.sum(axis=1))]).astype(np.int64)
    return indptr, forwards[taken].astype(np.int32)


def _predecessors(topology: Topology, weight: NDArray[np.float64]) -> NDArray[np.int32]:
    try:
        from scipy.sparse import csr_array  # noqa: PLC0415 - an extra; only compiling needs it
        from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra("scipy", "sim") from error
    graph = csr_array((weight, (topology.src, topology.dst)), shape=(len(topology), len(topology)))
    distance, before = dijkstra(graph, return_predecessors=True)
    if not np.isfinite(distance).all():
        raise ConfigError(f"{topology.name} is not connected", key="underlay.topology")
    return np.asarray(before)
