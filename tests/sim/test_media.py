from __future__ import annotations

import pickle

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.media import MediaType, demand
from meshsim.scenario import Scenario
from meshsim.sim import World
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.sim.media import PacketMedia
from meshsim.sim.simulation import begin

NARROW = {"access": {role: {"up": 40e6, "down": 40e6} for role in ("relay", "super_node")}}
"""Relays whose access links carry fewer bursts a second: tests are quicker."""
AUDIO, VIDEO = demand(MediaType.AUDIO), demand(MediaType.AUDIO_VIDEO)


@pytest.fixture(scope="module")
def plan(small):
    return small(misbehaviour=[], nodes=NARROW)


def connected_paths(world, count):
    """Direct and relayed paths whose media pass."""
    nodes = world.plan.nodes
    peers, relays = np.flatnonzero(nodes.max_calls == 0).tolist(), np.flatnonzero(nodes.max_calls > 0).tolist()
    paths = [(a, b) for a in peers for b in peers if a < b]
    paths = [path for pair in paths for path in (pair, (pair[0], relays[sum(pair) % len(relays)], pair[1]))]
    laid = [world.lay([path], AUDIO) for path in paths]
    return [path for path, one in zip(paths, laid, strict=True) if world.connected(one)[0]][:count]


def opened(plan, count=6, media_type=AUDIO):
    """A world and packets with the same calls in both."""
    world = World(plan)
    media = PacketMedia(world)
    numbers = []
    for path in connected_paths(world, count):
        laid = world.lay([path], media_type)
        numbers.append(world.open(laid))
        media.open(numbers[-1], laid, media_type, key=numbers[-1], t=0.0)
    return world, media, numbers


def test_packets_live_through_what_flows_foresee(plan):
    world, media, numbers = opened(plan)
    _, foreseen = world.measure_flows()
    lived = media.look(numbers, 60.0)
    np.testing.assert_allclose(lived[:, 0], foreseen[:, 0], rtol=0.03)
    np.testing.assert_allclose(lived[:, 1], foreseen[:, 1], rtol=0.25)
    np.testing.assert_allclose(lived[:, 2], foreseen[:, 2], atol=0.005)


def test_every_packet_of_a_call_comes_through_or_is_gone(small):
    thin = {"access": {**NARROW["access"], "peer": {"up": 3e6, "down": 3e6}}}
    _, media, numbers = opened(small(nodes=thin), media_type=VIDEO)
    flows = [flow for number in numbers for flow in media._calls[number].flows]
    media.look(numbers, 1.0)
    for number in numbers[::2]:
        media.close(number, 2.0)
    for number in numbers[1::2]:
        media.close(number, 3.0)
    media.look([], 6.0)
    counted = [media._kernel.flow_counters(flow) for flow in flows]
    assert all(one.sent == one.delivered + one.dropped + one.lost > 100 for one in counted)
    assert any(one.dropped for one in counted)
    assert any(one.lost for one in counted)


