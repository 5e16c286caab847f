"""The same calls for several agents: the PettingZoo parallel environment, one agent for each domain or each caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pettingzoo import ParallelEnv

from meshsim.lab.gym.routing import RoutingEnv
from meshsim.mesh.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gymnasium import Space

    from meshsim.lab.gym.routing import Observation

By = Literal["domain", "caller"]

_Told = tuple[dict[str, "Observation"], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]


class DomainsEnv(ParallelEnv):  # type: ignore[misc] # PettingZoo has no types
    """Agents that each choose the routes of their own people's calls.

    Calls come one after another, and what one loads is what the next finds: in each step one agent has a call that
    waits, all others see an empty observation whose mask is zero, and whatever they do is ignored. So the sequence of
    calls is that of `RoutingEnv`, whoever they belong to; `pettingzoo.utils.parallel_to_aec` makes turns of it.

    Rewards are `RoutingEnv`'s with `reward="choice"`, paid to the agent that chose. All agents end together.

    Args:
        by: `domain`, an agent for each domain of `federation.domains` (one, `home`, without them), or `caller`, an
            agent for each node, `node-0` and so on.
        **options: As of `RoutingEnv`, without `reward`.

    Attributes:
        possible_agents: All agents, in order.
        agents: Those of the episode under way.

    Raises:
        ConfigError: As of `RoutingEnv`, and if `by` is unknown.
    """

    metadata: dict[str, Any] = {"name": "meshsim_domains_v0", "render_modes": []}  # noqa: RUF012 - as PettingZoo does

    def __init__(self, *, by: By = "domain", **options: Any) -> None:
        if by not in get_args(By):
            raise ConfigError(f"unknown kind of agent {by!r}", key="by", allowed=list(get_args(By)))
        self._env = RoutingEnv(**options)
        scenario = self._env.scenario
        names = scenario.federation.names or ("home",)
        callers = [f"node-{node}" for node in range(scenario.nodes.count)]
        self._by: By = by
        self.possible_agents = list(names) if by == "domain" else callers
        self.agents: list[str] = []
        self.render_mode = None

    def observation_space(self, agent: str) -> Space[Any]:  # noqa: ARG002 - all have one space
        """The space of `RoutingEnv`."""
        return self._env.observation_space

    def action_space(self, agent: str) -> Space[Any]:  # noqa: ARG002 - all have one space
        """The space of `RoutingEnv`."""
        return self._env.action_space

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Begins the episode of a seed, as `RoutingEnv.reset` does."""
        observation, info = self._env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        return self._seen(observation), self._infos(info)

    def step(self, actions: Mapping[str, int]) -> _Told:
        """Gives the call that waits the route that its agent chose; an agent that says nothing chose row 0.

        Args:
            actions: Rows by agent; only that of the agent with a call counts.
        """
        turn, agents = self._turn(), self.agents
        observation, reward, over, _, info = self._env.step(int(actions.get(turn, 0)))
        told = self._seen(observation), self._rewards(turn, reward), dict.fromkeys(agents, over)
        infos = self._infos(info)
        if over:
            self.agents = []
        return *told, dict.fromkeys(agents, False), infos

    def close(self) -> None:
        """Ends the episode under way."""
        self._env.close()

    def _turn(self) -> str:
        """The agent whose call waits; empty if none does."""
        question = self._env.question
        if question is None:
            return ""
        caller = question.call.caller
        if self._by == "caller":
            return f"node-{caller}"
        return self._env.domain_of(caller) or self.possible_agents[0]

    def _seen(self, observation: Observation) -> dict[str, Observation]:
        blank = {name: np.zeros_like(values) for name, values in observation.items()}
        turn = self._turn()
        return {agent: observation if agent == turn else blank for agent in self.agents}

    def _rewards(self, turn: str, reward: float) -> dict[str, float]:
        return {agent: reward if agent == turn else 0.0 for agent in self.agents}

    def _infos(self, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """What everybody is told is one thing: the call that waits, and what ended."""
        return {agent: dict(info) for agent in self.agents}
