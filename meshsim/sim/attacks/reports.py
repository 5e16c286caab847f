"""Abuse reports that are made up: spam against those whom a ring is against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.agent.adversary.lies import calls_due
from meshsim.mesh.seeds import SeedTree
from meshsim.trust.abuse import Category, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.attacks.cast import Villain


class Spam:
    """The made-up reports of an episode.

    Args:
        villains: Who misbehaves.
        relays: Whom it makes sense to report, in order: those that carry calls for others.
        seed: Of the episode.
    """

    def __init__(self, villains: Sequence[Villain], relays: Sequence[int], seed: int) -> None:
        self._seeds = SeedTree(seed)
        self._spammers = [villain for villain in villains if villain.does("report_spam")]
        self._subjects = {v.node: [node for node in relays if v.mind.is_against(node)] for v in self._spammers}
        self._sent: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._spammers)

    def due(self, now: float) -> list[Report]:
        """The reports that were made since this was asked last, by reporter."""
        return [report for villain in self._spammers for report in self._of(villain, now)]

    def _of(self, villain: Villain, now: float) -> list[Report]:
        subjects, sent = self._subjects[villain.node], self._sent.get(villain.node, 0)
        seconds = min(now, villain.window.until) - villain.window.since
        due = calls_due("report_spam", villain.rate * villain.strength, 0, seconds) if subjects else 0
        self._sent[villain.node] = max(due, sent)
        draws = self._seeds.stream("attack.report", villain.node).uniform(sent, due - sent) if due > sent else ()
        accused = [subjects[int(draw * len(subjects))] for draw in draws]
        return [Report(reporter=villain.node, subject=node, category=Category.TAMPERING, t=now) for node in accused]