def test_looking_often_changes_no_packet(plan):
    _, once, numbers = opened(plan)
    _, often, _ = opened(plan)
    looks = np.array([often.look(numbers, t) for t in np.arange(1.0, 11.0)])
    whole = once.look(numbers, 10.0)
    # means of ten equal stretches with nearly equal numbers of packets; the loss is exact by construction
    np.testing.assert_allclose(looks[:, :, 0].mean(axis=0), whole[:, 0], rtol=1e-3)
    np.testing.assert_allclose(looks[:, :, 2].mean(axis=0), whole[:, 2], rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(once.look(numbers, 20.0)[:, 0], often.look(numbers, 20.0)[:, 0])


def test_a_copy_goes_its_own_way(plan):
    world, media, numbers = opened(plan)
    media.look(numbers, 2.0)
    twin, saved = media.copy(), pickle.loads(pickle.dumps(media))  # noqa: S301 - our own bytes
    for number in numbers:
        twin.open(number + 100, world.flow_paths(number), VIDEO, key=number + 100, t=2.0)
    twin.look(numbers, 5.0)
    np.testing.assert_array_equal(media.look(numbers, 5.0), saved.look(numbers, 5.0))


def test_a_replay_on_the_path_taken_is_what_was_lived_through(plan):
    world, media, numbers = opened(plan, count=4)
    path, other = connected_paths(world, 6)[4:]
    laid, elsewhere = world.lay([path], AUDIO), world.lay([other], AUDIO)
    media.mark(77, 3.0)
    media.open(50, laid, AUDIO, key=77, t=3.0)
    media.close(numbers[0], 4.0)
    world.advance(5.0)
    media.drift(world.background, 5.0)
    media.open(51, elsewhere, VIDEO, key=78, t=6.0)
    lived = media.look([50], 8.0)
    replayed = media.replay(77, [laid, elsewhere], AUDIO, 8.0)
    np.testing.assert_array_equal(replayed[0], lived[0])
    assert replayed[1, 0] != lived[0, 0]


def test_no_more_is_remembered_than_the_oldest_mark_needs(plan):
    world, media, numbers = opened(plan, count=3)
    laid = world.flow_paths(numbers[0])
    for step in range(1, 30):  # there is always a call that waits for its replay
        t = step / 10
        media.mark(step, t)
        media.drift(world.background, t)
        if step > 3:
            media.replay(step - 3, [laid], AUDIO, t)
    assert len(media._history) <= 4


def test_resources_without_calls_send_nothing(plan):
    world, media, numbers = opened(plan)
    for number in numbers:
        media.close(number, 1.0)
    media.look([], 3.0)
    hops = media._kernel.results().hops
    media.look([], 30.0)
    assert media._kernel.results().hops == hops
    media.open(9, world.flow_paths(numbers[0]), AUDIO, key=9, t=30.0)
    assert np.isfinite(media.look([9], 31.0)).all()


def test_a_relay_that_drops_packets_loses_them(small):
    plan = small(misbehaviour=[{"kind": "gray_hole", "share": 1.0, "strength": 0.2}], nodes=NARROW)
    world, media, numbers = opened(plan, count=8)
    lived = media.look(numbers, 20.0)
    relayed = np.array([len(world.flow_paths(number).nodes) > 2 for number in numbers])
    assert (lived[relayed, 2] > 0.15).all()
    assert (lived[~relayed, 2] < 0.02).all()


def test_the_mode_of_media_changes_no_decision_where_beliefs_are_equal(small, run):
    quiet = {"duration": 40.0, "warmup": 1.0, "misbehaviour": [], "routing": {"trust_floor": 0.0}, "nodes": NARROW}
    fluid, packets = (
        Trace(run(small(**quiet, media={"mode": mode})).trace).columns("calls") for mode in ("flow", "packet")
    )
    for name in ("call", "path", "final_path", "outcome", "reason"):
        assert [str(value) for value in fluid[name]] == [str(value) for value in packets[name]], name
    flowing = np.isfinite(fluid["rtt_seconds"])
    apart = np.abs(fluid["rtt_seconds"] / packets["rtt_seconds"] - 1.0)[flowing]
    assert 0.0 < np.median(apart) < 0.05


def test_packets_give_the_same_bytes_again_and_their_own_labels(small, run):
    few = {"duration": 20.0, "warmup": 1.0, "calls": {"rate": 0.2}, "routing": {"candidates": 3}, "nodes": NARROW}
    first, second = (run(small(**few, media={"mode": "packet", "labels": "packet"})) for _ in range(2))
    assert first.trace_sha256 == second.trace_sha256
    replayed, foreseen = (
        Trace(result.trace).columns("routes") for result in (first, run(small(**few, media={"mode": "packet"})))
    )
    passing = replayed["connected"] & np.isfinite(replayed["rtt_seconds"])
    assert (replayed["rtt_seconds"] != foreseen["rtt_seconds"])[passing].any()
    assert np.median(np.abs(replayed["rtt_seconds"] / foreseen["rtt_seconds"] - 1.0)[passing]) < 0.05


def test_an_episode_in_packets_is_resumed_to_the_identical_trace(small, run, tmp_path):
    options = {"duration": 15.0, "warmup": 1.0, "calls": {"rate": 0.4}, "routing": {"candidates": 2}}
    media = {"mode": "packet", "labels": "packet", "adaptive": True}
    plan = small(**options, media=media, nodes={**NARROW, "max_connections": 4})
    episode = begin(plan, tmp_path / "cut")
    episode.advance(9.0)
    checkpoint(episode)
    del episode
    assert resume(tmp_path / "cut").finish().trace_sha256 == run(plan).trace_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"media": {"mode": "packet"}, "control": {"mode": "agents"}},
        {"media": {"labels": "packet"}},
    ],
)
def test_modes_that_do_not_go_together_are_refused(change):
    with pytest.raises((ConfigError, ValueError), match="packets"):
        Scenario.model_validate(change)
