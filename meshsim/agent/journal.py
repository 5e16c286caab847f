"""The journal of an agent's receipts: what it took in and when, and the scores that follow from that alone.

A journal is frames of bytes: a `Head` for each life of the agent, then an `Entry` for each receipt. Who reads it needs
neither the agent nor its neighbours to come to the same scores, bit for bit: a docket's verdicts depend only on which
receipt came when, and a model is a fold over them. Files are the node's to keep.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from meshsim.agent.fields import Node
from meshsim.agent.messages import Receipt
from meshsim.agent.receipts import Signed
from meshsim.agent.reputation import TrustBook
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import NodeId
from meshsim.trust import Docket, Reputation, Rules, make_model

if TYPE_CHECKING:
    from meshsim.agent.samples import ReceiptSample
    from meshsim.identity.keys import Verifier

FORMAT = 3
"""Version of the journal."""

FRAME_BYTES = 1 << 24
"""No frame is longer: a receipt has less than 600 bytes, a head 34 for each anchor."""

_LENGTH = 4


class Head(msgspec.Struct, frozen=True, array_like=True, kw_only=True, tag="head"):
    """How an agent judges, from here on.

    Attributes:
        format: Version of the journal.
        owner: The agent.
        rules: Of its docket.
        model: Its reputation model.
        half_life: Of its evidence, seconds; the model's own when None.
        parameters: Further ones of the model.
        anchors: Nodes whose word it takes from the start.
        kept: Nodes that it keeps links with, and so in mind.
    """

    format: int = FORMAT
    owner: NodeId
    rules: Rules
    model: str
    half_life: float | None = None
    parameters: dict[str, float] = {}
    anchors: tuple[NodeId, ...] = ()
    kept: tuple[NodeId, ...] = ()


class Entry(msgspec.Struct, frozen=True, array_like=True, tag="receipt"):
    """A receipt taken in.

    Attributes:
        mono: When, seconds of the agent's clock.
        unix: The same by the wall clock.
        receipt: As signed.
        source: The neighbour that brought it; None for the agent's own.
    """

    mono: Annotated[float, msgspec.Meta(ge=0.0)]
    unix: Annotated[float, msgspec.Meta(ge=0.0)]
    receipt: Receipt
    source: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What follows from the last life in a journal.

    Attributes:
        head: How the agent judged.
        receipts: How many it took in.
        uncarried: Relays that counted far less than came to both ends of a completed route, over all routes.
        refused: How many do not hold, by reason; none, unless the journal was tampered with.
        at: When the scores are taken, seconds of the agent's clock.
        scores: The reputation of every node that was judged or has judged.
    """

    head: Head
    receipts: int
    uncarried: int
    refused: dict[str, int]
    at: float
    scores: dict[NodeId, Reputation]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Head | Entry] = msgspec.msgpack.Decoder(Head | Entry)


def entry_of(sample: ReceiptSample) -> Entry:
    """What is written of a receipt taken in."""
    return Entry(sample.at.mono, sample.at.unix, sample.receipt, sample.source)


def frame(record: Head | Entry) -> bytes:
    """A record for the journal: its length in four bytes, then MessagePack."""
    data = _ENCODER.encode(record)
    return len(data).to_bytes(_LENGTH, "big") + data


def records(data: bytes) -> Iterator[Head | Entry]:
    """The records in a journal's bytes. A last frame that was cut off, for the node was killed, is left out.

    Raises:
        RemoteProtocolError: If a frame is none.
    """
    for start, stop in _spans(data):
        try:
            yield _DECODER.decode(data[start:stop])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteProtocolError(f"not a journal: {error}, at byte {start}") from error


def whole_bytes(data: bytes) -> int:
    """How many bytes of a journal are whole frames: where a new life goes on, over what was cut off.

    Raises:
        RemoteProtocolError: If it begins with no whole head, and so may be something else.
    """
    if not data:
        return 0
    if not isinstance(next(records(data), None), Head):
        raise RemoteProtocolError("not a journal: it begins with no head")
    return max(stop for _, stop in _spans(data))


def _spans(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the contents of whole frames stand."""
    at = 0
    while at + _LENGTH <= len(data):
        start, at = at + _LENGTH, at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "big")
        if at - start > FRAME_BYTES:
            raise RemoteProtocolError(f"not a journal: a frame of {at - start} bytes at byte {start - _LENGTH}")
        if at > len(data):
            return
        yield start, at


def replay(journal: Iterable[Head | Entry], verifier: Verifier, at: float | None = None) -> Replay:
    """Judges the receipts of a journal anew.

    Args:
        journal: Its records; each head begins a new life, and forgets what was before.
        verifier: Checks signatures.
        at: When the scores are taken, seconds of the agent's clock; when everything is judged if None.

    Raises:
        RemoteProtocolError: If the journal begins with no head, or is of another version.
        ConfigError: If there is no such model.
    """
    life: _Life | None = None
    for record in journal:
        if isinstance(record, Head):
            if record.format != FORMAT:
                raise RemoteProtocolError(f"a journal of version {record.format}, not {FORMAT}")
            life = _Life(record, verifier)
        elif life is None:
            raise RemoteProtocolError("not a journal: a receipt stands before any head")
        else:
            life.take(record, at)
    if life is None:
        raise RemoteProtocolError("not a journal: it is empty")
    return life.end(at)


class _Life:
    """An agent's docket and reputations, and nothing else of it."""

    def __init__(self, head: Head, verifier: Verifier) -> None:
        self._head = head
        self._docket: Docket[NodeId] = Docket(head.rules, verify=Signed(verifier))
        model = make_model(head.model, half_life=head.half_life, parameters=head.parameters)
        self._book = TrustBook(model, head.owner, head.anchors, head.kept)
        self._last = 0.0
        self._taken = 0

    def take(self, entry: Entry, until: float | None) -> None:
        if until is not None and entry.mono > until:
            return
        self._last = entry.mono
        at = entry.mono - (entry.unix - entry.receipt.at)
        self._taken += not self._docket.add(entry.receipt, entry.mono, at, entry.source)

    def end(self, at: float | None) -> Replay:
        now = self._last + self._head.rules.wait if at is None else at
        for verdict in self._docket.settle(now):
            self._book.observe(verdict, now, tell=False)
        return Replay(
            head=self._head,
            receipts=self._taken,
            uncarried=self._docket.uncarried,
            refused=dict(self._docket.refused),
            at=now,
            scores=self._book.scores(now),
        )
