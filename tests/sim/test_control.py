from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from meshsim.measure.trace import TraceWriter
from meshsim.mesh.media import MediaType, demand
from meshsim.mesh.seeds import SeedTree
from meshsim.sim import World, draws
from meshsim.sim.attacks import Claims
from meshsim.sim.control import ControlPlane
from meshsim.sim.ledger import NOTHING, Fact, Ledger, model_of
from meshsim.sim.recorder import Recorder
from meshsim.sim.simulation import node_ids
from meshsim.trust import Outcome


@pytest.fixture
def made(small, tmp_path):
    def make(**changes: Any):
        plan = small(**changes)
        world = World(plan)
        recorder = Recorder(TraceWriter(tmp_path / "trace", {}), plan)
        ledger = Ledger(model_of(plan.scenario.trust), len(plan.nodes), recorder)
        return world, ControlPlane(world, node_ids(plan), ledger), ledger

    return make


def test_without_noise_the_belief_is_the_truth_of_the_worse_direction(made):
    world, control, _ = made(control={"noise": 0.0, "missing": 0.0})
    links, belief = world.plan.links, control.shared.links
    there, back = world.link_truth(links.src, links.dst), world.link_truth(links.dst, links.src)
    np.testing.assert_allclose(belief.delay, (there.delay + back.delay) / 2, rtol=1e-6)
    np.testing.assert_allclose(belief.loss, np.maximum(there.loss, back.loss), rtol=1e-6)
    assert belief.observed.all()


def test_belief_lags_behind_the_truth_until_the_next_digest(made):
    world, control, _ = made(control={"noise": 0.0, "missing": 0.0})
    first = control.shared
    world.advance(100.0)
    assert control.view(0, 1, 100.0, 0).links is first.links
    control.measure(100.0)
    control.digest(110.0)
    assert control.shared.version == first.version + 1
    assert not np.array_equal(control.shared.links.delay, first.links.delay)
    assert (control.shared.links.age >= 10.0 - 1e-5).all()


def test_what_was_never_measured_is_a_prediction_marked_as_such(made):
    _, control, _ = made(control={"missing": 0.5})
    links = control.shared.links
    assert 0.3 < (~links.observed).mean() < 0.7
    assert (links.age[~links.observed] > 1000).all()


def test_an_offline_node_is_believed_online_until_it_is_missed(made):
    world, control, _ = made()
    go_down(world, control, 0, 1.0)
    control.measure(10.0)
    control.digest(20.0)
    assert control.shared.nodes.online[0]
    control.measure(30.0)
    control.digest(40.0)
    assert not control.shared.nodes.online[0]
    assert control.shared.nodes.age[0] > control.shared.nodes.age[1]
    world.bring_up(0)
    control.measure(50.0)
    control.digest(60.0)
    assert control.shared.nodes.online[0]


def go_down(world, control, node, t):
    world.take_down(node, t)
    control.node_down(node, t)


def without_ages(view):
    """All arrays of a view but the ages."""
    parts = {"nodes": view.nodes, "links": view.links, "fresh": view.fresh}
    return {
        (name, column): np.array(getattr(part, column))
        for name, part in parts.items()
        for column in part.__slots__
        if column != "age"
    }


@pytest.mark.parametrize("since", [9.0, 10.0, 14.9])
def test_within_three_heartbeats_nothing_but_ages_tells_a_dead_node_from_a_living_one(made, tmp_path, since):
    views = []
    for dies in (True, False):
        world, control, _ = made()
        world.open_flow([9, 0, 10], _audio())
        if dies:
            go_down(world, control, 0, 25.0 - since)
        for step in (control.measure, control.digest):
            step(20.0)
        views.append(control.view(9, 10, 25.0 - 1e-6, 3))
    dead, living = views
    assert 0 in living.fresh.dst
    for key, value in without_ages(living).items():
        np.testing.assert_array_equal(without_ages(dead)[key], value, err_msg=str(key))
    row = living.fresh.dst.tolist().index(0)
    assert living.fresh.age[row] <= 5.0
    assert since <= dead.fresh.age[row] + 1e-5


def test_a_dead_neighbours_row_stays_as_it_was_and_goes_when_it_is_missed(made):
    world, control, _ = made(control={"noise": 0.0})
    before = control.view(9, 10, 3.0, 3).fresh
    go_down(world, control, 0, 3.0)
    world.advance(15.0)
    after, later = control.view(9, 10, 15.0, 3).fresh, control.view(9, 10, 18.0, 3).fresh
    assert after.delay[after.dst == 0] == before.delay[before.dst == 0]
    assert not np.array_equal(after.delay, before.delay)
    assert 12.0 <= float(after.age[after.dst == 0][0]) <= 15.0
    assert 0 not in later.dst


def test_a_fresh_row_is_no_older_than_the_last_step_of_the_world(made):
    world, control, _ = made()
    period = world.plan.scenario.underlay.drift.period
    world.advance(period)
    age = control.view(9, 10, period + 2.0, 3).fresh.age
    assert (age <= 2.0).all()
    assert age.std() > 0


def test_fresh_links_are_the_callers_own_and_sorted(made):
    world, control, _ = made()
    fresh = control.view(9, 10, 0.0, 3).fresh
    assert (fresh.src == 9).all()
    assert (np.diff(fresh.dst) > 0).all()
    assert (fresh.age <= world.plan.scenario.control.probe_period).all()


