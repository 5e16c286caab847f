from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from meshsim.lab.gym import RoutingEnv, advised, play, random_valid
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, LocalProtocolError
from meshsim.scenario import compile_plan, load
from meshsim.sim import simulate

if TYPE_CHECKING:
    from pathlib import Path


FEW = ("routing.candidates=60", "routing.max_hops=2")
"""More rows than there are relays: the last is always masked."""


def walk(env: RoutingEnv, seed: int, actions: int) -> list[Any]:
    """The first steps of a seed, everything that was told."""
    told: list[Any] = [env.reset(seed=seed)]
    rng = np.random.default_rng(seed)
    for _ in range(actions):
        told.append(env.step(int(rng.integers(8))))  # noqa: PERF401 - in order, as a walk is
    return told


def test_gymnasiums_checker_passes(short: tuple[str, ...]) -> None:
    env = gymnasium.make("meshsim/Routing-v0", scenario="demo", overrides=[*short, "nodes.count=40"])
    check_env(env.unwrapped, skip_render_check=True)


def test_same_seed_and_actions_give_the_same_bits(short: tuple[str, ...]) -> None:
    first, second = (walk(RoutingEnv("demo", overrides=short), 7, 25) for _ in range(2))
    np.testing.assert_equal(first, second)
    other = walk(RoutingEnv("demo", overrides=short), 8, 1)
    assert not np.array_equal(first[0][0]["paths"], other[0][0]["paths"])


def test_seeds_that_the_environment_draws_follow_from_the_last_one_given(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=short)
    drawn = []
    for _ in range(2):
        env.reset(seed=3)
        drawn.append([env.reset()[0]["paths"], env.reset()[0]["paths"]])
    np.testing.assert_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0][0], drawn[0][1])


def test_weighteds_actions_give_the_calls_of_a_run_with_weighted(short: tuple[str, ...], tmp_path: Path) -> None:
    play(RoutingEnv("demo", overrides=short, out=tmp_path / "env"), advised, seed=2)
    whole = simulate(compile_plan(load("demo", short), 2), tmp_path / "run", policy="weighted").trace
    ours, theirs = (Trace(folder).table("calls") for folder in (tmp_path / "env" / "episode-1", whole))
    assert len(ours) > 40
    np.testing.assert_equal(ours.drop_columns(["policy"]).to_pydict(), theirs.drop_columns(["policy"]).to_pydict())


def test_what_is_recorded_changes_no_reward(short: tuple[str, ...], tmp_path: Path) -> None:
    kept = play(RoutingEnv("demo", overrides=short, out=tmp_path), random_valid(np.random.default_rng(1)), seed=2)
    lost = play(RoutingEnv("demo", overrides=short), random_valid(np.random.default_rng(1)), seed=2)
    np.testing.assert_array_equal(kept.rewards, lost.rewards)
    assert [path.name for path in tmp_path.iterdir()] == ["episode-1"]


def test_a_row_is_what_the_policies_see_of_a_path(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=short)
    observation, info = env.reset(seed=1)
    assert env.question is not None
    ranking = env.question.ranking
    np.testing.assert_array_equal(observation["paths"][: len(ranking.candidates)], ranking.features.path)
    assert np.flatnonzero(observation["action_mask"]).tolist() == sorted(ranking.order)
    assert env.action_masks().tolist() == [bool(x) for x in observation["action_mask"]]
    assert (info["advice"], info["caller"]) == (ranking.order[0], ranking.candidates.path(0)[0])
    assert info["propensities"].sum() == pytest.approx(1.0)


def test_an_action_that_is_masked_earns_nothing_and_the_policys_path_is_taken(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=[*short, *FEW])
    observation, info = env.reset(seed=1)
    assert observation["action_mask"][-1] == 0
    _, reward, _, _, after = env.step(59)
    answered = after["answered"]
    assert (reward, answered["valid"], answered["taken"]) == (0.0, False, info["advice"])
    assert answered["utilities"][answered["taken"]] > 0.0


def test_a_choice_is_paid_by_what_the_path_truly_is(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=short)
    observation, _ = env.reset(seed=1)
    worth, action = env.utilities(), int(np.flatnonzero(observation["action_mask"])[-1])
    _, reward, _, _, info = env.step(action)
    assert reward == worth[action]
    assert info["answered"]["regret"] == pytest.approx(worth[observation["action_mask"] > 0].max() - reward)


def test_lived_rewards_add_up_to_what_the_calls_were_worth(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=short, reward="lived")
    observation, info = env.reset(seed=4)
    paid, steps, over, ended = 0.0, 0, False, []
    while not over:
        observation, reward, over, _, info = env.step(info["advice"])
        paid, steps = paid + reward, steps + 1
        ended += info["ended"]
    assert paid == pytest.approx(sum(call["utility"] for call in ended))
    assert len({call["call"] for call in ended}) == len(ended) == steps
    assert not observation["action_mask"].any()


def test_a_masked_action_has_no_part_in_what_its_call_lived(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=[*short, *FEW], reward="lived")
    env.reset(seed=1)
    over, paid = False, 0.0
    while not over:
        _, reward, over, _, _ = env.step(59)
        paid += reward
    assert paid == 0.0


def test_the_episode_terminates_and_a_wrapper_truncates_it(short: tuple[str, ...]) -> None:
    env = gymnasium.make("meshsim/Routing-v0", max_episode_steps=3, overrides=short)
    _, info = env.reset(seed=1)
    ends = []
    for _ in range(3):
        *_, terminated, truncated, info = env.step(info["advice"])
        ends.append((terminated, truncated))
    assert ends == [(False, False), (False, False), (False, True)]
    env.close()


def test_an_episode_without_calls_ends_at_once(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=[*short, "calls.rate=1e-9"])
    observation, info = env.reset(seed=1)
    assert not observation["action_mask"].any()
    assert info == {"ended": []}
    assert env.step(0)[1:4] == (0.0, True, False)
    with pytest.raises(LocalProtocolError, match="has ended"):
        env.step(0)


def test_without_an_episode_there_is_no_step(short: tuple[str, ...]) -> None:
    env = RoutingEnv("demo", overrides=short)
    with pytest.raises(LocalProtocolError, match="reset"):
        env.step(0)
    assert not env.action_masks().any()


def test_wrong_options_are_refused_before_anything_runs(short: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="reward"):
        RoutingEnv("demo", reward="later")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"control\.mode"):
        RoutingEnv("smoke")
    with pytest.raises(ConfigError, match="demo"):
        RoutingEnv("demmo")
