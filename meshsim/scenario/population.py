"""The overlay's nodes: where they sit, their last mile, NAT, key seeds, who misbehaves. One stream for each node."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Nat, Role
from meshsim.scenario import census
from meshsim.scenario.federation import domains_of
from meshsim.scenario.plan import PlannedNodes
from meshsim.scenario.topologies.placement import spots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from meshsim.mesh.seeds import SeedTree
    from meshsim.mesh.topology import Topology
    from meshsim.scenario.misbehaviour import MisbehaviourConfig
    from meshsim.scenario.nodes import Access, NodesConfig
    from meshsim.scenario.schema import Scenario
    from meshsim.scenario.topologies.placement import Spots

_METRES_PER_DEGREE = geo.EARTH_RADIUS * np.pi / 180
_MOST_LATITUDE = 89.0
_OPEN_ROLES = ("relay", "super_node")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What one node drew or was given, in the order of `PlannedNodes`."""

    router: int
    nat: int
    latitude: float
    longitude: float
    aic: bool
    access: NDArray[np.float64]
    max_calls: int


def build_nodes(scenario: Scenario, topology: Topology, seeds: SeedTree) -> PlannedNodes:
    """All nodes of `scenario`, attached to places of `topology`."""
    config = scenario.nodes
    members = census.members(config)
    stands = _stands(config, members, topology)
    where = {role: spots(config.placement, topology, role) for role in sorted({member.role for member in members})}
    drawn = [
        _draw(config, member, topology, seeds, where[member.role], stands.get(i)) for i, member in enumerate(members)
    ]
    domains = domains_of(scenario, members, seeds)
    behaviour, strength, attack = _behaviours(scenario.misbehaviour, members, domains, seeds)
    access = np.stack([node.access for node in drawn])
    return PlannedNodes(
        names=tuple(member.name for member in members),
        auras=tuple(member.aura for member in members),
        domains=domains,
        key_seed=np.stack([_key_seed(seeds.seed, i) for i in range(len(members))]),
        router=np.array([node.router for node in drawn], dtype=np.int32),
        role=np.array([Role[member.role.upper()] for member in members], dtype=np.int8),
        nat=np.array([node.nat for node in drawn], dtype=np.int8),
        latitude=np.array([node.latitude for node in drawn]),
        longitude=np.array([node.longitude for node in drawn]),
        aic=np.array([node.aic for node in drawn]),
        access_up=access[:, 0].copy(),
        access_down=access[:, 1].copy(),
        access_delay=access[:, 2].copy(),
        access_jitter=access[:, 3].copy(),
        access_loss=np.minimum(access[:, 4], 1.0),
        max_calls=np.array([node.max_calls for node in drawn], dtype=np.int32),
        behaviour=behaviour,
        strength=strength,
        attack=attack,
    )


def _key_seed(seed: int, index: int) -> NDArray[np.uint8]:
    digest = hashlib.blake2b(f"meshsim/1/key/{seed}/{index}".encode(), digest_size=32).digest()
    return np.frombuffer(digest, dtype=np.uint8)


def _stands(config: NodesConfig, members: tuple[census.Member, ...], topology: Topology) -> dict[int, int]:
    """Where relaying nodes stand by number if one stands at every place: super nodes where most edges meet.

    Raises:
        ConfigError: If there are not as many as places.
    """
    if config.links != "edges":
        return {}
    relaying = [i for i, member in enumerate(members) if member.role != "peer"]
    said = {i: _router(node.at, topology) for i in relaying if (node := members[i].named) and node.at is not None}
    if len(relaying) != len(topology) or len(set(said.values())) < len(said):
        problem = f"{len(relaying)} relaying nodes do not fit {topology.name}: one stands at each place"
        raise ConfigError(problem, key="nodes.roles", allowed=[f"{len(topology)} relaying nodes"])
    degree = np.bincount(topology.src, minlength=len(topology))
    free = iter([int(place) for place in np.argsort(-degree, kind="stable") if int(place) not in said.values()])
    return {i: said[i] if i in said else next(free) for i in relaying}


