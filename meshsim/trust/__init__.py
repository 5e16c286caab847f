"""Reputation: evidence in, score and interval out.

Who is told of evidence, and what a score permits, is the agent's and the engine's.
"""

from __future__ import annotations

from meshsim.trust.abuse import AbuseDesk
from meshsim.trust.additive import Additive
from meshsim.trust.beta import Beta
from meshsim.trust.blame import Blame
from meshsim.trust.conduct import misconduct
from meshsim.trust.credibility import credibility
from meshsim.trust.docket import Docket, Proof, Rules, Verdict
from meshsim.trust.eigentrust import eigentrust
from meshsim.trust.evidence import EventKind, Evidence, EvidenceColumns, Severity, events_from_outcome
from meshsim.trust.gossipsub import GossipSub
from meshsim.trust.meritrank import meritrank
from meshsim.trust.models import Reputation, ReputationModel, ReputationTable, make_model, models, observe_each
from meshsim.trust.opinions import Edges, Opinions
from meshsim.trust.peertrust import peertrust
from meshsim.trust.statement import Account, Outcome, Statement
from meshsim.trust.status import Status, status_of
from meshsim.trust.subjective_logic import subjective_logic
from meshsim.trust.sybilrank import sybilrank
from meshsim.trust.vigilance import BetaCusum, Vigil

__all__ = [
    "AbuseDesk",
    "Account",
    "Additive",
    "Beta",
    "BetaCusum",
    "Blame",
    "Docket",
    "Edges",
    "EventKind",
    "Evidence",
    "EvidenceColumns",
    "GossipSub",
    "Opinions",
    "Outcome",
    "Proof",
    "Reputation",
    "ReputationModel",
    "ReputationTable",
    "Rules",
    "Severity",
    "Statement",
    "Status",
    "Verdict",
    "Vigil",
    "credibility",
    "eigentrust",
    "events_from_outcome",
    "make_model",
    "meritrank",
    "misconduct",
    "models",
    "observe_each",
    "peertrust",
    "status_of",
    "subjective_logic",
    "sybilrank",
]
