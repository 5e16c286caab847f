"""Who says which paths a call may try: the engine (`asking`), or the tables of a routing protocol (`protocols`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from meshsim.mesh.view import NetworkView
    from meshsim.routing.engine import Ranked, Ranking
    from meshsim.sim.environment import Environment
    from meshsim.sim.livecall import LiveCall


class Choice(Protocol):
    """What the life of calls asks for."""

    def schedule(self) -> None:
        """Puts all planned calls into the queue."""

    def replan(self, first: int) -> None:
        """Calls from number `first` on have changed: they wait instead of those that did."""

    def rank_anew(self) -> None:
        """What was ranked ahead holds no more."""

    def ranked(self, call: LiveCall) -> Ranked | None:
        """The paths of a call that are known without asking; None if `ranking` is to be asked."""

    def ranking(self, call: LiveCall) -> tuple[Ranking, NetworkView]:
        """The ranking of one call and the belief it was made on."""

    def best(self, ranking: Ranking) -> list[tuple[int, ...]]:
        """The paths of a ranking that are tried, best first."""

    def again(self, call: LiveCall) -> Sequence[tuple[int, ...]]:
        """Paths for a call whose paths have all failed; none if there are none, or it has asked enough."""

    def pause(self, call: LiveCall) -> float | None:
        """Seconds after which a call without any path may ask again; None when it gives up."""

    def node_down(self, node: int) -> None:
        """A node has vanished."""

    def ban(self, nodes: frozenset[int]) -> None:
        """These nodes, and no others, are banned from relaying."""

    def relay(self) -> None:
        """Nodes hang on other places: links lead over other ways."""

    def remember_direct(self, caller: int, callee: int, lived: tuple[float, float, float]) -> None:
        """How the direct path was: rtt, jitter and loss, as a call lived them."""

    def learn(self, call: LiveCall, lived: tuple[float, float, float], *, connected: bool) -> None:
        """A call is done with its path: rtt, jitter and loss as lived on it, and whether it carried to the end."""


def await_calls(env: Environment, start: NDArray[np.float64], first: int) -> None:
    """Puts calls from number `first` on into the queue, at their `start` (seconds)."""
    for number, at in enumerate(start[first:].tolist(), first):
        env.schedule_record(at, "call.start", number)
