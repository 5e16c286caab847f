from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.view import connectable
from meshsim.sim import World
from meshsim.sim.resources import flatten
from meshsim.trust import events_from_outcome

AUDIO, VIDEO = demand(MediaType.AUDIO), demand(MediaType.AUDIO_VIDEO)


@pytest.fixture
def world(small):
    return World(small())


@pytest.fixture
def ends(world):
    """Two peers whose NATs let them connect directly, and a relay."""
    nodes = world.plan.nodes
    peers = np.flatnonzero(nodes.max_calls == 0).tolist()
    a, b = next((a, b) for a in peers for b in peers if a < b and connectable(nodes.nat[a], nodes.nat[b]))
    relay = next(r for r in np.flatnonzero(nodes.max_calls > 0).tolist() if nodes.behaviour[r] == "honest")
    return a, b, relay


def everything(world):
    n = len(world.plan.nodes)
    src, dst = np.divmod(np.arange(n * n), n)
    keep = src != dst
    return world.link_truth(src[keep], dst[keep]), src[keep], dst[keep]


def test_delay_is_at_least_propagation_and_loss_is_a_probability(world):
    truth, src, dst = everything(world)
    plan = world.plan
    for k in range(0, len(src), 7):
        edges = plan.underlay.route(int(plan.nodes.router[src[k]]), int(plan.nodes.router[dst[k]]))
        assert truth.delay[k] >= plan.underlay.propagation[edges].sum()
    assert ((truth.loss >= 0) & (truth.loss <= 1)).all()
    assert (truth.rate >= 0).all()


@given(st.integers(1, 40))
def test_more_calls_never_help_anybody(world_factory, calls):
    world = world_factory()
    path = (0, 1) if world.plan.nodes.max_calls[0] else (int(np.flatnonzero(world.plan.nodes.max_calls)[0]), 1)
    before, *_ = everything(world)
    for _ in range(calls):
        world.open_flow(path, VIDEO)
    after, *_ = everything(world)
    assert (after.delay >= before.delay - 1e-15).all()
    assert (after.jitter >= before.jitter - 1e-15).all()
    assert (after.loss >= before.loss - 1e-12).all()
    assert (after.rate <= before.rate + 1e-6).all()


@pytest.fixture(scope="session")
def world_factory(small):
    plan = small()
    return lambda: World(plan)


def test_a_probe_foresees_what_the_call_will_live_through(world, ends):
    a, b, relay = ends
    for path in ((a, b), (a, relay, b)):
        foreseen = world.path_truth([path], VIDEO)
        number = world.open_flow(path, VIDEO)
        lived = world.measure(world.flow_paths(number))
        np.testing.assert_allclose(foreseen.rtt, lived.rtt)
        np.testing.assert_allclose(foreseen.jitter, lived.jitter)
        np.testing.assert_allclose(foreseen.loss, lived.loss)
        again = world.probe(world.lay([path], VIDEO), without=number)
        np.testing.assert_allclose(again.rtt, foreseen.rtt)
        world.close_flow(number)


def test_flows_that_have_closed_leave_nothing_behind(world, ends):
    a, b, relay = ends
    numbers = [world.open_flow((a, relay, b), AUDIO) for _ in range(5)]
    assert world.relaying()[relay] == pytest.approx(5)
    for number in numbers:
        world.close_flow(number)
    world.advance(world.plan.scenario.underlay.drift.period)
    assert (world.load == 0).all()


def test_all_flows_at_once_live_through_what_each_does_alone(world, ends):
    a, b, relay = ends
    paths = [(a, b), (a, relay, b), (b, relay, a)] * 40
    opened = [world.open_flow(path, AUDIO) for path in paths]
    for number in opened[1::3]:
        world.close_flow(number)
    again = [world.open_flow((a, b), VIDEO) for _ in range(50)]
    numbers, lived = world.measure_flows()
    assert numbers.tolist() == sorted([*opened[::3], *opened[2::3], *again])
    for number, (rtt, jitter, loss) in zip(numbers.tolist(), lived.tolist(), strict=True):
        alone = world.measure(world.flow_paths(number))
        assert (rtt, jitter, loss) == (alone.rtt[0], alone.jitter[0], alone.loss[0])


def test_summing_the_flows_afresh_changes_nothing_but_rounding(world, ends):
    a, b, relay = ends
    numbers = [world.open_flow(path, VIDEO) for path in [(a, b), (a, relay, b)] * 60]
    for number in numbers[::2]:
        world.close_flow(number)
    before = world.load.copy()
    world.advance(world.plan.scenario.underlay.drift.period)
    np.testing.assert_allclose(world.load, before, rtol=1e-9, atol=1e-3)
    assert world.relaying()[relay] == 60


