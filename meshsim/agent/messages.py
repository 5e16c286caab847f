"""What nodes say to each other: typed, versioned, strictly limited. Bytes exist only at a node's seam.

Times on the wire are int64 nanoseconds, so that no NaN, no infinity and no rounding comes in with them. What is signed
is signed over `signed_bytes`, which names the message's kind and version.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeAlias, get_args

import msgspec

from meshsim.agent.fields import Call, Nanoseconds, Node, Signature
from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling
from meshsim.identity.records import NodeRecord
from meshsim.mesh.errors import RemoteProtocolError, UnknownMessageError
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.time import to_nanoseconds, to_seconds
from meshsim.trust import Outcome

if TYPE_CHECKING:
    from meshsim.mesh.ids import NodeId
    from meshsim.trust.conduct import Expectation

VERSION, OLDEST = 5, 4
"""First byte of an encoded message: the version that first knew what it says. Both are read; 4 did not know of second
routes, farewells, errors and proofs."""

MESSAGE_BYTES = 60_000
"""No encoded message is longer: a data channel takes 64 KiB."""

PATH_NODES = 6
"""Most nodes of a path: five hops."""

LINK_ENTRIES = 48
"""Most links in one statement."""

DIGEST_ENTRIES = 12
"""Most statements in one digest; a full one stays below `MESSAGE_BYTES`."""

RECEIPT_ENTRIES = 24
"""Most receipts in one message."""

FULL, UNREACHABLE, LOST, BANNED = "full", "unreachable", "lost", "banned"
"""Reasons of a node on the path to reject: no capacity left, no way to the next hop, that was lost, somebody's ban."""

LEAVING = "leaving"
"""Reason of a relay that goes soon: it carries the route on for a while, and no node of the path closes it."""

ABANDONED, CANCELLED = "abandoned", "cancelled"
"""Reasons of an end: this route was given up for another, or the call for good before it stood."""

