"""The area's ledger of reputation: receipts of calls arrive late, become evidence, and move scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.trust import Evidence, Reputation, ReputationTable, Status, make_model, status_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.scenario.schema import TrustConfig
    from meshsim.sim.recorder import Recorder
    from meshsim.trust import EventKind, ReputationModel


def model_of(config: TrustConfig) -> ReputationModel:
    """The reputation model that a scenario asks for.

    Raises:
        ConfigError: If the model has no such parameter, or not such a value of it.
    """
    return make_model(config.model, half_life=config.half_life, parameters=config.parameters)


class Ledger:
    """Reputations of N nodes, shared by an area; scores move in public when a digest carries them.

    Args:
        model: Evidence in, scores out.
        nodes: N.
        recorder: Where scores are written down when they move.
    """

    def __init__(self, model: ReputationModel, nodes: int, recorder: Recorder) -> None:
        self._model, self._nodes, self._recorder = model, nodes, recorder
        self._moved: dict[int, EventKind] = {}
        self._minimum: float = getattr(model, "minimum", 0.0)

    def report(self, node: int, kinds: Sequence[EventKind], weight: float, happened: float) -> None:
        """Takes in what one call says of `node`.

        Args:
            node: Index of the node.
            kinds: Events, the telling one first.
            weight: How much they count, in (0, 1].
            happened: When the call ended, seconds.
        """
        for kind in kinds:
            self._model.observe(node, Evidence(kind=kind, node=node, t=happened, weight=weight))
        self._moved[node] = kinds[0]

    def publish(self, t: float) -> ReputationTable:
        """Scores of all nodes at `t` seconds, arrays of shape (N,); writes down those that evidence has moved."""
        table = self._model.table(self._nodes, t)
        for node, kind in sorted(self._moved.items()):
            self._recorder.trust(node, kind, self._entry(table, node), t)
        self._moved.clear()
        return table

    def _entry(self, table: ReputationTable, node: int) -> Reputation:
        mean, low, high, evidence = (float(column[node]) for column in table)
        status = status_of(low) if evidence >= self._minimum else Status.NEW
        return Reputation(mean, low, high, evidence, status)
