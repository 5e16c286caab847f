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

MOST_PLACES = 1_500
"""Routes are kept for all pairs of places."""

MOST_HOPS = 60_000_000
"""Hops of all routes together; half a gigabyte where the simulator walks them."""

_PERCENT_LOST, _WORST_LOSS = 200e3, 0.99
"""Metres: as `UnderlayConfig.hop_cost` is by default; and the loss from which all are the same."""

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
    if topology.is_complete and topology.delay is not None:
        indptr, route_edge = _direct(topology)
    else:
        indptr, route_edge = _routes(topology, _weights(config, topology, seeds))
    edges = len(topology.src)
    return Underlay(
        topology=topology,
        capacity=_unless_said(topology.rate, _capacity(config, seeds, edges)),
        propagation=_unless_said(topology.delay, _propagation(config, topology)),
        jitter=_unless_said(topology.jitter, np.zeros(edges)),
        utilisation=_utilisation(config, seeds, edges),
        loss=_unless_said(topology.loss, _loss(config, seeds, edges)),
        route_indptr=indptr,
        route_edge=route_edge,
    )


def _unless_said(said: NDArray[np.float64] | None, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the topology says of each edge; `drawn` where it says nothing."""
    return drawn if said is None else np.where(np.isnan(said), drawn, said)


def _normal(seeds: SeedTree, name: str, edges: int) -> NDArray[np.float64]:
    return seeds.generator(name).standard_normal(edges)


def _capacity(config: UnderlayConfig, seeds: SeedTree, edges: int) -> NDArray[np.float64]:
    return np.asarray(config.capacity * np.exp(config.capacity_spread * _normal(seeds, "underlay/capacity", edges)))


def _propagation(config: UnderlayConfig, topology: Topology) -> NDArray[np.float64]:
    return topology.length * config.fibre_stretch / geo.FIBRE_SPEED + config.hop_delay


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
    """Routing weight of each edge, metres; positive, for Dijkstra takes zeros for absent edges.

    Networks route around edges that are known to be bad: each percent that one loses counts as `_PERCENT_LOST` more.
    """
    factor = np.exp(config.routing_inflation * _normal(seeds, "underlay/routing", len(topology.src)))
    weight = topology.length * factor + config.hop_cost + 1.0
    if topology.loss is None:
        return np.asarray(weight)
    kept = np.maximum(1.0 - np.nan_to_num(topology.loss), 1.0 - _WORST_LOSS)
    return np.asarray(weight - np.log(kept) * 100.0 * _PERCENT_LOST)


def _direct(topology: Topology) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Routes of a complete graph that was measured end to end: the one edge between any two places."""
    places = len(topology)
    steps = np.ones((places, places), dtype=np.int64)
    np.fill_diagonal(steps, 0)
    return np.concatenate([[0], np.cumsum(steps)]), np.arange(len(topology.src), dtype=np.int32)


def _routes(topology: Topology, weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Least-weight routes between all places as CSR: `route_indptr` (U * U + 1,), `route_edge`.

    Raises:
        ConfigError: If the graph is not in one part, or its routes take more hops than memory holds.
    """
    places = len(topology)
    before = _predecessors(topology, weight)
    edge_of = np.full((places, places), -1, dtype=np.int32)
    edge_of[topology.src, topology.dst] = np.arange(len(topology.src), dtype=np.int32)
    hops, edges, total = [np.zeros(1, dtype=np.int64)], [], 0
    for source in range(places):  # one source after the other, so that long routes of few pairs take no space of all
        taken, of_each = _tree(before[source], edge_of, source)
        hops.append(of_each)
        edges.append(taken)
        total += len(taken)
        if total > MOST_HOPS:
            problem = f"the routes of {topology.name} take more than {MOST_HOPS:,} hops"
            raise ConfigError(problem, key="underlay.topology", allowed=["fewer places", "more links"])
    return np.cumsum(np.concatenate(hops)), np.concatenate(edges)


def _tree(
    before: NDArray[np.int32], edge_of: NDArray[np.int32], source: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Edges of the routes from `source` to all U places, one after the other, and how many each takes, (U,)."""
    at = np.arange(len(before))
    steps = []  # one array per step back from the target: the edge entered, -1 where the source is reached
    while (away := at != source).any():
        previous = np.where(away, before[at], at)
        steps.append(np.where(away, edge_of[previous, at], -1))
        at = previous
    forwards = np.stack(steps, axis=1)[:, ::-1] if steps else np.empty((len(before), 0), dtype=np.int32)
    taken = forwards >= 0
    return forwards[taken].astype(np.int32), taken.sum(axis=1)


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
