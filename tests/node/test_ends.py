"""Both ends of a call and a relay in one process: losses are mended, reports are true, the rate follows the way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from meshsim.agent.effects import CloseMedia, MediaReport, OpenMedia
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import PROFILES, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.node.media import MediaPlane
from meshsim.node.rtp import route_ssrc

if TYPE_CHECKING:
    from meshsim.node.ends import Heard

CALL, LABEL, OTHER = CallId(bytes(range(16))), 0x1234ABCD, 0x0BADCAFE
ALICE, RELAY, BOB = (NodeId(bytes([number]) * 32) for number in (1, 2, 3))
DELAY = 0.02
"""Seconds over one hop."""


@dataclass
class World:
    """Three planes, and hops that delay and lose."""

    planes: dict[NodeId, MediaPlane] = field(default_factory=dict)
    reports: dict[NodeId, list[MediaReport]] = field(default_factory=dict)
    loss: float = 0.0
    late: Callable[[NodeId, NodeId, int], float | None] = lambda *_: DELAY

    def heard(self, end: NodeId) -> Heard:
        return self.planes[end].heard[CALL]

    def open(self, effect: OpenMedia, via: NodeId = RELAY) -> None:
        self.planes[via].open(replace(effect, upstream=ALICE, downstream=BOB))
        self.planes[BOB].open(replace(effect, upstream=via))
        self.planes[ALICE].open(replace(effect, downstream=via))


EFFECT = OpenMedia(call=CALL, label=LABEL, upstream=None, downstream=None, media=MediaType.AUDIO_VIDEO)


@asynccontextmanager
async def world(profile: str = "brief", **more: Any) -> AsyncIterator[World]:
    made = World(**more)
    loop, draws, numbers = asyncio.get_running_loop(), SeedTree(1).stream("test/loss", 0), itertools.count()

    def member(own: NodeId, group: asyncio.TaskGroup) -> MediaPlane:
        def media(to: NodeId, packet: bytes) -> bool:
            late = made.late(own, to, len(packet))
            if late is not None and draws.at(next(numbers)) >= made.loss:
                loop.call_later(late, made.planes[to].receive, own, packet)
            return True

        def data(to: NodeId, frame: bytes) -> bool:
            loop.call_later(DELAY, made.planes[to].receive_data, own, frame)
            return True

        return MediaPlane(
            send_media=media, send_data=data, report=lambda _, report: made.reports.setdefault(own, []).append(report),
            count=lambda *_: None, stream=SeedTree(1).stream("test/drop", 0), group=group, aic=PROFILES[profile],
        )  # fmt: skip

    async with asyncio.TaskGroup() as group:
        for own in (ALICE, RELAY, BOB):
            made.planes[own] = member(own, group)
        yield made
        for plane in made.planes.values():
            plane.settle()
            plane.close(CloseMedia(call=CALL, label=LABEL))


async def test_video_over_two_lossy_hops_is_mended_and_voice_is_not() -> None:
    async with world(loss=0.05) as made:
        made.open(EFFECT)
        await asyncio.sleep(3.0)
        passing = made.planes[RELAY].passing
        assert passing.resent > 0
        assert passing.recovered > 0
    for end in (ALICE, BOB):
        heard = made.heard(end)
        assert heard.video is not None
        seen = heard.video.report()
        assert seen.expected > 15  # the first whole picture may be lost before anybody knows of it
        assert (seen.frozen, seen.wrong) == (0.0, 0)
        assert heard.voice.report().lost > 0


async def test_round_trips_by_rtcp_are_those_of_the_way_and_are_what_the_agent_is_told() -> None:
    async with world() as made:
        made.open(EFFECT)
        await asyncio.sleep(3.3)
    for end in (ALICE, BOB):
        assert len(made.heard(end).rtcp_rtts) >= 2
        assert min(made.heard(end).rtcp_rtts) == pytest.approx(4 * DELAY, abs=0.02)
        assert made.reports[end][-1].rtt in made.heard(end).rtcp_rtts
        assert made.reports[end][-1].loss == 0.0


@pytest.mark.parametrize(
    ("profile", "media", "least", "most"),
    [("lyra", MediaType.AUDIO, 0.2, 0.3), ("brief", MediaType.AUDIO_VIDEO, 0.15, 0.25)],
)
async def test_aic_spares_what_its_profile_says_as_far_as_the_codecs_go(
    profile: str, media: MediaType, least: float, most: float
) -> None:
    async with world(profile) as made:
        made.open(replace(EFFECT, aic=True, media=media))
        await asyncio.sleep(2.0)
        assert made.planes[ALICE].spared > 0
        assert made.planes[RELAY].spared == 0
        assert made.planes[ALICE].spared_in(CALL) == made.planes[ALICE].spared
    aic = made.heard(ALICE).aic
    assert aic is not None
    assert least < aic.sent / aic.plain < most


async def test_without_aic_nothing_is_coded_twice_and_nothing_said_to_be_spared() -> None:
    async with world() as made:
        made.open(EFFECT)
        await asyncio.sleep(0.5)
        assert made.planes[ALICE].spared == 0
        assert made.planes[ALICE].spared_in(CALL) is None


async def test_on_a_route_where_a_node_lacks_aic_the_voice_is_plain_again() -> None:
    sizes: list[int] = []

    def watch(source: NodeId, _: NodeId, size: int) -> float:
        if source == ALICE:
            sizes.append(size)
        return DELAY

    async with world("lyra", late=watch) as made:
        made.open(replace(EFFECT, aic=True, media=MediaType.AUDIO))
        await asyncio.sleep(0.6)
        compressed = sizes[10:-1]
        made.open(replace(EFFECT, label=OTHER, media=MediaType.AUDIO))
        made.planes[ALICE].close(CloseMedia(call=CALL, label=LABEL))
        await asyncio.sleep(0.1)
        sizes.clear()
        await asyncio.sleep(0.5)
        assert sum(sizes) / len(sizes) > 1.3 * sum(compressed) / len(compressed)
        made.planes[RELAY].close(CloseMedia(call=CALL, label=OTHER))


async def test_a_video_moves_to_another_route_under_its_numbers_and_begins_there_with_a_whole_picture() -> None:
    async with world() as made:
        made.open(EFFECT)
        await asyncio.sleep(1.0)
        made.open(replace(EFFECT, label=OTHER))
        for plane in made.planes.values():
            plane.close(CloseMedia(call=CALL, label=LABEL))
        await asyncio.sleep(1.0)
        for plane in made.planes.values():
            plane.close(CloseMedia(call=CALL, label=OTHER))
    for end in (ALICE, BOB):
        video = made.heard(end).video
        assert video is not None
        seen = video.report()
        assert seen.whole >= 2
        assert (seen.wrong, seen.expected >= 20) == (0, True)
        assert seen.expected - seen.shown <= 3  # under way on the route that was closed at once


def bottleneck(rate: float, longest: float = 0.3) -> Callable[[NodeId, NodeId, int], float | None]:
    """A link from the relay to bob with a queue; the others are free."""
    free = {"at": 0.0}

    def late(source: NodeId, to: NodeId, size: int) -> float | None:
        if (source, to) != (RELAY, BOB):
            return DELAY
        now = asyncio.get_running_loop().time()
        at = max(free["at"], now) + 8 * (size + 38) / rate
        if at - now > longest:
            return None
        free["at"] = at
        return DELAY + at - now

    return late


@pytest.mark.full
async def test_the_source_codes_no_faster_than_the_narrowest_hop_takes() -> None:
    rate = 450e3
    async with world(late=bottleneck(rate)) as made:
        made.open(EFFECT)
        await asyncio.sleep(20.0)
    limits = list(made.heard(ALICE).limits)
    assert max(limits[:40]) > rate
    assert sorted(limits[-40:])[20] < rate
    seen = made.heard(BOB).video
    assert seen is not None
    assert seen.report().frozen < 0.1


async def test_strangers_packets_and_reports_about_nothing_change_nothing() -> None:
    async with world() as made:
        made.open(EFFECT)
        await asyncio.sleep(0.2)
        stranger = NodeId(bytes([9]) * 32)
        unroutable = made.planes[BOB].unroutable
        made.planes[BOB].receive(stranger, route_ssrc(bytes([0x90, 96]) + bytes(40), LABEL))
        assert made.planes[BOB].unroutable == unroutable + 1
