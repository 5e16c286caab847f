from __future__ import annotations

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test
from pettingzoo.utils import parallel_to_aec

from meshsim.lab.gym import DomainsEnv, RoutingEnv
from meshsim.mesh.errors import ConfigError

TWO = "federation.domains=[{name: north, share: 50%}, {name: south, share: 50%}]"


def test_pettingzoos_parallel_test_passes_with_an_agent_for_each_domain(short: tuple[str, ...]) -> None:
    env = DomainsEnv(overrides=[*short, TWO])
    parallel_api_test(env, num_cycles=200)
    assert env.possible_agents == ["north", "south"]


def test_pettingzoos_parallel_test_passes_with_an_agent_for_each_caller(short: tuple[str, ...]) -> None:
    parallel_api_test(DomainsEnv(by="caller", overrides=[*short, "nodes.count=30"]), num_cycles=200)


def test_pettingzoos_seed_test_passes(short: tuple[str, ...]) -> None:
    parallel_seed_test(lambda: DomainsEnv(overrides=[*short, TWO]), num_cycles=10)


def test_the_agent_whose_people_call_is_the_one_that_sees_and_is_paid(short: tuple[str, ...]) -> None:
    env = DomainsEnv(overrides=[*short, TWO])
    observations, infos = env.reset(seed=1)
    paid = dict.fromkeys(env.agents, 0)
    while env.agents:
        turns = [agent for agent in env.agents if observations[agent]["action_mask"].any()]
        assert len(turns) == 1
        observations, rewards, _, _, infos = env.step({turns[0]: infos[turns[0]]["advice"]})
        assert all(reward == 0.0 for agent, reward in rewards.items() if agent != turns[0])
        paid[turns[0]] += rewards[turns[0]] > 0.0
    assert min(paid.values()) > 5


def test_the_calls_are_those_of_one_agent_that_does_the_same(short: tuple[str, ...]) -> None:
    several, one = DomainsEnv(by="caller", overrides=short), RoutingEnv(overrides=short)
    _, infos = several.reset(seed=2)
    observation, info = one.reset(seed=2)
    for _ in range(15):
        turn = f"node-{info['caller']}"
        seen, rewards, _, _, infos = several.step({turn: infos[turn]["advice"]})
        observation, reward, _, _, info = one.step(info["advice"])
        np.testing.assert_array_equal(seen[f"node-{info['caller']}"]["paths"], observation["paths"])
        assert rewards[turn] == reward


def test_turns_can_be_made_of_it(short: tuple[str, ...]) -> None:
    env = parallel_to_aec(DomainsEnv(overrides=[*short, TWO]))
    env.reset(seed=1)
    for _, agent in zip(range(6), env.agent_iter(), strict=False):
        assert agent in ("north", "south")
        env.step(0)


def test_without_domains_there_is_one_agent(short: tuple[str, ...]) -> None:
    env = DomainsEnv(overrides=short)
    observations, _ = env.reset(seed=1)
    assert list(observations) == ["home"]
    assert observations["home"]["action_mask"].any()
    env.close()


def test_an_unknown_kind_of_agent_is_refused() -> None:
    with pytest.raises(ConfigError, match="by"):
        DomainsEnv(by="planet")  # type: ignore[arg-type]
