"""Environments of Gymnasium and PettingZoo: somebody else's agent chooses the routes of a running simulation.

Importing this registers `meshsim/Routing-v0` with Gymnasium. Needs the extra `gym`, and nothing of pandas, matplotlib
or torch.

>>> import gymnasium
>>> import meshsim.lab.gym
>>> env = gymnasium.make("meshsim/Routing-v0", scenario="demo", overrides=["duration=5 min"])
>>> observation, info = env.reset(seed=1)
>>> observation["paths"].shape, int(observation["action_mask"][info["advice"]])
((16, 25), 1)
>>> env.close()
"""

from __future__ import annotations

from meshsim.mesh.errors import MissingExtra

try:
    import gymnasium
    import pettingzoo  # noqa: F401 - asked for here, so that one error names the extra
except ModuleNotFoundError as missing:
    raise MissingExtra(str(missing.name), "gym") from missing

from meshsim.lab.gym.bandit import LinUCB, Played, advised, clairvoyant, play, random_valid
from meshsim.lab.gym.domains import DomainsEnv
from meshsim.lab.gym.routing import RoutingEnv

__all__ = ["DomainsEnv", "LinUCB", "Played", "RoutingEnv", "advised", "clairvoyant", "play", "random_valid"]

gymnasium.register("meshsim/Routing-v0", entry_point="meshsim.lab.gym.routing:RoutingEnv")
