"""Attacks on a whole mesh: who is in them, when they strike, what they say, claim, make up and report.

What a single node does to messages and media is `agent.adversary`'s; the lies are the same (`agent.adversary.lies`).
"""

from __future__ import annotations

from meshsim.sim.attacks.cast import Villain, cast_villains
from meshsim.sim.attacks.claims import Claims, Reports
from meshsim.sim.attacks.conduct import Spite

__all__ = ["Claims", "Reports", "Spite", "Villain", "cast_villains"]
