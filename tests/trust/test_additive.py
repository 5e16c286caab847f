from __future__ import annotations

import pytest

from meshsim.trust import Additive, EventKind, Evidence, Severity

BRIEF = {
    "successful_call": 1,
    "high_quality_stream": 2,
    "helped_relay": 1.5,
    "verified_identity": 5,
    "community_contribution": 3,
    "consistent_uptime": 2,
    "call_dropped": -2,
    "poor_quality": -1.5,
    "connection_timeout": -1,
    "excessive_latency": -0.5,
    "bandwidth_throttling": -3,
    "abuse_report": -5,
    "spam_detected": -10,
    "malicious_behavior": -20,
    "security_violation": -25,
}


def after(*kinds: str, severity: Severity = Severity.NORMAL, weight: float = 1.0) -> float:
    model = Additive()
    for kind in kinds:
        model.observe(0, Evidence(kind=EventKind(kind), node=0, t=0.0, severity=severity, weight=weight))
    return model.score(0, 0.0).mean


@pytest.mark.parametrize("kind", list(EventKind))
def test_points_are_the_briefs(kind: EventKind) -> None:
    assert after(kind) == 50 + BRIEF[kind]


@pytest.mark.parametrize(("severity", "factor"), [(Severity.WARNING, 1.5), (Severity.CRITICAL, 2.0)])
def test_severity_makes_penalties_graver_and_leaves_rewards(severity: Severity, factor: float) -> None:
    assert after("abuse_report", severity=severity) == 50 - 5 * factor
    assert after("verified_identity", severity=severity) == 55
    assert after("successful_call", severity=severity, weight=0.5) == 50.5


def test_weight_scales_points() -> None:
    assert after("call_dropped", weight=0.5) == 49


def test_evidence_is_the_sum_of_weights_whatever_it_is_worth() -> None:
    model = Additive()
    for kind, weight in ((EventKind.SUCCESSFUL_CALL, 0.5), (EventKind.ABUSE_REPORT, 0.25)):
        model.observe(2, Evidence(kind=kind, node=2, t=0.0, weight=weight))
    assert model.score(2, 0.0).evidence == 0.75
    assert model.table(4, 0.0).evidence.tolist() == [0.0, 0.0, 0.75, 0.0]


def test_scores_are_clamped_so_the_order_of_events_matters() -> None:
    assert after(*["verified_identity"] * 11) == 100
    assert after(*["security_violation"] * 3) == 0
    rewards, penalty = ["verified_identity"] * 10, ["security_violation"]
    assert after(*rewards, "verified_identity", *penalty) == 75
    assert after(*penalty, *rewards, "verified_identity") == 80


def test_the_known_weaknesses_of_the_scheme_are_kept() -> None:
    model = Additive()
    for _ in range(3):
        model.observe(0, Evidence(kind=EventKind.MALICIOUS_BEHAVIOR, node=0, t=0.0, severity=Severity.CRITICAL))
    assert model.score(0, 0.0).status == "banned"
    for _ in range(9):  # faked calls
        for kind in (EventKind.SUCCESSFUL_CALL, EventKind.HELPED_RELAY, EventKind.HIGH_QUALITY_STREAM):
            model.observe(1, Evidence(kind=kind, node=1, t=0.0))
    assert model.score(1, 0.0).status == "verified"


def test_a_node_never_heard_of_is_new_and_starts_at_50() -> None:
    score = Additive().score(7, 0.0)
    assert (score.mean, score.low, score.high, score.evidence, score.status) == (50.0, 50.0, 50.0, 0.0, "new")
