"""Reputation as who knows the labels would have it: the bound that no model of reputation can beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.sim.attacks.conduct import DROPPING
from meshsim.trust import Reputation, ReputationTable, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.attacks import Villain
    from meshsim.sim.world import World
    from meshsim.trust import Evidence, EvidenceColumns

DROPS = 0.02
"""Strength from which on a relay counts as bad: honest nodes may fail so often."""

_CERTAIN = 1000.0
"""Outcomes that the oracle stands for."""


class LabelOracle:
    """Knows from the start who will ever spoil calls; evidence is nothing to it.

    Attributes:
        half_life: Infinite: there is nothing to forget.
        world: The truth, set when the episode is built.
    """

    world: World

    def __init__(self) -> None:
        self.half_life = float("inf")

    def observe(self, node: int, evidence: Evidence) -> None:
        """No matter."""

    def observe_many(self, columns: EvidenceColumns) -> None:
        """No matter."""

    def anchor(self, node: int) -> None:
        """No matter."""

    def forget(self, node: int) -> None:
        """No matter: a new name does not fool it."""

    def score(self, node: int, now: float) -> Reputation:
        """100 for a node that does its part, else 0."""
        mean, low, high, evidence = (float(column[node]) for column in self.table(node + 1, now))
        return Reputation(mean, low, high, evidence, Status.VERIFIED if mean > 0.0 else Status.BANNED)

    def table(self, n: int, now: float) -> ReputationTable:  # noqa: ARG002 - labels do not change
        """The scores of nodes 0 to n - 1."""
        score = np.full(n, 100.0)
        score[[node for node in spoilers(self.world.villains) if node < n]] = 0.0
        return ReputationTable(score, score.copy(), score.copy(), np.full(n, _CERTAIN))


def spoilers(villains: Sequence[Villain]) -> tuple[int, ...]:
    """The nodes that spoil calls at some time, in order."""
    return tuple(v.node for v in villains if v.strength > DROPS and not DROPPING.isdisjoint(v.kinds))
