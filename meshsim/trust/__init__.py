"""Reputation: evidence in, score and interval out.

Who is told of evidence, and what a score permits, is the agent's and the engine's.
"""

from __future__ import annotations

from meshsim.trust.additive import Additive
from meshsim.trust.beta import Beta
from meshsim.trust.docket import Docket, Outcome, Proof, Rules, Statement, Testimony, Verdict
from meshsim.trust.evidence import EventKind, Evidence, EvidenceColumns, Severity, events_from_outcome
from meshsim.trust.models import Reputation, ReputationModel, ReputationTable, make_model, models, observe_each
from meshsim.trust.status import Status, status_of

__all__ = [
    "Additive",
    "Beta",
    "Docket",
    "EventKind",
    "Evidence",
    "EvidenceColumns",
    "Outcome",
    "Proof",
    "Reputation",
    "ReputationModel",
    "ReputationTable",
    "Rules",
    "Severity",
    "Statement",
    "Status",
    "Testimony",
    "Verdict",
    "events_from_outcome",
    "make_model",
    "models",
    "observe_each",
    "status_of",
]
