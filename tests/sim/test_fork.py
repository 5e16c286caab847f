"""A warm world goes on in several ways: equal up to the fork, different by what was changed alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meshsim.measure.records import TABLES
from meshsim.measure.trace import Trace, trace_sha256
from meshsim.mesh.errors import ConfigError, TraceError
from meshsim.mesh.view import Role
from meshsim.routing.policies import make
from meshsim.sim import begin
from meshsim.sim.checkpoint import checkpoint
from meshsim.sim.fork import CHANGEABLE, fork

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.scenario import Plan

AT, END = 60.0, 150.0
NS = 1_000_000_000

# the instant at which a row was written
WRITTEN = {
    "calls": "end_ns",
    "views": "time_ns",
    "trust": "time_ns",
    "events": "time_ns",
    "link_samples": "time_ns",
    "control": "time_ns",
    "routing": "time_ns",
}


@pytest.fixture(scope="module", params=["modelled", pytest.param("agents", marks=pytest.mark.full)])
def warm(request: pytest.FixtureRequest, small: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint at 60 s and the trace of the episode that went on."""
    folder = tmp_path_factory.mktemp(request.param) / "warm"
    plan = small(
        1,
        duration=END if request.param == "modelled" else AT + 60.0,
        control={"mode": request.param},
        underlay={"utilisation_mean": 0.75},
        nodes={"roles": {"relay": 6}},
    )
    episode = begin(plan, folder)
    episode.advance(AT)
    checkpoint(episode)
    episode.finish()
    return folder


