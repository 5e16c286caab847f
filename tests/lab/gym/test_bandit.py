from __future__ import annotations

import numpy as np
import pytest

from meshsim.lab.gym import LinUCB, RoutingEnv, advised, clairvoyant, play, random_valid
from meshsim.routing.features import PATH


def observed(*rows: list[float], mask: list[int] | None = None) -> dict[str, np.ndarray]:
    return {"paths": np.array(rows), "action_mask": np.array(mask or [1] * len(rows))}


def test_weights_are_those_of_ridge_regression() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 3)), rng.normal(size=50)
    bandit = LinUCB(3, ridge=2.0)
    for row, reward in zip(x, y, strict=True):
        bandit.learn(observed(row.tolist()), 0, reward)
    padded = np.c_[x, np.ones(50)]
    np.testing.assert_allclose(bandit.weights, np.linalg.solve(padded.T @ padded + 2.0 * np.eye(4), padded.T @ y))


def test_what_was_never_tried_is_tried_before_what_is_known_to_be_fair() -> None:
    bandit = LinUCB(2, alpha=1.0)
    for _ in range(30):
        bandit.learn(observed([1.0, 0.0]), 0, 0.3)
    assert bandit.choose(observed([1.0, 0.0], [0.0, 1.0]), {}) == 1


def test_a_masked_row_is_never_taken() -> None:
    bandit = LinUCB(1)
    assert bandit.choose(observed([9.0], [0.1], mask=[0, 1]), {}) == 1
    choose = random_valid(np.random.default_rng(1))
    assert {choose(observed([9.0], [0.1], [0.2], mask=[0, 1, 1]), {}) for _ in range(30)} == {1, 2}


def test_an_episode_is_played_to_its_end_and_regrets_are_never_negative(short: tuple[str, ...]) -> None:
    env = RoutingEnv(overrides=short)
    told = play(env, advised, seed=1, learner=LinUCB(len(PATH)))
    assert len(told.rewards) == len(told.regrets) > 30
    assert (told.regrets >= 0.0).all()
    assert told.mean == pytest.approx(told.rewards.mean())


def test_who_sees_the_truth_regrets_nothing(short: tuple[str, ...]) -> None:
    env = RoutingEnv(overrides=short)
    assert play(env, clairvoyant(env), seed=1).regrets.max() == 0.0
