"""An agent's reputations: verdicts on nodes become evidence for its reputation model, in the model's own numbering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.agent.samples import TrustSample
from meshsim.trust import Evidence, ReputationTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.agent.receipts import Verdict
    from meshsim.mesh.ids import NodeId
    from meshsim.trust import EventKind, Reputation, ReputationModel

JUDGED_NODES = 10_000
"""Most nodes with a reputation; the one whose last verdict is oldest is forgotten for a new one."""


class TrustBook:
    """Reputations by node id; what is known of a node outlives its place in the link table.

    Args:
        model: The reputation model, of this agent alone.
    """

    def __init__(self, model: ReputationModel) -> None:
        self._model = model
        self._rows: dict[NodeId, int] = {}

    def _row(self, node: NodeId) -> int:
        row = self._rows.pop(node, None)
        if row is None:
            row = len(self._rows) if len(self._rows) < JUDGED_NODES else self._free_row()
        self._rows[node] = row  # the last: dicts keep the order in which keys came
        return row

    def _free_row(self) -> int:
        row = self._rows.pop(next(iter(self._rows)))
        self._model.forget(row)
        return row

    def observe(self, verdict: Verdict, now: float, *, tell: bool = True) -> list[TrustSample]:
        """Takes in a verdict; how the reputation moved with each of its events, if that is to be told."""
        samples = []
        row = self._row(verdict.node)
        for event in verdict.events:
            self._model.observe(row, Evidence(kind=event, node=row, t=now, weight=verdict.weight))
            if tell:
                samples.append(self._sample(verdict, event, row, now))
        return samples

    def _sample(self, verdict: Verdict, event: EventKind, row: int, now: float) -> TrustSample:
        score = self._model.score(row, now)
        return TrustSample(
            at=now,
            node=verdict.node,
            event=str(event),
            score=score.mean,
            low=score.low,
            high=score.high,
            status=score.status,
        )

    def score(self, node: NodeId, now: float) -> Reputation:
        """The reputation of `node`."""
        return self._model.score(self._rows.get(node, len(self._rows)), now)

    def table(self, nodes: Sequence[NodeId], now: float) -> ReputationTable:
        """The reputations of `nodes`, in their order; arrays of shape (N,)."""
        # Those never judged share the row after the last, which is the prior's: looking at a node takes no memory.
        stranger = len(self._rows)
        rows = np.array([self._rows.get(node, stranger) for node in nodes], dtype=np.int64)
        whole = self._model.table(stranger + 1, now)
        return ReputationTable(*(column[rows] for column in whole))
