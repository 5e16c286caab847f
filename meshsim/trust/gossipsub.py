"""GossipSub's peer score (libp2p, "gossipsub v1.1", Peer Scoring, P1 to P7), with calls in the place of messages.

    score = min(cap, w1 P1 + w2 P2 + w3 P3 + w4 P4) + w5 P5 + w7 P7

P1: time for which the node has relayed, in quanta, capped. P2: calls it carried, capped. P3: by how many calls it
fell short of its due, squared; a relay's due is all but 8 % of the calls it was asked to carry. P4: spam, malice and
breaches of security, squared: what an invalid message is there. P5: whether it was verified. P7: abuse reports and
throttled bandwidth beyond a threshold, squared. P3b (a penalty kept after leaving a topic's mesh) has no counterpart,
and P6 (many peers behind one address) none that evidence could tell. A peer scores what it saw itself: who says a thing
is no matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.trust.beta import DAY
from meshsim.trust.evidence import SEVERITY_FACTORS, EventKind, Evidence, EvidenceColumns
from meshsim.trust.models import Reputation, ReputationTable, grown, models, observe_each, padded
from meshsim.trust.network import START
from meshsim.trust.status import Status, status_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TO_ZERO = 0.01
"""A counter counts as decayed when this is left of it (the specification's `DecayToZero`)."""

SCALE = 25.0
"""A peer score of +25 is worth 75 of 100, one of -25 is worth 25; see `reputation`."""

_INVALID = frozenset({EventKind.SPAM_DETECTED, EventKind.MALICIOUS_BEHAVIOR, EventKind.SECURITY_VIOLATION})
_MISBEHAVED = frozenset({EventKind.ABUSE_REPORT, EventKind.BANDWIDTH_THROTTLING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights and caps of the peer score, named as in the specification.

    Attributes:
        time_in_mesh: w1, at least 0.
        time_in_mesh_quantum: Seconds that P1 counts as one.
        time_in_mesh_cap: Of P1.
        first_deliveries: w2, at least 0.
        first_deliveries_cap: Of P2.
        deliveries: w3, at most 0.
        invalid: w4, at most 0.
        topic_cap: Of the sum of the first four.
        application: w5.
        behaviour: w7, at most 0.
        behaviour_threshold: What P7 forgives.
    """

    time_in_mesh: float = 1.0
    time_in_mesh_quantum: float = 3600.0
    time_in_mesh_cap: float = 10.0
    first_deliveries: float = 1.0
    first_deliveries_cap: float = 100.0
    deliveries: float = -1.0
    invalid: float = -25.0
    topic_cap: float = 110.0
    application: float = 100.0
    behaviour: float = -10.0
    behaviour_threshold: float = 1.0


class Counters(NamedTuple):
    """What the peer score is made of; every array has shape (N,) and dtype float64.

    Attributes:
        time: P1's time in the mesh, seconds.
        first: P2's deliveries.
        short: P3's deficit: by how many deliveries a node fell short, at least 0.
        invalid: P4's invalid deliveries.
        application: P5, whatever the application thinks of the node.
        behaviour: P7's misbehaviour.
    """

    time: NDArray[np.float64]
    first: NDArray[np.float64]
    short: NDArray[np.float64]
    invalid: NDArray[np.float64]
    application: NDArray[np.float64]
    behaviour: NDArray[np.float64]


def peer_score(counters: Counters, weights: Weights) -> NDArray[np.float64]:
    """The peer score (N,), as the specification adds it up for one topic."""
    w = weights
    time = np.minimum(counters.time / w.time_in_mesh_quantum, w.time_in_mesh_cap)
    first = np.minimum(counters.first, w.first_deliveries_cap)
    topic = w.time_in_mesh * time + w.first_deliveries * first
    topic += w.deliveries * counters.short**2 + w.invalid * counters.invalid**2
    beyond = np.maximum(counters.behaviour - w.behaviour_threshold, 0.0)
    return np.minimum(topic, w.topic_cap) + w.application * counters.application + w.behaviour * beyond**2


def decay_half_life(decay: float, to_zero: float = TO_ZERO) -> float:
    """Half-life of a counter that decays to `to_zero` of itself in `decay` seconds (`ScoreParameterDecay`).

    >>> round(0.5 ** (1.0 / decay_half_life(3600.0)), 9)  # the specification's factor for each second
    0.998721604
    """
    return decay / -math.log2(to_zero)


def reputation(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """A peer score on the scale of reputation: 50 + 50 s / (|s| + SCALE); shapes (N,)."""
    return START + (100.0 - START) * score / (np.abs(score) + SCALE)


class _Kind(IntEnum):
    """Which counter an event goes to."""

    CARRIED = 0
    DROPPED = 1
    INVALID = 2
    MISBEHAVED = 3


_FRESH = (*(0.0 for _ in _Kind), math.nan, math.inf, -math.inf)  # of counters, of when they were last so, of relaying


def _kind(kind: EventKind, *, success: bool) -> _Kind:
    if success:
        return _Kind.CARRIED
    if kind in _INVALID:
        return _Kind.INVALID
    return _Kind.MISBEHAVED if kind in _MISBEHAVED else _Kind.DROPPED


class GossipSub:
    """The peer score as a model of reputation; it knows no uncertainty, so that its interval is empty.

    Args:
        half_life: Seconds in which counters lose half their value; as published, they reach 1 % in a given time.
        minimum: Evidence from which on a node is no longer `new`.
        due: Share of the calls it was asked to carry that a relay is to carry, in [0, 1].

    Raises:
        ValueError: If an argument is out of its range.

    >>> model = GossipSub()
    >>> for _ in range(30):
    ...     model.observe(0, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=0, t=0.0))
    >>> round(model.score(0, now=0.0).mean, 1)
    77.3
    """

    def __init__(
        self, *, half_life: float = decay_half_life(7 * DAY), minimum: float = 20.0, due: float = 0.92
    ) -> None:
        if not (half_life > 0.0 and minimum >= 0.0 and 0.0 <= due <= 1.0):
            raise ValueError(f"not a GossipSub model: {half_life=}, {minimum=}, {due=}")
        self.half_life = half_life
        self.minimum = minimum
        self.due = due
        self.weights = Weights()
        self._counts = [np.empty(0) for _ in _Kind]
        self._at = np.empty(0)
        self._first = np.empty(0)
        self._last = np.empty(0)
        self._anchors: set[int] = set()

    def observe(self, node: int, evidence: Evidence) -> None:
        """Counts the outcome, if the event has one, or the misbehaviour that it tells of."""
        outcome = evidence.outcome
        if outcome is None:
            return
        self._grow(node)
        # A node never heard of has no time of its own: whenever others were heard of is no matter to it.
        before = evidence.t if math.isnan(self._at[node]) else float(self._at[node])
        latest = max(before, evidence.t)
        kept = self._fading(latest - before)
        for counts in self._counts:
            counts[node] *= kept
        self._at[node] = latest
        severity = 1.0 if outcome else SEVERITY_FACTORS[evidence.severity]
        kind = _kind(evidence.kind, success=outcome)
        self._counts[kind][node] += evidence.weight * severity * self._fading(latest - evidence.t)
        if outcome and evidence.weight > 0.0:
            self._first[node] = min(float(self._first[node]), evidence.t)
            self._last[node] = max(float(self._last[node]), evidence.t)

    def observe_many(self, columns: EvidenceColumns) -> None:
        """Takes in many outcomes, in order."""
        observe_each(self, columns)

    def anchor(self, node: int) -> None:
        """Gives `node` the application's score."""
        self._anchors.add(node)

    def score(self, node: int, now: float) -> Reputation:
        """The score of one node."""
        table = self._scored(slice(node, node + 1), 1, now, [node] if node in self._anchors else [])
        mean, low, high, evidence = (float(column[0]) for column in table)
        return Reputation(mean, low, high, evidence, status_of(low) if evidence >= self.minimum else Status.NEW)

    def table(self, n: int, now: float) -> ReputationTable:
        """The scores of nodes 0 to n - 1."""
        return self._scored(slice(None), n, now, sorted(node for node in self._anchors if node < n))

    def forget(self, node: int) -> None:
        """Drops all evidence on `node`, and that it was verified; one never heard of is no error."""
        for column, fresh in zip((*self._counts, self._at, self._first, self._last), _FRESH, strict=True):
            column[node : node + 1] = fresh
        self._anchors.discard(node)

    def _grow(self, node: int) -> None:
        self._counts = [grown(counts, node, 0.0) for counts in self._counts]
        self._at = grown(self._at, node, math.nan)
        self._first, self._last = grown(self._first, node, math.inf), grown(self._last, node, -math.inf)

    def _fading(self, elapsed: float) -> float:
        return math.exp2(-elapsed / self.half_life)

    def _scored(self, here: slice, n: int, now: float, anchors: list[int]) -> ReputationTable:
        at = padded(self._at[here], n, math.nan)
        kept = np.exp2(-np.maximum(now - np.where(np.isnan(at), now, at), 0.0) / self.half_life)
        carried, dropped, invalid, misbehaved = (padded(counts[here], n, 0.0) * kept for counts in self._counts)
        first, last = padded(self._first[here], n, math.inf), padded(self._last[here], n, -math.inf)
        vouched = np.zeros(n)
        vouched[[node - (here.start or 0) for node in anchors]] = 1.0
        counters = Counters(
            time=np.where(last >= first, last - first, 0.0) * kept,
            first=carried,
            short=np.maximum(self.due * (carried + dropped) - carried, 0.0),
            invalid=invalid,
            application=vouched,
            behaviour=misbehaved,
        )
        mean = reputation(peer_score(counters, self.weights))
        return ReputationTable(mean, mean.copy(), mean.copy(), carried + dropped + invalid + misbehaved)


models.add("gossipsub", GossipSub)
