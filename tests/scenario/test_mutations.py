"""Whatever is done to a scenario file, it is one error with its line, or a run: never a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from meshsim.cli import main
from meshsim.measure.metrics import METRICS
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.topology import Topology
from meshsim.scenario import Plan, compile_plan, load, topologies
from meshsim.scenario.network import UnderlayConfig
from meshsim.scenario.topologies import published
from meshsim.scenario.topologies.registry import VARIABLE, data_folder
from meshsim.scenario.underlay import build_underlay
from meshsim.sim import begin

sys.path.insert(0, str(Path(__file__).parent))
from mutants import MUTATIONS, PRESETS, mutant

COUNT = len(MUTATIONS) * len(list(PRESETS.glob("*.yaml")))
"""Each mutation of each preset."""

LARGE = 100
"""Nodes above which a plan is not compiled in the fast tier: presets of thousands take seconds."""

RUN = 5.0
"""Seconds for which a sample of the valid ones is really run."""


def outcome(number: int, folder: Path, *, large: int) -> ConfigError | Plan | None:
    """The error of a mutant, its plan, or None for one that is valid but large, or whose data are elsewhere."""
    _, _, data = mutant(number)
    path = folder / f"mutant-{number}.yaml"
    path.write_bytes(data)
    try:
        scenario = load(path)
        return compile_plan(scenario, seed=1) if scenario.nodes.count <= large else None
    except ConfigError as error:
        return None if lacks_data(error) else error


def lacks_data(error: ConfigError) -> bool:
    """Whether the scenario is refused for this machine alone, by the name of the variable that would say the place."""
    return data_folder() is None and f"is needed, and {VARIABLE} is not set" in error.message


def check(numbers: range, folder: Path, *, large: int) -> list[Plan]:
    """Holds mutants to the claim; returns the plans of the valid ones."""
    plans = []
    for number in numbers:
        found = outcome(number, folder, large=large)
        if isinstance(found, ConfigError):
            assert found.file is not None
            assert found.file.endswith(f"mutant-{number}.yaml")
            assert found.line is not None, (number, *mutant(number)[:2], str(found))
        elif found is not None:
            plans.append(found)
    return plans


@pytest.mark.full
def test_two_hundred_mutated_scenarios_are_errors_with_a_line_or_valid_runs(tmp_path):
    assert COUNT >= 200
    plans = check(range(COUNT), tmp_path, large=LARGE)
    assert 10 < len(plans) < COUNT / 2
    for place in np.random.default_rng(4).choice(len(plans), 5, replace=False).tolist():
        run_briefly(plans[place], tmp_path / f"run-{place}")


@pytest.mark.full
@pytest.mark.parametrize("part", range(6))
def test_thousands_more_are(part, tmp_path):
    plans = check(range(1000 + 200 * part, 1200 + 200 * part), tmp_path, large=2000)
    assert 10 < len(plans) < 100
    for place, plan in enumerate(plans[::4]):
        run_briefly(plan, tmp_path / f"run-{place}")


def run_briefly(plan: Plan, out: Path) -> None:
    episode = begin(plan, out)
    if plan.scenario.duration > RUN:
        episode.advance(RUN)
        episode.env.cancel({"end"})
        episode.env.schedule_record(RUN, "end", 0)
    assert episode.finish().counts["rows_nodes"] == len(plan.nodes)


def test_mutants_are_functions_of_their_number():
    assert [mutant(n) for n in range(40)] == [mutant(n) for n in range(40)]
    changed = [mutant(n)[2] != (PRESETS / f"{mutant(n)[0]}.yaml").read_bytes() for n in range(COUNT)]
    assert sum(changed) > 0.9 * COUNT


@pytest.mark.parametrize("number", range(0, 60, 6))
def test_the_command_line_answers_with_a_line_and_no_traceback(number, tmp_path, capsys):
    path = tmp_path / "mutant.yaml"
    path.write_bytes(mutant(number)[2])
    code = main(["config", "validate", str(path)])
    told = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in told.err
    assert code == 0 or f"{path}:" in told.err


# Extremes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("calls.rate=-1", "calls.rate"),
        ("underlay.capacity=0", "underlay.capacity"),
        ("underlay.capacity=-5 Mbps", "underlay.capacity"),
        ("nodes.access.peer.up=0", "nodes.access.peer.up"),
        ("duration=0", "duration"),
        ("duration=1e300", "duration"),
        ("warmup=1 h", "warmup"),
        ("control.heartbeat=0", "control.heartbeat"),
        ("control.digest_period=1e-300", "control.digest_period"),
        ("record.link_period=1 us", "record.link_period"),
        ("underlay.drift.period=0", "underlay.drift.period"),
        ("underlay.loss=200%", "underlay.loss"),
        ("nodes.count=0", "nodes"),
        ("nodes.count=-3", "nodes.count"),
        ("nodes.count=1000000", "nodes.count"),
        ("trust.half_life=-1", "trust.half_life"),
        ("routing.candidates=0", "routing.candidates"),
    ],
)
def test_values_that_no_run_can_have_are_refused_by_key(override, key):
    with pytest.raises(ConfigError) as refused:
        load("tiny", [override])
    assert refused.value.key is not None
    assert refused.value.key.startswith(key)
    assert override in str(refused.value)


@pytest.mark.parametrize("mode", ["modelled", "agents"])
def test_calls_that_nothing_can_carry_fail_with_their_reason(mode, tmp_path):
    nobody = ["nodes.named=[]", "nodes.count=6", "nodes.roles={relay: 0, super_node: 0}", "nodes.nat={symmetric: 1}"]
    scenario = load("tiny", [*nobody, "calls={rate: 0.5}", "duration=40", "warmup=0", f"control.mode={mode}"])
    result = begin(compile_plan(scenario, 1), tmp_path / "run").finish()
    assert result.counts["failed"] + result.counts["running"] == result.counts["started"] > 5
    calls = Trace(result.trace).columns("calls")
    assert {reason for reason, outcome in zip(calls["reason"], calls["outcome"], strict=True) if outcome == "failed"}
    assert all(calls["reason"])
    assert not any(calls["path"])


@pytest.mark.parametrize("mode", ["modelled", "agents"])
@pytest.mark.parametrize(
    ("away", "outcome", "reason"),
    [("alice", "absent", "caller offline"), ("bob", "unanswered", "callee offline")],
)
def test_a_call_of_or_to_a_node_that_is_away_is_no_failure_and_tells_why(away, outcome, reason, mode, tmp_path):
    call = "{at: 10, caller: '@alice.aura', callee: '@bob.aura', duration: 5 s}"
    changes = ["calls={rate: 0, listed: [" + call + "]}", f"faults=[{{at: 1, node: {away}}}]", f"control.mode={mode}"]
    result = begin(compile_plan(load("tiny", [*changes, "warmup=0", "duration=40"]), 1), tmp_path / "run").finish()
    trace = Trace(result.trace)
    calls = trace.columns("calls")
    assert (calls["outcome"], calls["reason"], calls["poor"].tolist()) == ([outcome], [reason], [False])
    assert result.counts[outcome] == result.counts["started"] == 1
    assert not len(METRICS["failed_call_rate"].samples(trace))


def test_a_relay_without_a_place_for_calls_carries_none(tmp_path):
    scenario = load("tiny", ["nodes.max_calls={edge: 0, relay: 0, super_node: 0}", "warmup=0", "control.mode=modelled"])
    result = begin(compile_plan(scenario, 1), tmp_path / "run").finish()
    assert all(len(path) <= 2 for path in Trace(result.trace).columns("calls")["path"])


def test_a_run_shorter_than_everything_in_it_is_a_trace_without_calls(tmp_path):
    result = begin(
        compile_plan(load("tiny", ["duration=1e-6", "warmup=0", "calls={rate: 3}"]), 1), tmp_path / "run"
    ).finish()
    assert Trace(result.trace).columns("calls")["call"].size == 0
    assert result.counts["rows_nodes"] > 0


def test_a_network_in_two_parts_is_refused_by_name():
    pairs = Topology(
        name="two/pairs",
        names=("a", "b", "c", "d"),
        latitude=np.arange(4.0),
        longitude=np.arange(4.0),
        src=np.array([0, 1, 2, 3], dtype=np.int32),
        dst=np.array([1, 0, 3, 2], dtype=np.int32),
        length=np.full(4, 1e5),
    )
    with pytest.raises(ConfigError, match="two/pairs is not connected") as refused:
        build_underlay(UnderlayConfig(), pairs, SeedTree(1))
    assert refused.value.key == "underlay.topology"


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.full)])
def test_every_topology_that_a_scenario_can_name_is_in_one_part(step):
    stored = sorted(published.names())[::step]
    assert len(stored) > 70
    for name in stored:
        topology = topologies.load(name)
        graph = csr_array((np.ones(len(topology.src)), (topology.src, topology.dst)), shape=(len(topology),) * 2)
        assert connected_components(graph, connection="strong")[0] == 1, name
