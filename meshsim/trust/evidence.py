"""What is known of a node's conduct: the brief's event kinds, and what a call's outcome says of its relays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EventKind(StrEnum):
    """The brief's reputation events."""

    SUCCESSFUL_CALL = "successful_call"
    HIGH_QUALITY_STREAM = "high_quality_stream"
    HELPED_RELAY = "helped_relay"
    VERIFIED_IDENTITY = "verified_identity"
    COMMUNITY_CONTRIBUTION = "community_contribution"
    CONSISTENT_UPTIME = "consistent_uptime"
    CALL_DROPPED = "call_dropped"
    POOR_QUALITY = "poor_quality"
    CONNECTION_TIMEOUT = "connection_timeout"
    EXCESSIVE_LATENCY = "excessive_latency"
    BANDWIDTH_THROTTLING = "bandwidth_throttling"
    ABUSE_REPORT = "abuse_report"
    SPAM_DETECTED = "spam_detected"
    MALICIOUS_BEHAVIOR = "malicious_behavior"
    SECURITY_VIOLATION = "security_violation"


class Severity(StrEnum):
    """How grave a bad event is."""

    NORMAL = "normal"
    WARNING = "warning"
    CRITICAL = "critical"


SEVERITY_FACTORS = {Severity.NORMAL: 1.0, Severity.WARNING: 1.5, Severity.CRITICAL: 2.0}
"""The brief's factors; they make a penalty graver and leave rewards alone."""

HIGH_QUALITY_MOS = 4.0
"""From here the brief's `high_quality_stream` is earned; ITU-T G.107 Annex B calls 4.03 `satisfied`."""

_SUCCESSES = frozenset({EventKind.SUCCESSFUL_CALL})
# Further praise for a call that `successful_call` counts already, or no outcome of a call at all.
_NO_OUTCOMES = frozenset(
    {
        EventKind.HIGH_QUALITY_STREAM,
        EventKind.HELPED_RELAY,
        EventKind.VERIFIED_IDENTITY,
        EventKind.COMMUNITY_CONTRIBUTION,
        EventKind.CONSISTENT_UPTIME,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One event that speaks for or against a node.

    Attributes:
        kind: What happened.
        node: Index of the node, in the numbering of whoever wrote the evidence.
        t: When, monotonic seconds.
        weight: How much it counts, at least 0: a rater's credibility, or less than 1 for one-sided evidence.
        severity: How grave a bad event is.
        success: Whether the node did its part; None leaves it to `kind`.
        raters: Who says so, in the same numbering: both ends of a call that agree, or one of them; empty for what
            the owner of the model saw itself. What a node says of itself is no evidence.
        grade: How well it did its part, from 0 to 1; None where only the outcome is known.

    Raises:
        ValueError: If the weight is negative or not finite, or the grade is not within 0 and 1.
    """

    kind: EventKind
    node: int
    t: float
    weight: float = 1.0
    severity: Severity = Severity.NORMAL
    success: bool | None = None
    raters: tuple[int, ...] = ()
    grade: float | None = None

    def __post_init__(self) -> None:
        if self.grade is not None and not 0.0 <= self.grade <= 1.0:
            raise ValueError(f"a grade is from 0 to 1, not {self.grade!r}")
        if not (math.isfinite(self.weight) and self.weight >= 0.0):
            raise ValueError(f"evidence cannot have weight {self.weight!r}")

    @property
    def outcome(self) -> bool | None:
        """Whether the node did its part in a call; None where the event says nothing of that.

        A call gives each relay exactly one event with an outcome, so that models which count outcomes count calls.
        """
        if self.success is not None:
            return self.success
        return None if self.kind in _NO_OUTCOMES else self.kind in _SUCCESSES


class EvidenceColumns(NamedTuple):
    """Outcomes of M calls, as `Evidence` would tell them one by one, in order; every array has shape (M,).

    Attributes:
        node: int64, whom it is about.
        rater: int64, who says so; -1 for the owner of the model.
        partner: int64, the other end that says the same; -1 for nobody.
        good: float64, weight of a success, at least 0.
        bad: float64, weight of a failure, its severity included, at least 0.
        t: float64, when, monotonic seconds.
    """

    node: NDArray[np.int64]
    rater: NDArray[np.int64]
    partner: NDArray[np.int64]
    good: NDArray[np.float64]
    bad: NDArray[np.float64]
    t: NDArray[np.float64]


def events_from_outcome(
    *, completed: bool, mos: float, poor: bool, relayed: bool = True, connected: bool = True
) -> tuple[EventKind, ...]:
    """The events that a call's outcome gives each of its relays, or each of its ends if nothing was relayed.

    Args:
        completed: Whether the call ran to its intended end.
        mos: Its mean opinion score.
        poor: Whether it missed its quality target.
        relayed: Whether the node relayed the call.
        connected: Whether set-up succeeded.

    >>> [kind.value for kind in events_from_outcome(completed=True, mos=4.2, poor=False, relayed=True)]
    ['successful_call', 'helped_relay', 'high_quality_stream']
    """
    if not connected:
        return (EventKind.CONNECTION_TIMEOUT,)
    if not completed:
        return (EventKind.CALL_DROPPED,)
    if poor:
        return (EventKind.POOR_QUALITY,)
    helped = (EventKind.HELPED_RELAY,) if relayed else ()
    praised = (EventKind.HIGH_QUALITY_STREAM,) if mos >= HIGH_QUALITY_MOS else ()
    return (EventKind.SUCCESSFUL_CALL, *helped, *praised)
