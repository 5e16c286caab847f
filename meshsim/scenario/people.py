"""The people who call each other: who they are, where they live, which devices they have, whom they know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.view import Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.arrivals import Locality
    from meshsim.scenario.plan import PlannedNodes


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Q people with peers, in order of their first.

    Attributes:
        auras: The AuraID of each node.
        nodes: Their peers, person by person, int64.
        first: (Q,) where each person's begin in `nodes`.
        devices: (Q,) how many each has.
        latitude, longitude: (Q,) degrees, of each person's first.
    """

    auras: tuple[str, ...]
    nodes: NDArray[np.int64]
    first: NDArray[np.int64]
    devices: NDArray[np.int64]
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]

    @classmethod
    def of(cls, nodes: PlannedNodes) -> Self:
        """The people of a plan."""
        owned: dict[str, list[int]] = {}
        for i in np.flatnonzero(nodes.role == Role.PEER).tolist():
            owned.setdefault(nodes.auras[i], []).append(i)
        devices = np.array([len(own) for own in owned.values()], dtype=np.int64)
        flat = np.array([i for own in owned.values() for i in own], dtype=np.int64)
        first = np.cumsum(devices) - devices
        home = flat[first]
        return cls(
            auras=nodes.auras,
            nodes=flat,
            first=first,
            devices=devices,
            latitude=nodes.latitude[home],
            longitude=nodes.longitude[home],
        )

    @property
    def everyone(self) -> NDArray[np.int64]:
        """(Q,) the number of each."""
        return np.arange(len(self.first))

    def number(self, aura: str) -> int:
        """The number of the person with AuraID `aura`."""
        return next(i for i in range(len(self.first)) if self.auras[self.nodes[self.first[i]]] == aura)

    def device(self, person: NDArray[np.int64], draw: NDArray[np.float64]) -> NDArray[np.int64]:
        """One node of each of `person`, by a draw in [0, 1) each; same shape."""
        return self.nodes[self.first[person] + (draw * self.devices[person]).astype(np.int64)]

    def near(self, latitude: float, longitude: float, radius: float) -> NDArray[np.int64]:
        """Numbers of those within `radius` metres of a point given in degrees."""
        away = geo.distance(latitude, longitude, self.latitude, self.longitude)
        return np.flatnonzero(away <= radius)

    def around(self, topology: Topology, place: str | int | None, radius: float) -> NDArray[np.int64]:
        """Numbers of those within `radius` metres of a place, by name or index; everyone where there is none."""
        if place is None:
            return self.everyone
        at = place if isinstance(place, int) else topology.names.index(place)
        return self.near(float(topology.latitude[at]), float(topology.longitude[at]), radius)


def callees(
    people: People,
    locality: Locality,
    seeds: SeedTree,
    caller: NDArray[np.int64],
    whom: NDArray[np.float64],
    near: NDArray[np.float64],
    callee: int | None,
) -> NDArray[np.int64]:
    """Whom each of C callers calls: always somebody else.

    Args:
        people: Q people.
        locality: Whom they know.
        seeds: Root of the draws, for acquaintances.
        caller: (C,) numbers.
        whom: (C,) draws in [0, 1): who it is.
        near: (C,) draws in [0, 1): whether it is somebody near.
        callee: Whom they all call, if they do.
    """
    if callee is not None:
        return np.full(len(caller), callee)
    if locality.acquaintances:
        whom, near = _acquaintances(locality.acquaintances, seeds, people, caller, whom)
    count = len(people.first)
    anyone = (caller + 1 + (whom * (count - 1)).astype(np.int64)) % count
    if locality.share == 0.0:
        return anyone
    for person in np.unique(caller[near < locality.share]).tolist():
        around = people.near(float(people.latitude[person]), float(people.longitude[person]), locality.radius)
        around = around[around != person]
        if len(around):
            calls = np.flatnonzero((caller == person) & (near < locality.share))
            anyone[calls] = around[(whom[calls] * len(around)).astype(np.int64)]
    return anyone


def _acquaintances(
    count: int, seeds: SeedTree, people: People, caller: NDArray[np.int64], whom: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The draws that made the acquaintance called: `whom` says which of `count` it is; each caller has their own."""
    which, drawn = (whom * count).astype(np.int64), np.empty((2, len(caller)))
    for person in np.unique(caller).tolist():
        name = people.auras[people.nodes[people.first[person]]]
        met = seeds.stream(f"calls/acquaintances/{name}").uniform(0, 2 * count)
        calls = np.flatnonzero(caller == person)
        drawn[:, calls] = met[2 * which[calls]], met[2 * which[calls] + 1]
    return drawn[0], drawn[1]