@pytest.fixture(scope="module")
def modelled(small: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modelled") / "warm"
    episode = begin(small(1, duration=END), folder)
    episode.advance(AT)
    checkpoint(episode)
    episode.finish()
    return folder


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Trace(folder).table(table).to_pylist()
    return found


def history(folder: Path, table: str) -> list[str]:
    """Rows from before the fork, as texts: NaN is not equal to itself."""
    return [repr(row) for row in rows(folder, table) if row[WRITTEN[table]] < AT * NS]


def starts(folder: Path, *, after: float) -> list[tuple[int, int]]:
    calls = sorted((row["start_ns"], row["call"]) for row in rows(folder, "calls"))
    return [call for call in calls if call[0] >= after * NS]


def test_a_fork_without_a_change_goes_on_to_the_identical_trace(warm, tmp_path):
    assert fork(warm, tmp_path / "same").finish().trace_sha256 == trace_sha256(warm)


def test_two_policies_share_their_history_and_then_part(warm, tmp_path):
    for policy in ("direct", "exploring"):
        fork(warm, tmp_path / policy, [f"routing.policy={policy}", "routing.exploration=1"]).finish()
    one, other = tmp_path / "direct", tmp_path / "exploring"
    for table in WRITTEN:
        assert history(one, table) == history(other, table) == history(warm, table), table
    assert history(one, "calls")
    assert history(one, "trust")
    later = {folder: [r for r in rows(folder, "calls") if r["start_ns"] >= AT * NS] for folder in (one, other)}
    assert [row["path"] for row in later[one]] != [row["path"] for row in later[other]]
    assert {row["policy"] for row in later[one]} == {"direct"}
    assert {row["policy"] for row in rows(one, "calls") if row["start_ns"] < AT * NS} == {"shortest"}


def test_the_other_policy_meets_the_same_calls_faults_and_background(modelled, tmp_path):
    fork(modelled, tmp_path / "direct", ["routing.policy=direct"]).finish()
    assert starts(tmp_path / "direct", after=AT) == starts(modelled, after=AT)
    moves = [
        [(row["time_ns"], row["kind"], row["node"]) for row in rows(folder, "events") if row["kind"] in ("down", "up")]
        for folder in (tmp_path / "direct", modelled)
    ]
    assert moves[0] == moves[1]


def test_the_header_says_what_was_changed_and_when(modelled, tmp_path):
    fork(modelled, tmp_path / "a", ["routing.trust_floor=80"]).finish()
    header = Trace(tmp_path / "a").header
    assert header["forks"] == [{"at_seconds": AT, "changes": ["routing.trust_floor=80"]}]
    assert header["scenario"]["routing"]["trust_floor"] == 80.0
    assert "forks" not in Trace(modelled).header


def test_a_policy_object_takes_over(modelled, tmp_path):
    fork(modelled, tmp_path / "a", policy=make("direct")).finish()
    assert Trace(tmp_path / "a").header["policy"] == "direct"
    assert Trace(tmp_path / "a").header["forks"][0]["changes"] == ["policy=direct"]


def test_a_higher_call_rate_holds_from_the_fork_on(modelled, tmp_path):
    fork(modelled, tmp_path / "busy", ["calls.rate=3"]).finish()
    before = [[r for r in rows(f, "calls") if r["start_ns"] < AT * NS] for f in (tmp_path / "busy", modelled)]
    assert {r["call"] for r in before[0]} == {r["call"] for r in before[1]}
    many, few = starts(tmp_path / "busy", after=AT), starts(modelled, after=AT)
    assert len(many) > 3 * len(few)
    assert [number for _, number in many] == list(range(few[0][1], few[0][1] + len(many)))


def test_a_longer_episode_begins_like_the_shorter_one(modelled, tmp_path):
    fork(modelled, tmp_path / "long", ["duration=200"]).finish()
    shared = [call for call in starts(tmp_path / "long", after=AT) if call[0] < END * NS]
    assert shared == starts(modelled, after=AT)
    assert starts(tmp_path / "long", after=END)


def test_a_listed_fault_takes_its_node_down(modelled, tmp_path):
    node, name = next((row["node"], row["name"]) for row in rows(modelled, "nodes") if row["role"] == Role.PEER)
    change = [f"faults=[{{at: 70, node: {name}}}, {{at: 90, kind: up, node: {name}}}]"]
    fork(modelled, tmp_path / "fault", change).finish()
    moves = [
        (row["time_ns"] // NS, row["kind"])
        for row in rows(tmp_path / "fault", "events")
        if row["kind"] in ("down", "up") and row["node"] == node and row["time_ns"] >= AT * NS
    ]
    assert moves == [(70, "down"), (90, "up")]


@pytest.mark.parametrize("change", ["churn.enabled=false", "churn.session_mean=20", "churn.applies_to=all"])
def test_nodes_go_down_and_come_back_by_turns_whatever_churn_becomes(change, modelled, tmp_path):
    fork(modelled, tmp_path / "churn", [change]).finish()
    moves: dict[int, list[str]] = {}
    for row in rows(tmp_path / "churn", "events"):
        if row["kind"] in ("down", "up"):
            moves.setdefault(row["node"], []).append(row["kind"])
    assert moves
    for kinds in moves.values():
        assert kinds == ["down", "up"] * (len(kinds) // 2) + ["down"] * (len(kinds) % 2)
    if change == "churn.enabled=false":
        assert all(len(kinds) % 2 == 0 or row_at(modelled, node) for node, kinds in moves.items())


def test_goodbyes_of_a_fork_come_before_departures_and_end_with_them(modelled, tmp_path):
    change = ["churn.goodbye=1", "churn.notice=2 s", "churn.session_mean=20 s"]
    fork(modelled, tmp_path / "polite", change).finish()
    last: dict[int, str] = {}
    told = 0
    for row in rows(tmp_path / "polite", "events"):
        if row["kind"] in ("goodbye", "down", "up"):
            if row["kind"] == "goodbye":
                told += 1
                assert row["time_ns"] >= AT * NS
                assert last.get(row["node"], "up") == "up"
            last[row["node"]] = row["kind"]
    assert told > 3


def test_who_has_said_goodbye_and_stays_in_a_fork_relays_again(small, tmp_path):
    plan = small(1, churn={"goodbye": 1.0, "notice": "20 s", "session_mean": "60 s"}, misbehaviour=[], warmup=0.0)
    names = plan.faults
    at = next(t for t, kind in zip(names.at.tolist(), names.kind, strict=True) if kind == "goodbye" and t > AT)
    leaver = int(names.node[names.at == at][0])
    episode = begin(plan, tmp_path / "warm")
    episode.advance(at + 0.5)
    checkpoint(episode)
    fork(tmp_path / "warm", tmp_path / "calm", ["churn.enabled=false"]).finish()
    later = [row for row in rows(tmp_path / "calm", "calls") if row["start_ns"] > (at + 25.0) * NS]
    assert any(leaver in row["final_path"][1:-1] for row in later)


def row_at(folder: Path, node: int) -> bool:
    """Whether `node` would have stayed down to the end."""
    kinds = [r["kind"] for r in rows(folder, "events") if r["kind"] in ("down", "up") and r["node"] == node]
    return kinds[-1] == "down"


@pytest.mark.parametrize("candidates", [False, True])
def test_calls_that_were_ranked_ahead_are_ranked_again(candidates, small, tmp_path):
    plan = small(
        1, duration=100.0, warmup=0.0, routing={"policy": "shortest", "batch": 20.0}, record={"candidates": candidates}
    )
    episode = begin(plan, tmp_path / "warm")
    episode.advance(AT + 1.0)
    checkpoint(episode)
    episode.finish()
    assert fork(tmp_path / "warm", tmp_path / "same").finish().trace_sha256 == trace_sha256(tmp_path / "warm")
    busy = fork(tmp_path / "warm", tmp_path / "busy", ["calls.rate=2", "duration=150"])
    result, calls = busy.finish(), rows(tmp_path / "busy", "calls")
    assert sorted(call["call"] for call in calls) == list(range(len(busy.plan.calls)))
    assert result.counts["started"] == len(calls) > 2 * len(plan.calls)
    assert all(
        call["path"][:1] + call["path"][-1:] == [call["caller"], call["callee"]] for call in calls if call["path"]
    )
    fork(tmp_path / "warm", tmp_path / "direct", policy="direct").finish()
    window, relayed = range((int(AT) + 1) * NS, 80 * NS), {}
    for folder in ("direct", "warm"):
        later = [call for call in rows(tmp_path / folder, "calls") if call["start_ns"] in window]
        assert {call["policy"] for call in later} == {"direct" if folder == "direct" else "shortest"}
        relayed[folder] = sum(len(call["path"]) > 2 for call in later)
    assert relayed["direct"] < relayed["warm"]


def test_less_noise_is_believed_from_the_fork_on(modelled, tmp_path):
    fork(modelled, tmp_path / "exact", ["control.noise=0", "control.missing=0"]).finish()
    views = {row["view"] for row in rows(tmp_path / "exact", "views") if row["time_ns"] > (AT + 40) * NS}
    links = [row for row in rows(tmp_path / "exact", "view_links") if row["view"] in views]
    assert links
    assert all(row["observed"] for row in links)


@pytest.mark.parametrize(
    ("change", "key", "near"),
    [
        ("underlay.loss=0.5", "underlay.loss", None),
        ("record.views=false", "record.views", None),
        ("nodes.count=17", "nodes.count", None),
        ("routing.polisy=direct", "routing.polisy", "policy"),
        ("duration=30", "duration", None),
        ("calls.listed=[{at: 10, caller: '@peer-001.aura', callee: '@peer-002.aura'}]", "calls.listed.0.at", None),
        ("faults=[{at: 59, node: relay-001}]", "faults.0.at", None),
    ],
)
def test_what_has_shaped_the_past_cannot_be_changed(change, key, near, modelled, tmp_path):
    with pytest.raises(ConfigError) as refused:
        fork(modelled, tmp_path / "no", [change])
    assert (refused.value.key, refused.value.nearest) == (key, near)
    assert not (tmp_path / "no").exists()


def test_the_keys_that_may_change_are_keys_of_scenarios(small):
    whole = small().scenario.model_dump()
    for key in CHANGEABLE:
        part = whole
        for name in key.split("."):
            assert name in part, key
            part = part[name]


def test_a_fork_onto_a_trace_is_refused_and_leaves_it_whole(modelled, small, tmp_path, monkeypatch):
    monkeypatch.setattr("meshsim.measure.trace.PART_ROWS", 40)
    monkeypatch.setattr("meshsim.sim.recorder.FLUSH_ROWS", 10)
    episode = begin(small(2, duration=60.0), tmp_path / "other")
    episode.advance(40.0)
    assert episode.recorder.writer.parts
    checkpoint(episode)
    before = episode.finish().trace_sha256
    for source in (modelled, tmp_path / "other"):
        with pytest.raises(TraceError, match="holds a trace already"):
            fork(source, tmp_path / "other")
    assert trace_sha256(tmp_path / "other") == before


@pytest.mark.full
@pytest.mark.parametrize("labels", ["flow", "packet"])
def test_calls_that_live_through_packets_are_forked_too(labels, small, tmp_path):
    plan = small(
        1,
        duration=36.0,
        warmup=2.0,
        underlay={"capacity": 20e6},  # the fewer packets of others
        media={"mode": "packet", "labels": labels},
        routing={"candidates": 2},
    )
    episode = begin(plan, tmp_path / "warm")
    episode.advance(20.0)
    checkpoint(episode)
    whole = episode.finish()
    assert fork(tmp_path / "warm", tmp_path / "same").finish().trace_sha256 == whole.trace_sha256
    fork(tmp_path / "warm", tmp_path / "busy", ["calls.rate=2"]).finish()
    early = [[r for r in rows(tmp_path / name, "calls") if r["end_ns"] < 20 * NS] for name in ("warm", "busy")]
    assert [repr(row) for row in early[0]] == [repr(row) for row in early[1]] != []
    assert len(rows(tmp_path / "busy", "calls")) > len(rows(tmp_path / "warm", "calls")) + 10


def test_forks_can_be_forked(modelled, tmp_path):
    episode = fork(modelled, tmp_path / "a", ["routing.policy=direct"])
    episode.advance(AT + 20.0)
    checkpoint(episode)
    whole = episode.finish()
    again = fork(tmp_path / "a", tmp_path / "b").finish()
    assert again.trace_sha256 == whole.trace_sha256
    fork(tmp_path / "a", tmp_path / "c", ["routing.fallbacks=0"]).finish()
    assert [note["at_seconds"] for note in Trace(tmp_path / "c").header["forks"]] == [AT, AT + 20.0]


def test_every_table_is_known_here_or_has_no_instant():
    # what a protocol has recovered from is written when it has, under the time of the change
    untimed = {"nodes", "links", "view_nodes", "view_links", "routes", "convergence"}
    assert set(TABLES) == set(WRITTEN) | untimed
