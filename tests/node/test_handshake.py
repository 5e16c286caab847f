from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent import Channel
from meshsim.agent.messages import VERSION
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.errors import IdentityError, LocalProtocolError, RemoteProtocolError
from meshsim.node.frames import FRAME_BYTES, MARK, Challenge, Last, Proof, decode_frame, encode_frame, is_frame
from meshsim.node.handshake import Handshake
from meshsim.node.transport import LinkConfig, LinkHandlers, PeerLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Pair = Callable[..., Awaitable[tuple[PeerLink, PeerLink]]]

ALICE, BOB, EVE = (Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4))
HERS, HIS, EVES = (bytes([number]) * 32 for number in range(11, 14))
"""Fingerprints of certificates."""


def end(own: Ed25519Signer, peer: Ed25519Signer, **more: object) -> Handshake:
    return Handshake(own, Ed25519Verifier(), peer.node_id, **more)  # type: ignore[arg-type]


def proof_of(one: Handshake, challenge: bytes) -> bytes:
    """What `one` answers to a challenge."""
    reply = one.receive(challenge)
    assert reply is not None
    return reply


def test_two_ends_on_one_connection_prove_themselves_to_each_other() -> None:
    alice, bob = end(ALICE, BOB), end(BOB, ALICE)
    hers, his = alice.begin(HERS, HIS), bob.begin(HIS, HERS)
    to_alice, to_bob = proof_of(bob, hers), proof_of(alice, his)
    assert (alice.proven, bob.proven) == (False, False)
    assert (alice.receive(to_alice), bob.receive(to_bob)) == (None, None)
    assert (alice.proven, bob.proven) == (True, True)


def test_who_stands_between_two_connections_cannot_pass_the_proofs_on() -> None:
    alice, bob = end(ALICE, BOB), end(BOB, ALICE)
    hers, his = alice.begin(HERS, EVES), bob.begin(HIS, EVES)
    passed_on = proof_of(bob, hers)
    proof_of(alice, his)
    with pytest.raises(IdentityError, match="does not prove"):
        alice.receive(passed_on)
    assert not alice.proven


def test_another_key_than_the_peers_proves_nothing() -> None:
    alice, eve = end(ALICE, BOB), end(EVE, ALICE)
    hers, hers_too = alice.begin(HERS, HIS), eve.begin(HIS, HERS)
    proof_of(alice, hers_too)
    with pytest.raises(IdentityError, match=r"does not prove"):
        alice.receive(proof_of(eve, hers))


def test_a_handshake_played_again_proves_nothing_to_a_new_challenge() -> None:
    alice, bob = end(ALICE, BOB), end(BOB, ALICE)
    hers, his = alice.begin(HERS, HIS), bob.begin(HIS, HERS)
    recorded = proof_of(bob, hers)
    later = end(ALICE, BOB)
    later.begin(HERS, HIS)
    proof_of(later, his)
    with pytest.raises(IdentityError, match="does not prove"):
        later.receive(recorded)


def test_our_own_frames_sent_back_prove_nothing() -> None:
    alice = end(ALICE, BOB)
    hers = alice.begin(HERS, HIS)
    with pytest.raises(IdentityError, match="repeats"):
        alice.receive(hers)
    alice = end(ALICE, BOB)
    alice.begin(HERS, HIS)
    own_proof = proof_of(alice, encode_frame(Challenge(bytes(32), False)))
    with pytest.raises(IdentityError, match="does not prove"):
        alice.receive(own_proof)


@pytest.mark.parametrize("changed", ["nonce", "replaces"])
def test_no_part_of_a_challenge_can_be_changed_on_the_way(changed: str) -> None:
    alice, bob = end(ALICE, BOB), end(BOB, ALICE, nonce=bytes([7]) * 32)
    hers = alice.begin(HERS, HIS)
    bob.begin(HIS, HERS)
    forged = Challenge(bytes([8 if changed == "nonce" else 7]) * 32, changed == "replaces")
    proof_of(alice, encode_frame(forged))
    with pytest.raises(IdentityError):
        alice.receive(proof_of(bob, hers))


