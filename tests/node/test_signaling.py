from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.node import signaling
from meshsim.node.signaling import (
    LIFETIME,
    LONGEST_LIFETIME,
    SIGNAL_BYTES,
    Offer,
    Signal,
    Signaling,
    decode_signal,
    dials,
    read_fingerprint,
    sign_signal,
)

if TYPE_CHECKING:
    from meshsim.mesh.ids import NodeId

ALICE, BOB, EVE = (Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4))
FINGERPRINT = ":".join(["AB"] * 32)
SDP = f"v=0\r\na=fingerprint:sha-256 {FINGERPRINT}\r\na=fingerprint:sha-384 00:11\r\n"
NOW = 1_000_000.0


def offer(**changes: object) -> Signal:
    fields: dict[str, object] = {
        "kind": "offer",
        "sender": ALICE.node_id,
        "recipient": BOB.node_id,
        "sdp": SDP,
        "fingerprint": FINGERPRINT,
        "nonce": bytes(16),
        "expires_unix": NOW + LIFETIME,
    }
    return Signal(**{**fields, **changes})  # type: ignore[arg-type]


class Post:
    """Two nodes that hand each other envelopes; the last is kept."""

    def __init__(self) -> None:
        self.now = NOW
        self.last = b""
        self.nodes = {
            signer.node_id: Signaling(signer, Ed25519Verifier(), self.sender(signer.node_id), clock=lambda: self.now)
            for signer in (ALICE, BOB)
        }
        self.offers: asyncio.Queue[Offer] = asyncio.Queue()

    def sender(self, source: NodeId):  # type: ignore[no-untyped-def]
        async def send(to: NodeId, data: bytes) -> None:
            self.last = data
            received = self.nodes[to].receive(source, data)
            if received is not None:
                self.offers.put_nowait(received)

        return send


def receive(data: bytes, source: NodeId = ALICE.node_id, *, now: float = NOW) -> Offer | None:
    async def nowhere(to: NodeId, data: bytes) -> None: ...

    return Signaling(BOB, Ed25519Verifier(), nowhere, clock=lambda: now).receive(source, data)


def test_a_signed_offer_is_taken() -> None:
    assert receive(sign_signal(offer(), ALICE)) == Offer(peer=ALICE.node_id, sdp=SDP, nonce=bytes(16))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recipient": EVE.node_id}, "not for this node"),
        ({"expires_unix": NOW - 1}, "time"),
        ({"expires_unix": NOW + LONGEST_LIFETIME + 1}, "time"),
        ({"expires_unix": float("nan")}, "time"),
        ({"fingerprint": ":".join(["CD"] * 32)}, "not the signed one"),
        ({"sdp": "v=0\r\n"}, "0 different"),
        ({"sdp": SDP + SDP.replace("AB", "CD")}, "2 different"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_offer_that_does_not_hold_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        receive(sign_signal(offer(**changes), ALICE))


def test_an_offer_signed_or_carried_by_another_node_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed"):
        receive(sign_signal(offer(), EVE))
    with pytest.raises(RemoteProtocolError, match="carried"):
        receive(sign_signal(offer(), ALICE), EVE.node_id)


@given(st.data())
def test_no_field_can_be_changed_after_signing(data: st.DataObject) -> None:
    good = decode_signal(sign_signal(offer(), ALICE))
    changes = {
        "kind": "answer",
        "sdp": SDP + "a=x\r\n",
        "nonce": bytes(15) + b"1",
        "expires_unix": NOW + 1.0,
        "signature": bytes(64),
    }
    name = data.draw(st.sampled_from(sorted(changes)))
    forged = msgspec.structs.replace(good, **{name: changes[name]})
    with pytest.raises(RemoteProtocolError):
        receive(msgspec.msgpack.encode(forged))


@given(st.binary(max_size=120))
def test_any_bytes_are_an_envelope_or_a_remote_protocol_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        receive(data)


def test_an_envelope_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(RemoteProtocolError, match="at most"):
        decode_signal(bytes(SIGNAL_BYTES + 1))


async def test_an_offer_gets_its_answer() -> None:
    post = Post()
    asking = asyncio.create_task(post.nodes[ALICE.node_id].offer(BOB.node_id, SDP))
    received = await post.offers.get()
    await post.nodes[BOB.node_id].answer(received, SDP + "a=answer\r\n")
    assert await asking == SDP + "a=answer\r\n"


async def test_an_offer_is_taken_once() -> None:
    post = Post()
    asking = asyncio.create_task(post.nodes[ALICE.node_id].offer(BOB.node_id, SDP))
    await post.offers.get()
    with pytest.raises(RemoteProtocolError, match="seen before"):
        post.nodes[BOB.node_id].receive(ALICE.node_id, post.last)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_an_answer_must_repeat_the_nonce_of_a_waiting_offer() -> None:
    post = Post()
    asking = asyncio.create_task(post.nodes[ALICE.node_id].offer(BOB.node_id, SDP))
    received = await post.offers.get()
    wrong = Offer(peer=received.peer, sdp=received.sdp, nonce=bytes(16))
    with pytest.raises(RemoteProtocolError, match="no offer"):
        await post.nodes[BOB.node_id].answer(wrong, SDP)
    await post.nodes[BOB.node_id].answer(received, SDP)
    await asking
    with pytest.raises(RemoteProtocolError, match="no offer"):
        post.nodes[ALICE.node_id].receive(BOB.node_id, post.last)


async def test_an_unanswered_offer_is_a_connection_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signaling, "LIFETIME", 0.05)
    with pytest.raises(ConnectionError, match="did not answer"):
        await Post().nodes[ALICE.node_id].offer(BOB.node_id, SDP)


def test_the_memory_for_nonces_is_bounded_and_frees_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signaling, "_NONCES_KEPT", 3)
    now = NOW

    async def nowhere(to: NodeId, data: bytes) -> None: ...

    bob = Signaling(BOB, Ed25519Verifier(), nowhere, clock=lambda: now)

    def send(number: int) -> Offer | None:
        signal = offer(nonce=bytes([number]) * 16, expires_unix=now + LIFETIME)
        return bob.receive(ALICE.node_id, sign_signal(signal, ALICE))

    assert all(send(number) for number in range(3))
    with pytest.raises(RemoteProtocolError, match="too many"):
        send(3)
    now += LIFETIME
    assert send(4)


def test_of_two_nodes_exactly_one_dials() -> None:
    assert dials(ALICE.node_id, BOB.node_id) != dials(BOB.node_id, ALICE.node_id)


def test_the_fingerprint_is_read_in_upper_case() -> None:
    assert read_fingerprint(SDP.lower()) == FINGERPRINT
