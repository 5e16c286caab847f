"""Agents that fit on a page: a linear contextual bandit, and what to hold it against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from gymnasium import Env
    from numpy.typing import NDArray

    from meshsim.lab.gym.routing import Observation, RoutingEnv

    Chooser = Callable[[Observation, dict[str, Any]], int]


class Learner(Protocol):
    """Who wants to know what came of a choice."""

    def learn(self, observation: Observation, action: int, reward: float) -> None:
        """Takes in the reward of an action."""


@dataclass(frozen=True, slots=True)
class Played:
    """An episode that was played.

    Attributes:
        rewards: (n,) of its steps.
        regrets: (n,) what the best usable path of each step would truly have given more.
    """

    rewards: NDArray[np.float64]
    regrets: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean reward of a call."""
        return float(self.rewards.mean())


class LinUCB:
    """A linear reward for what is believed of a path, and optimism where little is known of such paths.

    One linear model serves all rows, for rows are paths, not arms: LinUCB of L. Li, W. Chu, J. Langford, R. Schapire,
    "A contextual-bandit approach to personalized news article recommendation", WWW 2010, with shared features only.

    Args:
        features: Columns of `paths`.
        alpha: How many standard errors of optimism; 0 takes the best guess.
        ridge: Weight of the prior that all coefficients are 0.

    >>> import numpy as np
    >>> bandit = LinUCB(1, alpha=0.0)
    >>> two = {"paths": np.array([[0.0], [1.0]]), "action_mask": np.array([1, 1])}
    >>> for action, reward in [(0, 0.2), (1, 0.8)] * 20:
    ...     bandit.learn(two, action, reward)
    >>> bandit.choose(two, {})
    1
    """

    def __init__(self, features: int, *, alpha: float = 0.5, ridge: float = 1.0) -> None:
        self.alpha = alpha
        self._inverse = np.eye(features + 1) / ridge
        self._sum = np.zeros(features + 1)

    @property
    def weights(self) -> NDArray[np.float64]:
        """(F + 1,) coefficients of the columns, and the constant last."""
        return np.asarray(self._inverse @ self._sum)

    def choose(self, observation: Observation, _: dict[str, Any]) -> int:
        """The usable row with the highest upper bound."""
        x = _with_constant(observation["paths"])
        width = np.sqrt(np.einsum("kf,fg,kg->k", x, self._inverse, x))
        bound = x @ self.weights + self.alpha * width
        return int(np.where(observation["action_mask"] > 0, bound, -np.inf).argmax())

    def learn(self, observation: Observation, action: int, reward: float) -> None:
        """Ridge regression of one more reward, by the formula of Sherman and Morrison."""
        x = _with_constant(observation["paths"])[action]
        gain = self._inverse @ x
        self._inverse -= np.outer(gain, gain) / (1.0 + x @ gain)
        self._sum += reward * x


def random_valid(rng: np.random.Generator) -> Chooser:
    """Takes any usable row, each as likely."""

    def choose(observation: Observation, _: dict[str, Any]) -> int:
        return int(rng.choice(np.flatnonzero(observation["action_mask"])))

    return choose


def advised(_: Observation, info: dict[str, Any]) -> int:
    """What the scenario's own policy would do."""
    return int(info["advice"])


def clairvoyant(env: Env[Observation, Any]) -> Chooser:
    """Takes what is truly worth most now: what nobody who decides call by call can beat at once.

    Args:
        env: `meshsim/Routing-v0`, wrapped or not; the one that is played.
    """
    inner = cast("RoutingEnv", env.unwrapped)

    def choose(observation: Observation, _: dict[str, Any]) -> int:
        return int(np.where(observation["action_mask"] > 0, inner.utilities(), -1.0).argmax())

    return choose


def play(env: Env[Observation, Any], choose: Chooser, seed: int, learner: Learner | None = None) -> Played:
    """Plays the episode of a seed to its end.

    Args:
        env: `meshsim/Routing-v0`, wrapped or not, with `reward="choice"`.
        choose: From observation and info to a row.
        seed: Of the episode.
        learner: Told of each reward, if given.
    """
    rewards, regrets = [], []
    observation, info = env.reset(seed=seed)
    over = not observation["action_mask"].any()
    while not over:
        action = choose(observation, info)
        following, reward, terminated, truncated, info = env.step(action)
        if learner is not None:
            learner.learn(observation, action, float(reward))
        rewards.append(float(reward))
        regrets.append(info["answered"]["regret"])
        observation, over = following, terminated or truncated
    return Played(np.array(rewards), np.array(regrets))


def _with_constant(paths: NDArray[Any]) -> NDArray[np.float64]:
    """(K, F + 1)."""
    return np.concatenate([paths, np.ones((len(paths), 1))], axis=1)
