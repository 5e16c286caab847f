"""Edges of the underlay that carry nothing: which they are, what crosses them, and what is done when they change.

The network below does not reroute: whoever's route crosses a cut edge reaches nobody over it, and the overlay has to
find relays around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from meshsim.sim.environment import LATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from meshsim.sim.environment import Environment
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World


class Cuts:
    """The cut ones among R resources.

    Args:
        size: R.

    Attributes:
        cut: (R,) bool.
    """

    def __init__(self, size: int) -> None:
        self.cut = np.zeros(size, dtype=np.bool_)
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def change(self, edge: int, *, cut: bool) -> None:
        """An edge carries nothing from now on, or everything again."""
        self._count += int(cut) - int(self.cut[edge])
        self.cut[edge] = cut

    def crossed(self, resource: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(K,) whether each of K runs of rows crosses a cut edge.

        Args:
            resource: (rows,) of all runs.
            starts: (K + 1,) where they begin, and where the last ends; none is empty.
        """
        return np.asarray(np.logical_or.reduceat(self.cut[resource], starts[:-1]))


class _Board(Protocol):
    def routes_cut(self) -> None: ...


class EdgeFaults:
    """Cuts and mends edges as planned, and tells of it once for all that fall together.

    Args:
        env: The clock.
        world: The truth.
        recorder: Where it is written.
        board: Who carries the calls.
    """

    def __init__(self, env: Environment, world: World, recorder: Recorder, board: _Board) -> None:
        self._env, self._world, self._recorder, self._board = env, world, recorder, board
        self._told = True
        env.on("edge_down", self._down)
        env.on("edge_up", self._up)
        env.on("edges.tell", self._tell)

    def _down(self, edge: int, _: Any) -> None:
        self._change("edge_down", edge, cut=True)

    def _up(self, edge: int, _: Any) -> None:
        self._change("edge_up", edge, cut=False)

    def _change(self, kind: str, edge: int, *, cut: bool) -> None:
        self._world.cuts.change(edge, cut=cut)
        topology = self._world.plan.underlay.topology
        ends = (topology.names[int(end[edge])] for end in (topology.src, topology.dst))
        self._recorder.event(self._env.now, kind, detail=" - ".join(ends))
        if self._told:
            self._told = False
            self._env.schedule_record(self._env.now, "edges.tell", 0, priority=LATE)

    def _tell(self, _: int, __: Any) -> None:
        self._told = True
        self._board.routes_cut()
