"""Nodes that move: at every step of the plan the world gets their places and last miles, and calls follow them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from meshsim.sim.environment import BEFORE

if TYPE_CHECKING:
    from meshsim.sim.calls import Switchboard
    from meshsim.sim.environment import Environment
    from meshsim.sim.protocols import ProtocolBoard
    from meshsim.sim.recorder import Recorder
    from meshsim.sim.world import World


class Mobility:
    """Lives the planned moves of an episode; handovers are written as events.

    Args:
        env: The clock.
        world: The truth.
        board: Whose calls follow.
        recorder: Where handovers are written.
    """

    def __init__(self, env: Environment, world: World, board: Switchboard | ProtocolBoard, recorder: Recorder) -> None:
        self._env, self._world, self._board, self._recorder = env, world, board, recorder
        env.on("move", self._move)

    def schedule(self) -> None:
        """Puts the first step into the queue."""
        self._await(0)

    def _await(self, row: int) -> None:
        at = self._world.plan.moves.at
        if row < len(at):
            self._env.schedule_record(float(at[row]), "move", row, priority=BEFORE)

    def _move(self, first: int, _: Any) -> None:
        moves, now = self._world.plan.moves, self._env.now
        last = int(np.searchsorted(moves.at, now, side="right"))
        rows = slice(first, last)
        nodes = moves.node[rows].astype(np.int64)
        places = moves.router[rows].astype(np.int64)
        handed = self._world.move(nodes, places, moves.up[rows], moves.down[rows], moves.loss[rows])
        for node in handed.tolist() if first else ():
            self._recorder.event(now, "handover", node=node)
        self._board.moved(nodes.tolist(), handed.tolist())
        self._await(last)
