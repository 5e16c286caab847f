"""Reports in earnest, reviews, bans and appeals of an episode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim import Episode, begin
from meshsim.sim.checkpoint import checkpoint, resume
from meshsim.sim.processes.complaints import ruling_on
from meshsim.testing.processes import BASE, merged
from meshsim.trust import Reputation, Status
from meshsim.trust.abuse import Category, Report, Ruling

if TYPE_CHECKING:
    from pathlib import Path

SPOILT = {
    "churn": {"enabled": False},
    "calls": {"rate": 1.0},
    "duration": 120.0,
    "warmup": 0.0,
    "control": {"digest_period": 5.0},
    "misbehaviour": [{"kind": "gray_hole", "share": 0.3, "strength": 0.6, "among": "relays"}],
}


def episode_of(folder: Path, **trust: Any) -> Episode:
    said = merged(BASE, SPOILT | {"trust": {"half_life": "1 h", **trust}})
    return begin(compile_plan(Scenario.model_validate(said), 3), folder / "run")


def events_of(episode: Episode) -> list[tuple[str, int, str]]:
    events = Trace(episode.finish().trace).columns("events")
    return list(zip(events["kind"], events["node"].tolist(), events["detail"], strict=True))


def accuse(episode: Episode, node: int, reporters: int) -> None:
    for reporter in range(reporters):
        report = Report(reporter=1000 + reporter, subject=node, category=Category.FRAUD, t=episode.env.now)
        assert episode.complaints.desk.file(report, credibility=1.0, backed=True, now=episode.env.now) == ""


def known(low: float, mean: float, high: float) -> Reputation:
    return Reputation(mean, low, high, 50.0, Status.NEW)


@pytest.mark.parametrize(
    ("score", "ruling"),
    [
        ((20.0, 40.0, 69.9), Ruling.UPHELD),
        ((20.0, 40.0, 70.0), None),
        ((60.0, 69.9, 80.0), None),
        ((50.0, 70.0, 90.0), Ruling.DISMISSED),
        ((90.0, 95.0, 99.0), Ruling.DISMISSED),
    ],
)
def test_evidence_decides_and_where_it_says_too_little_the_case_stays_open(
    score: tuple[float, float, float], ruling: Ruling | None
):
    assert ruling_on(known(*score)) is ruling


def test_callers_report_relays_that_spoil_calls_and_reviews_uphold_it(tmp_path: Path):
    episode = episode_of(tmp_path, reports=1.0, review=20.0)
    holes = {villain.node for villain in episode.world.villains}
    upheld = {node for kind, node, detail in events_of(episode) if kind == "ruling" and detail.startswith("upheld")}
    assert upheld
    assert upheld <= holes


def test_where_nobody_reports_there_is_no_desk(tmp_path: Path):
    assert episode_of(tmp_path, review=20.0).complaints is None


def test_where_nobody_reviews_nothing_is_ruled(tmp_path: Path):
    episode = episode_of(tmp_path, reports=1.0)
    assert not any(kind == "ruling" for kind, _, _ in events_of(episode))
    assert episode.complaints.desk.queue(episode.env.now)


@pytest.mark.parametrize(("appeals", "rulings"), [(0.0, 0), (1.0, 1)])
def test_who_is_banned_may_ask_for_a_second_look(tmp_path: Path, appeals: float, rulings: int):
    episode = episode_of(tmp_path, reports=0.001, review=10.0, appeals=appeals)
    relays = np.flatnonzero(episode.plan.nodes.max_calls > 0)
    node = int(next(n for n in relays if n not in {villain.node for villain in episode.world.villains}))
    accuse(episode, node, 5)
    episode.complaints.desk.decide(node, Ruling.UPHELD, 0.0)
    seen = [(kind, detail.partition(":")[2]) for kind, who, detail in events_of(episode) if who == node]
    assert ("banned", "") in seen
    assert seen.count(("ruling", " appeal")) <= rulings
    assert episode.complaints.desk.appeal(node, 120.0) in ({"appealed_before", "not_banned"} if rulings else {""})


def test_a_ban_is_written_down_when_it_begins_and_when_it_ends(tmp_path: Path):
    episode = episode_of(tmp_path, reports=0.001)
    relays = np.flatnonzero(episode.plan.nodes.max_calls > 0)
    accuse(episode, int(relays[0]), 7)
    episode.advance(50.0)
    episode.complaints.desk.decide(int(relays[0]), Ruling.DISMISSED, 50.0)
    kinds = [kind for kind, node, _ in events_of(episode) if node == relays[0] and "banned" in kind]
    assert kinds == ["banned", "unbanned"]


def test_a_new_name_leaves_the_ban_of_the_old_one_behind(tmp_path: Path):
    episode = episode_of(tmp_path, reports=0.001)
    node = episode.world.villains[0].node
    accuse(episode, node, 6)
    assert episode.complaints.desk.is_banned(node, 0.0)
    episode.attacks._rejoin(node)
    assert not episode.complaints.desk.is_banned(node, 0.0)


def test_an_episode_with_reports_goes_on_from_a_checkpoint_as_if_nothing_had_been(tmp_path: Path):
    whole = episode_of(tmp_path / "whole", reports=0.5, review=20.0, appeals=1.0).finish()
    episode = episode_of(tmp_path / "cut", reports=0.5, review=20.0, appeals=1.0)
    episode.advance(60.0)
    checkpoint(episode)
    assert resume(episode.recorder.writer.folder).finish().trace_sha256 == whole.trace_sha256


def test_without_reports_reviews_and_appeals_change_nothing(tmp_path: Path):
    plain = episode_of(tmp_path / "plain").finish()
    more = episode_of(tmp_path / "more", review=10.0, appeals=1.0).finish()
    assert Trace(plain.trace).columns("calls").keys() == Trace(more.trace).columns("calls").keys()
    for table in ("calls", "trust", "events"):
        one, other = Trace(plain.trace).columns(table), Trace(more.trace).columns(table)
        assert all(list(map(str, one[name])) == list(map(str, other[name])) for name in one)


def test_who_was_suspended_first_may_appeal_the_ban_that_follows(tmp_path: Path):
    episode = episode_of(tmp_path, reports=0.001, appeals=1.0)
    desk, relay = episode.complaints.desk, int(np.flatnonzero(episode.plan.nodes.max_calls > 0)[0])
    accuse(episode, relay, 7)
    episode.advance(20.0)
    assert desk.is_banned(relay, 20.0)
    assert desk.banned_since(relay, 20.0) is None
    desk.decide(relay, Ruling.UPHELD, 20.0)
    episode.advance(40.0)
    assert [case.subject for case in desk.queue(40.0) if case.appeal] == [relay]