PROMISE_SECONDS = 60.0
"""No promise is longer."""
Promised = Annotated[int, msgspec.Meta(ge=0, le=to_nanoseconds(PROMISE_SECONDS))]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
ATTEMPTS = 256
"""Most routes that one call can try: their number is one byte of the media label."""
Attempt = Annotated[int, msgspec.Meta(ge=0, lt=ATTEMPTS)]
Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
RATE_MOST = 1e15
"""Bits per second that nothing exceeds."""
Rate = Annotated[float, msgspec.Meta(ge=0.0, le=RATE_MOST)]
Mos = Annotated[float, msgspec.Meta(ge=1.0, le=5.0)]
Text = Annotated[str, msgspec.Meta(max_length=160)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Path = Annotated[tuple[Node, ...], msgspec.Meta(min_length=2, max_length=PATH_NODES)]


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """To a neighbour, when a link opens and as a heartbeat: who I am.

    Attributes:
        record: The sender's own record.
        epoch: Grows whenever the sender starts anew.
    """

    record: NodeRecord
    epoch: Count


class Ping(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """A probe of one link; the answer repeats `sequence`."""

    sequence: Count


class Pong(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The answer to a `Ping`."""

    sequence: Count


class LinkEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One link of a statement.

    Attributes:
        to: The neighbour.
        delay_ns: One-way.
        jitter_ns: RFC 3550.
        loss: Probability.
        rate_bps: Spare rate.
    """

    to: Node
    delay_ns: Nanoseconds
    jitter_ns: Nanoseconds
    loss: Share
    rate_bps: Rate


class LinkState(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=4):
    """What a node says of itself and its links. Reputation is never part of it: each node judges by evidence.

    Attributes:
        record: The origin's record; the origin is its node.
        epoch: The origin's epoch.
        sequence: Grows with each statement within an epoch.
        load: Share of the call capacity in use.
        calls: Calls carried for others.
        links: Its measured links, by neighbour.
        expires_ns: Unix time from which the statement is void.
        signature: The origin's.
    """

    record: NodeRecord
    epoch: Count
    sequence: Count
    load: Share
    calls: Count
    links: Annotated[tuple[LinkEntry, ...], msgspec.Meta(max_length=LINK_ENTRIES)]
    expires_ns: Nanoseconds
    signature: Signature = b""

    @property
    def origin(self) -> NodeId:
        """The node that states."""
        return self.record.node_id

    @property
    def version(self) -> tuple[int, int]:
        """Statements of one origin are ordered by it."""
        return self.epoch, self.sequence


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=5):
    """How one route of a call went, in the words of one node of its path: signed `trust.Account`.

    Attributes:
        call: Which call.
        attempt: Which of its routes.
        path: The route.
        signer: One node of it.
        outcome: How it ended.
        mos: Mean opinion score, 1 when there was no media.
        poor: Whether the relays are to blame for its quality, or it failed.
        at_ns: Unix time when it ended.
        loss: Of its media.
        delay_ns: One-way.
        jitter_ns: RFC 3550.
        carried: Media bytes that came to the signer where it is an end, that it passed on both ways where it relays, as
            far as it had counted them.
        signature: The signer's.
    """

    call: Call
    attempt: Attempt
    path: Path
    signer: Node
    outcome: Outcome
    mos: Mos
    poor: bool
    at_ns: Nanoseconds
    loss: Share = 0.0
    delay_ns: Nanoseconds = 0
    jitter_ns: Nanoseconds = 0
    carried: Count = 0
    signature: Signature = b""

    @property
    def delay(self) -> float:
        """One-way, seconds."""
        return to_seconds(self.delay_ns)

    @property
    def jitter(self) -> float:
        """Seconds."""
        return to_seconds(self.jitter_ns)

    @property
    def at(self) -> float:
        """Unix seconds when the route ended."""
        return to_seconds(self.at_ns)


class Told(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A statement passed on.

    Attributes:
        age_ns: How long ago it was made, as far as the teller knows.
        statement: As signed by its origin.
    """

    age_ns: Nanoseconds
    statement: LinkState


class Digest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=6):
    """What changed since the last digest to this neighbour."""

    entries: Annotated[tuple[Told, ...], msgspec.Meta(max_length=DIGEST_ENTRIES)]
    receipts: Annotated[tuple[Receipt, ...], msgspec.Meta(max_length=RECEIPT_ENTRIES)] = ()


class Promise(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What the caller expects of a route that it chose; the callee takes as much of it as it believes itself.

    Attributes:
        rtt_ns: Round trip.
        jitter_ns: RFC 3550.
        loss: Probability.
    """

    rtt_ns: Promised
    jitter_ns: Promised
    loss: Share

    @classmethod
    def of(cls, expected: Expectation) -> Promise | None:
        """The promise of what is expected, in seconds and a share; None where not all of it is known."""
        if not all(measure >= 0.0 for measure in expected):  # NaN is not
            return None
        rtt, jitter = (to_nanoseconds(min(span, PROMISE_SECONDS)) for span in expected[:2])
        return cls(rtt, jitter, min(expected[2], 1.0))

    @property
    def expected(self) -> Expectation:
        """The same in seconds and a share."""
        return to_seconds(self.rtt_ns), to_seconds(self.jitter_ns), self.loss


class CallSetup(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, tag=7):
    """A call's way, source-routed and signed by the caller; each node of the path passes it on unchanged.

    Attributes:
        call: Which call.
        attempt: 0 for the first route, growing with each further one.
        path: From the caller's node to the callee's.
        caller: AuraID that calls.
        callee: AuraID that is called.
        media: What the call carries.
        aic: How AIC is treated.
        expires_ns: Unix time from which the set-up is void.
        promise: What the caller expects of this route; None where it has no expectation.
        signature: The first node's.
        standby: Whether media stay where they are until a `CallSwitch` comes over this route; since version 5.
    """

    call: Call
    attempt: Attempt
    path: Path
    caller: Name
    callee: Name
    media: MediaType
    aic: AicPolicy
    expires_ns: Nanoseconds
    promise: Promise | None = None
    signature: Signature = b""
    standby: bool = False


class CallAccept(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=8):
    """The callee's yes; goes back along the path. `signature` is the callee's, over the set-up it answers."""

    call: Call
    attempt: Attempt
    signature: Signature


class CallReject(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=9):
    """A node of the path cannot carry the call, or can no longer.

    Attributes:
        call: Which call.
        attempt: Which route.
        onward: Towards the callee; else towards the caller.
        by: Who says so.
        reason: Why.
    """

    call: Call
    attempt: Attempt
    onward: bool
    by: Node
    reason: Text


class CallKeepalive(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=10):
    """From end to end along the path: this way still works.

    Attributes:
        call: Which call.
        attempt: Which route.
        onward: Towards the callee; else towards the caller.
        sequence: Counts the sender's keepalives on this route.
        echo: The last sequence heard from the other end plus one, 0 for none.
        held_ns: How long ago it was heard.
    """

    call: Call
    attempt: Attempt
    onward: bool
    sequence: Count
    echo: Count
    held_ns: Nanoseconds


class CallReport(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=11):
    """What an end receives of the other's media.

    Attributes:
        call: Which call.
        attempt: Which route.
        onward: Towards the callee; else towards the caller.
        jitter_ns: RFC 3550.
        loss: Share of packets that never came.
    """

    call: Call
    attempt: Attempt
    onward: bool
    jitter_ns: Nanoseconds
    loss: Share


class CallEnd(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=12):
    """The call is over. Each node that passes it on adds its receipt; the other end answers with all of them.

    Attributes:
        call: Which call.
        attempt: Which route.
        onward: Towards the callee; else towards the caller.
        answer: Whether it answers the other end's.
        reason: Why.
        receipts: Of this route, and of the call's earlier ones.
    """

    call: Call
    attempt: Attempt
    onward: bool
    answer: bool
    reason: Text
    receipts: Annotated[tuple[Receipt, ...], msgspec.Meta(max_length=RECEIPT_ENTRIES)] = ()


class CallSwitch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=19):
    """From the caller, over a route that stood by: media go this way from now on. A second one changes nothing.

    Attributes:
        call: Which call.
        attempt: Which route.
        onward: Towards the callee; else towards the caller, which nobody sends.
    """

    call: Call
    attempt: Attempt
    onward: bool


class Leave(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=16):
    """To a neighbour, before the link closes: this node goes, and nothing new should be sent over it."""

    reason: Text = ""


class Fault(StrEnum):
    """What is wrong with what a neighbour sent."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"


class Error(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=17):
    """To a neighbour that sent something unreadable: a hint for whoever looks after it. Never answered."""

    fault: Fault


class Equivocation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=18):
    """Proof that an origin told different things under one number: two statements, both signed by it."""

    first: LinkState
    second: LinkState


class Inquiry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=20):
    """To a neighbour: what does it know of the links of `about`? Answered by a Digest, or not at all.

    Attributes:
        about: Whom the asker wants to reach.
        ttl: How often it may be handed on, this time among it.
    """

    about: Node
    ttl: Annotated[int, msgspec.Meta(ge=1, le=3)]


Message: TypeAlias = (
    Hello
    | Ping
    | Pong
    | LinkState
    | Receipt
    | Digest
    | CallSetup
    | CallAccept
    | CallReject
    | CallKeepalive
    | CallReport
    | CallEnd
    | CallSwitch
    | Leave
    | Error
    | Equivocation
    | Inquiry
    | AbuseReport
    | AbuseRuling
    | AbuseAppeal
)

Signable: TypeAlias = LinkState | Receipt | CallSetup | AbuseReport | AbuseRuling | AbuseAppeal
"""Messages that speak for themselves, whoever brings them."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
SINCE_NEWEST = (CallSwitch, Leave, Error, Equivocation, Inquiry)
"""Kinds that the version before did not know."""
_TAGS = frozenset(kind.__struct_config__.tag for kind in get_args(Message))
_LARGEST_TAG, _ARRAY, _SHORT_ARRAY = 0x7F, 0x90, 0xF0


def canonical(message: Message) -> bytes:
    """`message` as MessagePack; what a later version appended to its kind is left out where it says nothing new."""
    data = _ENCODER.encode(message)
    if isinstance(message, CallSetup) and not message.standby:
        return bytes([data[0] - 1]) + data[1:-1]
    return data


def encode(message: Message) -> bytes:
    """`message` for the wire: one byte of version, then MessagePack.

    >>> decode(encode(Ping(7)))
    Ping(sequence=7)
    """
    return bytes([VERSION if _needs_newest(message) else OLDEST]) + canonical(message)


def decode(data: bytes) -> Message:
    """The message in `data`. Its signature, sender and sense are the agent's to check.

    Raises:
        UnknownMessageError: If it may be one, but of a later version or of a kind that is not known.
        RemoteProtocolError: If `data` is no message within the limits.
    """
    if not 1 < len(data) <= MESSAGE_BYTES:
        raise RemoteProtocolError(f"a message has 2 to {MESSAGE_BYTES} bytes, not {len(data)}")
    if data[0] > VERSION:
        raise UnknownMessageError(f"a message of version {data[0]}; {VERSION} is the last that is known")
    if data[0] < OLDEST:
        raise RemoteProtocolError(f"not a message of version {OLDEST} or {VERSION}: it begins with {data[:1]!r}")
    try:
        message = _DECODER.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if _is_of_unknown_kind(data):
            raise UnknownMessageError(f"a message of kind {data[2]}, which is not known") from error
        raise RemoteProtocolError(f"not a message: {error}") from error
    if data[0] == OLDEST and _needs_newest(message):
        raise RemoteProtocolError(f"version {OLDEST} cannot say this: {type(message).__name__}")
    return message


def _needs_newest(message: Message) -> bool:
    return isinstance(message, SINCE_NEWEST) or (isinstance(message, CallSetup) and message.standby)


def _is_of_unknown_kind(data: bytes) -> bool:
    """Whether it is a short array that begins with a small number which is nobody's tag."""
    short = len(data) > 2 and data[1] & _SHORT_ARRAY == _ARRAY and data[1] != _ARRAY  # noqa: PLR2004 - version, array, tag
    return short and data[2] <= _LARGEST_TAG and data[2] not in _TAGS
