"""Poisoned training data: traces in which calls of some nodes went as suits their friends.

B. Biggio, B. Nelson, P. Laskov, "Poisoning attacks against support vector machines", ICML 2012; here labels are turned,
as in H. Xiao, H. Xiao, C. Eckert, "Adversarial label flips attack on support vector machines", ECAI 2012.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshsim.agent.adversary.lies import Lie, retold, words
from meshsim.mesh.seeds import SeedTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.sim.attacks.cast import Villain
    from meshsim.sim.recorder import CallRow
    from meshsim.sim.world import PathTruth


class Poison:
    """What is written down of the calls of nodes that poison traces.

    Args:
        villains: Who misbehaves.
        seed: Of the episode.
    """

    def __init__(self, villains: Sequence[Villain], seed: int) -> None:
        self._seeds = SeedTree(seed)
        self._poisoners = {villain.node: villain for villain in villains if villain.does("poisoning")}

    def is_written_by(self, caller: int) -> bool:
        """Whether a node writes falsely of its calls."""
        return caller in self._poisoners

    def call(self, row: CallRow) -> CallRow:
        """How a call went, in the words of its caller."""
        said = self._said(row.caller, row.call, row.final_path, row.end)
        return replace(row, **words(said, type(row).__slots__)) if said is not Lie.TRUTH else row

    def routes(self, caller: int, call: int, paths: Sequence[tuple[int, ...]], truth: PathTruth, t: float) -> PathTruth:
        """How the candidates of a call were, in the words of its caller.

        Args:
            caller: Node index.
            call: Number of the call.
            paths: P candidates.
            truth: Arrays (P,).
            t: Now, seconds.
        """
        jitter, loss = truth.jitter.copy(), truth.loss.copy()
        for row, path in enumerate(paths):
            said = words(self._said(caller, call, path, t), ("jitter", "loss"))
            jitter[row], loss[row] = said.get("jitter", jitter[row]), said.get("loss", loss[row])
        return replace(truth, jitter=jitter, loss=loss)

    def _said(self, caller: int, call: int, path: Sequence[int], t: float) -> Lie:
        poisoner = self._poisoners.get(caller)
        if poisoner is None or t not in poisoner.window:
            return Lie.TRUTH
        draw = self._seeds.stream("attack.poison", caller).at(call)
        return retold(poisoner.mind, path[1:-1], draw)
