"""The simulator: ground truth, a discrete-event clock, and everything that happens on it, written down as a trace."""

from __future__ import annotations

from meshsim.sim.environment import Environment
from meshsim.sim.simulation import Episode, SimulationResult, begin, simulate
from meshsim.sim.world import LinkTruth, PathTruth, World

__all__ = ["Environment", "Episode", "LinkTruth", "PathTruth", "SimulationResult", "World", "begin", "simulate"]
