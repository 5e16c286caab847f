"""Test vectors of the wire protocol, for whoever writes a node of their own: `docs/_extra/wire-vectors.json`.

Run with `write` after a change to the protocol; `check` (what the tests do) tells whether the file is up to date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import msgspec

from meshsim.agent import messages as m
from meshsim.agent.legs import label_of
from meshsim.agent.notices import AbuseAppeal, AbuseReport, AbuseRuling
from meshsim.agent.signing import acceptance_bytes, sign, signed_bytes
from meshsim.identity import Ed25519Signer, NodeRecord, sign_record
from meshsim.mesh.errors import RemoteProtocolError, UnknownMessageError
from meshsim.mesh.ids import CallId, did_key
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.node.frames import Carried, Challenge, Last, Proof, encode_frame
from meshsim.node.handshake import statement
from meshsim.node.rtp import RtpPacket
from meshsim.trust import Outcome
from meshsim.trust.abuse import Category, Ruling

_DOCS = Path(__file__).resolve().parent.parent / "docs"
FILE, PAGE = _DOCS / "_extra" / "wire-vectors.json", _DOCS / "wire.md"
_BEGIN, _END = "<!-- kinds: written by tools/wire_vectors.py -->\n", "<!-- end of kinds -->\n"

SEEDS = {name: bytes([number]) * 32 for number, name in enumerate(("alice", "r1", "bob"), start=1)}
SIGNERS = {name: Ed25519Signer.from_seed(seed) for name, seed in SEEDS.items()}
ALICE, R1, BOB = (SIGNERS[name].node_id for name in SEEDS)
CALL = CallId(bytes(range(16)))
AT = 1_800_000_000 * 10**9
"""Unix nanoseconds at which everything happens."""
_PLAIN = 100_000
"""Numbers up to it are written out."""


def record(name: str) -> NodeRecord:
    """A relay's record, or a person's."""
    relays = name == "r1"
    unsigned = NodeRecord(
        node=SIGNERS[name].node_id,
        aura=f"@{name}.aura",
        role="relay" if relays else "peer",
        nat="open" if relays else "symmetric",
        latitude=48.5,
        longitude=-2.25,
        capacity_bps=1e8,
        max_calls=24 if relays else 0,
        expires_unix=1_800_003_600.0,
    )
    return sign_record(unsigned, SIGNERS[name])


def statement_of(load: float = 0.25) -> m.LinkState:
    """r1's statement of its two links."""
    links = (m.LinkEntry(ALICE, 20_000_000, 1_000_000, 0.01, 1e7), m.LinkEntry(BOB, 30_000_000, 0, 0.0, 5e6))
    unsigned = m.LinkState(
        record=record("r1"), epoch=3, sequence=7, load=load, calls=6, links=links, expires_ns=AT + 600 * 10**9
    )
    return sign(unsigned, SIGNERS["r1"])


def setup(**changes: Any) -> m.CallSetup:
    """A call of alice to bob, over r1."""
    unsigned = m.CallSetup(
        call=CALL,
        attempt=0,
        path=(ALICE, R1, BOB),
        caller="@alice.aura",
        callee="@bob.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.PREFER,
        expires_ns=AT + 600 * 10**9,
        promise=m.Promise(100_000_000, 2_000_000, 0.02),
    )
    return sign(msgspec.structs.replace(unsigned, **changes), SIGNERS["alice"])


def receipt() -> m.Receipt:
    """What bob signs for that call."""
    unsigned = m.Receipt(
        call=CALL,
        attempt=0,
        path=(ALICE, R1, BOB),
        signer=BOB,
        outcome=Outcome.COMPLETED,
        mos=4.25,
        poor=False,
        at_ns=AT + 60 * 10**9,
        loss=0.01,
        delay_ns=50_000_000,
        jitter_ns=1_500_000,
        carried=480_000,
    )
    return sign(unsigned, SIGNERS["bob"])


