"""Reputation as who knows the labels would have it: the bound that no model of reputation can beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.trust import Reputation, ReputationTable, Status

if TYPE_CHECKING:
    from meshsim.sim.world import World
    from meshsim.trust import Evidence, EvidenceColumns

DROPS = 0.02
"""Share of packets from which on a relay counts as bad: the most that honest nodes fail."""

_CERTAIN = 1000.0
"""Outcomes that the oracle stands for."""


class LabelOracle:
    """Sees how each node treats what it relays, at the moment it is asked; evidence is nothing to it.

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
        """100 for a node that does its part now, else 0."""
        mean, low, high, evidence = (float(column[node]) for column in self.table(node + 1, now))
        return Reputation(mean, low, high, evidence, Status.VERIFIED if mean > 0.0 else Status.BANNED)

    def table(self, n: int, now: float) -> ReputationTable:  # noqa: ARG002 - the truth is always of now
        """The scores of nodes 0 to n - 1."""
        drop = np.concatenate([self.world.drop, np.zeros(max(0, n - len(self.world.drop)))])[:n]
        spiteful = [node for node in self.world.spite.members if node < n]
        drop[spiteful] = 1.0
        score = np.where(drop > DROPS, 0.0, 100.0)
        return ReputationTable(score, score.copy(), score.copy(), np.full(n, _CERTAIN))