def _draw(
    config: NodesConfig, member: census.Member, topology: Topology, seeds: SeedTree, where: Spots, stands: int | None
) -> _Drawn:
    # Streams go by name: a relay more leaves the peers where they are.
    named = member.named
    place, nat, aic = seeds.stream(f"node/{member.name}").uniform(0, 3)
    said = _router(named.at, topology) if named and named.at is not None else None
    said = said if stands is None else stands
    spot = where.pick(float(place)) if said is None else None
    router = int(where.router[spot]) if said is None else said
    own = None if spot is None or where.at is None else where.at[spot]
    scatter = seeds.generator(f"node/{member.name}/scatter").standard_normal(2) * config.scatter
    latitude, longitude = _near(topology, router, scatter) if own is None else own.tolist()
    access = named.access if named and named.access else getattr(config.access, member.role)
    return _Drawn(
        router=router,
        nat=_nat(config, member, float(nat)),
        latitude=latitude,
        longitude=longitude,
        aic=named.aic if named and named.aic is not None else bool(aic < config.aic),
        access=_access(
            access, seeds.generator(f"node/{member.name}/access"), 0.0 if spot is None else where.delay[spot]
        ),
        max_calls=_max_calls(config, member),
    )


def _near(topology: Topology, router: int, shift: NDArray[np.float64]) -> tuple[float, float]:
    """Latitude and longitude `shift` metres north and east of a place."""
    north, east = shift / _METRES_PER_DEGREE
    latitude = float(np.clip(topology.latitude[router] + north, -_MOST_LATITUDE, _MOST_LATITUDE))
    longitude = float(topology.longitude[router] + east / np.cos(np.radians(latitude)))
    return latitude, (longitude + 180.0) % 360.0 - 180.0


def _router(at: str | int, topology: Topology) -> int:
    return at if isinstance(at, int) else topology.names.index(at)


def _nat(config: NodesConfig, member: census.Member, u: float) -> int:
    if member.named and member.named.nat:
        return Nat[member.named.nat.upper()]
    if member.role in _OPEN_ROLES:
        return Nat.OPEN
    shares = config.nat.shares()
    # The last bound is left open: shares may sum to a hair less than 1.
    drawn = int(np.searchsorted(np.cumsum(list(shares.values()))[:-1], u, side="right"))
    return Nat[list(shares)[drawn].upper()]


def _access(access: Access, generator: np.random.Generator, way: float) -> NDArray[np.float64]:
    """Rates up and down, delay with that of the `way` to the place, jitter, and loss."""
    median = np.array([access.up, access.down, access.delay, access.jitter, access.loss])
    drawn = np.asarray(median * np.exp(access.spread * generator.standard_normal(len(median))))
    drawn[2] += way
    return drawn


def _max_calls(config: NodesConfig, member: census.Member) -> int:
    if member.named and member.named.max_calls is not None:
        return member.named.max_calls
    return 0 if member.role == "peer" else int(getattr(config.max_calls, member.role))


def _behaviours(
    misbehaviour: Sequence[MisbehaviourConfig],
    members: tuple[census.Member, ...],
    domains: tuple[str, ...],
    seeds: SeedTree,
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.int32]]:
    """Behaviour, strength and entry of each node: as said of the named; of the rest, the lowest draws misbehave."""
    behaviour = [member.named.behaviour if member.named else "honest" for member in members]
    strength = np.array([_own_strength(member) for member in members])
    entry_of = np.full(len(members), -1, dtype=np.int32)
    relaying = np.array([member.role != "peer" for member in members])
    drawn_from = {entry.drawn_among for entry in misbehaviour}
    wanted = [i for i, member in enumerate(members) if not member.named and (relaying[i] or drawn_from - {"relays"})]
    draws = {i: seeds.stream(f"misbehaviour/{members[i].name}").uniform(0, 2) for i in wanted}
    ranked = sorted(draws, key=lambda i: float(draws[i][0]))
    for number, entry in enumerate(misbehaviour):
        group = _group(entry, relaying, domains)
        free = (i for i in ranked if group[i] and entry_of[i] < 0)
        for i in list(islice(free, round(entry.share * int(group.sum())))):
            behaviour[i], entry_of[i] = entry.kind, number
            strength[i] = np.clip(entry.strength + entry.strength_spread * (2 * draws[i][1] - 1), 0.0, 1.0)
    return tuple(behaviour), strength, entry_of


def _group(entry: MisbehaviourConfig, relaying: NDArray[np.bool_], domains: tuple[str, ...]) -> NDArray[np.bool_]:
    """(N,) among whom the nodes of an entry are drawn."""
    roles = {"relays": relaying, "peers": ~relaying, "all": np.ones_like(relaying)}[entry.drawn_among]
    return roles & (np.array(domains) == entry.domain) if entry.domain else roles


def _own_strength(member: census.Member) -> float:
    return member.named.strength if member.named and member.named.behaviour != "honest" else 0.0