def test_a_direct_path_is_remembered_for_a_while(made):
    world, control, _ = made()
    truth = world.path_truth([(9, 10)], _audio())
    control.remember_direct(9, 10, 5.0, (truth.rtt[0], truth.jitter[0], truth.loss[0]))
    soon, late = control.view(10, 9, 65.0, 1).fresh, control.view(10, 9, 5000.0, 1).fresh
    row = soon.dst.tolist().index(9)
    assert soon.age[row] == pytest.approx(60.0)
    assert soon.delay[row] == pytest.approx(truth.rtt[0] / 2, rel=1e-6)
    assert 9 not in late.dst


def test_what_is_known_of_direct_paths_is_forgotten(made):
    _, control, _ = made()
    for call in range(49):
        control.remember_direct(call % 7, 8 + call // 7, 100.0 * call, (0.1, 0.001, 0.0))
    assert len(pickle.dumps(control._direct)) < 2000
    assert control.view(6, 14, 4900.0, 1).fresh.dst.tolist().count(14) == 1


def test_many_callers_know_what_each_knows_alone(made):
    world, control, _ = made()
    control.remember_direct(9, 10, 5.0, (0.1, 0.001, 0.0))
    control.remember_direct(12, 11, 6.0, (0.2, 0.002, 0.01))
    world.take_down(1, 20.0)
    control.node_down(1, 20.0)
    callers, callees = np.array([9, 11, 9, 13, 10, 12]), np.array([10, 12, 11, 14, 9, 13])
    numbers = np.array([4, 5, 9, 11, 12, 40])
    many = control.fresh_many(callers, callees, 30.0, numbers)
    for row, (caller, callee, number) in enumerate(zip(callers, callees, numbers, strict=True)):
        alone, one = control.view(int(caller), int(callee), 30.0, int(number)).fresh, many.of(row)
        for name in type(alone).__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(alone, name), err_msg=name)


def test_receipts_move_the_public_score_with_the_next_digest(made):
    _, control, ledger = made()
    before = control.shared.nodes.reputation[0]
    ledger.hear(Fact(5.0, 0, 0, (9, 0, 10), Outcome.DROPPED, NOTHING, NOTHING, MediaType.AUDIO, 3.0))
    assert control.shared.nodes.reputation[0] == before
    control.digest(20.0)
    assert control.shared.nodes.reputation[0] < before
    assert control.shared.nodes.reputation[1] == before


def test_all_callers_of_a_digest_share_its_arrays(made):
    _, control, _ = made()
    a, b = control.view(9, 10, 1.0, 0), control.view(10, 9, 2.0, 1)
    assert a.nodes is b.nodes
    assert a.links is b.links
    assert (a.owner, a.version) == (b.owner, b.version) == (-1, 0)


def test_draws_of_a_pair_depend_on_nothing_else():
    seeds = SeedTree(3)
    src, dst = np.arange(50, dtype=np.int32), np.arange(50, dtype=np.int32)[::-1].copy()
    whole = draws.uniform(seeds, "x", 7, src, dst, 3)
    part = draws.uniform(seeds, "x", 7, src[10:20], dst[10:20], 2)
    np.testing.assert_array_equal(whole[:2, 10:20], part)
    assert not np.array_equal(whole, draws.uniform(seeds, "x", 8, src, dst, 3))


def test_draws_are_uniform_and_normal():
    src, dst = (axis.ravel().astype(np.int32) for axis in np.meshgrid(np.arange(200), np.arange(200)))
    drawn = draws.uniform(SeedTree(1), "x", 0, src, dst, 2)
    assert ((drawn > 0) & (drawn < 1)).all()
    np.testing.assert_allclose(drawn.mean(axis=1), 0.5, atol=0.005)
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.02
    assert draws.normal(drawn).std() == pytest.approx(1.0, abs=0.01)


def _audio():
    return demand(MediaType.AUDIO)


def test_a_relay_that_praises_its_links_alone_is_believed_no_better_than_it_is(small, tmp_path):
    plan = small(
        control={"noise": 0.0, "missing": 0.0},
        misbehaviour=[{"kind": "lying_metrics", "share": 0.2, "among": "relays", "factor": 10}],
    )
    world = World(plan)
    ledger = Ledger(model_of(plan.scenario.trust), len(plan.nodes), Recorder(TraceWriter(tmp_path / "t", {}), plan))
    honest, lying = (
        ControlPlane(world, node_ids(plan), ledger, claims).shared.links for claims in (None, Claims(world.villains))
    )
    liars = np.array([villain.node for villain in world.villains])
    alone = np.isin(honest.src, liars) ^ np.isin(honest.dst, liars)
    assert alone.any()
    assert (lying.delay >= honest.delay - 1e-9)[alone & lying.observed].all()
    assert (lying.loss >= honest.loss - 1e-9)[alone & lying.observed].all()


def test_claims_that_light_could_not_keep_are_refused_and_told_against_who_makes_them(small, tmp_path):
    plan = small(
        control={"noise": 0.0, "missing": 0.0},
        misbehaviour=[{"kind": "lying_metrics", "share": 0.3, "among": "relays", "factor": 1000}],
    )
    world = World(plan)
    ledger = Ledger(model_of(plan.scenario.trust), len(plan.nodes), Recorder(TraceWriter(tmp_path / "t", {}), plan))
    control = ControlPlane(world, node_ids(plan), ledger, Claims(world.villains))
    control.digest(30.0)
    liars = {villain.node for villain in world.villains}
    accused = set(np.flatnonzero(control.shared.nodes.evidence > 0.0).tolist())
    assert accused
    assert accused <= liars
    assert not control.shared.links.observed.all()