def test_frames_out_of_their_turn_are_the_peers_fault() -> None:
    alice = end(ALICE, BOB)
    alice.begin(HERS, HIS)
    with pytest.raises(RemoteProtocolError, match="Proof out of its turn"):
        alice.receive(encode_frame(Proof(bytes(64))))
    proof_of(alice, encode_frame(Challenge(bytes(32), False)))
    with pytest.raises(RemoteProtocolError, match="Challenge out of its turn"):
        alice.receive(encode_frame(Challenge(bytes(32), False)))
    with pytest.raises(RemoteProtocolError, match="Last out of its turn"):
        alice.receive(encode_frame(Last()))


def test_an_end_that_misuses_its_handshake_is_told() -> None:
    with pytest.raises(LocalProtocolError, match="to itself"):
        end(ALICE, ALICE)
    with pytest.raises(LocalProtocolError, match="not begun"):
        end(ALICE, BOB).receive(encode_frame(Last()))
    with pytest.raises(LocalProtocolError, match="two certificates"):
        end(ALICE, BOB).begin(HERS, HERS)
    alice = end(ALICE, BOB)
    alice.begin(HERS, HIS)
    with pytest.raises(LocalProtocolError, match="once"):
        alice.begin(HERS, HIS)


def test_a_link_replaces_another_only_if_both_ends_say_so() -> None:
    def agree(*, hers: bool, his: bool) -> bool:
        alice = end(ALICE, BOB, replaces=hers)
        alice.begin(HERS, HIS)
        alice.receive(encode_frame(Challenge(bytes(32), his)))
        return alice.was_linked

    assert [agree(hers=a, his=b) for a in (False, True) for b in (False, True)] == [False, False, False, True]


@given(st.binary(max_size=120))
def test_any_bytes_are_a_frame_or_a_remote_protocol_error(data: bytes) -> None:
    try:
        assert is_frame(encode_frame(decode_frame(MARK + data)))
    except RemoteProtocolError:
        return


def test_what_is_too_long_or_not_marked_is_no_frame() -> None:
    for data in (bytes(FRAME_BYTES + 1), bytes([VERSION]) + b"x", b""):
        with pytest.raises(RemoteProtocolError):
            decode_frame(data)


def test_no_message_of_an_agent_is_taken_for_a_frame() -> None:
    assert bytes([VERSION]) != MARK


class Heard:
    """What a link hands over."""

    def __init__(self) -> None:
        self.opened: list[PeerLink] = []
        self.things: list[bytes] = []
        self.handlers = LinkHandlers(
            on_open=self.opened.append,
            on_message=lambda _, data: self.things.append(data),
            on_media=self.things.append,
        )


async def test_a_link_opens_once_both_ends_have_shown_who_they_are(pair: Pair) -> None:
    heard = Heard(), Heard()
    links = await pair((heard[0].handlers, heard[1].handlers))
    assert [one.opened for one in heard] == [[links[0]], [links[1]]]
    for link in links:
        await link.close()


async def test_a_link_whose_peer_is_somebody_else_closes_and_hands_nothing_over(pair: Pair) -> None:
    heard = Heard()
    before = asyncio.all_tasks()
    with pytest.raises(ExceptionGroup) as refused:
        await pair(
            (heard.handlers, LinkHandlers()),
            handshakes=(end(ALICE, BOB), end(EVE, ALICE)),
            configs=(LinkConfig(connect_timeout=1.0), LinkConfig(connect_timeout=1.0)),
        )
    assert refused.value.subgroup(IdentityError) is not None
    assert (heard.opened, heard.things) == ([], [])
    for task in asyncio.all_tasks() - before:
        await asyncio.wait({task}, timeout=2.0)


class Mute(Handshake):
    """An end that never proves itself, and sends other things instead."""

    def receive(self, data: bytes) -> bytes | None:
        return None