def test_paths_are_laid_over_the_hops_they_are_made_of(world, ends):
    a, b, relay = ends
    paths = [(a, b), (a, relay, b), (b, relay, a)]
    laid = world.lay(paths, AUDIO)
    for row, path in enumerate(paths):
        rows = slice(laid.starts[row], laid.starts[row + 1])
        for way, nodes in enumerate((path, path[::-1])):
            hops = world.lay_links(nodes[:-1], nodes[1:]).resource.tolist()
            if way:  # the way back is kept hop by hop from the caller on
                pairs = list(zip(path[1:], path[:-1], strict=True))
                hops = [r for pair in pairs for r in world.lay_links([pair[0]], [pair[1]]).resource.tolist()]
            relays = [world.resources.relay + node for node in path[1:-1]]
            assert laid.resource[rows][laid.way[rows] == way].tolist() == [*hops, *relays]
    nodes, indptr = flatten(paths)
    assert [nodes[indptr[i] : indptr[i + 1]].tolist() for i in range(3)] == [list(path) for path in paths]


def test_a_relayed_path_is_its_hops_put_together(world, ends):
    a, b, relay = ends
    whole = world.path_truth([(a, relay, b)], AUDIO, extra_load=False)
    hops = world.link_truth([a, relay, b, relay], [relay, b, relay, a])
    assert whole.rtt[0] >= hops.delay.sum()
    assert whole.rtt[0] == pytest.approx(hops.delay.sum(), abs=1e-3)


def test_offline_blocked_and_black_holes_do_not_connect(small, ends):
    a, b, relay = ends
    plan = small()
    strength = plan.nodes.strength.copy()
    strength[relay] = 1.0
    behaviour = list(plan.nodes.behaviour)
    behaviour[relay] = "black_hole"
    world = World(replace(plan, nodes=replace(plan.nodes, strength=strength, behaviour=tuple(behaviour))))
    assert world.path_truth([(a, b), (a, relay, b)], AUDIO).connected.tolist() == [True, False]
    world.online[b] = False
    truth = world.path_truth([(a, b)], AUDIO)
    assert not truth.connected[0]
    assert truth.poor(MediaType.AUDIO)[0]
    assert truth.mos(MediaType.AUDIO)[0] == 1.0


def test_a_gray_hole_adds_its_drop(small, ends):
    a, b, relay = ends
    plan = small()
    behaviour, strength = list(plan.nodes.behaviour), plan.nodes.strength.copy()
    honest = World(plan).path_truth([(a, relay, b)], AUDIO)
    behaviour[relay], strength[relay] = "gray_hole", 0.1
    gray = World(replace(plan, nodes=replace(plan.nodes, strength=strength, behaviour=tuple(behaviour))))
    truth = gray.path_truth([(a, relay, b), (relay, a)], AUDIO)
    assert truth.loss[0] == pytest.approx(1 - (1 - honest.loss[0]) * 0.9)
    assert truth.loss[1] < 0.1


def test_load_drifts_the_same_way_however_the_clock_gets_there(small):
    once, often = World(small()), World(small())
    once.advance(100.0)
    for t in range(101):
        often.advance(float(t))
    np.testing.assert_array_equal(once.background, often.background)
    assert not np.array_equal(once.background, World(small()).background)


def test_every_relay_gets_one_telling_event_per_call():
    assert events_from_outcome(completed=True, mos=4.3, poor=False)[0] == "successful_call"
    assert events_from_outcome(completed=True, mos=2.0, poor=True) == ("poor_quality",)


def test_a_path_picked_among_others_is_as_if_laid_out_alone(world, ends):
    a, b, relay = ends
    others = np.flatnonzero(world.plan.nodes.max_calls > 0).tolist()
    paths = [(a, b), (a, relay, b), *((a, relay, other, b) for other in others if other != relay)]
    laid = world.lay(paths, VIDEO)
    world.open_flow(paths[1], AUDIO)
    whole = world.probe(laid)
    for row, path in enumerate(paths):
        one, alone = laid.pick(row), world.lay([path], VIDEO)
        for name in type(alone).__dataclass_fields__:
            assert np.array_equal(getattr(one, name), getattr(alone, name)), name
        truth, picked = world.probe(one), whole.pick(row)
        assert (truth.rtt[0], truth.loss[0], truth.connected[0]) == (picked.rtt[0], picked.loss[0], picked.connected[0])
