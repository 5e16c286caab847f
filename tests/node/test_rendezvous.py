from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from meshsim.control.client import Incoming
from meshsim.identity import Ed25519Signer, Ed25519Verifier
from meshsim.mesh.errors import ConfigError, RemoteProtocolError
from meshsim.mesh.ids import NodeId, node_id
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import LinkEntry, NodeEntry, make_view
from meshsim.node import signaling, switching
from meshsim.node.frames import ENVELOPE_BYTES, WAY_NODES, Carried, decode_frame, encode_frame
from meshsim.node.neighbours import NeighbourHandlers, Neighbours
from meshsim.node.rendezvous import (
    ARRIVED_MOST,
    BURST,
    RATE,
    MeshPost,
    NoRendezvous,
    Rendezvous,
    find_way,
    from_text,
    to_text,
)
from meshsim.node.transport import LinkConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meshsim.mesh.view import NetworkView

NODES = tuple(node_id(bytes([number]) * 32) for number in range(8))
A, B, C, D = NODES[:4]
SIGNERS = tuple(Ed25519Signer.from_seed(bytes([number]) * 32) for number in range(1, 4))


class Line:
    """Nodes in a row, each with a post and links to the next; frames are encoded on the way."""

    def __init__(self, *nodes: NodeId) -> None:
        self.now = 0.0
        self.cut: set[NodeId] = set()
        self.posts = {node: MeshPost(node, self.wire(node), self.way(node), clock=lambda: self.now) for node in nodes}
        self.nodes = nodes

    def wire(self, source: NodeId):  # type: ignore[no-untyped-def]
        def pass_on(to: NodeId, carried: Carried) -> bool:
            if to in self.cut or abs(self.nodes.index(to) - self.nodes.index(source)) != 1:
                return False
            frame = decode_frame(encode_frame(carried))
            assert isinstance(frame, Carried)
            self.posts[to].receive(source, frame)
            return True

        return pass_on

    def way(self, node: NodeId):  # type: ignore[no-untyped-def]
        def find(to: NodeId) -> tuple[NodeId, ...]:
            own, other = self.nodes.index(node), self.nodes.index(to)
            step = 1 if own < other else -1
            return tuple(self.nodes[at] for at in range(own, other + step, step))

        return find


async def arrived(post: MeshPost) -> Incoming:
    async with asyncio.timeout(1.0):
        return await anext(post.incoming())


async def test_an_envelope_goes_over_relays_and_its_answer_comes_back() -> None:
    line = Line(A, B, C, D)
    assert line.posts[A].send(D, b"offer")
    assert await arrived(line.posts[D]) == Incoming(A, b"offer")
    line.posts[D]._find_way = lambda _: ()
    assert line.posts[D].send(A, b"answer")
    assert await arrived(line.posts[A]) == Incoming(D, b"answer")
    assert [post.carried for post in line.posts.values()] == [0, 2, 2, 0]


def test_an_envelope_without_a_way_or_a_link_is_not_sent() -> None:
    line = Line(*NODES)
    assert not line.posts[A].send(B, b"to a neighbour")
    assert not line.posts[A].send(NODES[WAY_NODES], b"too far")
    assert not line.posts[A].send(C, bytes(ENVELOPE_BYTES + 1))
    line.cut = {B}
    assert not line.posts[A].send(C, b"x")


def test_a_relay_without_the_next_link_drops_and_counts() -> None:
    line = Line(A, B, C)
    line.cut = {C}
    assert line.posts[A].send(C, b"x")
    assert (line.posts[B].carried, line.posts[B].dropped) == (0, 1)


@pytest.mark.parametrize(
    ("source", "carried"),
    [
        (A, Carried((A, C, B), 1, b"")),
        (C, Carried((A, B, C), 1, b"")),
        (A, Carried((A, B, A), 1, b"")),
        (A, Carried((A, B, C), 3, b"")),
        (B, Carried((A, B, C), 2, b"")),
    ],
    ids=["not ours", "not from before us", "a loop", "beyond its end", "not at us"],
)
def test_an_envelope_off_its_way_is_refused(source: NodeId, carried: Carried) -> None:
    with pytest.raises(RemoteProtocolError, match="off its way"):
        Line(A, B, C).posts[B].receive(source, carried)


def test_a_neighbour_sends_so_many_envelopes_and_no_more() -> None:
    line = Line(A, B, C)
    carried = Carried((A, B, C), 1, b"x")
    for _ in range(int(BURST)):
        line.posts[B].receive(A, carried)
    with pytest.raises(RemoteProtocolError, match="too many"):
        line.posts[B].receive(A, carried)
    line.posts[B].receive(C, Carried((C, B, A), 1, b"x"))
    line.now += 1.0 / RATE
    line.posts[B].receive(A, carried)
    assert line.posts[B].carried == int(BURST) + 2


