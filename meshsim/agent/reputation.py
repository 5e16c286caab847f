"""An agent's reputations: verdicts on nodes become evidence for its reputation model, in the model's own numbering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from meshsim.agent.samples import TrustSample
from meshsim.trust import Evidence, ReputationTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.mesh.ids import NodeId
    from meshsim.trust import EventKind, Reputation, ReputationModel, Verdict

JUDGED_NODES = 10_000
"""Most nodes with a reputation; for new ones an eighth is forgotten, of which there is least evidence."""


class TrustBook:
    """Reputations by node id; what is known of a node outlives its place in the link table.

    Args:
        model: The reputation model, of this agent alone.
        owner: The agent; what it says itself is nobody else's word.
        anchors: Nodes verified by other means, never forgotten.
        kept: Nodes that it keeps links with, never forgotten either.
    """

    def __init__(
        self,
        model: ReputationModel,
        owner: NodeId | None = None,
        anchors: Sequence[NodeId] = (),
        kept: Sequence[NodeId] = (),
    ) -> None:
        self._model = model
        self._owner = owner
        self._anchors = {node: row for row, node in enumerate(dict.fromkeys(anchors))}
        self._kept = frozenset(kept)
        self._rows: dict[NodeId, int] = {}
        self._free: list[int] = []
        self._latest = 0.0
        self._known = len(self._anchors)
        """Rows that were ever in use."""
        for row in self._anchors.values():
            model.anchor(row)

    def _row(self, node: NodeId) -> int:
        if node in self._anchors:
            return self._anchors[node]
        row = self._rows.pop(node, None)
        if row is None:
            row = self._free.pop() if self._free else self._new_row()
        self._rows[node] = row  # the last: dicts keep the order in which keys came
        return row

    def _new_row(self) -> int:
        self._known += 1
        return self._known - 1

    def _make_room(self, verdict: Verdict[NodeId]) -> None:
        """Forgets, if need be, whom there is least evidence about: made-up raters before all who were ever judged.

        Of equals those named longest ago go. It is judged by the time of verdicts, not by when they were found: whoever
        replays a journal forgets the same nodes.
        """
        self._latest = max(self._latest, verdict.at)
        if len(self._rows) + 1 + len(verdict.raters) <= JUDGED_NODES:
            return  # there is room, whoever they are
        named = {node for node in (verdict.node, *verdict.raters) if node not in self._anchors}
        if len(self._rows) + sum(node not in self._rows for node in named) <= JUDGED_NODES:
            return
        evidence = self._model.table(self._known, self._latest).evidence
        others = [node for node in self._rows if node not in named and node not in self._kept]
        others.sort(key=lambda node: float(evidence[self._rows[node]]))
        for node in others[: 1 + JUDGED_NODES // 8]:
            row = self._rows.pop(node)
            self._model.forget(row)
            self._free.append(row)

    def observe(self, verdict: Verdict[NodeId], now: float, *, tell: bool = True) -> list[TrustSample]:
        """Takes in a verdict; how the reputation moved with each of its events, if that is to be told."""
        samples = []
        self._make_room(verdict)
        raters = () if self._owner in verdict.raters else tuple(self._row(rater) for rater in verdict.raters)
        row = self._row(verdict.node)
        for event in verdict.events:
            evidence = Evidence(
                kind=event, node=row, t=verdict.at, weight=verdict.weight, raters=raters, grade=verdict.grade
            )
            self._model.observe(row, evidence)
            if tell:
                samples.append(self._sample(verdict, event, row, now))
        return samples

    def _sample(self, verdict: Verdict[NodeId], event: EventKind, row: int, now: float) -> TrustSample:
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
        return self._model.score(self._place(node), now)

    def scores(self, now: float) -> dict[NodeId, Reputation]:
        """The reputations of all nodes that were judged or have judged, and of the anchors, by node."""
        return {node: self.score(node, now) for node in sorted({*self._anchors, *self._rows})}

    def _place(self, node: NodeId) -> int:
        """The row of `node`; those never heard of share the one after the last, the prior's: looking is free."""
        return self._anchors.get(node, self._rows.get(node, self._known))

    def table(self, nodes: Sequence[NodeId], now: float) -> ReputationTable:
        """The reputations of `nodes`, in their order; arrays of shape (N,)."""
        rows = np.array([self._place(node) for node in nodes], dtype=np.int64)
        whole = self._model.table(self._known + 1, now)
        return ReputationTable(*(column[rows] for column in whole))
