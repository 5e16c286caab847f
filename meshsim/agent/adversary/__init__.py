"""Misbehaviour as interceptors of an agent's messages and effects: the same in the simulator and on real nodes.

An interceptor sees what comes in before the agent does, and what goes out before the driver does. With strength 0 it
changes nothing.
"""

from __future__ import annotations

from meshsim.agent.adversary.black_hole import BlackHole
from meshsim.agent.adversary.gray_hole import GrayHole
from meshsim.agent.adversary.interceptor import Interceptor, adversaries

__all__ = ["BlackHole", "GrayHole", "Interceptor", "adversaries"]