def test_what_nobody_reads_is_bounded() -> None:
    line = Line(A, B, C)
    for number in range(ARRIVED_MOST + 3):
        line.now = float(number)
        line.posts[A].send(C, b"x")
    assert line.posts[C].dropped == 3


def view_of(
    *links: tuple[int, int], offline: tuple[int, ...] = (), guessed: tuple[int, int] | None = None
) -> NetworkView:
    nodes = [NodeEntry(id=node, online=number not in offline) for number, node in enumerate(NODES)]
    both = [LinkEntry(src=a, dst=b, delay=0.01) for link in links for a, b in (link, link[::-1])]
    if guessed is not None:
        both.append(LinkEntry(src=guessed[0], dst=guessed[1], delay=0.01, observed=False))
    return make_view(nodes, sorted(both, key=lambda link: (link.src, link.dst)), owner=0)


def test_the_way_is_the_shortest_over_measured_links_of_living_nodes() -> None:
    links = ((0, 1), (1, 2), (2, 3), (0, 4), (4, 3))
    assert find_way(view_of(*links), D) == (A, NODES[4], D)
    assert find_way(view_of(*links, offline=(4,)), D) == (A, B, C, D)
    assert find_way(view_of((0, 1), guessed=(1, 3)), D) == ()
    assert find_way(view_of((0, 1)), node_id(bytes([99]) * 32)) == ()


def test_a_line_for_the_hand_survives_being_broken_and_nothing_else() -> None:
    text = to_text(bytes(range(256)))
    assert from_text(text[:50] + "\n  " + text[50:] + "\n") == bytes(range(256))
    for wrong in ("", "hello", text[:-1], text + "!"):
        with pytest.raises(ConfigError, match="not an envelope"):
            from_text(wrong)


class Peers:
    """Nodes in this process that know each other by a map of ways."""

    def __init__(self, *signers: Ed25519Signer, rendezvous: Rendezvous | None = None) -> None:
        self.ways: dict[tuple[NodeId, NodeId], tuple[NodeId, ...]] = {}
        self.opened = {signer.node_id: asyncio.Queue[NodeId]() for signer in signers}
        self.nodes = {signer.node_id: self.make(signer, rendezvous or NoRendezvous()) for signer in signers}

    def make(self, signer: Ed25519Signer, rendezvous: Rendezvous) -> Neighbours:
        own = signer.node_id
        return Neighbours(
            rendezvous,
            signer,
            Ed25519Verifier(),
            handlers=NeighbourHandlers(on_open=self.opened[own].put_nowait),
            find_way=lambda to: self.ways.get((own, to), ()),
        )

    async def __aenter__(self) -> Self:
        self.running = [asyncio.create_task(node.run()) for node in self.nodes.values()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes.values():
            await node.close()
        for task in self.running:
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


async def link_by_hand(one: Neighbours, other: Neighbours, peer: NodeId) -> None:
    """Carries the two lines between two nodes."""
    there, back = asyncio.Queue[str](), asyncio.Queue[str]()

    async def carry(line: str) -> str:
        there.put_nowait(line)
        return await back.get()

    async def accept() -> None:
        await other.accept_by_hand(await there.get(), back.put)

    await asyncio.gather(one.dial_by_hand(peer, carry), accept())


async def test_nodes_without_a_registry_meet_by_hand_and_then_through_the_mesh() -> None:
    alice, bob, carol = (signer.node_id for signer in SIGNERS)
    async with Peers(*SIGNERS) as peers:
        await link_by_hand(peers.nodes[alice], peers.nodes[bob], bob)
        await link_by_hand(peers.nodes[bob], peers.nodes[carol], carol)
        with pytest.raises(ConnectionError, match="no registry"):
            await peers.nodes[alice].dial(carol)
        peers.ways[alice, carol] = (alice, bob, carol)
        await peers.nodes[alice].dial(carol)
        assert [peers.opened[carol].get_nowait() for _ in range(2)] == [bob, alice]
        assert peers.nodes[bob].post.carried == 2


async def test_a_line_for_somebody_else_or_of_an_unwanted_peer_is_refused() -> None:
    alice, bob, carol = (signer.node_id for signer in SIGNERS)
    async with Peers(*SIGNERS) as peers:
        lines: asyncio.Queue[str] = asyncio.Queue()

        async def carry(line: str) -> str:
            lines.put_nowait(line)
            return line

        async def give(line: str) -> None: ...

        with pytest.raises(ConnectionError, match="carried by someone else"):
            await peers.nodes[alice].dial_by_hand(bob, carry)
        with pytest.raises(RemoteProtocolError, match="not for this node"):
            await peers.nodes[carol].accept_by_hand(lines.get_nowait(), give)
        with pytest.raises(ConfigError, match="not an envelope"):
            await peers.nodes[bob].accept_by_hand("hello", give)


class Registry:
    """Hands envelopes over, in this process, to whoever reads as their recipient."""

    def __init__(self, own: NodeId, inboxes: dict[NodeId, asyncio.Queue[Incoming]]) -> None:
        self.sent = 0
        self._own = own
        self._inboxes = inboxes

    async def send(self, to: NodeId, payload: bytes) -> None:
        self.sent += 1
        self._inboxes[to].put_nowait(Incoming(self._own, payload))

    async def incoming(self) -> AsyncIterator[Incoming]:
        while True:
            yield await self._inboxes[self._own].get()


async def test_an_offer_that_the_mesh_loses_goes_to_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signaling, "MESH_PATIENCE", 0.05)
    alice, bob = SIGNERS[0].node_id, SIGNERS[1].node_id
    inboxes = {alice: asyncio.Queue[Incoming](), bob: asyncio.Queue[Incoming]()}
    async with Peers(*SIGNERS[:2]) as peers:
        for signer in SIGNERS[:2]:
            peers.nodes[signer.node_id] = peers.make(signer, Registry(signer.node_id, inboxes))
        peers.running += [asyncio.create_task(node.run()) for node in peers.nodes.values()]
        lost: list[bytes] = []

        def lose(_: NodeId, envelope: bytes) -> bool:
            lost.append(envelope)
            return True

        monkeypatch.setattr(peers.nodes[alice]._signaling, "_by_mesh", lose)
        await peers.nodes[alice].dial(bob)
        assert len(lost) == 1


