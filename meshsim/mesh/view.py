"""What a node believes at an instant: nodes and links as arrays, with their age and what was never observed marked.

A `view` is belief, a `world` is truth. The view is what policies and the scorer see; nothing else of the world
reaches them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from meshsim.mesh.ids import NodeId


class Role(IntEnum):
    """What a node offers: a peer only calls; edges, relays and super_nodes also carry others' calls."""

    PEER = 0
    EDGE = 1
    RELAY = 2
    SUPER_NODE = 3


class Nat(IntEnum):
    """How a node is reached from outside, from open to symmetric."""

    OPEN = 0
    CONE = 1
    PORT_RESTRICTED = 2
    SYMMETRIC = 3


_SYMMETRIC, _RESTRICTED = int(Nat.SYMMETRIC), int(Nat.PORT_RESTRICTED)  # NumPy takes long to see that enums are numbers


def connectable(a: NDArray[np.int8] | int, b: NDArray[np.int8] | int) -> NDArray[np.bool_]:
    """Whether hole punching joins two NATs: not symmetric with symmetric or port-restricted (RFC 5128, section 3)."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.asarray((high < _SYMMETRIC) | (low < _RESTRICTED))


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBelief:
    """What is believed of N nodes; every array has shape (N,).

    Attributes:
        ids: Node ids, in index order.
        role: int8, `Role`.
        nat: int8, `Nat`.
        latitude, longitude: float64 degrees, from the nodes' records.
        aic: bool, supports the AIC codec.
        online: bool, believed reachable.
        load: float64 in [0, 1], share of the call capacity in use.
        max_calls: int32, most calls carried for others.
        capacity: float64, access rate in bits per second.
        reputation, reputation_low, reputation_high: float64, 0..100, score and its 95 % interval.
        evidence: float64, effective number of outcomes behind the score.
        age: float64, seconds since the node was last heard of.
    """

    ids: tuple[NodeId, ...]
    role: NDArray[np.int8]
    nat: NDArray[np.int8]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    aic: NDArray[np.bool_]
    online: NDArray[np.bool_]
    load: NDArray[np.float64]
    max_calls: NDArray[np.int32]
    capacity: NDArray[np.float64]
    reputation: NDArray[np.float64]
    reputation_low: NDArray[np.float64]
    reputation_high: NDArray[np.float64]
    evidence: NDArray[np.float64]
    age: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkBelief:
    """What is believed of E directed links, sorted by (src, dst); every array has shape (E,).

    Attributes:
        src, dst: int32 node indices.
        delay: float64 one-way seconds.
        jitter: float64 seconds.
        loss: float64 probability.
        rate: float64, spare bits per second.
        age: float64, seconds since measured.
        observed: bool; False where the values are a prediction from coordinates.
    """

    src: NDArray[np.int32]
    dst: NDArray[np.int32]
    delay: NDArray[np.float64]
    jitter: NDArray[np.float64]
    loss: NDArray[np.float64]
    rate: NDArray[np.float64]
    age: NDArray[np.float64]
    observed: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True, kw_only=True)
class NetworkView:
    """One node's belief about its area at one instant.

    Attributes:
        version: Grows when the shared belief changes; the scorer caches its encoding by (owner, version).
        owner: Index of the believing node, or -1 for an area-wide view.
        at: Monotonic seconds of the belief.
        nodes: N nodes.
        links: E directed links.
        fresh: Links known better than, or not in, `links` (the owner's own measurements, the direct path); they take
            precedence when hops are looked up and are not part of what the encoder sees. Sorted by (src, dst).
        confined: Whether nodes reach only those they have links with, as radios do; else any two may try to connect.
    """

    version: int
    owner: int
    at: float
    nodes: NodeBelief
    links: LinkBelief
    fresh: LinkBelief | None = field(default=None)
    confined: bool = False

    @cached_property
    def indptr(self) -> NDArray[np.int64]:
        """CSR row starts over `links` by source; shape (N + 1,)."""
        return np.searchsorted(self.links.src, np.arange(len(self.nodes) + 1))

    @cached_property
    def index(self) -> dict[NodeId, int]:
        """Index of each node id."""
        return {node: i for i, node in enumerate(self.nodes.ids)}


def find_links(links: LinkBelief, src: NDArray[np.int32], dst: NDArray[np.int32], n: int) -> NDArray[np.int64]:
    """Rows of `links` that lead from `src` to `dst`, -1 where there is none; shapes (K,) -> (K,).

    Args:
        links: Sorted by (src, dst).
        src: Source node indices.
        dst: Destination node indices.
        n: Number of nodes.
    """
    if not len(links):
        return np.full(len(src), -1, dtype=np.int64)
    key = links.src.astype(np.int64) * n + links.dst
    wanted = np.asarray(src, dtype=np.int64) * n + np.asarray(dst, dtype=np.int64)
    at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
    return np.where(key[at] == wanted, at, -1)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntry:
    """One node of a view written by hand; the fields are those of `NodeBelief`."""

    id: NodeId
    role: Role = Role.PEER
    nat: Nat = Nat.OPEN
    latitude: float = 0.0
    longitude: float = 0.0
    aic: bool = True
    online: bool = True
    load: float = 0.0
    max_calls: int = 20
    capacity: float = 50e6
    reputation: float = 80.0
    reputation_low: float = 70.0
    reputation_high: float = 90.0
    evidence: float = 20.0
    age: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEntry:
    """One directed link of a view written by hand; `src`, `dst` are node indices, the rest is as in `LinkBelief`."""

    src: int
    dst: int
    delay: float
    jitter: float = 0.001
    loss: float = 0.0
    rate: float = 10e6
    age: float = 0.0
    observed: bool = True


_NODE_TYPES = {"role": np.int8, "nat": np.int8, "aic": np.bool_, "online": np.bool_, "max_calls": np.int32}
_LINK_TYPES = {"src": np.int32, "dst": np.int32, "observed": np.bool_}


def link_belief(links: Iterable[LinkEntry]) -> LinkBelief:
    """The arrays of `links`, sorted by (src, dst)."""
    rows = sorted(links, key=lambda link: (link.src, link.dst))
    return LinkBelief(
        **{
            name: np.array([getattr(row, name) for row in rows], dtype=_LINK_TYPES.get(name, np.float64))
            for name in LinkEntry.__slots__
        }
    )


def make_view(
    nodes: Iterable[NodeEntry],
    links: Iterable[LinkEntry],
    *,
    fresh: Iterable[LinkEntry] = (),
    version: int = 0,
    owner: int = -1,
    at: float = 0.0,
) -> NetworkView:
    """A view from plain entries, for tests, examples and small embeddings.

    Args:
        nodes: Nodes in index order.
        links: Directed links in any order.
        fresh: Links that take precedence over `links`, in any order.
        version: Version of the shared belief.
        owner: Index of the believing node, or -1.
        at: Monotonic seconds of the belief.

    >>> from meshsim.mesh import NodeId
    >>> entries = [NodeEntry(id=NodeId(bytes([i] * 32))) for i in range(2)]
    >>> len(make_view(entries, [LinkEntry(src=1, dst=0, delay=0.02)]).links)
    1
    """
    rows = list(nodes)
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(row, name) for row in rows], dtype=_NODE_TYPES.get(name, np.float64))
        for name in NodeEntry.__slots__
        if name != "id"
    }
    better = list(fresh)
    return NetworkView(
        version=version,
        owner=owner,
        at=at,
        nodes=NodeBelief(ids=tuple(row.id for row in rows), **columns),
        links=link_belief(links),
        fresh=link_belief(better) if better else None,
    )
