"""Links fitted to pings, written by hand as nodes would have measured them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from meshsim.lab.calibration import fit, node_traces
from meshsim.measure.trace import TraceWriter
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.scenario import Scenario, compile_plan, load
from meshsim.sim import World
from meshsim.sim.calibrate import MeasuredLink, _settled, calibrate, link_errors, measured
from meshsim.sim.simulation import node_ids

if TYPE_CHECKING:
    from meshsim.scenario.plan import Plan

SECONDS = 60


def delay_of(a: int, b: int) -> float:
    """What the links of these tests are like: nothing that geography would say."""
    return 0.010 + 0.004 * ((a * 7 + b * 7 + a * b) % 9)


def write_traces(plan: Plan, folder: Path, *, jitter: float = 0.0) -> None:
    """The trace of every node, with a ping a second over each link it keeps."""
    ids = node_ids(plan)
    for own, name in enumerate(plan.nodes.names):
        peers = plan.links.dst[plan.links.src == own].tolist()
        writer = TraceWriter(folder / f"{name}-trace", {"source": "node", "aura": plan.nodes.auras[own]})
        order = [own, *peers]
        unknown = np.full(len(order), np.nan)
        writer.append(
            "nodes",
            node=np.arange(len(order)), node_id=[bytes(ids[i]) for i in order], name=[""] * len(order),
            aura=[""] * len(order), domain=[""] * len(order), role=np.full(len(order), -1),
            nat=np.full(len(order), -1), latitude_degrees=unknown, longitude_degrees=unknown,
            aic=np.zeros(len(order), bool), capacity_bps=unknown, max_calls=np.full(len(order), -1),
            behaviour=[""] * len(order), strength=unknown,
        )  # fmt: skip
        for row, peer in enumerate(peers, 1):
            stream = SeedTree(1).stream(f"test/ping/{min(own, peer)}", max(own, peer))
            strays = -np.log1p(-stream.uniform(0, 2 * SECONDS)).reshape(-1, 2).sum(axis=1) / 2.0
            at = np.arange(SECONDS)
            writer.append(
                "link_samples",
                time_ns=at * 1_000_000_000, src=np.zeros(SECONDS, np.int32), dst=np.full(SECONDS, row),
                delay_seconds=delay_of(own, peer) + jitter * strays, jitter_seconds=np.full(SECONDS, jitter),
                loss=np.full(SECONDS, 0.01), rate_bps=np.full(SECONDS, 1e7),
            )  # fmt: skip
        writer.close()


@pytest.fixture
def tiny() -> tuple[Scenario, Plan]:
    scenario = load("tiny")
    return scenario, compile_plan(scenario, 1)


def test_a_fitted_scenario_has_the_links_that_were_measured(tmp_path: Path, tiny: tuple[Scenario, Plan]) -> None:
    scenario, plan = tiny
    write_traces(plan, tmp_path / "mesh")
    links = measured(node_traces(tmp_path / "mesh"), plan)
    assert len(links) == len(plan.links) // 2
    fitted = calibrate(scenario, plan, links, tmp_path / "fitted.yaml")
    again = compile_plan(load(tmp_path / "fitted.yaml"), 1)
    assert again.nodes.names == plan.nodes.names
    world = World(again)
    for a, b in links:
        assert world.link_truth([a, b], [b, a]).delay.mean() == pytest.approx(delay_of(a, b), rel=1e-6)
    assert link_errors(plan, links)["delay"] > 0.2
    assert link_errors(compile_plan(fitted.scenario, 1), links)["delay"] < 1e-6


def test_jitter_is_found_in_pings_that_stray_both_ways(tmp_path: Path, tiny: tuple[Scenario, Plan]) -> None:
    _, plan = tiny
    write_traces(plan, tmp_path / "mesh", jitter=0.004)
    found = [link.jitter for link in measured(node_traces(tmp_path / "mesh"), plan).values()]
    assert np.mean(found) == pytest.approx(0.004, rel=0.1)


def test_pairs_that_never_met_are_given_what_their_ends_add_to_other_links(
    tmp_path: Path, tiny: tuple[Scenario, Plan]
) -> None:
    scenario, plan = tiny
    height = [0.004 * (1 + i % 5) for i in range(len(plan.nodes))]
    pairs = {(min(a, b), max(a, b)) for a, b in zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True)}
    links = {
        (a, b): MeasuredLink(samples=100, delay=height[a] + height[b], jitter=0.001, loss=0.0) for a, b in sorted(pairs)
    }
    assert (0, 1) not in links  # two symmetric NATs
    again = compile_plan(calibrate(scenario, plan, links, tmp_path / "fitted.yaml").scenario, 1)
    assert World(again).link_truth([0, 1], [1, 0]).delay.mean() == pytest.approx(height[0] + height[1], rel=0.15)


def test_the_last_third_is_held_out_and_told_apart(tmp_path: Path, tiny: tuple[Scenario, Plan]) -> None:
    _, plan = tiny
    write_traces(plan, tmp_path / "mesh", jitter=0.002)
    answer = fit(tmp_path / "mesh", "tiny", out=tmp_path / "fitted.yaml")
    errors = {(row["links of"], row["measured"]): row["delay off %"] for row in answer["tables"]["errors"]}
    assert errors["the fit", "while fitting"] < 1e-3
    assert errors["the fit", "while fitting"] < errors["the fit", "later"] < 5.0 < errors["tiny", "later"]
    assert {row["pings"] for row in answer["tables"]["links"]} == {2 * 40}


@pytest.mark.parametrize(
    ("folder", "seed"),
    [("empty", 1), ("mesh", 2), ("sim", 1)],
)
def test_what_is_no_trace_of_these_nodes_is_refused(
    tmp_path: Path, tiny: tuple[Scenario, Plan], folder: str, seed: int
) -> None:
    (tmp_path / "empty").mkdir()
    if folder == "mesh":
        write_traces(tiny[1], tmp_path / "mesh")
    if folder == "sim":
        TraceWriter(tmp_path / "sim", {"source": "sim"}).close()
    with pytest.raises(ConfigError) as refused:
        fit(tmp_path / folder, "tiny", out=tmp_path / "fitted.yaml", seed=seed)
    assert refused.value.key == "TRACE"


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        fit(tmp_path, "tiny", out=tmp_path / "mine.yaml")


def test_a_neighbour_that_came_back_does_not_make_its_silence_loss() -> None:
    at = np.concatenate([np.arange(0.0, 10.0), np.arange(20.0, 60.0)])
    settled = _settled(at)
    assert settled[at < 10.0].all()
    assert not settled[(at >= 20.0) & (at < 50.0)].any()
    assert settled[at >= 50.0].all()
