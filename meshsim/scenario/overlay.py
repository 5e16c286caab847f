"""Which overlay links nodes keep up: each node with some relays, relays among each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh.view import Role, connectable
from meshsim.scenario.plan import PlannedLinks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.scenario.nodes import NodesConfig
    from meshsim.scenario.plan import PlannedNodes, Underlay

FULL_MESH = 40
"""Up to so many relays, all keep links with all."""

_RELAY_NEAREST, _RELAY_RANDOM = 16, 8


def build_links(config: NodesConfig, nodes: PlannedNodes, underlay: Underlay, seeds: SeedTree) -> PlannedLinks:
    """The overlay's links, each in both directions and none between NATs that hole punching does not join."""
    relays = np.flatnonzero(nodes.role != Role.PEER)
    round_trip = round_trips(nodes, underlay, relays)
    linked = np.zeros((len(nodes), len(relays)), dtype=np.bool_)
    for i, name in enumerate(nodes.names):
        near, drawn = _degrees(config, nodes.role[i] != Role.PEER, len(relays))
        able = connectable(nodes.nat[i], nodes.nat[relays]) & (relays != i)
        linked[i] = _choose(round_trip[i], seeds.stream(f"overlay/{name}").uniform(0, len(relays)), able, near, drawn)
    node, column = np.nonzero(linked)
    pairs = np.stack([np.concatenate([node, relays[column]]), np.concatenate([relays[column], node])], axis=1)
    src, dst = np.unique(pairs.reshape(-1, 2), axis=0).astype(np.int32).T
    return PlannedLinks(src=src.copy(), dst=dst.copy())


def _degrees(config: NodesConfig, relaying: bool, relays: int) -> tuple[int, int]:  # noqa: FBT001 - private, read once
    """How many nearest and how many random relays a node keeps links with."""
    if not relaying:
        return config.relays_per_node, config.random_relays
    return (relays, 0) if relays <= FULL_MESH else (_RELAY_NEAREST, _RELAY_RANDOM)


def _choose(
    round_trip: NDArray[np.float64], draws: NDArray[np.float64], able: NDArray[np.bool_], near: int, drawn: int
) -> NDArray[np.bool_]:
    """The `near` nearest of the `able`, and the `drawn` others with the lowest draws; shapes (R,)."""
    chosen = np.zeros(len(able), dtype=np.bool_)
    chosen[np.argsort(np.where(able, round_trip, np.inf), kind="stable")[:near]] = True
    chosen[np.argsort(np.where(able & ~chosen, draws, np.inf), kind="stable")[:drawn]] = True
    return chosen & able


def round_trips(nodes: PlannedNodes, underlay: Underlay, relays: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unloaded round-trip seconds from each of N nodes to each of R relays, (N, R)."""
    places = len(underlay.topology)
    total = np.concatenate([[0.0], np.cumsum(underlay.propagation[underlay.route_edge])])
    one_way = (total[underlay.route_indptr[1:]] - total[underlay.route_indptr[:-1]]).reshape(places, places)
    between = (one_way + one_way.T)[nodes.router[:, None], nodes.router[relays]]
    return np.asarray(between + 2 * (nodes.access_delay[:, None] + nodes.access_delay[relays]))
