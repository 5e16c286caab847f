"""The scenarios that come with the package."""

from __future__ import annotations

import numpy as np
import pytest

from meshsim import scenario
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Role
from meshsim.scenario.overlay import round_trips
from meshsim.scenario.topologies import measured, registry

MEASURED = frozenset({"city_mesh", "global_relay"})
"""They lie on measured data, which are no part of the package."""

needs_data = pytest.mark.skipif(registry.data_folder() is None, reason=f"{registry.VARIABLE} is not set")


@pytest.mark.parametrize("name", scenario.presets())
def test_a_preset_is_named_like_its_file_and_says_what_it_is(name):
    loaded = scenario.load(name)
    assert loaded.name == name
    assert loaded.description


def test_the_presets_are_all_there():
    own = {"demo", "metropolis", "scale", "siege", "smoke", "tiny", "twin", "twin_churn", "validation"}
    paths = {"global_relay", "isp_backbone", "overlay_p2p"}
    assert {*scenario.presets()} == own | paths | {"browser_churn", "city_mesh", "hostile", "lowband", "mobile_edge"}


def marks(name: str) -> tuple[pytest.MarkDecorator, ...]:
    return (needs_data,) if name in MEASURED else (pytest.mark.full,) if name == "metropolis" else ()


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in scenario.presets()])
def test_a_preset_becomes_a_plan_with_calls(name):
    loaded = scenario.load(name, ["duration=1 min", "warmup=0"])
    plan = scenario.compile(loaded, 1)
    assert len(plan.nodes) == loaded.nodes.count
    assert len(plan.links.src)
    assert len(plan.calls)


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_a_preset_on_measured_data_says_what_it_needs_where_they_are_not(name, monkeypatch):
    monkeypatch.setenv(registry.VARIABLE, "")
    measured.load.cache_clear()
    with pytest.raises(ConfigError, match=f"{registry.VARIABLE} is not set"):
        scenario.compile(scenario.load(name), 1)


def test_the_demo_has_its_nodes_relays_and_calls():
    plan = scenario.compile(scenario.load("demo"), 1)
    assert 60 <= len(plan.nodes) <= 80
    assert (plan.nodes.role != Role.PEER).sum() == 20
    labelled = plan.calls.start >= plan.scenario.warmup
    assert 1900 <= labelled.sum() <= 2400
    assert {"black_hole", "gray_hole"} <= set(plan.nodes.behaviour)
    assert len(plan.faults)


def test_validation_is_the_demo_on_another_graph():
    demo, validation = (scenario.load(name) for name in ("demo", "validation"))
    same = {"name": "", "description": ""}
    assert demo.underlay.topology != validation.underlay.topology
    moved = validation.underlay.model_copy(update={"topology": demo.underlay.topology})
    assert validation.model_copy(update={**same, "underlay": moved}) == demo.model_copy(update=same)


def test_scale_has_a_thousand_nodes_and_about_three_thousand_calls():
    plan = scenario.compile(scenario.load("scale"), 1)
    assert len(plan.nodes) >= 1000
    assert 2700 <= len(plan.calls) <= 3400


@pytest.mark.full
def test_metropolis_keeps_twenty_thousand_calls_going():
    plan = scenario.compile(scenario.load("metropolis", ["duration=15 min"]), 1)
    assert len(plan.nodes) == 5000
    now = 840.0
    under_way = (plan.calls.start <= now) & (plan.calls.start + plan.calls.duration > now)
    assert under_way.sum() >= 20_000
    assert plan.calls.duration.mean() == pytest.approx(180.0, rel=0.01)
    leave = np.array([kind == "down" for kind in plan.faults.kind]) & (plan.faults.at > 0.0)
    assert leave.sum() / 15 / 5000 == pytest.approx(0.01, rel=0.1)


def test_links_of_tiny_take_20_to_80_ms():
    plan = scenario.compile(scenario.load("tiny"), 1)
    trip = round_trips(plan.nodes, plan.underlay, np.arange(len(plan.nodes)))[plan.links.src, plan.links.dst]
    assert trip.min() >= 0.020
    assert trip.max() <= 0.080
    assert scenario.load("tiny").control.mode == "agents"
