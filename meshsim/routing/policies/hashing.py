"""A number in [0, 1) for each path of each call, drawn by hashing: without state, the same on every machine.

Ranking equals by such numbers is rendezvous hashing (Thaler and Ravishankar, "Using name-based mappings to increase hit
rates", IEEE/ACM Transactions on Networking 6(1), 1998; RFC 2991 calls it highest random weight): calls spread evenly
over the paths, and a path that goes away moves only the calls that were on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.routing.graph import Graph, Memo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.routing.features import Features

_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_TO_UNIT = 2.0**-53


def mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """`value` with its bits mixed: the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), a bijection."""
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


def _node_hashes(graph: Graph) -> NDArray[np.uint64]:
    """(N,) a number of each node that depends on its id alone; ids are keys, which are as good as random."""
    return mixed(np.array([int.from_bytes(node[:8], "big") for node in graph.nodes.ids], dtype=np.uint64))


node_hashes = Memo(_node_hashes)


def path_draws(features: Features, flow: int | NDArray[np.int64] = 0) -> NDArray[np.float64]:
    """(P,) a number in [0, 1) for each path, by the ids of its nodes and the call.

    Args:
        features: P paths.
        flow: The call, or that of each path (P,); 0 for one number per path whatever the call.
    """
    node = node_hashes(features.graph)
    hops = mixed(node[features.hop_src] ^ mixed(node[features.hop_dst]))
    start = np.flatnonzero(np.diff(features.hop_path, prepend=-1))
    calls = mixed(np.broadcast_to(np.asarray(flow, dtype=np.uint64), (len(features),)))
    drawn = mixed(np.add.reduceat(hops, start) ^ calls)
    return (drawn >> np.uint64(11)).astype(np.float64) * _TO_UNIT
