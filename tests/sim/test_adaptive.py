from __future__ import annotations

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.mesh.media import MediaType, demand
from meshsim.sim import World
from meshsim.sim.adaptive import TARGET, adapt
from meshsim.sim.media import PacketMedia

AUDIO, VIDEO = demand(MediaType.AUDIO), demand(MediaType.AUDIO_VIDEO)


def star(small, calls, media, *, adaptive=True):
    """A world in which one person, on a thin line, is called by others."""
    access = {"peer": {"up": 4e6, "down": 4e6, "spread": 0.0}}
    plan = small(
        nodes={"access": access, "nat": {"open": 1.0, "cone": 0.0, "port_restricted": 0.0, "symmetric": 0.0}},
        media={"adaptive": adaptive},
    )
    world = World(plan)
    peers = np.flatnonzero(plan.nodes.max_calls == 0).tolist()
    numbers = [world.open(world.lay([(peer, peers[0])], media), media.lowest) for peer in peers[1 : calls + 1]]
    world.advance(plan.scenario.underlay.drift.period)
    return world, numbers, peers


def used(world, resource):
    return float(world.background[resource] + world.load[resource] / world.resources.capacity[resource])


def test_calls_share_an_access_link_and_leave_it_below_the_target(small):
    world, numbers, peers = star(small, 6, VIDEO)
    shares = np.array([world.flow_share(number) for number in numbers])
    assert (shares < 1.0).all()
    np.testing.assert_allclose(shares[:, 0], shares[0, 0])
    assert used(world, world.resources.down + peers[0]) == pytest.approx(TARGET)


def test_without_adapting_the_same_calls_overload_it(small):
    world, numbers, peers = star(small, 6, VIDEO, adaptive=False)
    assert used(world, world.resources.down + peers[0]) > 1.5
    assert {world.flow_share(number) for number in numbers} == {(1.0, 1.0)}


def test_few_calls_have_their_full_rate(small):
    world, numbers, _ = star(small, 2, VIDEO)
    assert [world.flow_share(number) for number in numbers] == [(1.0, 1.0)] * 2


def test_voice_does_not_adapt_and_video_keeps_its_lowest_rate(small):
    world, numbers, peers = star(small, 6, VIDEO)
    world._now.background[:] = 2.0
    voice = world.open(world.lay([(peers[8], peers[0])], AUDIO), AUDIO.lowest)
    adapt(world._flows, world.resources, world.background)
    assert world.flow_share(voice) == (1.0, 1.0)
    for number in numbers:
        assert world.flow_share(number) == pytest.approx((VIDEO.lowest, VIDEO.lowest))


def test_calls_that_end_give_back_what_they_had(small):
    world, numbers, _ = star(small, 6, VIDEO)
    for number in numbers:
        world.close_flow(number)
    np.testing.assert_allclose(world.load, 0.0, atol=1e-6)


def test_adapting_saves_calls_from_losses(small, run):
    thin = {
        "nodes": {"access": {"peer": {"up": 1.5e6, "down": 2e6}}},
        "calls": {"media": {"audio_video": 1.0, "audio": 0}},
    }
    fixed, adaptive = (
        Trace(run(small(**thin, media={"adaptive": on})).trace).columns("calls")["loss"] for on in (False, True)
    )
    assert np.nanmean(adaptive) < 0.8 * np.nanmean(fixed)


def test_packets_follow_the_adapted_rate(small):
    world, numbers, _ = star(small, 6, VIDEO)
    media = PacketMedia(world)
    media.open(numbers[0], world.flow_paths(numbers[0]), VIDEO, key=0, t=0.0)
    share = world.flow_share(numbers[0])
    media.pace(numbers[0], share, 0.0)
    media.look([numbers[0]], 20.0)
    there, back = media._calls[numbers[0]].flows
    for flow, part in ((there, share[0]), (back, share[1])):
        sent = media._kernel.flow_counters(flow).sent
        assert sent == pytest.approx(20.0 * part * VIDEO.packets_per_second, abs=2)