def messages() -> list[tuple[str, m.Message]]:
    """Every kind of message, some in more than one form; each with what it shows."""
    report = AbuseReport(
        reporter=ALICE, subject=R1, category=Category.SPAM, at_ns=AT, call=CALL, detail=bytes(range(32))
    )
    ruling = AbuseRuling(moderator=BOB, subject=R1, ruling=Ruling.UPHELD, at_ns=AT)
    return [
        ("who is at this end of the link", m.Hello(record("r1"), 3)),
        ("a probe", m.Ping(7)),
        ("a probe with a number of 9 bytes", m.Ping(2**53)),
        ("its answer", m.Pong(7)),
        ("a node and its links", statement_of()),
        ("a receipt", receipt()),
        ("news, with a statement half a second old", m.Digest((m.Told(500_000_000, statement_of()),), (receipt(),))),
        ("no news", m.Digest(())),
        ("a call's way", setup()),
        ("a way of which nothing is expected", setup(promise=None, attempt=1)),
        ("a second route, since version 5", setup(promise=None, attempt=2, standby=True)),
        ("the callee's yes", m.CallAccept(CALL, 0, SIGNERS["bob"].sign(acceptance_bytes(setup())))),
        ("a relay's no", m.CallReject(CALL, 0, onward=False, by=R1, reason=m.FULL)),
        ("the way still works", m.CallKeepalive(CALL, 0, onward=True, sequence=5, echo=4, held_ns=12_000_000)),
        ("what came in of the other's media", m.CallReport(CALL, 0, onward=False, jitter_ns=1_500_000, loss=0.02)),
        ("the end", m.CallEnd(CALL, 0, onward=True, answer=False, reason="hung up", receipts=(receipt(),))),
        ("media go this way now", m.CallSwitch(CALL, 2, onward=True)),
        ("a farewell", m.Leave("restart")),
        ("something was unreadable", m.Error(m.Fault.MALFORMED)),
        ("proof of two tales", m.Equivocation(statement_of(), statement_of(load=0.75))),
        ("who knows the way to bob", m.Inquiry(BOB, 2)),
        ("an accusation", sign(report, SIGNERS["alice"])),
        ("what a moderator says of it", sign(ruling, SIGNERS["bob"])),
        ("an appeal", sign(AbuseAppeal(subject=R1, at_ns=AT), SIGNERS["r1"])),
    ]


def refused() -> list[tuple[str, bytes]]:
    """What no node takes for a message, and why."""
    ping = m.encode(m.Ping(7))
    reject = m.encode(m.CallReject(CALL, 0, onward=False, by=R1, reason=m.FULL))
    switch = m.encode(m.CallSwitch(CALL, 2, onward=True))
    return [
        ("nothing", b""),
        ("a version and nothing else", ping[:1]),
        ("a version that is too old", bytes([m.OLDEST - 1]) + ping[1:]),
        ("a later version", bytes([m.VERSION + 1]) + ping[1:]),
        ("a kind that is not known", bytes([m.VERSION]) + msgspec.msgpack.encode([99, 7])),
        ("cut off", reject[:-3]),
        ("followed by something", ping + b"\0"),
        ("a field too many", bytes([m.OLDEST]) + msgspec.msgpack.encode([2, 7, 7])),
        ("a number below zero", bytes([m.OLDEST]) + msgspec.msgpack.encode([2, -1])),
        ("a fraction for a whole number", bytes([m.OLDEST]) + msgspec.msgpack.encode([2, 7.5])),
        ("a map for an array", bytes([m.OLDEST]) + msgspec.msgpack.encode({"kind": 2, "sequence": 7})),
        ("a share of more than one", bytes([m.OLDEST]) + msgspec.msgpack.encode([11, CALL, 0, True, 0, 1.5])),
        ("a call id of 15 bytes", bytes([m.OLDEST]) + msgspec.msgpack.encode([11, CALL[:-1], 0, True, 0, 0.5])),
        ("a new kind under the old version", bytes([m.OLDEST]) + switch[1:]),
        ("arrays without an end", bytes([m.VERSION]) + b"\x91" * 200),
        ("an array said to hold four thousand million", bytes([m.VERSION]) + b"\xdd\xff\xff\xff\xff\x02"),
        ("too long", bytes([m.VERSION]) + bytes(m.MESSAGE_BYTES)),
    ]


def vectors() -> dict[str, Any]:
    """All vectors as JSON values; bytes as hexadecimal text."""
    return {
        "version": m.VERSION,
        "oldest": m.OLDEST,
        "nodes": {
            name: {"seed": SEEDS[name].hex(), "node": signer.node_id.hex(), "did": did_key(signer.node_id)}
            for name, signer in SIGNERS.items()
        },
        "messages": [_vector(what, message) for what, message in messages()],
        "acceptance": {"of": "a call's way", "signed": acceptance_bytes(setup()).hex()},
        "refused": [_refusal(what, data) for what, data in refused()],
        "labels": [
            {"call": CALL.hex(), "attempt": attempt, "label": label_of(CALL, attempt)} for attempt in (0, 1, 255)
        ],
        "handshake": _handshake(),
        "link_frames": [
            {"what": what, "frame": encode_frame(frame).hex()}
            for what, frame in (
                ("challenge", Challenge(bytes(range(32)), replaces=False)),
                ("proof", Proof(bytes(range(64)))),
                ("last", Last()),
                ("carried", Carried((ALICE, R1, BOB), 1, b"envelope")),
            )
        ],
        "rtp": _rtp(),
    }


def _vector(what: str, message: m.Message) -> dict[str, Any]:
    found = {"what": what, "kind": type(message).__name__, "frame": m.encode(message).hex()}
    if isinstance(message, (m.LinkState, m.Receipt, m.CallSetup, AbuseReport, AbuseRuling, AbuseAppeal)):
        found |= {"signed": signed_bytes(message).hex(), "signature": message.signature.hex()}
    return found


