"""One step = one call that asks for a route: the Gymnasium environment `meshsim/Routing-v0`."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import gymnasium
import numpy as np
from gymnasium import spaces

from meshsim.mesh.errors import ConfigError, LocalProtocolError
from meshsim.routing.features import LIMIT, PATH
from meshsim.scenario import Scenario, change, compile_plan, load
from meshsim.sim.outside import Asked, refuse_unasked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from meshsim.sim.outside import Ended, Question

Observation = dict[str, "NDArray[Any]"]
Credit = Literal["choice", "lived"]

_SEEDS = 2**31


class RoutingEnv(gymnasium.Env[Observation, np.int64]):
    """A mesh of calls whose routes the agent chooses, one call after another, while the simulation goes on.

    **Observation.** `paths` (K, F) float32: a row for each candidate path, what the router believes of it, by the very
    columns that policies and the trained scorer see (`routing.features.PATH`): no ids, no truth. `action_mask` (K,)
    int8: which candidates may be taken. K is `routing.candidates`; rows beyond the candidates are zero and masked.

    **Action.** The row to take. A masked one is replaced by the choice of the scenario's own policy, and the call earns
    nothing.

    **Reward**, in [0, 1] for a call: one minus the cost by which `via` learns, over its worst (`sim.outside`).
    `reward="choice"` pays at once what the chosen path truly is for this call when it is chosen; a call outlives the
    next questions, so that alone tells which action earned what. `reward="lived"` pays what calls that ended since the
    last step lived through, failures over to other paths included; `info["ended"]` tells both kinds of agents whose.

    **Episode.** `reset(seed=n)` is seed n of the scenario. It terminates with the scenario's duration; wrap it in
    `TimeLimit` (or pass `max_episode_steps` to `gymnasium.make`) to truncate it. Calls of the warm-up, and calls
    without any usable path, are not asked about; nor are paths that a call tries after its first has failed.

    Args:
        scenario: A YAML file, the name of a preset, or a loaded scenario.
        overrides: As on the command line: `calls.rate=2`.
        reward: `choice` or `lived`, as above.
        out: Folder in which each episode that ends leaves its trace, `episode-1` and so on; none is left without it.
        render_mode: None; there are no pictures of one decision.

    Raises:
        ConfigError: If the scenario is wrong, or asks nobody for routes one by one: agents, protocols, batches.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as Gymnasium declares it

    def __init__(
        self,
        scenario: str | Path | Scenario = "demo",
        *,
        overrides: Sequence[str] = (),
        reward: Credit = "choice",
        out: Path | str | None = None,
        render_mode: None = None,
    ) -> None:
        if reward not in get_args(Credit):
            raise ConfigError(f"unknown reward {reward!r}", key="reward", allowed=list(get_args(Credit)))
        loaded = change(scenario, overrides) if isinstance(scenario, Scenario) else load(scenario, overrides)
        refuse_unasked(loaded)
        self.render_mode = render_mode
        self.scenario = loaded if out is not None else _unrecorded(loaded)
        self._reward, self._out = reward, None if out is None else Path(out)
        self._asked: Asked | None = None
        self._folder: Path | None = None
        self._sweep: Callable[[], object] = _nothing
        self._invalid: set[int] = set()
        self._over = False
        size = self.scenario.routing.candidates
        self.action_space = spaces.Discrete(size)
        self.observation_space: spaces.Space[Any] = spaces.Dict(
            {
                "paths": spaces.Box(-LIMIT, LIMIT, (size, len(PATH)), np.float32),
                "action_mask": spaces.MultiBinary(size),
            }
        )

    @property
    def question(self) -> Question | None:
        """The call that waits for its route, with all that the engine said of it."""
        return None if self._asked is None else self._asked.question

    def domain_of(self, node: int) -> str:
        """The federated domain of a node of this episode; "" at home."""
        return self._running().plan.nodes.domains[node]

    def action_masks(self) -> NDArray[np.bool_]:
        """(K,) which actions may be taken now."""
        mask: NDArray[np.bool_] = self._observe()["action_mask"].astype(np.bool_)
        return mask

    def utilities(self) -> NDArray[np.float64]:
        """(K,) what each candidate is truly worth now, in [0, 1], 0 where there is none: for judges, not for agents.

        Raises:
            LocalProtocolError: If no call waits.
        """
        worth = np.zeros(self.scenario.routing.candidates)
        told = self._running().utilities()
        worth[: len(told)] = told
        return worth

    def reset(
        self,
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,  # noqa: ARG002 - Gymnasium's, and none are known
    ) -> tuple[Observation, dict[str, Any]]:
        """Begins the episode of a seed, or of the next one that the environment draws.

        Args:
            seed: Of the scenario, as `meshsim run --seed`.
            options: None are known; whatever they say is ignored.
        """
        super().reset(seed=seed)
        self._drop()
        self._start(int(self.np_random.integers(_SEEDS)) if seed is None else seed)
        self._running().go_on()
        return self._observe(), self._info(())

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Gives the call that waits its route and goes on to the next.

        Raises:
            LocalProtocolError: If there is no episode, or it has ended.
        """
        asked, row = self._running(), int(action)
        if self._over:
            raise LocalProtocolError("the episode has ended: reset it")
        answered: dict[str, Any] = {}
        if asked.question is not None:
            answered = self._answer(asked, asked.question, row)
        asked.go_on()
        self._over = asked.over
        if self._over:
            self._end(asked)
        ended = asked.ended()
        lived = sum(call.utility for call in ended if call.call not in self._invalid)
        reward = lived if self._reward == "lived" else answered.get("reward", 0.0)
        info = self._info(ended) | ({"answered": answered} if answered else {})
        return self._observe(), float(reward), asked.over, False, info

    def close(self) -> None:
        """Ends the episode under way; its trace is lost."""
        self._drop()

    def _answer(self, asked: Asked, question: Question, row: int) -> dict[str, Any]:
        """Takes an action, or what stands for it; says what came of it."""
        valid = row in question.ranking.order
        taken = row if valid else question.ranking.order[0]
        utilities = self.utilities()
        usable = utilities[list(question.ranking.order)]
        asked.answer(taken)
        if not valid:
            self._invalid.add(question.call.number)
        return {
            "call": question.call.number,
            "action": row,
            "taken": taken,
            "valid": valid,
            "reward": float(utilities[taken]) if valid else 0.0,
            "utilities": utilities,
            "regret": float(usable.max() - utilities[taken]),
        }

    def _observe(self) -> Observation:
        size = self.scenario.routing.candidates
        paths, mask = np.zeros((size, len(PATH)), dtype=np.float32), np.zeros(size, dtype=np.int8)
        if self.question is not None:
            known = self.question.ranking.features.path
            paths[: len(known)] = known
            mask[list(self.question.ranking.order)] = 1
        return {"paths": paths, "action_mask": mask}

    def _info(self, ended: Sequence[Ended]) -> dict[str, Any]:
        """What is no observation: who calls whom, what the scenario's own policy would do, what ended."""
        told: dict[str, Any] = {
            "ended": [{"call": call.call, "outcome": call.outcome, "utility": call.utility} for call in ended]
        }
        if self.question is None:
            return told
        call, ranking = self.question.call, self.question.ranking
        propensities = np.zeros(self.scenario.routing.candidates)
        propensities[: len(ranking.propensity)] = ranking.propensity
        return told | {
            "call": call.number,
            "time_seconds": call.answered,
            "caller": call.caller,
            "callee": call.callee,
            "media": str(call.media),
            "candidates": ranking.candidates.paths,
            "advice": ranking.order[0],
            "propensities": propensities,
        }

    def _running(self) -> Asked:
        if self._asked is None:
            raise LocalProtocolError("there is no episode: reset the environment")
        return self._asked

    def _start(self, seed: int) -> None:
        if self._out is not None:
            self._out.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="meshsim-", dir=self._out))
        # also when nobody closes the environment, which Gymnasium asks of nobody
        self._sweep = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._asked = Asked(compile_plan(self.scenario, seed), self._folder / "trace")

    def _end(self, asked: Asked) -> None:
        """The episode is over; its trace is put where it is wanted."""
        asked.close(keep=self._out is not None)
        if self._out is not None and self._folder is not None:
            names = (self._out / f"episode-{n}" for n in count(1))
            (self._folder / "trace").rename(next(name for name in names if not name.exists()))
        self._sweep()

    def _drop(self) -> None:
        self._asked, self._over = None, False
        self._invalid.clear()
        self._sweep()


def _nothing() -> None:
    """There is no folder to remove yet."""


def _unrecorded(scenario: Scenario) -> Scenario:
    """The same without what only a reader of the trace would want."""
    return change(scenario, ["record.views=false", "record.candidates=false"])
