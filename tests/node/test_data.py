"""Messages of programs over a call: once, in order, with credit on each hop, whatever becomes of the routes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.agent import AgentConfig
from meshsim.control.http import embedded
from meshsim.identity import Ed25519Signer
from meshsim.mesh.errors import CallFailed, ConfigError, RemoteProtocolError
from meshsim.mesh.ids import CallId, NodeId, did_key
from meshsim.mesh.seeds import SeedTree
from meshsim.node import Call, Node, NodeConfig, data
from meshsim.node.data import UNCONFIRMED, DataPlane
from meshsim.node.lanes import CREDIT, MESSAGE, MESSAGE_BYTES, RECEIVED, WINDOW, Lane, make_frame

CALL, LABEL, OTHER = CallId(bytes(16)), 7, 8
ALICE, RELAY, BOB, DETOUR = (NodeId(bytes([number]) * 32) for number in (1, 2, 3, 4))


@dataclass
class Wires:
    """alice, bob, and two relays between them; frames arrive when `settle` runs, in the order that `shuffle` says."""

    planes: dict[NodeId, DataPlane] = field(default_factory=dict)
    flying: deque[tuple[NodeId, NodeId, bytes]] = field(default_factory=deque)
    dead: set[NodeId] = field(default_factory=set)
    refuses: Callable[[NodeId, NodeId], bool] = lambda *_: False
    most_waiting: int = 0

    def __post_init__(self) -> None:
        for own in (ALICE, RELAY, BOB, DETOUR):
            self.planes[own] = DataPlane(self._sender(own), self._onward(own))

    def _sender(self, own: NodeId) -> Callable[[NodeId, bytes], bool]:
        def send(to: NodeId, frame: bytes) -> bool:
            if self.refuses(own, to):
                return False
            if not self.dead & {own, to}:
                self.flying.append((own, to, frame))
            return True

        return send

    @staticmethod
    def _onward(own: NodeId) -> Callable[[NodeId, int], NodeId | None]:
        def onward(source: NodeId, label: int) -> NodeId | None:
            if own == {LABEL: RELAY, OTHER: DETOUR}.get(label):
                return BOB if source == ALICE else ALICE
            return None

        return onward

    def open(self, label: int) -> None:
        via = RELAY if label == LABEL else DETOUR
        for end in (ALICE, BOB):
            self.planes[end].open(CALL, label, via)

    def close(self, label: int) -> None:
        for plane in self.planes.values():
            plane.close(label)

    async def settle(self) -> None:
        """Lets all frames arrive, and what they cause."""
        while self.flying:
            source, to, frame = self.flying.popleft()
            if not self.dead & {source, to}:
                label = int.from_bytes(frame[:4], "big")
                self.planes[to].receive(source, label, frame)
            waiting = (len(lane) for plane in self.planes.values() for lane in plane._lanes.values())
            self.most_waiting = max(self.most_waiting, *waiting, 0)
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "RESEND_AFTER", 0.1)


async def say(wires: Wires, count: int, heard: list[bytes], *, first: int = 0) -> None:
    """alice says `count` messages, and frames fly until bob has heard them."""
    talk = wires.planes[ALICE].talks[CALL]

    async def speak() -> None:
        for number in range(first, first + count):
            await talk.send(b"%d" % number)

    speaking = asyncio.create_task(speak())
    async with asyncio.timeout(20):
        while not speaking.done() or len(heard) < first + count:
            await wires.settle()
            await asyncio.sleep(0.001)
    await speaking


def numbers(heard: list[bytes]) -> list[int]:
    return list(map(int, heard))


async def test_messages_arrive_once_and_in_order_and_no_relay_holds_more_than_its_credit() -> None:
    wires, heard = Wires(), list[bytes]()
    wires.open(LABEL)
    wires.planes[BOB].talks[CALL].listen(heard.append)
    await say(wires, 500, heard)
    assert numbers(heard) == list(range(500))
    assert wires.most_waiting <= WINDOW
    assert all(plane.overrun == 0 for plane in wires.planes.values())
    wires.close(LABEL)


async def test_a_slow_receiver_stops_the_sender_and_nothing_grows() -> None:
    wires, heard = Wires(), list[bytes]()
    wires.refuses = lambda source, to: (source, to) == (RELAY, BOB)
    wires.open(LABEL)
    talk = wires.planes[ALICE].talks[CALL]
    wires.planes[BOB].talks[CALL].listen(heard.append)

    async def speak() -> int:
        for number in range(1000):
            await talk.send(b"%d" % number)
        return 1000

    speaking = asyncio.create_task(speak())
    for _ in range(50):
        await wires.settle()
        await asyncio.sleep(0.005)
    assert not speaking.done()
    assert len(talk._unconfirmed) == UNCONFIRMED
    assert 0 < wires.most_waiting <= WINDOW
    assert heard == []
    wires.refuses = lambda *_: False
    async with asyncio.timeout(20):
        while len(heard) < 1000:
            await wires.settle()
            await asyncio.sleep(0.001)
    assert numbers(heard) == list(range(1000))
    assert await speaking == 1000
    wires.close(LABEL)


async def test_while_nobody_listens_nothing_is_lost() -> None:
    wires, heard = Wires(), list[bytes]()
    wires.open(LABEL)
    for number in range(10):
        await wires.planes[ALICE].talks[CALL].send(b"%d" % number)
    await wires.settle()
    wires.planes[BOB].talks[CALL].listen(heard.append)
    await asyncio.sleep(0)
    assert numbers(heard) == list(range(10))
    wires.close(LABEL)


@settings(max_examples=25, deadline=None)
@given(before=st.integers(0, 120), during=st.integers(1, 60), lost=st.integers(0, 60), after=st.integers(1, 100))
def test_what_a_dead_route_took_with_it_comes_over_the_next_and_nothing_comes_twice(
    before, during, lost, after
) -> None:
    async def live() -> list[bytes]:
        wires, heard = Wires(), list[bytes]()
        wires.open(LABEL)
        wires.planes[BOB].talks[CALL].listen(heard.append)
        if before:
            await say(wires, before, heard)
        talk = wires.planes[ALICE].talks[CALL]
        speaking = asyncio.create_task(_all(talk.send, before, during))
        for _ in range(lost):
            await asyncio.sleep(0)
            if wires.flying:
                source, to, frame = wires.flying.popleft()
                wires.planes[to].receive(source, LABEL, frame)
        wires.dead.add(RELAY)
        wires.flying.clear()
        wires.open(OTHER)
        wires.close(LABEL)
        async with asyncio.timeout(20):
            while not speaking.done():
                await wires.settle()
                await asyncio.sleep(0.001)
        await say(wires, after, heard, first=before + during)
        wires.close(OTHER)
        return heard

    assert numbers(asyncio.run(live())) == list(range(before + during + after))


async def _all(send: Callable[[bytes], Any], first: int, count: int) -> None:
    for number in range(first, first + count):
        await send(b"%d" % number)


async def test_frames_that_a_link_lost_are_sent_again_after_a_while() -> None:
    wires, heard = Wires(), list[bytes]()
    wires.open(LABEL)
    await wires.settle()
    wires.planes[BOB].talks[CALL].listen(heard.append)
    for number in range(20):
        await wires.planes[ALICE].talks[CALL].send(b"%d" % number)
    for place in (15, 7, 3):
        del wires.flying[place]
    async with asyncio.timeout(20):
        while len(heard) < 20:
            await wires.settle()
            await asyncio.sleep(0.01)
    assert numbers(heard) == list(range(20))
    wires.close(LABEL)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.floats(0.0, 0.6))
def test_links_that_often_take_no_more_hold_up_neither_credit_nor_confirmation(seed: int, share: float) -> None:
    async def live() -> list[list[bytes]]:
        draws = SeedTree(seed).stream("test/refusals", 0)
        turns = itertools.count()
        wires, heard, back = Wires(refuses=lambda *_: draws.at(next(turns)) < share), list[bytes](), list[bytes]()
        wires.open(LABEL)
        wires.planes[BOB].talks[CALL].listen(heard.append)
        wires.planes[ALICE].talks[CALL].listen(back.append)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for own in (ALICE, BOB):
                group.create_task(_all(wires.planes[own].talks[CALL].send, 0, 150))
            while min(len(heard), len(back)) < 150:
                await wires.settle()
                await asyncio.sleep(0.001)
        assert wires.most_waiting <= WINDOW
        assert not any(plane.overrun for plane in wires.planes.values())
        wires.close(LABEL)
        return [heard, back]

    with pytest.MonkeyPatch.context() as never:
        never.setattr(data, "RESEND_AFTER", 1000.0)
        assert list(map(numbers, asyncio.run(live()))) == 2 * [list(range(150))]


@pytest.mark.parametrize(("first", "second"), [(ALICE, BOB), (BOB, ALICE)])
async def test_what_is_said_before_the_other_end_has_opened_the_route_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, first: NodeId, second: NodeId
) -> None:
    monkeypatch.setattr(data, "RESEND_AFTER", 1000.0)
    wires, heard = Wires(), list[bytes]()
    wires.planes[first].open(CALL, LABEL, RELAY)
    for number in range(40):
        await wires.planes[first].talks[CALL].send(b"%d" % number)
    with contextlib.suppress(AssertionError):
        await wires.settle()
    assert heard == []
    wires.planes[second].open(CALL, LABEL, RELAY)
    wires.planes[second].talks[CALL].listen(heard.append)
    await wires.settle()
    assert numbers(heard) == list(range(40))
    wires.close(LABEL)


async def test_a_new_route_that_does_not_last_leaves_the_older_one_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "RESEND_AFTER", 1000.0)
    wires, heard = Wires(), list[bytes]()
    wires.open(LABEL)
    wires.planes[BOB].talks[CALL].listen(heard.append)
    await say(wires, 20, heard)
    wires.open(OTHER)
    await wires.settle()
    wires.dead.add(DETOUR)
    for number in range(20, 40):
        await wires.planes[ALICE].talks[CALL].send(b"%d" % number)
    await wires.settle()
    assert len(heard) == 20
    wires.close(OTHER)
    await wires.settle()
    assert numbers(heard) == list(range(40))
    wires.close(LABEL)


async def test_who_is_not_listened_to_says_it_again_ever_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "RESEND_AFTER", 0.01)
    wires = Wires()
    wires.open(LABEL)
    await wires.settle()
    await wires.planes[ALICE].talks[CALL].send(b"x")
    copies = 0
    for _ in range(50):
        copies += sum(frame[4] == MESSAGE and to == BOB for _, to, frame in wires.flying)
        await wires.settle()
        await asyncio.sleep(0.01)
    assert copies <= 8
    wires.close(LABEL)


async def test_who_sends_beyond_its_credit_is_dropped_and_counted() -> None:
    wires = Wires(refuses=lambda source, to: (source, to) == (RELAY, BOB))
    relay = wires.planes[RELAY]
    for number in range(WINDOW + 5):
        assert relay.receive(ALICE, LABEL, make_frame(LABEL, MESSAGE, number, b"x"))
    assert relay.overrun == 5
    assert [len(lane) for lane in relay._lanes.values()] == [WINDOW]
    wires.close(LABEL)
    assert not relay._lanes


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (make_frame(LABEL, MESSAGE, 0, bytes(MESSAGE_BYTES + 1)), "bytes"),
        (make_frame(LABEL, CREDIT, 0, b"x"), "bytes"),
        (make_frame(LABEL, CREDIT, 5), "credit for 5 of 0"),
        (make_frame(LABEL, RECEIVED, 5), "5 of 0 messages confirmed"),
        (make_frame(LABEL, 9, 5), "kind 9"),
    ],
)
async def test_frames_that_cannot_be_are_refused(frame: bytes, problem: str) -> None:
    wires = Wires()
    wires.open(LABEL)
    with pytest.raises(RemoteProtocolError, match=problem):
        wires.planes[ALICE].receive(RELAY, LABEL, frame)
    assert not wires.planes[ALICE].receive(BOB, LABEL, make_frame(LABEL, MESSAGE, 0, b"x"))  # a stranger to the route
    wires.close(LABEL)


async def test_credit_that_comes_out_of_turn_says_nothing_new() -> None:
    sent: list[bytes] = []
    lane = Lane(lambda frame: sent.append(frame) or True)
    for number in range(WINDOW + 10):
        lane.push(make_frame(LABEL, MESSAGE, number))
    assert len(sent) == WINDOW
    lane.credit(8)
    lane.credit(4)
    assert len(sent) == WINDOW + 8
    lane.close()


async def test_who_waits_to_send_is_told_when_the_call_ends() -> None:
    wires = Wires()
    wires.open(LABEL)
    talk = wires.planes[ALICE].talks[CALL]
    sending = [asyncio.create_task(talk.send(b"x")) for _ in range(UNCONFIRMED + 2)]
    await asyncio.sleep(0.01)
    assert sum(task.done() for task in sending) == UNCONFIRMED
    wires.close(LABEL)
    assert [type(one) for one in await asyncio.gather(*sending[-2:], return_exceptions=True)] == [CallFailed] * 2
    with pytest.raises(CallFailed):
        await talk.send(b"x")
    with pytest.raises(ConfigError, match="16001 bytes"):
        await talk.send(bytes(MESSAGE_BYTES + 1))


# Real nodes -----------------------------------------------------------------------------------------------------------

PACE = AgentConfig(heartbeat=0.5, probe_period=0.2, digest_period=0.5, keepalive=0.3, dead_after=5)
NAMES = ("alice", "relay", "bob")
SIGNERS = {name: Ed25519Signer.from_seed(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}


@asynccontextmanager
async def mesh(folder: Path) -> AsyncIterator[dict[str, Node]]:
    """alice and bob behind symmetric NATs, each linked with the relay alone."""
    async with embedded() as url, asyncio.timeout(60), AsyncExitStack() as stack:
        nodes = {}
        for name in ("relay", "bob", "alice"):
            SIGNERS[name].to_file(folder / f"{name}.key")
            others = ("alice", "bob") if name == "relay" else ("relay",)
            config = NodeConfig(
                aura=f"@{name}.aura", key=str(folder / f"{name}.key"), registry=url, policy="shortest", agent=PACE,
                neighbours=tuple(did_key(SIGNERS[other].node_id) for other in others),
                role="relay" if name == "relay" else "peer", nat="open" if name == "relay" else "symmetric",
            )  # fmt: skip
            nodes[name] = await stack.enter_async_context(Node(config))
        for node in nodes.values():
            assert await node.wait_linked()
        await asyncio.sleep(1.5)  # two rounds of gossip
        yield nodes


async def test_programs_exchange_messages_over_a_relay(tmp_path: Path) -> None:
    async with mesh(tmp_path) as nodes:
        came, back = list[bytes](), list[bytes]()

        def greet(call: Call) -> None:
            def answer(message: bytes) -> None:
                came.append(message)
                if len(came) % 50 == 0:
                    answers.append(asyncio.create_task(call.send(b"%d" % len(came))))

            call.on_data(answer)

        answers: list[asyncio.Task[None]] = []
        nodes["bob"].on_call(greet)
        call = await nodes["alice"].call("@bob.aura", media="data")
        all_back = asyncio.Event()
        call.on_data(lambda message: all_back.set() if back.append(message) or len(back) == 4 else None)
        assert len(call.path) == 3
        sent = [b"%d " % number + bytes(8000) for number in range(200)]
        for message in sent:
            await call.send(message)
        await all_back.wait()
        assert came == sent
        assert back == [b"50", b"100", b"150", b"200"]
        await asyncio.sleep(2.5)
        assert call.state == "active"  # two reports in which nothing but probes came
        call.hang_up()
        result = await call.ended()
        with pytest.raises(CallFailed):
            await call.send(b"too late")
        assert (result.outcome, result.failovers) == ("completed", 0)
        assert result.loss == 0.0
