"""The wire protocol as a stranger would read it: the published vectors, and what comes of a million broken frames."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

from meshsim.agent import messages, signing
from meshsim.agent.messages import Fault, decode, encode
from meshsim.identity import Ed25519Verifier
from meshsim.mesh.errors import RemoteProtocolError, UnknownMessageError
from meshsim.mesh.ids import NodeId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from meshsim.agent import MeshAgent
    from meshsim.agent.messages import Message
    from meshsim.testing.network import Network

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "docs" / "_extra" / "wire-vectors.json").read_text(encoding="utf-8"))
AUTHOR = {"LinkState": 1, "Receipt": 4, "CallSetup": 3, "AbuseReport": 1, "AbuseRuling": 1, "AbuseAppeal": 1}
"""Where the array of each signed kind says who signs; a record and a path say it in their own first field."""
SIGNATURE = {"LinkState": 8, "Receipt": 13, "CallSetup": 10, "AbuseReport": 7, "AbuseRuling": 5, "AbuseAppeal": 3}


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wire_vectors", ROOT / "tools" / "wire_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_plainly(frame: bytes) -> list[Any]:
    """A frame as any MessagePack library reads it."""
    fields = msgspec.msgpack.decode(frame[1:])
    assert isinstance(fields, list)
    return fields


def test_the_published_vectors_are_what_this_version_says() -> None:
    assert tool().vectors() == VECTORS


def test_every_kind_of_message_has_a_vector() -> None:
    kinds = {kind.__name__ for kind in get_args(messages.Message)}
    assert {vector["kind"] for vector in VECTORS["messages"]} == kinds


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["what"])
def test_a_vector_is_read_and_said_again_byte_by_byte(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    message = decode(frame)
    assert type(message).__name__ == vector["kind"]
    assert encode(message) == frame


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS["messages"] if "signed" in one], ids=lambda vector: vector["what"]
)
def test_a_signature_can_be_checked_with_nothing_but_messagepack_and_ed25519(vector: dict[str, Any]) -> None:
    kind, fields = vector["kind"], read_plainly(bytes.fromhex(vector["frame"]))
    author = fields[AUTHOR[kind]]
    while isinstance(author, (list, dict)):
        author = author[0] if isinstance(author, list) else author["node"]
    signature, fields[SIGNATURE[kind]] = fields[SIGNATURE[kind]], b""
    signed = f"meshsim/{kind}/4".encode() + b"\0" + msgspec.msgpack.encode(fields)
    assert signed.hex() == vector["signed"]
    assert signature.hex() == vector["signature"]
    assert Ed25519Verifier().verify(NodeId(author), signed, signature)


@pytest.mark.parametrize("vector", [one for one in VECTORS["refused"] if "frame" in one], ids=lambda one: one["what"])
def test_a_refused_vector_is_refused_as_it_says(vector: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as refusal:
        decode(bytes.fromhex(vector["frame"]))
    assert isinstance(refusal.value, UnknownMessageError) == (vector["fault"] == "unknown")


def test_labels_are_four_bytes_of_blake2b() -> None:
    for vector in VECTORS["labels"]:
        text = bytes.fromhex(vector["call"]) + bytes([vector["attempt"]])
        assert int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") == vector["label"]


# Broken frames --------------------------------------------------------------------------------------------------------


def generator(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing is kept secret


BOMBS = [*(bytes([head]) + b"\xff\xff\xff\xff" for head in (0xDD, 0xDF, 0xDB, 0xC6)), b"\x91" * 900]
"""An array, a map, a text and bytes of four thousand million; arrays in arrays."""


def broken(rng: random.Random, whole: list[bytes]) -> Iterator[bytes]:
    """Frames that were damaged in every way a network or an enemy can think of, without end."""
    while True:
        frame = bytearray(rng.choice(whole))
        match rng.randrange(7):
            case 0:
                yield rng.randbytes(rng.randrange(200))
                continue
            case 1:
                del frame[rng.randrange(len(frame)) :]
            case 2:
                for _ in range(rng.randrange(1, 6)):
                    frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
            case 3:
                at = rng.randrange(1, len(frame))
                frame[at:at] = rng.choice(BOMBS)
            case 4:
                other = rng.choice(whole)
                frame[rng.randrange(len(frame)) :] = other[rng.randrange(len(other)) :]
            case 5:
                frame[0] = rng.randrange(256)
            case _:
                at = rng.randrange(1, len(frame))
                frame[at : at + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
        yield bytes(frame)


def state(agent: MeshAgent) -> bytes:
    """All that an agent knows, but for its counters of nonsense and when it last complained of it."""
    rejected, scolded = dict(agent._core.rejected), [n.scolded for n in agent.neighbours()]
    agent._core.rejected.clear()
    for neighbour in agent.neighbours():
        neighbour.scolded = 0.0
    digest = hashlib.sha256(pickle.dumps(agent)).digest()
    agent._core.rejected.update(rejected)
    for neighbour, at in zip(agent.neighbours(), scolded, strict=True):
        neighbour.scolded = at
    return digest


def talking(make: Any) -> Network:
    """A mesh with a call under way, so that there is something to break."""
    net: Network = make()
    net.call("alice", "bob")
    net.run(3.0)
    for member in net.members.values():
        member.agent._now = net.instant()
    return net


def frames_of(net: Network) -> list[bytes]:
    said: list[Message] = [e.message for m in net.members.values() for _, e in m.log if hasattr(e, "message")]
    return [*{encode(message) for message in said[-300:]}, *(bytes.fromhex(v["frame"]) for v in VECTORS["messages"])]


def break_in(net: Network, name: str, count: int) -> tuple[int, int]:
    """Sends `count` unreadable frames to `name`; how many of them were malformed and how many of unknown kinds."""
    agent, source, now = net[name], net.node("alice"), net.instant()
    told = {Fault.MALFORMED: 0, Fault.UNKNOWN: 0}
    for frame in broken(generator(20), sorted(frames_of(net))):
        try:
            decode(frame)
        except UnknownMessageError:
            fault = Fault.UNKNOWN
        except RemoteProtocolError:
            fault = Fault.MALFORMED
        else:
            continue  # damaged, and yet a message: see below
        told[fault] += 1
        agent.receive_invalid(source, now, fault)
        if sum(told.values()) == count:
            break
    return told[Fault.MALFORMED], told[Fault.UNKNOWN]


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_broken_frames_are_counted_and_change_nothing(count: int, make_diamond: Any) -> None:
    net = talking(make_diamond)
    before = state(net["r1"])
    malformed, unknown = break_in(net, "r1", count)
    assert malformed + unknown == count
    assert net["r1"].rejected == {"malformed": malformed, "unknown": unknown}
    assert len(net["r1"].effects()) == 1  # a complaint
    assert state(net["r1"]) == before


def test_what_is_signed_and_was_damaged_moves_no_belief_no_call_and_no_score(make_diamond: Any) -> None:
    net = talking(make_diamond)
    agent, source, rng, hits = net["r1"], net.node("alice"), generator(21), 0
    signed = [frame for frame in frames_of(net) if type(decode(frame)).__name__ in AUTHOR]
    table, before = agent._table, (agent._table.revision, agent._ledger.revision, agent._relay.carried)
    for frame in broken(rng, sorted(signed)):
        try:
            message = decode(frame)
        except RemoteProtocolError:
            continue
        if encode(message) in signed or not isinstance(message, messages.Signable):
            continue
        assert not signing.is_signed(message, NodeId(bytes(32)), net._verifier)
        agent.receive(message, source, net.instant())
        hits += 1
        if hits == 500:
            break
    assert (table.revision, agent._ledger.revision, agent._relay.carried) == before
