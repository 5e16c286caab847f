"""NAT types: mixes of them by name, and the pairs whose hole punching fails although their types allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from meshsim.mesh.errors import nearest
from meshsim.mesh.view import Nat
from meshsim.scenario.part import Shares
from meshsim.scenario.quantities import Probability, refuse

if TYPE_CHECKING:
    from meshsim.mesh.seeds import SeedTree

MIXES: dict[str, dict[str, float]] = {
    "default": {"open": 0.15, "cone": 0.3, "port_restricted": 0.4, "symmetric": 0.15},
    "home": {"open": 0.2, "cone": 0.33, "port_restricted": 0.35, "symmetric": 0.12},
    "cellular": {"open": 0.1, "cone": 0.3, "port_restricted": 0.4, "symmetric": 0.2},
    "office": {"open": 0.07, "cone": 0.3, "port_restricted": 0.45, "symmetric": 0.18},
}
"""Assumptions all, such that the share of pairs that need a relay lies in the .08 to .22 that services report.

cellular: carrier-grade NAT in 90 % of cellular networks (Richter et al., IMC 2016); towards `default` 83 % of pairs
connect, within the .75 to .85 estimated for mobile to home. Evidence: docs/processes.md.
"""


class NatMix(Shares):
    """Shares of NAT types among peers and edges (they sum to 1), or a mix by name; relays and super nodes are open."""

    open: Probability = 0.0
    """Reached from outside without help."""
    cone: Probability = 0.0
    """Full or address-restricted cone."""
    port_restricted: Probability = 0.0
    """Port-restricted cone."""
    symmetric: Probability = 0.0
    """Symmetric."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in MIXES:
            raise refuse(
                f"no mix of NATs is named {value!r}", allowed=sorted(MIXES), near=nearest(value, sorted(MIXES))
            )
        return MIXES[value]


def punched(seeds: SeedTree, success: float, a: tuple[str, int], b: tuple[str, int]) -> bool:
    """Whether hole punching works between two nodes whose NAT types allow it; once and for all, drawn for the pair.

    Args:
        seeds: Root of the draws: streams `nat/punch/...`.
        success: Probability.
        a: Name of one node, and its `mesh.view.Nat`.
        b: The same of the other. Who is open needs no hole.
    """
    if Nat.OPEN in (a[1], b[1]):
        return True
    low, high = sorted((a[0], b[0]))
    return seeds.stream(f"nat/punch/{low}/{high}").at(0) < success
