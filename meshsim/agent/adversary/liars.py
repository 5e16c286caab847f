"""Liars in receipts: what a node says of others is altered on its way out, and signed anew; what never was is made up.

A route has one draw, so that a liar says the same of it to everybody: two different receipts would convict it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from meshsim.agent.adversary.interceptor import adversaries
from meshsim.agent.adversary.lies import IDENTITIES, INVENTORS, LIARS, Lie, calls_due, lie, made_up, tell, words
from meshsim.agent.effects import Send
from meshsim.agent.messages import RECEIPT_ENTRIES, CallEnd, Digest, Receipt
from meshsim.agent.signing import sign
from meshsim.mesh.ids import CALL_ID_BYTES, CallId
from meshsim.mesh.time import to_nanoseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshsim.agent.adversary.interceptor import Means
    from meshsim.agent.effects import Effect
    from meshsim.agent.messages import Message
    from meshsim.identity.keys import Signer
    from meshsim.mesh.ids import NodeId
    from meshsim.mesh.time import Instant

_AT_ONCE = 4
"""Made-up calls in one digest."""


@dataclass(slots=True)
class Liar:
    """Says of routes what suits it.

    Attributes:
        means: Its strength is the share of routes it lies about.
        kind: One of `lies.LIARS`.
    """

    means: Means
    kind: str

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:  # noqa: ARG002 - the protocol's
        """Its own receipts are altered or left out; others' are passed on."""
        if not isinstance(effect, Send):
            return effect
        message = effect.message
        if isinstance(message, Receipt):
            told = self._tell([message])
            return replace(effect, message=told[0]) if told else None
        if not isinstance(message, CallEnd | Digest) or not any(map(self._is_own, message.receipts)):
            return effect
        return replace(effect, message=msgspec.structs.replace(message, receipts=tuple(self._tell(message.receipts))))

    def _is_own(self, receipt: Receipt) -> bool:
        return receipt.signer == self.means.node

    def _tell(self, receipts: Sequence[Receipt]) -> list[Receipt]:
        told = (self._word(receipt) if self._is_own(receipt) else receipt for receipt in receipts)
        return [receipt for receipt in told if receipt is not None]

    def _word(self, receipt: Receipt) -> Receipt | None:
        draw, relays = self.means.stream.at(int.from_bytes(receipt.call[:4], "big")), receipt.path[1:-1]
        if tell(self.means.before, self.means.mind, relays, draw) is not Lie.TRUTH:
            return receipt
        said = lie(self.kind, self.means.mind, relays, draw)
        if said is Lie.SILENCE:
            return None
        if said is Lie.TRUTH:
            return receipt
        altered = msgspec.structs.replace(receipt, **words(said, receipt.__struct_fields__))
        return sign(altered, self.means.signer)


@dataclass(slots=True)
class Inventor:
    """Makes up calls of which both ends praise the relay, and slips their receipts into its digests.

    Attributes:
        means: Its rate says how many an hour at full strength.
        kind: One of `lies.INVENTORS`.
    """

    means: Means
    kind: str
    _made: int = 0
    _sent: dict[NodeId, int] = field(default_factory=dict)
    _recent: list[tuple[int, Receipt]] = field(default_factory=list)
    _liar: Liar = field(init=False)

    def __post_init__(self) -> None:
        self._liar = Liar(self.means, self.kind)

    def incoming(self, message: Message, source: NodeId, now: Instant) -> Message | None:  # noqa: ARG002 - the protocol's
        """Everything comes in."""
        return message

    def outgoing(self, effect: Effect, now: Instant) -> Effect | None:
        """What it says of real routes suits it too; digests with room take made-up receipts along."""
        told = self._liar.outgoing(effect, now)
        if not isinstance(told, Send) or not isinstance(told.message, Digest):
            return told
        self._invent(now)
        room = RECEIPT_ENTRIES - len(told.message.receipts)
        news = [entry for entry in self._recent if entry[0] > self._sent.get(told.to, 0)][:room]
        if not news:
            return told
        self._sent[told.to] = news[-1][0]
        slipped = (*told.message.receipts, *(receipt for _, receipt in news))
        return replace(told, message=msgspec.structs.replace(told.message, receipts=slipped))

    def _invent(self, now: Instant) -> None:
        """Makes up what is due by `now`."""
        means = self.means
        due = calls_due(self.kind, means.rate * means.strength, means.identities, now.mono - means.window.since)
        for number in range(max(self._made, due - _AT_ONCE), due):
            self._recent += [(2 * number + 1 + i, receipt) for i, receipt in enumerate(self._call(number, now))]
        self._made, self._recent = max(self._made, due), self._recent[-RECEIPT_ENTRIES:]

    def _call(self, number: int, now: Instant) -> list[Receipt]:
        """The receipts of both ends of made-up call `number`."""
        means = self.means
        keys = self._keys()
        path = made_up(self.kind, means.node, sorted(means.friends), list(keys), means.stream.at(number))
        ends = (path[0], path[-1]) if path else ()
        return [self._receipt(number, path, keys.get(end, means.signer), now) for end in ends]

    def _keys(self) -> dict[NodeId, Signer]:
        mint, count = self.means.mint, IDENTITIES.get(self.kind, self.means.identities)
        signers = [mint.signer(number) for number in range(count)] if mint is not None else []
        return {signer.node_id: signer for signer in signers}

    def _receipt(self, number: int, path: tuple[NodeId, ...], signer: Signer, now: Instant) -> Receipt:
        name = hashlib.blake2b(b"made up" + self.means.node + number.to_bytes(8, "big"), digest_size=CALL_ID_BYTES)
        receipt = Receipt(
            call=CallId(name.digest()),
            attempt=0,
            path=path,
            signer=signer.node_id,
            at_ns=to_nanoseconds(now.unix),
            **words(Lie.PRAISE, Receipt.__struct_fields__),
        )
        return sign(receipt, signer)


for _kind in LIARS:
    if _kind not in INVENTORS:
        adversaries.add(_kind, partial(Liar, kind=_kind))
for _kind in INVENTORS:
    adversaries.add(_kind, partial(Inventor, kind=_kind))
