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


def build_links(
    config: NodesConfig,
    nodes: PlannedNodes,
    underlay: Underlay,
    seeds: SeedTree,
    border: NDArray[np.bool_] | None = None,
) -> PlannedLinks:
    """The overlay's links, each in both directions and none between NATs that hole punching does not join.

    Args:
        config: How many links nodes keep.
        nodes: N nodes.
        underlay: The network below.
        seeds: One stream for each node.
        border: (N,) which relays other domains see: nodes keep links with the relays of their own domain and the
            nearest of these of each other domain, these among each other; None sees no domains.
    """
    if config.links == "edges":
        return _along_edges(nodes, underlay)
    every, domains = np.flatnonzero(nodes.role != Role.PEER), np.array(nodes.domains)
    between, pairs = place_round_trips(underlay), []
    for i, name in enumerate(nodes.names):  # one node after the other: a table of all nodes by all relays would be huge
        relays = every if border is None else every[domains[every] == domains[i]]
        near, drawn = _degrees(config, nodes.role[i] != Role.PEER, len(relays))
        able = connectable(nodes.nat[i], nodes.nat[relays]) & (relays != i)
        round_trip = _round_trip(nodes, between, np.array([i]), relays)[0]
        chosen = _choose(round_trip, seeds.stream(f"overlay/{name}").uniform(0, len(relays)), able, near, drawn)
        linked = relays[chosen]
        if border is not None:
            linked = np.concatenate([linked, _abroad(nodes, between, border, i)])
        pairs.append(np.stack([np.full(len(linked), i), linked], axis=1))
    one_way = np.concatenate(pairs)
    src, dst = np.unique(np.concatenate([one_way, one_way[:, ::-1]]), axis=0).astype(np.int32).T
    return PlannedLinks(src=src.copy(), dst=dst.copy())


def _abroad(
    nodes: PlannedNodes, between: NDArray[np.float64], border: NDArray[np.bool_], node: int
) -> NDArray[np.int64]:
    """Border relays of other domains that `node` keeps links with: all if it is one, else the nearest of each."""
    foreign = [i for i in np.flatnonzero(border).tolist() if nodes.domains[i] != nodes.domains[node]]
    able = np.array([i for i in foreign if connectable(nodes.nat[node], nodes.nat[i])], dtype=np.int64)
    if border[node] or not len(able):
        return able
    by_distance = able[np.argsort(_round_trip(nodes, between, np.array([node]), able)[0], kind="stable")]
    nearest: dict[str, int] = {}
    for i in by_distance.tolist():
        nearest.setdefault(nodes.domains[i], i)
    return np.array(sorted(nearest.values()), dtype=np.int64)


def _along_edges(nodes: PlannedNodes, underlay: Underlay) -> PlannedLinks:
    """Links of the relaying nodes along the edges between their places, of the peers to the one at their place."""
    peers, relays = np.flatnonzero(nodes.role == Role.PEER), np.flatnonzero(nodes.role != Role.PEER)
    at = np.empty(len(underlay.topology), dtype=np.int64)
    at[nodes.router[relays]] = relays
    home = np.stack([peers, at[nodes.router[peers]]], axis=1)
    edges = np.stack([at[underlay.topology.src], at[underlay.topology.dst]], axis=1)
    src, dst = np.unique(np.concatenate([edges, home, home[:, ::-1]]), axis=0).astype(np.int32).T
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
    chosen[_lowest(np.where(able, round_trip, np.inf), near)] = True
    chosen[_lowest(np.where(able & ~chosen, draws, np.inf), drawn)] = True
    return chosen & able


def _lowest(values: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Where the `count` lowest of (R,) `values` stand, the first of equal ones: without putting all in order."""
    if count >= len(values):
        return np.arange(len(values))
    few = np.flatnonzero(values <= np.partition(values, count)[count])
    return few[np.argsort(values[few], kind="stable")[:count]]


def round_trips(nodes: PlannedNodes, underlay: Underlay, relays: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unloaded round-trip seconds from each of N nodes to each of R relays, (N, R)."""
    return _round_trip(nodes, place_round_trips(underlay), np.arange(len(nodes)), relays)


def place_round_trips(underlay: Underlay) -> NDArray[np.float64]:
    """Unloaded round-trip seconds between any two of U places, (U, U)."""
    places = len(underlay.topology)
    total = np.concatenate([[0.0], np.cumsum(underlay.propagation[underlay.route_edge])])
    one_way = (total[underlay.route_indptr[1:]] - total[underlay.route_indptr[:-1]]).reshape(places, places)
    return np.asarray(one_way + one_way.T)


def _round_trip(
    nodes: PlannedNodes, between: NDArray[np.float64], some: NDArray[np.int64], relays: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The same from `some` nodes, (K, R)."""
    access = nodes.access_delay[some][:, None] + nodes.access_delay[relays]
    return np.asarray(between[nodes.router[some][:, None], nodes.router[relays]] + 2 * access)
