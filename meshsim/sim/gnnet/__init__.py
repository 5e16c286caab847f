"""Published samples of the GNNet challenge in our engines: packet by packet (`packet`), and by formula (`flow`)."""

from __future__ import annotations

from meshsim.sim.gnnet.flow import MODELS, predict_sample
from meshsim.sim.gnnet.outcome import Outcome
from meshsim.sim.gnnet.packet import WARM_UP, hops_per_second, network_of, simulate_sample

__all__ = ["MODELS", "WARM_UP", "Outcome", "hops_per_second", "network_of", "predict_sample", "simulate_sample"]
