"""A relay and the media of others: RTP goes on, requests for packets are answered here, limits are lowered here."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from meshsim.agent.effects import CloseMedia, OpenMedia
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import PROFILES, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.node.media import MediaPlane
from meshsim.node.repair import START_RATE
from meshsim.node.rtcp import decode, is_rtcp
from meshsim.node.rtp import VP8_PAYLOAD_TYPE, RtpPacket, read_place, video_ssrc
from meshsim.rtc.compound import encode
from meshsim.rtc.rtcp import Block, Fir, Message, Nack, Pli, ReceiverReport, Remb, SenderReport

CALL, LABEL = CallId(bytes(range(16))), 0x1234ABCD
VIDEO = video_ssrc(LABEL)
ALICE, BOB, EVE = (NodeId(bytes([number]) * 32) for number in (1, 2, 9))


@dataclass
class Relay:
    """A relay between alice and bob, and all that it sends."""

    plane: MediaPlane
    sent: list[tuple[NodeId, bytes]] = field(default_factory=list)

    def rtp(self, to: NodeId) -> list[bytes]:
        return [packet for whom, packet in self.sent if whom == to and not is_rtcp(packet)]

    def rtcp(self, to: NodeId) -> list[Message]:
        return [message for whom, packet in self.sent if whom == to and is_rtcp(packet) for message in decode(packet)]

    def tell(self, source: NodeId, *messages: Message) -> None:
        self.plane.receive(source, b"".join(map(encode, messages)))


@asynccontextmanager
async def relaying(drop: float = 0.0) -> AsyncIterator[Relay]:
    async with asyncio.TaskGroup() as group:
        plane = MediaPlane(
            send_media=lambda to, packet: relay.sent.append((to, packet)) or True, send_data=lambda *_: True,
            report=lambda *_: None, count=lambda *_: None, stream=SeedTree(1).stream("test/drop", 0), group=group,
            aic=PROFILES["brief"],
        )  # fmt: skip
        relay = Relay(plane)
        plane.open(
            OpenMedia(call=CALL, label=LABEL, upstream=ALICE, downstream=BOB, media=MediaType.AUDIO_VIDEO, drop=drop)
        )
        yield relay
        plane.close(CloseMedia(call=CALL, label=LABEL))


def packet(sequence: int, ssrc: int = VIDEO, sent: int = 0) -> bytes:
    return RtpPacket(
        ssrc=ssrc, sequence=sequence, timestamp=sequence * 3000, sent=sent, payload=b"video",
        payload_type=VP8_PAYLOAD_TYPE,
    ).encode()  # fmt: skip


@pytest.mark.parametrize(("source", "out"), [(ALICE, BOB), (BOB, ALICE)])
async def test_video_passes_both_ways_unchanged_and_nothing_passes_twice(source: NodeId, out: NodeId) -> None:
    async with relaying() as relay:
        for sequence in (1, 2, 2, 3, 1):
            relay.plane.receive(source, packet(sequence))
        assert relay.rtp(out) == [packet(sequence) for sequence in (1, 2, 3)]
        assert not relay.rtp(source)
        assert relay.plane.forwarded == 3


async def test_a_request_for_packets_is_answered_by_the_relay_and_goes_no_further() -> None:
    async with relaying() as relay:
        for sequence in range(1, 9):
            relay.plane.receive(ALICE, packet(sequence))
        relay.sent.clear()
        relay.tell(BOB, Nack(VIDEO, VIDEO, (3, 5, 77)))
        assert relay.sent == [(BOB, packet(3)), (BOB, packet(5))]
        assert relay.plane.passing.resent == 2


async def test_what_is_lost_on_the_way_to_the_relay_is_asked_for_there_and_passed_on_when_it_comes() -> None:
    async with relaying() as relay:
        for sequence in (1, 2, 5):
            relay.plane.receive(ALICE, packet(sequence))
        assert relay.rtcp(ALICE) == [Nack(VIDEO, VIDEO, (3, 4))]
        assert not relay.rtcp(BOB)
        for sequence in (4, 3):
            relay.plane.receive(ALICE, packet(sequence))
        assert [read_place(passed)[0] for passed in relay.rtp(BOB)] == [1, 2, 5, 4, 3]
        assert relay.plane.passing.recovered == 2


async def test_what_does_not_come_is_asked_for_again_without_another_packet() -> None:
    async with relaying() as relay:
        relay.plane.receive(ALICE, packet(1))
        relay.plane.receive(ALICE, packet(3))
        await asyncio.sleep(0.3)
        asked = relay.rtcp(ALICE)
        assert len(asked) >= 2
        assert set(asked) == {Nack(VIDEO, VIDEO, (2,))}


async def test_a_request_goes_to_nobody_once_the_route_is_closed() -> None:
    async with relaying() as relay:
        relay.plane.receive(ALICE, packet(1))
        relay.plane.receive(ALICE, packet(3))
        relay.plane.close(CloseMedia(call=CALL, label=LABEL))
        relay.sent.clear()
        await asyncio.sleep(0.2)
        relay.plane.receive(ALICE, packet(4))
        relay.tell(BOB, Nack(VIDEO, VIDEO, (1,)))
        assert not relay.sent
        assert relay.plane.unroutable == 2


@pytest.mark.parametrize(("source", "out"), [(ALICE, BOB), (BOB, ALICE)])
@pytest.mark.parametrize(
    "message",
    [
        SenderReport(VIDEO, 5 << 32, 7, 8, 9, ()),
        SenderReport(LABEL, 5 << 32, 7, 8, 9, ()),
        ReceiverReport(LABEL, (Block(LABEL, 1, 2, 3, 4, 5, 6), Block(VIDEO, 1, 2, 3, 4, 5, 6))),
        Pli(VIDEO, VIDEO),
        Fir(VIDEO, VIDEO, 3),
    ],
)
async def test_reports_and_requests_for_pictures_go_from_end_to_end(source: NodeId, out: NodeId, message) -> None:
    async with relaying() as relay:
        relay.tell(source, message)
        assert relay.rtcp(out) == [message]
        assert not relay.rtcp(source)
        assert relay.plane.unroutable == 0


async def test_a_relay_lowers_a_limit_to_what_its_own_hop_takes_and_raises_none() -> None:
    async with relaying() as relay:
        for rate in (1_000_000, 100_096):
            relay.tell(BOB, Remb(VIDEO, rate, (VIDEO,)))
        assert [limit.rate for limit in relay.rtcp(ALICE)] == [pytest.approx(START_RATE, rel=1e-4), 100_096]


@pytest.mark.parametrize("message", [Pli(7, 7), Nack(7, 7, (1,)), ReceiverReport(1, ()), Remb(1, 5, (7,))])
async def test_what_is_about_no_route_is_counted_and_goes_nowhere(message) -> None:
    async with relaying() as relay:
        relay.tell(ALICE, message)
        assert not relay.sent
        assert relay.plane.unroutable == 1


async def test_a_stranger_can_neither_ask_nor_limit() -> None:
    async with relaying() as relay:
        relay.plane.receive(ALICE, packet(1))
        relay.sent.clear()
        relay.tell(EVE, Nack(VIDEO, VIDEO, (1,)), Pli(VIDEO, VIDEO), Remb(VIDEO, 1, (VIDEO,)))
        relay.plane.receive(EVE, packet(2))
        assert not relay.sent
        assert relay.plane.unroutable == 4


async def test_a_black_hole_neither_passes_video_on_nor_sends_it_again() -> None:
    async with relaying(drop=1.0) as relay:
        for sequence in range(1, 9):
            relay.plane.receive(ALICE, packet(sequence))
        relay.tell(BOB, Nack(VIDEO, VIDEO, (3, 5)))
        assert not relay.rtp(BOB)
        assert relay.plane.forwarded == 0


def test_a_relay_loads_no_codec() -> None:
    code = (
        "import sys, meshsim.node.media; print([m for m in ('audio', 'video') if f'meshsim.node.{m}' in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "[]"
