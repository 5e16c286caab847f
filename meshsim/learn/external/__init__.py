"""A second small model for an outside truth: mean delays of flows in published packet-level simulations.

It is trained on networks of at most ten nodes that we simulate, and judged on others' of up to three hundred. The
arrays it takes are made by who calls (`sim.gnnet.hop_table`): `learn` knows no simulator.
"""

from __future__ import annotations

from meshsim.learn.external.artefact import Delays, read_delays, write_delays
from meshsim.learn.external.config import DelayConfig, is_delay_config, load_delay_config
from meshsim.learn.external.fit import DelayFit, Labelled, fit_delays, labelled
from meshsim.learn.external.model import DelayModel, Network, network

__all__ = [
    "DelayConfig",
    "DelayFit",
    "DelayModel",
    "Delays",
    "Labelled",
    "Network",
    "fit_delays",
    "is_delay_config",
    "labelled",
    "load_delay_config",
    "network",
    "read_delays",
    "write_delays",
]
