"""How candidates are scored: one file a policy, all known by name in `POLICIES`."""

from __future__ import annotations

from meshsim.routing.policies.base import (
    POLICIES,
    Confident,
    Learning,
    Outcome,
    Policy,
    Stochastic,
    believed_scores,
    confidence_in,
    is_confident,
    is_learning,
    is_stochastic,
    make,
)
from meshsim.routing.policies.direct import Direct
from meshsim.routing.policies.ecmp import Ecmp
from meshsim.routing.policies.exploring import Exploring
from meshsim.routing.policies.greedy import GreedyReputation
from meshsim.routing.policies.hop import Hop
from meshsim.routing.policies.learned import Learned, list_models, load_model, verify_model
from meshsim.routing.policies.physics import Physics
from meshsim.routing.policies.qrouting import QRouting
from meshsim.routing.policies.shortest import Shortest
from meshsim.routing.policies.spreading import KShortest, RandomRelay
from meshsim.routing.policies.via import Via
from meshsim.routing.policies.weighted import Weighted
from meshsim.routing.policies.widest import ShortestWidest, Widest, WidestShortest

__all__ = [
    "POLICIES",
    "Confident",
    "Direct",
    "Ecmp",
    "Exploring",
    "GreedyReputation",
    "Hop",
    "KShortest",
    "Learned",
    "Learning",
    "Outcome",
    "Physics",
    "Policy",
    "QRouting",
    "RandomRelay",
    "Shortest",
    "ShortestWidest",
    "Stochastic",
    "Via",
    "Weighted",
    "Widest",
    "WidestShortest",
    "believed_scores",
    "confidence_in",
    "is_confident",
    "is_learning",
    "is_stochastic",
    "list_models",
    "load_model",
    "make",
    "verify_model",
]
