"""Learning: from traces to a scorer that nodes run. Knows traces, features and graphs, and nothing of the simulator.

Training itself is `meshsim.learn.train.train`.
"""

from __future__ import annotations

from meshsim.learn.config import TrainConfig, load_config
from meshsim.learn.dataset import Dataset, load
from meshsim.learn.evaluate import OpenLoop, evaluate_dataset, evaluate_open_loop

__all__ = [
    "Dataset",
    "OpenLoop",
    "TrainConfig",
    "evaluate_dataset",
    "evaluate_open_loop",
    "load",
    "load_config",
]
