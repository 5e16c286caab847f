from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from meshsim.agent.effects import CloseMedia, MediaReport, OpenMedia
from meshsim.mesh.errors import RemoteProtocolError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import PROFILES, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.node.audio import AudioSource
from meshsim.node.ends import CALLS_KEPT
from meshsim.node.media import DATA_BYTES, MediaPlane
from meshsim.node.rtp import RtpPacket, route_ssrc

CALL, LABEL = CallId(bytes(range(16))), 0x1234ABCD
OTHER = 0x0BADCAFE
ALICE, RELAY, BOB, EVE = (NodeId(bytes([i] * 32)) for i in range(1, 5))


@dataclass
class Wire:
    """Everything that one node hands to its neighbours."""

    media: list[tuple[NodeId, bytes]] = field(default_factory=list)
    data: list[tuple[NodeId, bytes]] = field(default_factory=list)
    reports: list[tuple[CallId, MediaReport]] = field(default_factory=list)
    counts: list[tuple[CallId, int, int]] = field(default_factory=list)

    def take(self, kind: str) -> Callable[[NodeId, bytes], bool]:
        def send(to: NodeId, what: bytes) -> bool:
            getattr(self, kind).append((to, what))
            return True

        return send

    def plane(self, group: asyncio.TaskGroup) -> MediaPlane:
        return MediaPlane(
            send_media=self.take("media"),
            send_data=self.take("data"),
            report=lambda call, report: self.reports.append((call, report)),
            count=lambda *count: self.counts.append(count),
            stream=SeedTree(1).stream("test/drop", 0),
            group=group,
            aic=PROFILES["brief"],
        )


def effect(upstream: NodeId | None, downstream: NodeId | None, drop: float = 0.0) -> OpenMedia:
    return OpenMedia(call=CALL, label=LABEL, upstream=upstream, downstream=downstream, media=MediaType.AUDIO, drop=drop)


def speech(count: int = 1, label: int = LABEL) -> list[bytes]:
    source = AudioSource(label)
    return [source.next_packet(n * 20_000_000) for n in range(count)]


def frame(kind: int = 0, label: int = LABEL) -> bytes:
    return label.to_bytes(4, "big") + bytes([kind]) + (1).to_bytes(8, "big")


async def test_a_relay_passes_both_ways_and_changes_no_byte() -> None:
    wire, (packet,) = Wire(), speech()
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(ALICE, BOB))
        plane.receive(ALICE, packet)
        plane.receive(BOB, packet)
        plane.receive_data(ALICE, frame())
        plane.receive_data(BOB, frame(1))
    assert wire.media == [(BOB, packet), (ALICE, packet)]
    assert wire.data == [(BOB, frame()), (ALICE, frame(1))]
    assert plane.forwarded == 2
    assert plane.unroutable == 0


async def test_what_nobody_opened_is_counted_and_goes_nowhere() -> None:
    wire, (packet,), (other,) = Wire(), speech(), speech(label=7)
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(ALICE, BOB))
        plane.receive(EVE, packet)
        plane.receive(ALICE, other)
        plane.receive_data(EVE, frame())
        plane.close(CloseMedia(call=CALL, label=LABEL))
        plane.receive(ALICE, packet)
        plane.receive_data(ALICE, frame())
    assert wire.media == wire.data == []
    assert plane.unroutable == 5


@pytest.mark.parametrize(("drop", "low", "high"), [(0.0, 200, 200), (0.3, 110, 170), (1.0, 0, 0)])
async def test_a_hole_swallows_its_share_of_the_media(drop: float, low: int, high: int) -> None:
    wire, (packet,) = Wire(), speech()
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(ALICE, BOB, drop))
        for _ in range(200):
            plane.receive(ALICE, packet)
    assert low <= len(wire.media) <= high
    assert plane.unroutable == 0


@pytest.mark.parametrize("size", [0, 12, DATA_BYTES + 1])
async def test_a_data_frame_of_a_wrong_size_is_refused(size: int) -> None:
    async with asyncio.TaskGroup() as group:
        plane = Wire().plane(group)
        with pytest.raises(RemoteProtocolError, match=f"{size} bytes"):
            plane.receive_data(ALICE, bytes(size))


async def test_a_packet_too_short_for_rtp_is_refused() -> None:
    async with asyncio.TaskGroup() as group:
        plane = Wire().plane(group)
        with pytest.raises(RemoteProtocolError):
            plane.receive(ALICE, b"\x80\x6f")


async def test_an_end_echoes_data_and_times_the_echo_of_its_own() -> None:
    wire = Wire()
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(None, RELAY))
        await asyncio.sleep(0)
        asked = [(to, what) for to, what in wire.data if what[4] == 0]
        plane.receive_data(RELAY, frame(0))
        echo = wire.data[-1]
        plane.receive_data(RELAY, asked[0][1][:4] + b"\x01" + asked[0][1][5:])
        assert plane.is_open(CALL)
        assert plane.settle() == [CALL]
        assert not plane.is_open(CALL)
    assert [to for to, _ in asked] == [RELAY]
    assert echo == (RELAY, frame(1))
    assert plane.heard[CALL].data_received == 1
    assert len(plane.heard[CALL].data_rtts) == 1
    assert plane.heard[CALL].data_rtts[0] >= 0.0


@pytest.mark.parametrize("changed", [b"\x01" + b"\xff" * 8])
async def test_an_echo_of_nothing_that_was_asked_is_refused(changed: bytes) -> None:
    async with asyncio.TaskGroup() as group:
        plane = Wire().plane(group)
        plane.open(effect(None, RELAY))
        with pytest.raises(RemoteProtocolError, match="neither asks nor echoes"):
            plane.receive_data(RELAY, LABEL.to_bytes(4, "big") + changed)
        plane.settle()
    assert not plane.heard[CALL].data_rtts


