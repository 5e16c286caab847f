from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from meshsim.agent import Channel
from meshsim.control.client import RegistryClient
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.links import LinkParameters
from meshsim.mesh.ids import NodeId, short
from meshsim.node import switching
from meshsim.node.audio import AudioSink, AudioSource
from meshsim.node.emulation import EmulatedLink, EmulatorClient, EmulatorConfig, emulator_process
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.traffic import TrafficBook, compare_counts
from meshsim.node.transport import LinkConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

ALICE, BOB, RELAY = (Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4))
SSRC = 7


class Peer:
    """A node in this process: its links, what it received, and an ear for one flow."""

    def __init__(
        self, client: RegistryClient, signer: Ed25519Signer, emulator: EmulatorClient | None, *, wanted: bool = True
    ) -> None:
        self.id = signer.node_id
        self.messages: asyncio.Queue[tuple[NodeId, Channel, bytes]] = asyncio.Queue()
        self.opened: asyncio.Queue[NodeId] = asyncio.Queue()
        self.gone: asyncio.Queue[NodeId] = asyncio.Queue()
        self.ear = AudioSink(SSRC)
        self.heard: asyncio.Queue[None] = asyncio.Queue()
        self.neighbours = Neighbours(
            client,
            signer,
            Ed25519Verifier(),
            handlers=NeighbourHandlers(
                on_message=lambda peer, channel, data: self.messages.put_nowait((peer, channel, data)),
                on_media=lambda _, packet: self.hear(packet),
                on_open=self.opened.put_nowait,
                on_closed=self.gone.put_nowait,
                may_connect=lambda _: wanted,
            ),
            config=LinkConfig(connect_timeout=5.0),
            emulator=emulator,
        )

    def hear(self, packet: bytes) -> None:
        self.ear.receive(packet, time.monotonic_ns())
        self.heard.put_nowait(None)

    async def ask(self, peer: NodeId, data: bytes) -> tuple[bytes, float]:
        """The peer's reply on the control channel, and the round trip in seconds."""
        started = time.monotonic()
        assert self.neighbours.send(peer, Channel.CONTROL, data)
        async with asyncio.timeout(5.0):
            _, _, reply = await self.messages.get()
        return reply, time.monotonic() - started


@asynccontextmanager
async def peer(
    url: str, signer: Ed25519Signer, emulator: EmulatorClient | None = None, *, wanted: bool = True
) -> AsyncIterator[Peer]:
    async with RegistryClient(url, signer) as client:
        node = Peer(client, signer, emulator, wanted=wanted)
        running = asyncio.create_task(node.neighbours.run())
        await client.wait_online()
        yield node
        await node.neighbours.close()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def links_between(*signers: Ed25519Signer, delay: float, loss: float = 0.0) -> tuple[EmulatedLink, ...]:
    names = [short(signer.node_id) for signer in signers]
    parameters = LinkParameters(rate_bps=50e6, propagation=delay, loss=loss)
    return tuple(EmulatedLink(a, b, parameters) for a in names for b in names if a != b)


