"""Elastic flows: rates that share links max-min fairly, and transfers that come and go at such rates."""

from __future__ import annotations

from meshsim.sim.fluid.elastic import run_elastic
from meshsim.sim.fluid.maxmin import max_min

__all__ = ["max_min", "run_elastic"]
