"""What is known of a node's conduct: the brief's event kinds, and what a call's outcome says of its relays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


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

    Raises:
        ValueError: If the weight is negative or not finite.
    """

    kind: EventKind
    node: int
    t: float
    weight: float = 1.0
    severity: Severity = Severity.NORMAL
    success: bool | None = None

    def __post_init__(self) -> None:
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