async def test_what_was_heard_of_old_calls_is_forgotten_and_of_live_ones_kept() -> None:
    calls = [CallId(bytes([number]) * len(CALL)) for number in range(CALLS_KEPT + 5)]
    async with asyncio.TaskGroup() as group:
        plane = Wire().plane(group)
        for label, call in enumerate(calls):
            plane.open(replace(effect(None, RELAY), call=call, label=label))
            if label:
                plane.close(CloseMedia(call=call, label=label))
        assert list(plane.heard) == [calls[0], *calls[-CALLS_KEPT - 1 :]]
        plane.settle()


async def test_an_end_hears_its_route_and_nothing_from_a_stranger() -> None:
    wire, packets = Wire(), speech(30)
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(RELAY, None))
        for packet in packets:
            plane.receive(RELAY, packet)
            plane.receive(EVE, packet)
        plane.settle()
    heard = plane.heard[CALL]
    assert len(heard.arrivals) == heard.audio[LABEL].received == 30
    assert heard.voice.report().frequency == pytest.approx(440, abs=20)  # a quick ear: 600 ms of voice
    assert plane.unroutable == 30


async def test_a_call_over_two_routes_is_spoken_over_both_under_one_numbering_and_heard_once() -> None:
    wire = Wire()
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(None, RELAY))
        await asyncio.sleep(0.05)
        plane.open(replace(effect(None, EVE), label=OTHER))
        await asyncio.sleep(0.1)
        plane.close(CloseMedia(call=CALL, label=LABEL))
        await asyncio.sleep(0.05)
        said = {via: [RtpPacket.decode(packet) for to, packet in wire.media if to == via] for via in (RELAY, EVE)}
        for packet in speech(20):
            plane.receive(EVE, route_ssrc(packet, OTHER))
            plane.receive(EVE, route_ssrc(packet, OTHER))
        plane.settle()
    sequences = {via: [packet.sequence for packet in packets] for via, packets in said.items()}
    assert {via: {packet.ssrc for packet in packets} for via, packets in said.items()} == {RELAY: {LABEL}, EVE: {OTHER}}
    both = sorted(set(sequences[RELAY]) & set(sequences[EVE]))
    assert len(both) >= 3
    whole = sorted({*sequences[RELAY], *sequences[EVE]})
    assert whole == list(range(len(whole)))
    assert wire.media[-1][0] == EVE
    report = plane.heard[CALL].voice.report()
    assert (report.received, report.decoded, report.doubled, len(plane.heard[CALL].arrivals)) == (20, 20, 0, 20)


async def test_one_voice_that_comes_over_two_routes_at_once_is_heard_once() -> None:
    wire, packets = Wire(), speech(30)
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(RELAY, None))
        plane.open(replace(effect(EVE, None), label=OTHER))
        for packet in packets:
            plane.receive(RELAY, packet)
            plane.receive(EVE, route_ssrc(packet, OTHER))
        plane.settle()
    heard = plane.heard[CALL]
    report = heard.voice.report()
    assert (report.received, report.duplicates, report.doubled, report.lost) == (30, 30, 0, 0)
    assert [heard.audio[label].received for label in (LABEL, OTHER)] == [30, 30]


async def test_two_ends_and_a_relay_in_memory_hear_each_other() -> None:
    planes: dict[NodeId, MediaPlane] = {}
    counts: dict[NodeId, tuple[int, int]] = {}
    reported = asyncio.Event()

    def member(own: NodeId, group: asyncio.TaskGroup) -> MediaPlane:
        def media(to: NodeId, packet: bytes) -> bool:
            planes[to].receive(own, packet)
            return True

        def data(to: NodeId, what: bytes) -> bool:
            planes[to].receive_data(own, what)
            return True

        stream = SeedTree(1).stream("test/drop", own[0])
        return MediaPlane(
            send_media=media,
            send_data=data,
            report=lambda *_: reported.set(),
            count=lambda _call, label, carried: counts.setdefault(own, (label, carried)),
            stream=stream,
            group=group,
            aic=PROFILES["brief"],
        )

    async with asyncio.TaskGroup() as group:
        for own in (ALICE, RELAY, BOB):
            planes[own] = member(own, group)
        planes[RELAY].open(effect(ALICE, BOB))
        planes[BOB].open(effect(RELAY, None))
        planes[ALICE].open(effect(None, RELAY))
        async with asyncio.timeout(30):
            await reported.wait()
        for plane in planes.values():
            plane.settle()
    assert planes[RELAY].forwarded > 0
    assert all(planes[end].heard[CALL].audio[LABEL].received > 0 for end in (ALICE, BOB))
    assert all(planes[end].heard[CALL].data_received >= 1 for end in (ALICE, BOB))
    assert planes[ALICE].heard[CALL].data_rtts
    assert {label for label, _ in counts.values()} == {LABEL}
    assert min(carried for _, carried in counts.values()) > 0


async def test_a_relay_tells_what_it_passed_on_and_not_what_it_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.node.passing.COUNT_PERIOD", 0.0)
    wire, packets = Wire(), speech(20)
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(ALICE, BOB, 0.5))
        for packet in packets:
            plane.receive(ALICE, packet)
            plane.receive(BOB, packet)
    assert 0 < len(wire.media) < 40
    assert wire.counts[-1] == (CALL, LABEL, sum(len(packet) for _, packet in wire.media))


async def test_a_relay_counts_once_in_a_period() -> None:
    wire, packets = Wire(), speech(20)
    async with asyncio.TaskGroup() as group:
        plane = wire.plane(group)
        plane.open(effect(ALICE, BOB))
        for packet in packets:
            plane.receive(ALICE, packet)
    assert wire.counts == []
