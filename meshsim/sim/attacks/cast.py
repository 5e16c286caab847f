"""Who misbehaves in an episode, how, when, with whom and against whom: a function of the plan.

Identities that nodes make up are numbers from N on, N nodes being real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from meshsim.agent.adversary.lies import IDENTITIES, INVENTORS, Mind
from meshsim.agent.adversary.timing import Cycle, Window
from meshsim.mesh import geo
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.misbehaviour import MisbehaviourConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.scenario.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Villain:
    """A node that misbehaves.

    Attributes:
        node: Its number.
        kinds: What it does.
        mind: Its strength, whom it wants to look good, and whom it is against.
        tunnel: The other end of its wormhole; itself if it has none.
        window: When it misbehaves at all.
        cycle: When an on-off node is bad.
        period: Seconds from one rejoining to the next at the earliest.
        rate: Made-up calls, or reports, an hour at full strength.
        factor: How many times better than they are its links are claimed.
        identities: Numbers of the identities it makes up; several kinds share them.
        sybils: How many of them are Sybils.
        tricked: Honest nodes that sign good words for these.
    """

    node: int
    kinds: tuple[str, ...]
    mind: Mind[int]
    tunnel: int
    window: Window
    cycle: Cycle
    period: float
    rate: float
    factor: float
    identities: tuple[int, ...]
    sybils: int
    tricked: tuple[int, ...]

    @property
    def strength(self) -> float:
        """In [0, 1]."""
        return self.mind.strength

    def does(self, kind: str) -> bool:
        """Whether it does this."""
        return kind in self.kinds

    def made_up_for(self, kind: str) -> tuple[int, ...]:
        """The identities that take part in what it makes up as one of `INVENTORS`."""
        return self.identities[: self.sybils if kind == "sybil" else IDENTITIES[kind]]


def cast_villains(plan: Plan) -> tuple[Villain, ...]:
    """The nodes of `plan` that misbehave, in order."""
    bad = [i for i, behaviour in enumerate(plan.nodes.behaviour) if behaviour != "honest"]
    parts = {i: _part(plan, i) for i in bad}
    rings, seeds, first, villains = _rings(plan, parts), SeedTree(plan.seed), len(plan.nodes), []
    tunnels = {name: _tunnels(plan, ring, parts) for name, ring in rings.items()}
    rivals = {name: _rivals(plan, name, ring, seeds) for name, ring in rings.items()}
    for i, part in parts.items():
        name = _ring_of(plan, i, part)
        identities = tuple(range(first, first + _identities(part)))
        strength, friends = float(plan.nodes.strength[i]), frozenset(rings[name])
        mind = Mind(strength=strength, friends=friends, targets=_targets(part, rivals[name]))
        villains.append(_villain(plan, i, part, mind, tunnels[name].get(i, i), identities))
        first += len(identities)
    return tuple(villains)


def _villain(
    plan: Plan, node: int, part: MisbehaviourConfig, mind: Mind[int], tunnel: int, identities: tuple[int, ...]
) -> Villain:
    seeds = SeedTree(plan.seed)
    return Villain(
        node=node,
        kinds=(*part.kinds, "collusion") if "hostile_domain" in part.kinds else part.kinds,
        mind=mind,
        tunnel=tunnel,
        window=Window(since=part.since, until=math.inf if part.until is None else part.until),
        cycle=Cycle(period=part.period, duty=part.duty, phase=seeds.stream("attack.phase").at(node)),
        period=part.period,
        rate=part.rate,
        factor=part.factor,
        identities=identities,
        sybils=part.sybils if "sybil" in part.kinds else 0,
        tricked=_tricked(plan, node, part, seeds),
    )


def _part(plan: Plan, node: int) -> MisbehaviourConfig:
    """What the scenario says of a node that misbehaves; of one said by name, its kind alone."""
    number = int(plan.nodes.attack[node])
    if number >= 0:
        return plan.scenario.misbehaviour[number]
    return MisbehaviourConfig(kind=plan.nodes.behaviour[node], domain=plan.nodes.domains[node])


def _ring_of(plan: Plan, node: int, part: MisbehaviourConfig) -> str:
    """What names the ring of a node; a domain, an entry or a node alone make one too."""
    if "hostile_domain" in part.kinds:
        return f"domain {part.domain}"
    entry = int(plan.nodes.attack[node])
    return f"ring {part.ring}" if part.ring is not None else f"entry {entry}" if entry >= 0 else f"node {node}"


def _rings(plan: Plan, parts: dict[int, MisbehaviourConfig]) -> dict[str, tuple[int, ...]]:
    """Members of each ring, in order; of a hostile domain, all who live there."""
    rings: dict[str, list[int]] = {}
    for i, part in parts.items():
        rings.setdefault(_ring_of(plan, i, part), []).append(i)
    for name in [name for name in rings if name.startswith("domain ")]:
        rings[name] = [i for i, domain in enumerate(plan.nodes.domains) if f"domain {domain}" == name]
    return {name: tuple(members) for name, members in rings.items()}


def _tunnels(plan: Plan, ring: tuple[int, ...], parts: dict[int, MisbehaviourConfig]) -> dict[int, int]:
    """The other end of each one's wormhole: of those it keeps a link with the farthest that has none yet."""
    nodes, links = plan.nodes, plan.links
    digging = {i for i in ring if i in parts and "wormhole" in parts[i].kinds}
    other: dict[int, int] = {}
    for node in sorted(digging):
        linked = links.dst[links.src == node]
        free = [end for end in linked.tolist() if end in digging and end not in other]
        if node not in other and free:
            here, there = (nodes.latitude[node], nodes.longitude[node]), (nodes.latitude[free], nodes.longitude[free])
            end = free[int(np.argmax(geo.distance(*here, *there)))]
            other[node], other[end] = end, node
    return other


def _rivals(plan: Plan, name: str, ring: tuple[int, ...], seeds: SeedTree) -> list[int]:
    """All outside a ring, in the order in which its members come to be against them."""
    outside = np.setdiff1d(np.arange(len(plan.nodes)), np.array(ring))
    draws = seeds.stream(f"attack.targets/{name}").uniform(0, len(plan.nodes))[outside]
    return [int(node) for node in outside[np.argsort(draws, kind="stable")]]


def _targets(part: MisbehaviourConfig, rivals: list[int]) -> frozenset[int] | None:
    """Whom nodes of an entry are against: the first of its ring's rivals; None for all outside."""
    if part.aimed == 1.0 or "hostile_domain" in part.kinds:
        return None
    return frozenset(rivals[: round(part.aimed * len(rivals))])


def _identities(part: MisbehaviourConfig) -> int:
    """How many identities a node makes up."""
    counts = (part.sybils if kind == "sybil" else IDENTITIES[kind] for kind in part.kinds if kind in INVENTORS)
    return max(counts, default=0)


def _tricked(plan: Plan, node: int, part: MisbehaviourConfig, seeds: SeedTree) -> tuple[int, ...]:
    if "sybil" not in part.kinds or not part.edges:
        return ()
    honest = _honest(plan)
    draws = seeds.stream("attack.edges", node).uniform(0, len(plan.nodes))[honest]
    return tuple(honest[np.argsort(draws, kind="stable")[: part.edges]].tolist())


def _honest(plan: Plan) -> NDArray[np.int64]:
    return np.flatnonzero(np.array(plan.nodes.behaviour) == "honest")
