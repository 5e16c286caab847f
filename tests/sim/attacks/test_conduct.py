"""How relays treat calls, over time and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.mesh.media import MediaType, demand
from meshsim.scenario import Plan, Scenario, compile_plan
from meshsim.sim import begin, simulate
from meshsim.sim.attacks.conduct import next_turn, share_dropped
from meshsim.sim.world import World
from meshsim.testing.processes import BASE, merged

if TYPE_CHECKING:
    from pathlib import Path

QUIET = {"churn": {"enabled": False}, "calls": {"rate": 1.0}, "duration": 120.0, "warmup": 0.0}
DOMAINS = {"federation": {"domains": [{"name": "east", "share": 0.5}, {"name": "west", "share": 0.5}]}}
VOICE = demand(MediaType.AUDIO)


def plan_of(**entry: Any) -> Plan:
    more = DOMAINS if "domain" in entry else {}
    said = merged(merged(BASE, QUIET | {"misbehaviour": [{"share": 1.0, "strength": 0.3, **entry}]}), more)
    return compile_plan(Scenario.model_validate(said), 3)


def losses(world: World, relay: int) -> np.ndarray:
    """What calls over `relay` lose more than over an honest one, by caller and callee."""
    n = len(world.plan.nodes)
    ends = [(a, b) for a in range(n) for b in range(n) if len({a, b, relay}) == 3]
    lost = world.path_truth([(a, relay, b) for a, b in ends], VOICE).loss
    world.spite = type(world.spite)((), n, world.plan.nodes.domains, 1.0)
    drop = world.drop[relay]
    world.behave(relay, 0.0)
    honest = world.path_truth([(a, relay, b) for a, b in ends], VOICE).loss
    world.behave(relay, drop)
    more = np.full((n, n), np.nan)
    for (a, b), here in zip(ends, 1 - (1 - lost) / (1 - honest), strict=True):
        more[a, b] = here
    return more


def test_a_gray_hole_drops_its_share_of_everybodys_packets():
    world = World(plan_of(kind="gray_hole"))
    relay = world.villains[0].node
    assert np.nanmin(losses(world, relay)) == pytest.approx(0.3) == np.nanmax(losses(world, relay))


def test_a_selective_hole_drops_packets_of_its_victims_calls_alone():
    world = World(plan_of(kind="selective", targets=0.3, share=0.2))
    villain = world.villains[0]
    victims, more = set(villain.mind.targets or ()), losses(world, villain.node)
    for (a, b), lost in np.ndenumerate(more):
        if not np.isnan(lost):
            assert lost == pytest.approx(0.3 if victims & {a, b} else 0.0, abs=1e-12)


def test_a_hostile_domain_spoils_calls_in_which_others_take_part():
    world = World(plan_of(kind="hostile_domain", domain="east"))
    villain = next(v for v in world.villains if world.plan.nodes.max_calls[v.node] > 0)
    domains, more = world.plan.nodes.domains, losses(world, villain.node)
    for (a, b), lost in np.ndenumerate(more):
        if not np.isnan(lost):
            assert lost == pytest.approx(0.0 if domains[a] == domains[b] == "east" else 0.3, abs=1e-12)


@pytest.mark.parametrize("kind", ["bad_mouthing", "camouflage", "withholding", "lying_metrics", "poisoning", "sybil"])
def test_who_only_lies_carries_calls_like_anybody(kind):
    assert not World(plan_of(kind=kind)).drop.any()


def test_windows_and_cycles_say_when_a_hole_drops():
    timed = World(plan_of(kind="gray_hole", since=30.0, until=60.0)).villains[0]
    assert [share_dropped(timed, now) for now in (29.0, 30.0, 59.0, 60.0)] == [0.0, 0.3, 0.3, 0.0]
    assert [next_turn(timed, now) for now in (0.0, 30.0, 60.0)] == [30.0, 60.0, float("inf")]
    turning = World(plan_of(kind="on_off", period=40.0, duty=0.25)).villains[0]
    bad = [share_dropped(turning, now) > 0.0 for now in np.arange(0.0, 400.0)]
    assert np.mean(bad) == pytest.approx(0.25, abs=0.02)
    milking = World(plan_of(kind="milking")).villains[0]
    assert [share_dropped(milking, 5.0, cashes_in=cashes) for cashes in (False, True)] == [0.0, 0.3]


def test_who_rejoins_drops_always_unless_another_kind_says_when_or_whose_calls():
    def dropped(kind: str, *also: str) -> list[float]:
        villain = World(plan_of(kind=kind, also=also)).villains[0]
        good = next(float(now) for now in range(700) if not villain.cycle.is_bad(now))
        return [share_dropped(villain, good, cashes_in=cashes) for cashes in (False, True)]

    assert dropped("whitewashing") == dropped("whitewashing", "bad_mouthing") == [0.3, 0.3]
    assert dropped("gray_hole", "whitewashing", "milking") == [0.3, 0.3]
    assert dropped("milking", "whitewashing") == dropped("whitewashing", "milking") == [0.0, 0.3]
    assert dropped("on_off", "whitewashing") == dropped("selective", "whitewashing") == [0.0, 0.0]


def test_calls_under_way_live_through_the_turn_of_their_relay(tmp_path: Path):
    late = plan_of(kind="gray_hole", since=60.0, strength=0.9)
    episode = begin(late, tmp_path / "run")
    episode.advance(59.9)
    before = max(episode.world.measure_flows()[1][:, 2])
    episode.advance(60.1)
    relayed = [episode.world.flow_paths(n).nodes for n in episode.world.measure_flows()[0].tolist()]
    assert any(len(path) > 2 for path in relayed)
    assert before < 0.5 < max(episode.world.measure_flows()[1][:, 2])


def test_calls_over_a_relay_that_passes_nothing_on_any_more_break_and_fail_over(tmp_path: Path):
    trace = Trace(simulate(plan_of(kind="black_hole", since=60.0, strength=1.0, share=0.5), tmp_path / "run").trace)
    calls, events = trace.columns("calls"), trace.columns("events")
    turned = [node for kind, node in zip(events["kind"], events["node"], strict=True) if kind == "turn"]
    assert len(turned) > 0
    assert "failover" in events["kind"]
    for path, end, outcome in zip(calls["final_path"], calls["end_ns"], calls["outcome"], strict=True):
        if end > 70e9 and outcome == "completed":
            assert not set(path[1:-1]) & set(turned)
