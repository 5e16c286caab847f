"""The area's ledger of reputation: receipts of calls arrive late, become evidence, and move scores.

Nobody reads scores between two digests, so what has arrived is taken in when the next one is published, in the order
of arrival.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from meshsim.mesh.media import MediaType
from meshsim.mesh.quality import poor, voice_mos
from meshsim.trust import Evidence, Reputation, ReputationTable, Status, events_from_outcome, make_model, status_of

if TYPE_CHECKING:
    from meshsim.scenario.schema import TrustConfig
    from meshsim.sim.recorder import Recorder
    from meshsim.trust import EventKind, ReputationModel


def model_of(config: TrustConfig) -> ReputationModel:
    """The reputation model that a scenario asks for.

    Raises:
        ConfigError: If the model has no such parameter, or not such a value of it.
    """
    return make_model(config.model, half_life=config.half_life, parameters=config.parameters)


class Receipt(NamedTuple):
    """What one call says of one of its relays.

    Attributes:
        arrives: When the ledger hears of it, seconds.
        number: Place in the order in which receipts were sent.
        node: Index of the relay.
        sharing: Relays that share the blame: nobody can tell which of them spoilt the call.
        happened: When the call ended, seconds.
        kinds: Events, the telling one first; empty where `lived` decides.
        lived: Rtt, jitter and loss of the call on its last path.
        media: What the call carried.
    """

    arrives: float
    number: int
    node: int
    sharing: int
    happened: float
    kinds: tuple[EventKind, ...]
    lived: tuple[float, float, float]
    media: MediaType


_NOTHING = (float("nan"),) * 3


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
        self._waiting: list[Receipt] = []
        self._sent = 0

    def accuse(self, node: int, kind: EventKind, *, sharing: int, happened: float, arrives: float) -> None:
        """A call broke on `node`, or on one of as many nodes as share the blame.

        Args:
            node: Index of the node.
            kind: How it broke.
            sharing: How many nodes may be to blame.
            happened: When, seconds.
            arrives: When the receipt does, seconds.
        """
        self._send(arrives, node, sharing, happened, (kind,), _NOTHING, MediaType.AUDIO)

    def judge(
        self,
        node: int,
        lived: tuple[float, float, float],
        media: MediaType,
        *,
        sharing: int,
        happened: float,
        arrives: float,
    ) -> None:
        """A call over `node` was completed: what it lived through on its last path is praise or blame.

        Blame goes by the target of what the call carried. Praise goes by how a voice would have sounded on the path,
        whatever it carried: opinions of several models are not comparable.

        Args:
            node: Index of the relay.
            lived: Rtt and jitter, seconds, and loss.
            media: What the call carried.
            sharing: How many relays the path had.
            happened: When the call ended, seconds.
            arrives: When the receipt does, seconds.
        """
        self._send(arrives, node, sharing, happened, (), lived, media)

    def _send(
        self,
        arrives: float,
        node: int,
        sharing: int,
        happened: float,
        kinds: tuple[EventKind, ...],
        lived: tuple[float, float, float],
        media: MediaType,
    ) -> None:
        heappush(self._waiting, Receipt(arrives, self._sent, node, sharing, happened, kinds, lived, media))
        self._sent += 1

    def publish(self, t: float) -> ReputationTable:
        """Scores of all nodes at `t` seconds, arrays of shape (N,); writes down those that evidence has moved."""
        self._take_in(t)
        table = self._model.table(self._nodes, t)
        for node, kind in sorted(self._moved.items()):
            self._recorder.trust(node, kind, self._entry(table, node), t)
        self._moved.clear()
        return table

    def _take_in(self, t: float) -> None:
        """Turns all receipts that have arrived by `t` into evidence."""
        due = []
        while self._waiting and self._waiting[0].arrives <= t:
            due.append(heappop(self._waiting))
        if not due:
            return
        rtt, jitter, loss = np.array([receipt.lived for receipt in due]).T
        mos = voice_mos(rtt / 2, jitter, loss).tolist()
        bad = poor(rtt, jitter, loss, [receipt.media for receipt in due]).tolist()
        for receipt, heard, spoilt in zip(due, mos, bad, strict=True):
            self._report(receipt, heard, spoilt)

    def _report(self, receipt: Receipt, mos: float, bad: bool) -> None:  # noqa: FBT001 - private, a column
        kinds = receipt.kinds or events_from_outcome(completed=True, mos=mos, poor=bad)
        weight = 1.0 / receipt.sharing if bad else 1.0
        for kind in kinds:
            self._model.observe(receipt.node, Evidence(kind=kind, node=receipt.node, t=receipt.happened, weight=weight))
        self._moved[receipt.node] = kinds[0]

    def _entry(self, table: ReputationTable, node: int) -> Reputation:
        mean, low, high, evidence = (float(column[node]) for column in table)
        status = status_of(low) if evidence >= self._minimum else Status.NEW
        return Reputation(mean, low, high, evidence, status)
