"""Published samples of the GNNet challenge in our engines: packet by packet (`packet`), and by formula (`flow`).

`draw` makes small samples of our own, `table` says of each hop what a model may know before the run.
"""

from __future__ import annotations

from meshsim.sim.gnnet.draw import draw_sample
from meshsim.sim.gnnet.flow import MODELS, predict_sample
from meshsim.sim.gnnet.outcome import Outcome
from meshsim.sim.gnnet.packet import WARM_UP, hops_per_second, network_of, simulate_sample
from meshsim.sim.gnnet.table import COLUMNS, HopTable, hop_table

__all__ = [
    "COLUMNS",
    "MODELS",
    "WARM_UP",
    "HopTable",
    "Outcome",
    "draw_sample",
    "hop_table",
    "hops_per_second",
    "network_of",
    "predict_sample",
    "simulate_sample",
]
