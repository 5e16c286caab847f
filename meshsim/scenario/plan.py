"""What a scenario compiles to: nodes, links, calls and faults of one episode, as arrays. Equal seeds, equal plans.

The plan is what the simulator, the emulator and the testbed are built from; nothing random is left to draw for who
exists, who calls whom, and when nodes come and go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from meshsim.mesh.topology import Topology
    from meshsim.scenario.schema import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNodes:
    """N overlay nodes; arrays have shape (N,).

    Attributes:
        names: Short unique names (`alice`, `relay-03`).
        auras: The AuraID each node belongs to, `@alice.aura`.
        domains: Federated domain of each, "" for home.
        key_seed: (N, 32) uint8: the seed of each node's Ed25519 key.
        router: int32, the underlay place it is attached to.
        role: int8, `mesh.view.Role`.
        nat: int8, `mesh.view.Nat`.
        latitude, longitude: float64 degrees.
        aic: bool.
        access_up, access_down: float64 bits per second of the access link.
        access_delay: float64 one-way seconds.
        access_jitter: float64 seconds.
        access_loss: float64 probability.
        max_calls: int32, calls carried for others (0 for peers).
        behaviour: `honest`, or how each misbehaves first of all.
        strength: float64 in [0, 1], e.g. the share of packets a gray hole drops.
        attack: int32, the entry of `Scenario.misbehaviour` that says the rest; -1 for the honest and the named.
    """

    names: tuple[str, ...]
    auras: tuple[str, ...]
    domains: tuple[str, ...]
    key_seed: NDArray[np.uint8]
    router: NDArray[np.int32]
    role: NDArray[np.int8]
    nat: NDArray[np.int8]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    aic: NDArray[np.bool_]
    access_up: NDArray[np.float64]
    access_down: NDArray[np.float64]
    access_delay: NDArray[np.float64]
    access_jitter: NDArray[np.float64]
    access_loss: NDArray[np.float64]
    max_calls: NDArray[np.int32]
    behaviour: tuple[str, ...]
    strength: NDArray[np.float64]
    attack: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlay:
    """The real network below the overlay: U places, M directed edges, and the (inflated) route between any two places.

    Attributes:
        topology: U places, M directed edges.
        capacity: (M,) float64 bits per second.
        propagation: (M,) float64 seconds.
        utilisation: (M,) float64, mean background utilisation in [0, 1).
        loss: (M,) float64 base loss probability.
        jitter: (M,) float64 seconds that packets stray without any load.
        route_indptr: (U * U + 1,) int64: the route from a to b is row a * U + b.
        route_edge: int32 edge indices, in order.
    """

    topology: Topology
    capacity: NDArray[np.float64]
    propagation: NDArray[np.float64]
    utilisation: NDArray[np.float64]
    loss: NDArray[np.float64]
    jitter: NDArray[np.float64]
    route_indptr: NDArray[np.int64]
    route_edge: NDArray[np.int32]

    def route(self, a: int, b: int) -> NDArray[np.int32]:
        """Edges from place `a` to place `b`, in order; empty when they are the same."""
        row = a * len(self.topology) + b
        return self.route_edge[self.route_indptr[row] : self.route_indptr[row + 1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLinks:
    """E directed overlay links that nodes keep up and measure, sorted by (src, dst); `src`, `dst` are (E,) int32."""

    src: NDArray[np.int32]
    dst: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.src)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """C calls in order of start; arrays have shape (C,).

    Attributes:
        start: float64 seconds.
        duration: float64 seconds.
        caller: int32 node index.
        callee: AuraIDs that are called.
        callee_node: int32, the node of the callee that answers when it is online.
        media: Media types, `mesh.media.MediaType` values.
    """

    start: NDArray[np.float64]
    duration: NDArray[np.float64]
    caller: NDArray[np.int32]
    callee: tuple[str, ...]
    callee_node: NDArray[np.int32]
    media: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFaults:
    """Things that happen to nodes and edges of the underlay, in order of time; arrays have shape (K,).

    Attributes:
        at: float64 seconds.
        kind: `goodbye` (the node says that it is about to leave), `down` (it vanishes) or `up`; `edge_down` (the
            directed edge carries nothing) or `edge_up`.
        node: int32, the node's number, or the edge's.
    """

    at: NDArray[np.float64]
    kind: tuple[str, ...]
    node: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMoves:
    """Where moving nodes are and what their last mile is from an instant on, in order of time; arrays have shape (K,).

    Attributes:
        at: float64 seconds.
        node: int32.
        router: int32, the place it hangs on.
        latitude, longitude: float64 degrees.
        up, down: float64 bits per second of its access link.
        loss: float64 probability on its access link, 1 outside all coverage.
    """

    at: NDArray[np.float64]
    node: NDArray[np.int32]
    router: NDArray[np.int32]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    up: NDArray[np.float64]
    down: NDArray[np.float64]
    loss: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One episode, ready to run.

    Attributes:
        scenario: What it was compiled from; run-time parameters (control plane, drift, trust, routing) are read there.
        seed: The seed it was compiled with; all run-time draws derive from it through `SeedTree`.
    """

    scenario: Scenario
    seed: int
    nodes: PlannedNodes
    links: PlannedLinks
    underlay: Underlay
    calls: PlannedCalls
    faults: PlannedFaults
    moves: PlannedMoves