@asynccontextmanager
async def relay_process(url: str, emulator: EmulatorClient, counts: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay that forwards the flow from Alice to Bob."""
    given = {
        "seed": "03" * 32,
        "flows": [(SSRC, ALICE.node_id.hex(), BOB.node_id.hex())],
        "emulator": emulator.address,
        "registry": url,
        "traffic": str(counts),
    }
    script = Path(__file__).with_name("relay.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), json.dumps(given), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20.0):
        assert await process.stdout.readline() == b"ready\n"
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


def sent_by(own: Ed25519Signer, book: dict[str, int]) -> dict[tuple[str, str], int]:
    return {(short(own.node_id), other): count for other, count in book.items()}


async def counts_of(emulator: EmulatorClient, *peers: Peer) -> tuple[dict[tuple[str, str], int], ...]:
    """What the peers here sent and what the emulator received from anyone."""
    sent = {}
    for node in peers:
        for other, traffic in node.neighbours.traffic:
            sent[short(node.id), other] = traffic.sent
    received = {link: counts.received for link, counts in (await emulator.counters()).items() if counts.received}
    return sent, received


async def test_a_link_through_the_emulator_has_the_delay_asked_for_and_nothing_bypasses_it() -> None:
    async with (
        embedded() as url,
        emulator_process(EmulatorConfig(links=links_between(ALICE, BOB, delay=0.02))) as emulator,
        peer(url, ALICE, emulator) as alice,
        peer(url, BOB, emulator) as bob,
    ):
        link = await alice.neighbours.dial(bob.id)
        assert await bob.opened.get() == alice.id
        trips = []
        for number in range(20):
            started = time.monotonic()
            assert alice.neighbours.send(bob.id, Channel.REALTIME, bytes([number]))
            await bob.messages.get()
            assert bob.neighbours.send(alice.id, Channel.REALTIME, bytes([number]))
            await alice.messages.get()
            trips.append(time.monotonic() - started)
        assert min(trips) > 0.04
        assert min(trips) < 0.055
        assert (await emulator.precision()).samples > 40
        await alice.neighbours.close()
        await bob.neighbours.close()
        assert link.closed
        sent, received = await counts_of(emulator, alice, bob)
        assert compare_counts(sent, received) == []
        assert min(received.values()) > 20


async def test_a_relay_process_forwards_opus_audio_without_a_codec(tmp_path: Path) -> None:
    async with (
        embedded() as url,
        emulator_process(EmulatorConfig(links=links_between(ALICE, BOB, RELAY, delay=0.005))) as emulator,
        relay_process(url, emulator, tmp_path / "counts"),
        peer(url, ALICE, emulator) as alice,
        peer(url, BOB, emulator) as bob,
    ):
        await alice.neighbours.dial(RELAY.node_id)
        await bob.neighbours.dial(RELAY.node_id)
        source = AudioSource(SSRC, frequency=440.0)
        await source.play(lambda packet: alice.neighbours.send_media(RELAY.node_id, packet), seconds=1.0)
        reply, _ = await alice.ask(RELAY.node_id, b"stats")
        heard = bob.ear.report()
        assert json.loads(reply) == {"forwarded": source.packets, "codecs": 0, "audio_loaded": False}
        assert heard.received >= source.packets - 2
        assert heard.frequency == pytest.approx(440.0, abs=5.0)
        assert heard.rms > 0.05
        assert 0.01 < heard.delay_median < 0.05
        await alice.neighbours.close()
        await bob.neighbours.close()
        sent, received = await counts_of(emulator, alice, bob)
        mine = {link: count for link, count in received.items() if link in sent}
        assert compare_counts(sent, mine) == []


async def test_a_killed_relay_is_a_gap_until_another_route_carries_the_call(tmp_path: Path) -> None:
    async with (
        embedded() as url,
        emulator_process(EmulatorConfig(links=links_between(ALICE, BOB, RELAY, delay=0.005))) as emulator,
        relay_process(url, emulator, tmp_path / "counts") as relay,
        peer(url, ALICE, emulator) as alice,
        peer(url, BOB, emulator) as bob,
    ):
        await alice.neighbours.dial(RELAY.node_id)
        await bob.neighbours.dial(RELAY.node_id)
        next_hop = RELAY.node_id
        source = AudioSource(SSRC)
        unheard = asyncio.Event()
        into_the_void = 0

        def speak(packet: bytes) -> None:
            nonlocal into_the_void
            alice.neighbours.send_media(next_hop, packet)
            into_the_void += relay.returncode is not None
            if into_the_void == 25:
                unheard.set()

        playing = asyncio.create_task(source.play(speak, seconds=2.0))
        for _ in range(20):
            await bob.heard.get()
        relay.kill()
        killed = time.monotonic_ns()
        await relay.wait()
        await alice.neighbours.dial(bob.id)
        await unheard.wait()
        next_hop = bob.id
        await playing
        report = bob.ear.report()
        assert 25 <= report.lost < report.expected - 20
        assert report.longest_gap.seconds > 0.2
        assert report.longest_gap.start < killed + 100_000_000 < report.longest_gap.end
        assert bob.ear.received > 30
        await alice.neighbours.close()
        await bob.neighbours.close()
        sent, received = await counts_of(emulator, alice, bob)
        sent |= sent_by(RELAY, {name: book.sent for name, book in TrafficBook.read(tmp_path / "counts").items()})
        assert compare_counts(sent, received, killed=frozenset({short(RELAY.node_id)})) == []


async def test_a_peer_that_is_not_wanted_does_not_connect() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB, wanted=False) as bob:
        alice.neighbours._config = LinkConfig(connect_timeout=0.3)
        with pytest.raises(ConnectionError, match="no link"):
            await alice.neighbours.dial(bob.id)
        assert alice.neighbours.counts()["links_failed"] == 1
        assert (bob.neighbours.counts()["envelopes_refused"], bob.neighbours.links) == (1, {})


async def test_garbage_through_the_rendezvous_is_counted_and_dropped() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        await alice.neighbours._rendezvous.send(bob.id, b"garbage")
        await alice.neighbours.dial(bob.id)
        assert bob.neighbours.malformed == 1
        assert await bob.opened.get() == alice.id


async def test_a_peer_whom_nobody_can_count_costs_only_its_link() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        alice.neighbours._config = LinkConfig(connect_timeout=0.5)
        for number in range(256):
            bob.neighbours.traffic.of(str(number))
        with pytest.raises(ConnectionError, match="no link"):
            await alice.neighbours.dial(bob.id)
        assert bob.neighbours.failed == 1
        with pytest.raises(ConnectionError, match="no room"):
            await bob.neighbours.dial(alice.id)
        bob.neighbours.traffic = TrafficBook()
        await alice.neighbours.dial(bob.id)
        assert await bob.opened.get() == alice.id


async def test_a_peer_whom_the_emulator_does_not_know_costs_only_its_link() -> None:
    async with (
        embedded() as url,
        emulator_process(EmulatorConfig(links=())) as emulator,
        peer(url, ALICE) as alice,
        peer(url, BOB, emulator) as bob,
    ):
        alice.neighbours._config = LinkConfig(connect_timeout=0.5)
        with pytest.raises(ConnectionError, match="no link"):
            await alice.neighbours.dial(bob.id)
        assert (bob.neighbours.failed, bob.neighbours.links) == (1, {})


async def test_when_both_dial_at_once_one_link_is_left_and_works() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        alice.neighbours._config = bob.neighbours._config = LinkConfig(connect_timeout=1.0)
        links = await asyncio.gather(alice.neighbours.dial(bob.id), bob.neighbours.dial(alice.id))
        assert [link.closed for link in links] == [False, False]
        assert alice.neighbours.send(bob.id, Channel.CONTROL, b"hello")
        async with asyncio.timeout(5.0):
            assert (await bob.messages.get())[2] == b"hello"
        assert alice.neighbours.malformed + bob.neighbours.malformed == 1


async def test_a_peer_that_dials_again_replaces_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switching, "LINGER", 0.05)
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        first = await alice.neighbours.dial(bob.id)
        await bob.opened.get()
        second = await alice.neighbours.dial(bob.id)
        assert alice.neighbours.links == {bob.id: second}
        async with asyncio.timeout(5.0):
            await bob.opened.get()
            for _ in range(200):
                await asyncio.sleep(0.0 if first.closed else 0.01)
        assert (first.closed, second.closed) == (True, False)
        assert (alice.gone.empty(), bob.gone.empty()) == (True, True)


async def test_no_message_is_lost_doubled_or_out_of_turn_when_a_link_replaces_another() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        await alice.neighbours.dial(bob.id)
        await bob.opened.get()
        await chatter(alice, bob, alice.neighbours.dial(bob.id))


@pytest.mark.full
async def test_no_message_is_lost_doubled_or_out_of_turn_where_a_twentieth_of_all_packets_is_lost() -> None:
    async with (
        embedded() as url,
        emulator_process(EmulatorConfig(links=links_between(ALICE, BOB, delay=0.02, loss=0.05), seed=1)) as emulator,
        peer(url, ALICE, emulator) as alice,
        peer(url, BOB, emulator) as bob,
    ):
        for one in (alice, bob):
            one.neighbours._config = LinkConfig(connect_timeout=30.0)
        await alice.neighbours.dial(bob.id)
        await bob.opened.get()
        for _ in range(5):
            await chatter(alice, bob, alice.neighbours.dial(bob.id))


async def chatter(alice: Peer, bob: Peer, dialling: Coroutine[None, None, object]) -> None:
    """Both say numbers while the link is made anew, and a while longer; each hears all of them in turn."""
    sent = 0

    def say() -> None:
        nonlocal sent
        for one, other in ((alice, bob), (bob, alice)):
            assert one.neighbours.send(other.id, Channel.CONTROL, b"%d" % sent)
        sent += 1

    again = asyncio.create_task(dialling)
    while not again.done():
        say()
        await asyncio.sleep(0.002)
    await again
    for _ in range(50):
        say()
        await asyncio.sleep(0.002)
    for one in (alice, bob):
        heard: list[int] = []
        async with asyncio.timeout(30.0):
            while len(heard) < sent:
                heard.append(int((await one.messages.get())[2]))
        assert heard == list(range(sent))
        assert one.messages.empty()


@pytest.mark.parametrize("changes", [{"DRAIN": 0.2}, {"DRAIN": 60.0, "SILENT": 0.0}], ids=str)
async def test_a_new_link_does_not_wait_for_ever_for_an_older_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, float]
) -> None:
    for name, value in changes.items():
        monkeypatch.setattr(switching, name, value)
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        older = await alice.neighbours.dial(bob.id)
        await bob.opened.get()
        monkeypatch.setattr(older, "send_frame", lambda _: False)
        await alice.neighbours.dial(bob.id)
        alice.neighbours.send(bob.id, Channel.CONTROL, b"after")
        async with asyncio.timeout(5.0):
            assert (await bob.messages.get())[2] == b"after"


async def test_two_who_want_the_same_link_dial_once() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        one, other = await asyncio.gather(alice.neighbours.dial(bob.id), alice.neighbours.dial(bob.id))
        assert one is other
        assert bob.opened.qsize() == 1


async def test_both_ends_are_told_when_a_link_is_dropped() -> None:
    async with embedded() as url, peer(url, ALICE) as alice, peer(url, BOB) as bob:
        await alice.neighbours.dial(bob.id)
        assert await bob.opened.get() == alice.id
        await alice.neighbours.drop(bob.id)
        async with asyncio.timeout(5.0):
            assert await bob.gone.get() == alice.id
            assert await alice.gone.get() == bob.id
        assert not alice.neighbours.send(bob.id, Channel.CONTROL, b"x")
        assert not alice.neighbours.send_media(bob.id, b"x")
        assert bob.neighbours.links == {}