async def test_a_peer_that_starts_anew_amid_its_offer_does_not_wait_for_the_end_of_the_former() -> None:
    alice, bob = SIGNERS[0].node_id, SIGNERS[1].node_id
    inboxes = {alice: asyncio.Queue[Incoming](), bob: asyncio.Queue[Incoming]()}
    got_answer = asyncio.Event()

    async def hang(sdp: str) -> str:
        got_answer.set()
        await asyncio.Event().wait()
        return sdp

    async with Peers(*SIGNERS[:2]) as peers:
        lives = [peers.make(SIGNERS[0], Registry(alice, inboxes)) for _ in range(2)]
        peers.nodes[bob] = peers.make(SIGNERS[1], Registry(bob, inboxes))
        first = asyncio.create_task(lives[0].run())
        peers.running.append(asyncio.create_task(peers.nodes[bob].run()))
        lives[0]._config = LinkConfig(rewrite=hang)
        dying = asyncio.create_task(lives[0].dial(bob))
        await got_answer.wait()
        for task in (dying, first):
            task.cancel()
        await asyncio.gather(dying, first, return_exceptions=True)
        peers.nodes[alice] = lives[1]
        peers.running.append(asyncio.create_task(lives[1].run()))
        async with asyncio.timeout(5.0):
            await lives[1].dial(bob)
            assert await peers.opened[bob].get() == alice
        assert len(peers.nodes[bob]._taking) <= 1
        assert peers.nodes[bob].links.keys() == {alice}


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
async def test_links_dialled_and_dropped_from_all_sides_at_once_end_alike_at_both_ends_and_leave_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switching, "LINGER", 0.05)
    monkeypatch.setattr(switching, "DRAIN", 0.2)
    draws = SeedTree(seed).generator("strife", 0)
    before, sockets = asyncio.all_tasks(), count_descriptors()
    inboxes = {signer.node_id: asyncio.Queue[Incoming]() for signer in SIGNERS}
    async with Peers(*SIGNERS) as peers:
        for signer in SIGNERS:
            peers.nodes[signer.node_id] = peers.make(signer, Registry(signer.node_id, inboxes))
            peers.nodes[signer.node_id]._config = LinkConfig(connect_timeout=2.0)
        peers.running += [asyncio.create_task(node.run()) for node in peers.nodes.values()]

        async def quarrel(number: int) -> None:
            one, other = (SIGNERS[which].node_id for which in draws.permutation(len(SIGNERS))[:2])
            await asyncio.sleep(float(draws.uniform(0.0, 1.5)))
            if number % 3:
                with contextlib.suppress(ConnectionError):
                    await peers.nodes[one].dial(other)
            else:
                await peers.nodes[one].drop(other)

        await asyncio.gather(*(quarrel(number) for number in range(60)))
        async with asyncio.timeout(10.0):
            for _ in iter(partial(is_settled, peers), True):
                await asyncio.sleep(0.05)
    async with asyncio.timeout(5.0):
        for _ in iter(lambda: asyncio.all_tasks() == before, True):
            await asyncio.sleep(0.05)
    assert count_descriptors() == sockets


def count_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_settled(peers: Peers) -> bool:
    """Whether of each two nodes both or none have an open link, and no older link is left."""
    linked = {(own, peer) for own, node in peers.nodes.items() for peer, link in node.links.items() if not link.closed}
    parted = all(not node._switches._parting for node in peers.nodes.values())
    return parted and linked == {(peer, own) for own, peer in linked}
