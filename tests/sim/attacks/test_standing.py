"""Attackers that look at their own name: they cash in a good one, and leave a bad one behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim import Episode, begin
from meshsim.testing.processes import BASE, merged
from meshsim.trust import EventKind, Evidence
from meshsim.trust.abuse import Category, Report

if TYPE_CHECKING:
    from pathlib import Path

QUIET = {
    "churn": {"enabled": False},
    "calls": {"rate": 0.2},
    "duration": 100.0,
    "warmup": 0.0,
    "control": {"digest_period": 5.0},
    "trust": {"half_life": "1 h"},
}


def episode_of(folder: Path, **entry: Any) -> Episode:
    said = merged(BASE, QUIET | {"misbehaviour": [{"share": 0.4, **entry}]})
    return begin(compile_plan(Scenario.model_validate(said), 3), folder / "run")


GOOD, BAD = EventKind.SUCCESSFUL_CALL, EventKind.CALL_DROPPED


def let_know(episode: Episode, node: int, kind: EventKind, times: int) -> None:
    """Evidence on a node, as if it came from receipts."""
    for _ in range(times):
        episode.board._ledger._model.observe(node, Evidence(kind=kind, node=node, t=episode.env.now))  # type: ignore[attr-defined]


def test_a_milking_relay_turns_bad_once_it_is_trusted_and_stays_so(tmp_path: Path):
    episode = episode_of(tmp_path, kind="milking", strength=0.4)
    nodes = [villain.node for villain in episode.world.villains]
    episode.advance(20.0)
    assert not episode.world.drop.any()
    let_know(episode, nodes[0], GOOD, 300)
    episode.advance(30.0)
    assert episode.world.drop[nodes].tolist() == [0.4] + [0.0] * (len(nodes) - 1)
    let_know(episode, nodes[0], BAD, 1000)
    episode.advance(40.0)
    assert episode.world.drop[nodes[0]] == 0.4


def test_who_milks_and_rejoins_serves_well_under_its_new_name_until_it_is_trusted_anew(tmp_path: Path):
    episode = episode_of(tmp_path, kind="milking", also=["whitewashing"], strength=0.4, period=10.0)
    node, drop = episode.world.villains[0].node, episode.world.drop
    seen = []
    for kind, times in ((GOOD, 300), (BAD, 1000), (GOOD, 300)):
        let_know(episode, node, kind, times)
        episode.advance(episode.env.now + 11.0)
        seen.append(float(drop[node]))
    assert seen == [0.4, 0.0, 0.4]


def test_a_whitewasher_rejoins_under_a_new_name_when_its_own_is_spoilt_and_not_more_often_than_it_rests(tmp_path: Path):
    episode = episode_of(tmp_path, kind="whitewashing", strength=0.4, period=30.0)
    node = episode.world.villains[0].node
    episode.advance(20.0)
    let_know(episode, node, BAD, 100)
    episode.advance(29.0)
    spoilt = episode.board._ledger.published(node)  # type: ignore[attr-defined]
    episode.advance(37.0)
    fresh = episode.board._ledger.published(node)  # type: ignore[attr-defined]
    assert spoilt.evidence > 50.0
    assert fresh.evidence < 5.0
    let_know(episode, node, BAD, 100)
    episode.advance(59.0)
    trace = Trace(episode.finish().trace)
    events = trace.columns("events")
    rejoined = (
        np.array(
            [
                at
                for at, kind, who in zip(events["time_ns"], events["kind"], events["node"], strict=True)
                if kind == "rejoin" and who == node
            ]
        )
        / 1e9
    )
    assert len(rejoined) >= 2
    assert rejoined[0] == pytest.approx(30.0)
    assert (np.diff(rejoined) >= 30.0).all()


def test_spam_of_reports_weighs_a_little_on_innocent_relays_and_suspends_nobody(tmp_path: Path):
    episode = episode_of(tmp_path, kind="report_spam", rate=360.0)
    spammers = {villain.node for villain in episode.world.villains}
    relays = set(np.flatnonzero(episode.plan.nodes.max_calls > 0).tolist()) - spammers
    result = episode.finish()
    desk = episode.complaints.desk
    assert set(desk.refused) <= {"duplicate", "over_budget"}
    assert sum(desk.refused.values()) > len(spammers)
    assert not any(desk.is_banned(node, 100.0) for node in relays)
    assert 0.0 < max(desk.weight(node, 100.0) for node in relays) <= 0.25 * len(spammers)
    trust = Trace(result.trace).columns("trust")
    accused = {node for node, event in zip(trust["node"], trust["event"], strict=True) if event == "abuse_report"}
    assert accused <= relays


def test_a_banned_relay_carries_no_call_from_the_next_heartbeat_on(tmp_path: Path):
    episode = episode_of(tmp_path, kind="report_spam", rate=1.0)
    world, desk, heartbeat = episode.world, episode.complaints.desk, episode.plan.scenario.control.heartbeat
    while not world.relaying().any():
        episode.advance(episode.env.now + 1.0)
    busiest, now = int(np.argmax(world.relaying())), episode.env.now
    for reporter in range(8):
        desk.file(
            Report(reporter=1000 + reporter, subject=busiest, category=Category.FRAUD, t=now),
            credibility=1.0,
            backed=True,
            now=now,
        )
    episode.advance(now + heartbeat + 0.001)
    for _ in range(20):
        assert world.relaying()[busiest] == 0.0
        episode.advance(episode.env.now + 1.0)
    assert world.relaying().any()
