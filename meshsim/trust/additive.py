"""The brief's scheme: points for each event, added up and clamped. Kept as the baseline, with its known weaknesses.

It never forgets, has no interval, and depends on the order of events (a penalty at 0 or a reward at 100 is lost).
"""

from __future__ import annotations

import math

import numpy as np

from meshsim.trust.evidence import SEVERITY_FACTORS, EventKind, Evidence, EvidenceColumns
from meshsim.trust.models import Reputation, ReputationTable, grown, models, observe_each, padded
from meshsim.trust.status import status_of

START = 50.0
POINTS = {
    EventKind.SUCCESSFUL_CALL: 1.0,
    EventKind.HIGH_QUALITY_STREAM: 2.0,
    EventKind.HELPED_RELAY: 1.5,
    EventKind.VERIFIED_IDENTITY: 5.0,
    EventKind.COMMUNITY_CONTRIBUTION: 3.0,
    EventKind.CONSISTENT_UPTIME: 2.0,
    EventKind.CALL_DROPPED: -2.0,
    EventKind.POOR_QUALITY: -1.5,
    EventKind.CONNECTION_TIMEOUT: -1.0,
    EventKind.EXCESSIVE_LATENCY: -0.5,
    EventKind.BANDWIDTH_THROTTLING: -3.0,
    EventKind.ABUSE_REPORT: -5.0,
    EventKind.SPAM_DETECTED: -10.0,
    EventKind.MALICIOUS_BEHAVIOR: -20.0,
    EventKind.SECURITY_VIOLATION: -25.0,
}


def points(evidence: Evidence) -> float:
    """What an event adds to the score: its points by its weight, and for a penalty by its severity."""
    worth = POINTS[evidence.kind] * evidence.weight
    return worth * SEVERITY_FACTORS[evidence.severity] if worth < 0.0 else worth


class Additive:
    """Points added up from 50, within 0..100.

    >>> model = Additive()
    >>> model.observe(0, Evidence(kind=EventKind.VERIFIED_IDENTITY, node=0, t=0.0))
    >>> model.score(0, now=0.0).mean
    55.0
    """

    half_life = math.inf

    def __init__(self) -> None:
        self._score = np.empty(0)
        self._evidence = np.empty(0)

    def observe(self, node: int, evidence: Evidence) -> None:
        """Adds the event's points to `node`'s score."""
        self._score = grown(self._score, node, START)
        self._evidence = grown(self._evidence, node, 0.0)
        self._score[node] = min(100.0, max(0.0, self._score[node] + points(evidence)))
        self._evidence[node] += evidence.weight

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, in order."""
        observe_each(self, columns)

    def anchor(self, node: int) -> None:
        """No matter: the scheme does not ask who says a thing."""

    def score(self, node: int, now: float) -> Reputation:  # noqa: ARG002 - the points do not age
        """The points of one node. The interval is empty: the scheme knows no uncertainty."""
        if node >= len(self._score):
            return Reputation(START, START, START, 0.0, status_of(START))
        mean = float(self._score[node])
        return Reputation(mean, mean, mean, float(self._evidence[node]), status_of(mean))

    def table(self, n: int, now: float) -> ReputationTable:  # noqa: ARG002 - the points do not age
        """The points of nodes 0 to n - 1."""
        mean = padded(self._score, n, START)
        return ReputationTable(mean, mean.copy(), mean.copy(), padded(self._evidence, n, 0.0))

    def forget(self, node: int) -> None:
        """Puts `node` back to the start; one never heard of is no error."""
        self._score[node : node + 1] = START
        self._evidence[node : node + 1] = 0.0


models.add("additive", Additive)
