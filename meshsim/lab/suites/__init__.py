"""Suites: named sets of episodes a scorer is held against, with goals. Nothing here is trained on."""

from __future__ import annotations

from meshsim.lab.suites.definitions import SUITES, Aim, Case, Suite, used_graphs
from meshsim.lab.suites.evaluation import RIVALS, evaluate
from meshsim.lab.suites.show import readable

__all__ = ["RIVALS", "SUITES", "Aim", "Case", "Suite", "evaluate", "readable", "used_graphs"]
