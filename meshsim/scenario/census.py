"""Who exists, by name, role and AuraID: a function of the scenario alone, so that files can be checked against it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING

from meshsim.mesh.ids import AuraID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshsim.scenario.nodes import NamedNode, NodesConfig

_PREFIX = {"edge": "edge", "relay": "relay", "super_node": "super"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One node of the overlay.

    Attributes:
        name: Unique short name.
        aura: The AuraID it belongs to, in its full text.
        role: As in the scenario.
        named: What the scenario says of it, or None.
    """

    name: str
    aura: str
    role: str
    named: NamedNode | None = None


def numbers(nodes: NodesConfig) -> dict[str, int]:
    """How many nodes of each relaying role there are: as many as asked for, and at least the named ones."""
    result = {}
    for role in _PREFIX:
        amount = getattr(nodes.roles, role)
        wanted = amount if isinstance(amount, int) else round(amount * nodes.count)
        result[role] = max(wanted, sum(node.role == role for node in nodes.named))
    return result


def members(nodes: NodesConfig) -> tuple[Member, ...]:
    """All nodes in index order: the named ones, then super nodes, relays, edges, and peers."""
    named = [Member(name=n.name, aura=_aura(n), role=n.role, named=n) for n in nodes.named]
    taken = {member.name for member in named}
    relaying = list(_relaying(nodes, taken))
    rest = nodes.count - len(named) - len(relaying)
    return (*named, *relaying, *_peers(rest, nodes.devices, taken))


def _aura(node: NamedNode) -> str:
    return node.aura or str(AuraID(node.name, node.domain))


def _relaying(nodes: NodesConfig, taken: set[str]) -> Iterator[Member]:
    for role, number in reversed(numbers(nodes).items()):
        missing = number - sum(node.role == role for node in nodes.named)
        for name in _fresh(_PREFIX[role], missing, taken):
            yield Member(name=name, aura=f"@{name}.aura", role=role)


def _peers(number: int, devices: float, taken: set[str]) -> Iterator[Member]:
    owners: dict[int, str] = {}
    for i, name in enumerate(_fresh("peer", number, taken)):
        aura = owners.setdefault(int(i / devices), f"@{name}.aura")
        yield Member(name=name, aura=aura, role="peer")


def _fresh(prefix: str, number: int, taken: set[str]) -> Iterator[str]:
    names = (f"{prefix}-{i:03d}" for i in count())
    return islice((name for name in names if name not in taken), number)
