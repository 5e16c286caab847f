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
    is_confident,
    is_learning,
    is_stochastic,
    make,
)
from meshsim.routing.policies.direct import Direct
from meshsim.routing.policies.exploring import Exploring
from meshsim.routing.policies.learned import Learned, list_models, load_model, verify_model
from meshsim.routing.policies.shortest import Shortest
from meshsim.routing.policies.weighted import Weighted

__all__ = [
    "POLICIES",
    "Confident",
    "Direct",
    "Exploring",
    "Learned",
    "Learning",
    "Outcome",
    "Policy",
    "Shortest",
    "Stochastic",
    "Weighted",
    "believed_scores",
    "is_confident",
    "is_learning",
    "is_stochastic",
    "list_models",
    "load_model",
    "make",
    "verify_model",
]
