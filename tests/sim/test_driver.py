"""Agents on the simulated clock, seen in the trace they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.records import ASIDE
from meshsim.measure.trace import Trace, TraceWriter
from meshsim.scenario import compile as compile_plan
from meshsim.scenario import load
from meshsim.scenario.quantities import AGENT_MISBEHAVIOURS
from meshsim.sim import Environment, World, simulate
from meshsim.sim.driver import Input, SimDriver
from meshsim.sim.logbook import in_plan_order
from meshsim.sim.recorder import Recorder
from meshsim.sim.simulation import header, make_engine, node_ids

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.scenario.plan import Plan

SCENARIO = """
name: agents
duration: 60 s
warmup: 5 s
underlay: {topology: sndlib/polska, utilisation_mean: 0.4}
nodes: {count: 9, roles: {relay: 4}, relays_per_node: 3}
calls: {rate: 0.25, duration: {median: 12 s, sigma: 0.4}}
control: {mode: agents, digest_period: 4 s, probe_period: 2 s, heartbeat: 2 s}
"""


def plan_of(folder: Path, *overrides: str, seed: int = 3) -> Plan:
    path = folder / "agents.yaml"
    path.write_text(SCENARIO)
    return compile_plan(load(path, overrides), seed)


def run(folder: Path, name: str, *overrides: str) -> tuple[dict[str, int], str, Trace]:
    result = simulate(plan_of(folder, *overrides), folder / name)
    return result.counts, result.trace_sha256, Trace(folder / name)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], str, Trace]:
    return run(tmp_path_factory.mktemp("quiet"), "trace")


def test_every_call_that_started_is_accounted_for(quiet: tuple[dict[str, int], str, Trace]) -> None:
    counts, _, trace = quiet
    assert counts["started"] >= 8
    assert counts["started"] == sum(counts[how] for how in ("completed", "dropped", "failed", "running", *ASIDE))
    assert counts["completed"] >= counts["started"] - 4
    assert len(trace.table("calls")) <= counts["started"]


def test_the_same_plan_leaves_the_same_bytes(quiet: tuple[dict[str, int], str, Trace], tmp_path: Path) -> None:
    assert run(tmp_path, "again")[1] == quiet[1]


def test_each_routed_call_has_one_chosen_candidate_with_its_truth(quiet: tuple[dict[str, int], str, Trace]) -> None:
    calls, routes = quiet[2].columns("calls"), quiet[2].columns("routes")
    routed = {call for call, path in zip(calls["call"], calls["path"], strict=True) if path}
    chosen = routes["call"][routes["chosen"]]
    assert set(chosen.tolist()) == routed
    assert len(chosen) == len(routed)
    assert np.isfinite(routes["rtt_seconds"]).all()
    assert np.nansum(routes["propensity"]) == pytest.approx(len(routed))


def test_what_was_lived_is_close_to_the_ghost_of_the_chosen_path(quiet: tuple[dict[str, int], str, Trace]) -> None:
    calls, routes = quiet[2].columns("calls"), quiet[2].columns("routes")
    ghosts = dict(zip(routes["call"][routes["chosen"]], routes["rtt_seconds"][routes["chosen"]], strict=True))
    lived = zip(calls["call"], calls["rtt_seconds"], calls["outcome"], calls["failovers"], strict=True)
    ratios = [rtt / ghosts[call] for call, rtt, outcome, moved in lived if outcome == "completed" and not moved]
    assert len(ratios) >= 5
    assert np.median(ratios) == pytest.approx(1.0, abs=0.15)


def test_views_are_written_in_the_order_of_the_plan(quiet: tuple[dict[str, int], str, Trace]) -> None:
    nodes = quiet[2].columns("view_nodes")["node"].reshape(-1, 9)
    assert (nodes == np.arange(9)).all()


def test_reputations_move_and_each_has_its_observer(quiet: tuple[dict[str, int], str, Trace]) -> None:
    trust = quiet[2].columns("trust")
    assert len(trust["node"]) > 0
    assert set(trust["observer"].tolist()) <= set(range(9))
    assert set(trust["node"].tolist()) <= set(range(9))


@pytest.mark.parametrize("kinds", [AGENT_MISBEHAVIOURS[:2], AGENT_MISBEHAVIOURS])
def test_misbehaviour_of_strength_0_changes_no_call(
    quiet: tuple[dict[str, int], str, Trace], tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    entry = f"{{kind: {kinds[0]}, also: [{', '.join(kinds[1:])}], among: all, share: 50%, strength: 0}}"
    counts, _, trace = run(tmp_path, "weak", f"misbehaviour=[{entry}]")
    assert counts == quiet[0]
    for table in ("calls", "routes", "trust", "events", "view_links"):
        assert str(trace.table(table).to_pylist()) == str(quiet[2].table(table).to_pylist()), table


def test_black_holes_cost_calls_their_route_and_themselves_their_name(tmp_path: Path) -> None:
    holes = "misbehaviour=[{kind: black_hole, share: 50%, strength: 1}]"
    _, _, trace = run(tmp_path, "holes", holes, "nodes.nat={symmetric: 1}")
    behaviour, trust = trace.columns("nodes")["behaviour"], trace.columns("trust")
    bad = [node for node, kind in enumerate(behaviour) if kind == "black_hole"]
    judged = np.isin(trust["node"], bad)
    assert judged.any()
    assert trust["score"][judged].mean() < trust["score"][~judged].mean()
    assert set(np.array(trust["event"])[judged]) & {"call_dropped", "connection_timeout"}


def test_agents_that_slander_lower_the_scores_of_honest_relays(
    quiet: tuple[dict[str, int], str, Trace], tmp_path: Path
) -> None:
    everybody = "misbehaviour=[{kind: bad_mouthing, among: peers, share: 100%, targets: 100%}]"
    _, _, trace = run(tmp_path, "slander", everybody)
    told, before = trace.columns("trust"), quiet[2].columns("trust")
    assert told["score"].mean() < before["score"].mean() - 10.0
    assert (
        np.mean(np.array(told["event"]) == "call_dropped") > np.mean(np.array(before["event"]) == "call_dropped") + 0.2
    )


def test_nodes_that_come_and_go_lose_no_call_from_the_books(tmp_path: Path) -> None:
    churn = "churn={enabled: true, session_mean: 20 s, downtime_mean: 8 s, applies_to: all}"
    counts, _, trace = run(tmp_path, "churn", churn)
    assert counts["started"] == sum(counts[how] for how in ("completed", "dropped", "failed", "running", *ASIDE))
    assert counts["dropped"] + counts["failed"] > 0
    assert {"neighbour_lost", "down", "up"} <= set(trace.columns("events")["kind"])


class Observed:
    """A run with everything that was told to agents."""

    def __init__(self, folder: Path, *, real_signatures: bool) -> None:
        plan = plan_of(folder, "duration=20")
        engine = make_engine(plan)
        self.inputs: list[Input] = []
        with TraceWriter(folder / f"trace{real_signatures}", header(plan, engine.policy.name)) as writer:
            recorder, ids = Recorder(writer, plan), node_ids(plan)
            env, world = Environment(), World(plan)
            self.driver = SimDriver(
                env, world, engine, recorder, ids, real_signatures=real_signatures, observer=self.inputs.append
            )
            self.driver.schedule()
            env.run(until=plan.scenario.duration)
            self.driver.close()
            recorder.flush()


def test_real_signatures_change_nothing_but_the_signatures(tmp_path: Path) -> None:
    def story(inputs: list[Input]) -> list[tuple[Any, ...]]:
        return [(one.node, one.method, one.now.mono, [type(effect) for effect in one.effects]) for one in inputs]

    hashed, signed = (Observed(tmp_path, real_signatures=real) for real in (False, True))
    assert story(hashed.inputs) == story(signed.inputs)
    assert hashed.driver.counts == signed.driver.counts
    assert {agent.rejected.get("forged", 0) for agent in signed.driver.agents} == {0}


def test_a_view_in_plan_order_says_the_same_of_each_node_and_link(tmp_path: Path) -> None:
    driver = Observed(tmp_path, real_signatures=False).driver
    view = driver.agents[0].view(driver._instant())
    rows = np.array([driver._index[node] for node in view.nodes.ids], dtype=np.int32)
    plain = in_plan_order(view, rows, driver._ids)
    assert plain.owner == 0
    for node in view.nodes.ids:
        assert plain.nodes.role[plain.index[node]] == view.nodes.role[view.index[node]]
        assert plain.nodes.age[plain.index[node]] == view.nodes.age[view.index[node]]

    def named(of: Any) -> dict[tuple[bytes, bytes], float]:
        ends = zip(of.links.src, of.links.dst, of.links.delay, strict=True)
        return {(of.nodes.ids[src], of.nodes.ids[dst]): delay for src, dst, delay in ends}

    assert named(plain) == named(view)
