from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from meshsim.measure.records import ASIDE, TABLES
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, TraceError
from meshsim.mesh.quality import mos, poor
from meshsim.sim import simulate

GOLDEN = "a947b8a69b68d88052bc952718dba34b56644d616248b220ed34e0f407a5dcca"
"""What the trace of the small scenario says, seed 1, schema version 1. It changes only when the simulator does."""


def tables(result, *leave_out: str):
    """The bytes of each table."""
    return {
        name: b"".join(part.read_bytes() for part in sorted((result.trace / name).glob("part-*.parquet")))
        for name in TABLES
        if name not in leave_out
    }


def content(result):
    """A hash of what the tables say, whatever the version of the file format."""
    trace, digest = Trace(result.trace), hashlib.sha256()
    for name in TABLES:
        for batch in trace.table(name).to_batches():
            digest.update(json.dumps(batch.to_pylist(), default=bytes.hex).encode())
    return digest.hexdigest()


def test_the_same_plan_gives_the_same_bytes(small, run):
    first, second = run(small()), run(small())
    assert first.trace_sha256 == second.trace_sha256
    assert first.counts == second.counts


def test_another_seed_gives_another_trace(small, run):
    assert run(small(1)).trace_sha256 != run(small(2)).trace_sha256


def test_the_trace_of_the_small_scenario_is_the_golden_one(small, run):
    assert content(run(small(duration=120.0))) == GOLDEN