def _refusal(what: str, data: bytes) -> dict[str, Any]:
    try:
        m.decode(data)
    except UnknownMessageError:
        fault = m.Fault.UNKNOWN
    except RemoteProtocolError:
        fault = m.Fault.MALFORMED
    else:
        raise SystemExit(f"{what}: it is a message")
    most = 64
    shown = {"frame": data.hex()} if len(data) <= most else {"begins": data[:most].hex(), "bytes": len(data)}
    return {"what": what, "fault": fault.value, **shown}


def _handshake() -> dict[str, Any]:
    prints = bytes([0xAA]) * 32, bytes([0xBB]) * 32
    nonces = bytes(range(32)), bytes(range(32, 64))
    signed = statement(signer=ALICE, peer=R1, fingerprints=prints, nonces=nonces, replaces=(False, False))
    return {
        "signer": "alice",
        "peer": "r1",
        "fingerprints": [one.hex() for one in prints],
        "nonces": [one.hex() for one in nonces],
        "replaces": [False, False],
        "signed": signed.hex(),
        "signature": SIGNERS["alice"].sign(signed).hex(),
    }


def _rtp() -> dict[str, Any]:
    packet = RtpPacket(
        ssrc=label_of(CALL, 0), sequence=65_535, timestamp=4_294_966_336, sent=AT, payload=b"\xf8\xff\xfe"
    )
    shown = ("ssrc", "sequence", "timestamp", "sent", "payload_type")
    said = {name: getattr(packet, name) for name in shown}
    return {**said, "payload": packet.payload.hex(), "packet": packet.encode().hex()}


def tables() -> str:
    """Every kind of message with its fields, as the page has it."""
    kinds = sorted(get_args(m.Message), key=lambda kind: kind.__struct_config__.tag)
    parts: list[type] = [m.LinkEntry, m.Told, m.Promise]
    lines = []
    for kind in [*kinds, *parts]:
        tag = kind.__struct_config__.tag
        since = ", since version 5" if kind in m.SINCE_NEWEST else ""
        lines += [f"### {kind.__name__}{f' ({tag}{since})' if tag is not None else ''}", ""]
        lines += [*kind.__doc__.split("\n\n")[0].strip().splitlines(), ""]
        lines += ["| # | field | type |", "|---|---|---|"]
        first = 0 if tag is None else 1
        described: Any = msgspec.inspect.type_info(kind)
        for number, field in enumerate(described.fields, start=first):
            lines.append(f"| {number} | `{field.name}` | {_type(field.type)} |")
        lines.append("")
    return "\n".join(lines)


def _type(info: Any) -> str:  # noqa: PLR0911 - one for each type
    """A field's type and limits in words."""
    kind = type(info).__name__
    match kind:
        case "StructType":
            return "a map: `NodeRecord`" if info.cls is NodeRecord else f"`{info.cls.__name__}`"
        case "EnumType":
            return "one of " + ", ".join(f"`{one.value}`" for one in info.cls)
        case "UnionType":
            return " or ".join(_type(one) for one in info.types)
        case "NoneType":
            return "nil"
        case "BoolType":
            return "bool"
        case "VarTupleType":
            least = f"{info.min_length or 0} to " if info.min_length else "at most "
            return f"array of {least}{info.max_length}: {_type(info.item_type)}"
        case "BytesType":
            exact = info.min_length is not None and info.min_length == info.max_length
            return f"{info.max_length} bytes" if exact else f"at most {info.max_length} bytes"
        case "StrType":
            return f"text of at most {info.max_length} characters"
    name = {"IntType": "int", "FloatType": "float"}[kind]
    low = info.ge if info.ge is not None else "-inf"
    high = f"{info.le:g}" if kind == "FloatType" else _power(info.le if info.le is not None else info.lt - 1)
    return f"{name} in [{low:g}, {high}]"


def _power(number: int) -> str:
    power = number.bit_length() - 1
    return f"2^{power}" if number == 1 << power and number > _PLAIN else str(number)


def page(old: str) -> str:
    """The page `old` with the tables as they should be."""
    head, _, rest = old.partition(_BEGIN)
    return head + _BEGIN + "\n" + tables() + _END + rest.partition(_END)[2]


def text() -> str:
    """What the file of vectors should hold."""
    return json.dumps(vectors(), indent=1) + "\n"


def main() -> int:
    """Writes the file and the page's tables, or checks them; the exit code."""
    old = PAGE.read_text(encoding="utf-8")
    if sys.argv[1:] == ["write"]:
        FILE.write_text(text(), encoding="utf-8")
        PAGE.write_text(page(old), encoding="utf-8")
        return 0
    if FILE.read_text(encoding="utf-8") == text() and old == page(old):
        return 0
    print(f"{FILE.name} or {PAGE.name} is not up to date: run {sys.argv[0]} write")
    return 1


if __name__ == "__main__":
    sys.exit(main())