async def test_nothing_is_taken_before_the_proof_and_silence_ends_the_link(pair: Pair) -> None:
    heard = Heard()
    mute = Mute(BOB, Ed25519Verifier(), ALICE.node_id)
    seen: list[PeerLink] = []

    class Talking(PeerLink):
        """Sends on all channels, and media, as soon as it can, without proof."""

        def _check_open(self) -> None:
            super()._check_open()
            if all(wire.readyState == "open" for wire in self._channels.values()):
                for channel in Channel:
                    self._send(channel, b"unproven")
                self._media.send(bytes([0x80, 111]) + bytes(20))

    class Watched(PeerLink):
        def _check_open(self) -> None:
            seen.append(self)
            super()._check_open()

    offer, answer = asyncio.Queue[str](), asyncio.Queue[str]()

    async def exchange(sdp: str) -> str:
        offer.put_nowait(sdp)
        return await answer.get()

    async def talk() -> None:
        with pytest.raises(ConnectionError):
            await Talking.accept(await offer.get(), answer.put, mute, config=LinkConfig(connect_timeout=2.0))

    talking = asyncio.create_task(talk())
    with pytest.raises(ConnectionError, match="in time"):
        await Watched.dial(exchange, end(ALICE, BOB), config=LinkConfig(connect_timeout=0.7), handlers=heard.handlers)
    await talking
    assert (heard.opened, heard.things) == ([], [])
    assert seen[0].early == 4
    assert not seen[0].send(Channel.CONTROL, b"x")
    assert not seen[0].send_media(bytes([0x80, 111]) + bytes(20))


class EvesEnd(Handshake):
    """Says nothing of its own, and keeps what it hears."""

    def __init__(self, peer: Ed25519Signer) -> None:
        super().__init__(EVE, Ed25519Verifier(), peer.node_id)
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def begin(self, own: bytes, theirs: bytes) -> bytes:
        assert own != theirs
        return b""

    def receive(self, data: bytes) -> bytes | None:
        self.heard.put_nowait(data)
        return None


async def test_eve_who_ends_both_connections_and_passes_every_frame_on_opens_neither() -> None:
    eves_links: dict[Handshake, PeerLink] = {}
    patience = LinkConfig(connect_timeout=2.0)

    class EvesLink(PeerLink):
        def _check_open(self) -> None:
            eves_links[self._handshake] = self
            super()._check_open()

    async def dial(own: Ed25519Signer, peer: Ed25519Signer, eves: EvesEnd) -> PeerLink:
        """Dials `peer`, and gets Eve: as if the description had been exchanged, and its signature forged."""
        offer, answer = asyncio.Queue[str](), asyncio.Queue[str]()

        async def exchange(sdp: str) -> str:
            offer.put_nowait(sdp)
            return await answer.get()

        async def accept() -> None:
            with pytest.raises(ConnectionError):
                await EvesLink.accept(await offer.get(), answer.put, eves, config=patience)

        accepting = asyncio.create_task(accept())
        try:
            return await PeerLink.dial(exchange, end(own, peer), config=patience)
        finally:
            await accepting

    async def pass_on(source: EvesEnd, sink: EvesEnd) -> None:
        while True:
            data = await source.heard.get()
            for _ in iter(partial(eves_links.__contains__, sink), True):
                await asyncio.sleep(0.01)
            assert eves_links[sink]._send(Channel.CONTROL, data)

    towards = EvesEnd(ALICE), EvesEnd(BOB)
    passing = [asyncio.create_task(pass_on(*ends)) for ends in (towards, towards[::-1])]
    refused = await asyncio.gather(dial(ALICE, BOB, towards[0]), dial(BOB, ALICE, towards[1]), return_exceptions=True)
    for task in passing:
        task.cancel()
    await asyncio.gather(*passing, return_exceptions=True)
    assert [type(error) for error in refused] == [IdentityError, IdentityError]
