"""Agents that probe and gossip, and the control plane that models them, held against each other on one scenario."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.scenario import compile as compile_plan
from meshsim.scenario import load
from meshsim.sim import World, simulate

if TYPE_CHECKING:
    from pathlib import Path

SCENARIO = """
name: planes
duration: 200 s
warmup: 90 s
underlay: {topology: sndlib/geant, utilisation_mean: 0.4}
nodes: {count: 30, roles: {relay: 8}, relays_per_node: 4, random_relays: 2}
calls: {rate: 0.4, duration: {median: 20 s, sigma: 0.4}}
"""

SEED = 5


@dataclass(frozen=True)
class Belief:
    """What the views of an episode's decisions say of planned links, on average."""

    known: float
    age: float
    delay_error: float
    delay_bias: float


def believed(folder: Path, mode: str, *overrides: str) -> Belief:
    path = folder / f"{mode}.yaml"
    path.write_text(SCENARIO)
    plan = compile_plan(load(path, [f"control.mode={mode}", *overrides]), SEED)
    simulate(plan, folder / mode)
    view = Trace(folder / mode).columns("view_links")
    truth = World(plan).link_truth(plan.links.src, plan.links.dst).delay
    size, planned = len(plan.nodes.router), {}
    for src, dst, delay in zip(plan.links.src.tolist(), plan.links.dst.tolist(), truth.tolist(), strict=True):
        planned[src * size + dst] = delay
    keys = view["src"].astype(np.int64) * size + view["dst"]
    seen = np.isin(keys, list(planned))
    ratio = view["delay_seconds"][seen] / np.array([planned[key] for key in keys[seen].tolist()])
    views = len(np.unique(view["view"]))
    return Belief(
        known=float(seen.sum()) / (views * len(planned)),
        age=float(np.median(view["age_seconds"][seen])),
        delay_error=float(np.median(np.abs(ratio - 1))),
        delay_bias=float(np.median(ratio) - 1),
    )


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Belief, Belief]:
    folder = tmp_path_factory.mktemp("planes")
    agents, modelled = (believed(folder, mode) for mode in ("agents", "modelled"))
    return agents, modelled


def test_both_planes_know_the_same_share_of_links_to_two_points(planes: tuple[Belief, Belief]) -> None:
    agents, modelled = planes
    assert agents.known > 0.95
    assert agents.known == pytest.approx(modelled.known, abs=0.02)


def test_belief_is_equally_old_in_both_planes_to_a_factor_of_1_6(planes: tuple[Belief, Belief]) -> None:
    agents, modelled = planes
    assert 1 / 1.6 < agents.age / modelled.age < 1.6


def test_believed_delays_are_as_true_in_both_planes_to_eight_points(planes: tuple[Belief, Belief]) -> None:
    agents, modelled = planes
    assert agents.delay_error == pytest.approx(modelled.delay_error, abs=0.08)
    assert agents.delay_bias == pytest.approx(modelled.delay_bias, abs=0.03)


@pytest.mark.full
def test_slower_gossip_ages_belief_alike_in_both_planes(planes: tuple[Belief, Belief], tmp_path: Path) -> None:
    slower = [believed(tmp_path, mode, "control.digest_period=40 s").age for mode in ("agents", "modelled")]
    growth = [age / plane.age for age, plane in zip(slower, planes, strict=True)]
    assert min(growth) > 1.3
    assert growth[0] == pytest.approx(growth[1], rel=0.5)