def test_neither_hash_seed_nor_threads_change_a_byte(small, run, tmp_path):
    plan = small(duration=60.0)
    (tmp_path / "scenario.json").write_text(plan.scenario.model_dump_json())
    program = (
        "import sys, pathlib\n"
        "from meshsim.scenario import Scenario, compile\n"
        "from meshsim.sim import simulate\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "plan = compile(Scenario.model_validate_json((folder / 'scenario.json').read_text()), 1)\n"
        "print(simulate(plan, folder / 'child').trace_sha256)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "333", "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    child = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == run(plan).trace_sha256


def test_every_call_that_started_has_one_end(small, run):
    plan = small(churn={"applies_to": "all"})
    counts = run(plan).counts
    assert counts["started"] == len(plan.calls)
    assert counts["started"] == sum(counts[name] for name in ("completed", "dropped", "failed", "running", *ASIDE))
    assert counts["completed"] > 0
    assert counts["absent"] > 0


def test_every_logged_call_stands_in_the_trace_once(small, run):
    plan = small()
    calls = Trace(run(plan).trace).columns("calls")
    logged = np.flatnonzero(plan.calls.start >= plan.scenario.warmup)
    assert sorted(calls["call"].tolist()) == logged.tolist()


def test_misbehaviour_of_no_strength_changes_nothing_but_its_name(small, run):
    honest = small(misbehaviour=[])
    nodes = replace(
        honest.nodes,
        behaviour=tuple("gray_hole" if calls else "honest" for calls in honest.nodes.max_calls.tolist()),
        strength=np.zeros(len(honest.nodes)),
    )
    named = replace(honest, nodes=nodes)
    assert tables(run(honest), "nodes") == tables(run(named), "nodes")


def test_misbehaviour_of_some_strength_hurts(small, run):
    plan = small(misbehaviour=[])
    relays = plan.nodes.max_calls > 0
    nodes = replace(
        plan.nodes,
        behaviour=tuple("gray_hole" if relay else "honest" for relay in relays.tolist()),
        strength=np.where(relays, 0.2, 0.0),
    )
    good = Trace(run(plan).trace).columns("routes")
    bad = Trace(run(replace(plan, nodes=nodes)).trace).columns("routes")
    relayed = np.array([len(path) > 2 for path in bad["path"]])
    assert bad["poor"][relayed].all()
    assert not good["poor"][np.array([len(path) > 2 for path in good["path"]])].all()


def test_without_faults_nobody_goes_down(small, run):
    plan = small(churn={"enabled": False})
    trace = Trace(run(plan).trace)
    assert not {"down", "up"} & set(trace.columns("events")["kind"])
    assert run(plan).counts["dropped"] == 0


def test_churn_that_never_strikes_equals_no_churn(small, run):
    off = small(churn={"enabled": False})
    late = small(churn={"enabled": True, "session_mean": 1e9, "downtime_mean": 1.0})
    assert len(late.faults) == 0
    assert tables(run(off)) == tables(run(late))


def test_a_link_keeps_its_truth_when_a_node_is_added(small, run):
    few, more = small(calls={"rate": 0.0}), small(calls={"rate": 0.0})
    longer = {
        name: np.concatenate([value, value[-1:]])
        for name in more.nodes.__dataclass_fields__
        if isinstance(value := getattr(more.nodes, name), np.ndarray)
    }
    longer |= {name: (*getattr(more.nodes, name), last) for name, last in _NEWCOMER.items()}
    more = replace(more, nodes=replace(more.nodes, **longer))
    assert len(more.nodes) == len(few.nodes) + 1
    before, after = tables(run(few)), tables(run(more))
    assert before["link_samples"] == after["link_samples"]
    assert before["events"] == after["events"]


_NEWCOMER = {"names": "newcomer", "auras": "@newcomer.aura", "domains": "", "behaviour": "honest"}


def test_routes_say_what_was_believed_chosen_and_true(small, run):
    trace = run(small(), policy="exploring").trace
    routes = Trace(trace).columns("routes")
    assert len(routes["call"]) > 100
    for path, delay in zip(routes["path"], routes["hop_delay_seconds"], strict=True):
        assert len(delay) == len(path) - 1
    per_call = np.unique(routes["call"], return_inverse=True)[1]
    chosen = np.bincount(per_call, weights=routes["chosen"])
    assert set(chosen.tolist()) <= {0.0, 1.0}
    propensity = np.bincount(per_call, weights=routes["propensity"])
    np.testing.assert_allclose(propensity[chosen == 1], 1.0, atol=1e-5)
    calls = Trace(trace).columns("calls")
    media_of = dict(zip(calls["call"].tolist(), calls["media"], strict=True))
    media = [media_of[call] for call in routes["call"].tolist()]
    lived = routes["rtt_seconds"], routes["jitter_seconds"], routes["loss"]
    judged = poor(*lived, media) | ~routes["connected"]
    assert (judged == routes["poor"]).all()
    said = np.where(routes["connected"], mos(media, lived[0] / 2, *lived[1:]), 1.0)
    np.testing.assert_allclose(said, routes["mos"], atol=1e-4)


def test_a_refused_candidate_says_why(small, run):
    routes = Trace(run(small()).trace).columns("routes")
    for feasible, refusal in zip(routes["feasible"], routes["refusal"], strict=True):
        assert feasible == (refusal == "")
    assert not routes["feasible"].all()


def test_recording_can_be_thinned_without_changing_the_episode(small, run):
    full, thin = run(small()), run(small(record={"views": False, "candidates": False}))
    assert tables(full)["calls"] == tables(thin)["calls"]
    assert Trace(thin.trace).table("routes").num_rows == 0
    assert Trace(thin.trace).table("view_links").num_rows == 0
    assert Trace(full.trace).table("view_links").num_rows > 0


def test_reputation_of_a_gray_hole_falls_below_that_of_the_honest(small, run):
    plan = small(duration=500.0, churn={"enabled": False})
    trust = Trace(run(plan, policy="exploring").trace).columns("trust")
    last = dict(zip(trust["node"].tolist(), trust["score"].tolist(), strict=True))
    bad = [score for node, score in last.items() if plan.nodes.behaviour[node] == "gray_hole"]
    good = [score for node, score in last.items() if plan.nodes.behaviour[node] == "honest"]
    assert max(bad) < min(good)


def test_a_relay_that_vanishes_is_replaced_within_the_call(small, run):
    plan = small(duration=500.0, misbehaviour=[], churn={"session_mean": 100.0})
    calls = Trace(run(plan).trace).columns("calls")
    moved = np.flatnonzero(calls["failovers"] > 0)
    assert len(moved)
    for row in moved.tolist():
        assert calls["path"][row] != calls["final_path"][row]
        assert calls["loss"][row] > 0


def test_progress_is_told_in_order_up_to_the_end(small, run):
    told: list[float] = []
    run(small(duration=60.0), progress=told.append)
    assert told == sorted(told)
    assert told[-1] > 0.9


def test_the_header_tells_scenario_seed_topology_and_policy(small, run):
    result = run(small(7))
    header = json.loads((result.trace / "header.json").read_text())
    assert header["seed"] == 7
    assert header["policy"] == "shortest"
    assert header["scenario"]["name"] == "small"
    assert header["topology"] == small(7).underlay.topology.name


def test_an_unknown_policy_and_a_full_folder_are_refused(small, run, tmp_path):
    with pytest.raises(ConfigError, match="unknown routing policy"):
        run(small(), policy="shortset")
    result = run(small(duration=30.0))
    with pytest.raises(TraceError, match="holds a trace"):
        simulate(small(), result.trace)


def test_agents_write_the_same_tables(small, run):
    result = run(small(duration=60.0, control={"mode": "agents", "digest_period": 5.0}, nodes={"count": 8}))
    counts = result.counts
    assert counts["started"] == sum(counts[name] for name in ("completed", "dropped", "failed", "running", *ASIDE))
    assert Trace(result.trace).table("routes").num_rows > 0


def calls_of(result, *columns: str):
    """Some columns of the calls, in order of their numbers."""
    table = Trace(result.trace).columns("calls")
    order = np.argsort(table["call"])
    return [[table[column][row] for column in columns] for row in order]


def test_calls_ranked_together_are_chosen_for_on_the_belief_at_the_beginning_of_their_window(small, run):
    together = run(small(routing={"batch": 5.0}, record={"candidates": False}))
    alone = run(small(routing={"batch": 5.0}, record={"candidates": True}))
    told = ("call", "path", "final_path", "outcome", "rtt_seconds", "loss", "predicted_rtt_seconds", "failovers")
    assert np.array_equal(calls_of(together, "call"), calls_of(alone, "call"))
    assert repr(calls_of(together, *told)) == repr(calls_of(alone, *told))
    assert together.counts["started"] == alone.counts["started"] > 0
    routes = Trace(alone.trace).columns("routes")
    windows = {int(t // 5e9) for t in routes["time_ns"]}
    assert len(windows) > 10


def test_windows_of_no_time_at_all_change_little(small, run):
    each, window = run(small()), run(small(routing={"batch": 0.001}))
    assert each.counts["started"] == window.counts["started"]
    assert abs(each.counts["completed"] - window.counts["completed"]) <= 0.1 * each.counts["completed"]


def test_windows_keep_the_trace_the_same_however_often_it_is_written(small, run):
    plan = small(routing={"batch": 2.0}, record={"candidates": False})
    assert run(plan).trace_sha256 == run(plan).trace_sha256
