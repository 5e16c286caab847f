"""The area's ledger of reputation: receipts of calls arrive late, become evidence, and move scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshsim.trust import Evidence, ReputationTable, models

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.schema import TrustConfig
    from meshsim.sim.recorder import Recorder
    from meshsim.trust import EventKind, ReputationModel


def make_model(config: TrustConfig) -> ReputationModel:
    """The reputation model that a scenario asks for."""
    options: dict[str, Any] = dict(config.parameters)
    if config.model == "beta":
        options.setdefault("half_life", config.half_life)
    return models[config.model](**options)


class Ledger:
    """Reputations of N nodes, shared by an area.

    Args:
        model: Evidence in, scores out.
        nodes: N.
        recorder: Where scores are written down when they move.
    """

    def __init__(self, model: ReputationModel, nodes: int, recorder: Recorder) -> None:
        self._model, self._nodes, self._recorder = model, nodes, recorder

    def table(self, t: float) -> ReputationTable:
        """Scores of all nodes at `t` seconds, arrays of shape (N,)."""
        return self._model.table(self._nodes, t)

    def report(self, node: int, kinds: Sequence[EventKind], weight: float, happened: float, t: float) -> None:
        """Takes in what one call says of `node`.

        Args:
            node: Index of the node.
            kinds: Events, the telling one first.
            weight: How much they count, in (0, 1].
            happened: When the call ended, seconds.
            t: When the receipt arrived, seconds.
        """
        for kind in kinds:
            self._model.observe(node, Evidence(kind=kind, node=node, t=happened, weight=weight))
        self._recorder.trust(node, kinds[0], self._model.score(node, t), t)
