from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure.records import TABLES
from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError, LocalProtocolError
from meshsim.scenario import compile_plan, load
from meshsim.sim.outside import OUTSIDE, Asked, lived_utility
from meshsim.sim.recorder import CallRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.scenario import Plan
    from meshsim.sim import SimulationResult

SHORT = {"duration": 90.0, "routing": {"policy": "weighted", "candidates": 8}}


def asked(plan: Plan, out: Path) -> Asked:
    episode = Asked(plan, out)
    episode.go_on()
    return episode


def finish(episode: Asked, choose: Callable[[Asked], int]) -> list[Any]:
    told: list[Any] = []
    while not episode.over:
        episode.answer(choose(episode))
        episode.go_on()
        told += episode.ended()
    episode.close(keep=True)
    return told + list(episode.ended())


def advice(episode: Asked) -> int:
    assert episode.question is not None
    return episode.question.ranking.order[0]


def last(episode: Asked) -> int:
    assert episode.question is not None
    return episode.question.ranking.order[-1]


def row(**changes: Any) -> CallRow:
    values: dict[str, Any] = dict.fromkeys(CallRow.__slots__, 0)
    values |= {"media": "audio", "mos": None, "poor": None, "rate_share": 1.0, "path": (), "final_path": ()}
    return CallRow(**(values | changes))


def test_who_answers_as_the_policy_would_leaves_the_policys_trace(
    small: Callable[..., Plan], run: Callable[..., SimulationResult], tmp_path: Path
) -> None:
    plan = small(5, **SHORT)
    finish(asked(plan, tmp_path / "outside"), advice)
    here, there = Trace(tmp_path / "outside"), Trace(run(plan, policy="weighted").trace)
    for name in TABLES:
        ours, theirs = here.table(name), there.table(name)
        if name == "calls":
            assert set(ours["policy"].to_pylist()) <= {OUTSIDE, "weighted"}
            ours, theirs = ours.drop_columns(["policy"]), theirs.drop_columns(["policy"])
        np.testing.assert_equal(ours.to_pydict(), theirs.to_pydict(), name)
    assert here.header["policy"] == OUTSIDE


@pytest.mark.full
@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("demo", ["routing.policy=learned"]),
        ("demo", ["federation.domains=[{name: north, share: 50%}, {name: south, share: 50%}]"]),
        ("hostile", []),
        ("mobile_edge", []),
        ("browser_churn", []),
    ],
)
def test_in_every_kind_of_world_too_whatever_the_truth_is_asked_for(
    preset: str, changes: list[str], run: Callable[..., SimulationResult], tmp_path: Path
) -> None:
    def curious(episode: Asked) -> int:
        episode.utilities()
        return advice(episode)

    plan = compile_plan(load(preset, ["duration=2 min", "warmup=10 s", *changes]), 3)
    assert len(finish(asked(plan, tmp_path / "outside"), curious)) > 20
    here, there = (Trace(folder).table("calls") for folder in (tmp_path / "outside", run(plan).trace))
    np.testing.assert_equal(here.drop_columns(["policy"]).to_pydict(), there.drop_columns(["policy"]).to_pydict())


def test_another_answer_is_the_path_that_the_call_takes(small: Callable[..., Plan], tmp_path: Path) -> None:
    wanted = {}

    def choose(episode: Asked) -> int:
        assert episode.question is not None
        taken = last(episode)
        wanted[episode.question.call.number] = list(episode.question.ranking.candidates.path(taken))
        return taken

    finish(asked(small(5, **SHORT), tmp_path / "outside"), choose)
    calls = Trace(tmp_path / "outside").columns("calls")
    mine = {
        call: path
        for call, path, policy in zip(calls["call"], calls["path"], calls["policy"], strict=True)
        if policy == OUTSIDE
    }
    assert mine == {call: wanted[call] for call in mine}
    assert len(mine) > 20


def test_nobody_is_asked_before_the_warm_up_is_over(small: Callable[..., Plan], tmp_path: Path) -> None:
    episode = asked(small(5, **SHORT), tmp_path / "outside")
    assert episode.question is not None
    assert episode.question.call.start >= episode.plan.scenario.warmup


def test_every_asked_call_that_is_judged_is_told_of_once(small: Callable[..., Plan], tmp_path: Path) -> None:
    numbers: list[int] = []

    def choose(episode: Asked) -> int:
        assert episode.question is not None
        numbers.append(episode.question.call.number)
        return last(episode)

    told = finish(asked(small(5, **SHORT), tmp_path / "outside"), choose)
    assert sorted(call.call for call in told) == numbers
    assert all(0.0 <= call.utility <= 1.0 for call in told)
    assert {call.outcome for call in told} <= {"completed", "dropped", "failed", "running"}


def test_looking_at_the_truth_changes_nothing(small: Callable[..., Plan], tmp_path: Path) -> None:
    def curious(episode: Asked) -> int:
        worth = episode.utilities()
        assert ((worth >= 0.0) & (worth <= 1.0)).all()
        return last(episode)

    finish(asked(small(5, **SHORT), tmp_path / "blind"), last)
    finish(asked(small(5, **SHORT), tmp_path / "curious"), curious)
    blind, curious_one = (Trace(tmp_path / name).table("calls").to_pydict() for name in ("blind", "curious"))
    np.testing.assert_equal(blind, curious_one)


def test_what_is_truly_worth_most_is_lived_better_than_what_is_worth_least(
    small: Callable[..., Plan], tmp_path: Path
) -> None:
    def best(episode: Asked) -> int:
        assert episode.question is not None
        worth = episode.utilities()
        return max(episode.question.ranking.order, key=lambda row: worth[row])

    def worst(episode: Asked) -> int:
        assert episode.question is not None
        worth = episode.utilities()
        return min(episode.question.ranking.order, key=lambda row: worth[row])

    plan = small(5, **SHORT)
    good = np.mean([call.utility for call in finish(asked(plan, tmp_path / "good"), best)])
    bad = np.mean([call.utility for call in finish(asked(plan, tmp_path / "bad"), worst)])
    assert good > bad + 0.1


def test_a_question_must_be_answered_by_a_path_that_may_be_used(small: Callable[..., Plan], tmp_path: Path) -> None:
    episode = asked(small(5, **SHORT), tmp_path / "outside")
    with pytest.raises(LocalProtocolError, match="waits for a route"):
        episode.go_on()
    with pytest.raises(LocalProtocolError, match="may not be used"):
        episode.answer(99)
    episode.answer(advice(episode))
    with pytest.raises(LocalProtocolError, match="no call waits"):
        episode.answer(0)
    with pytest.raises(LocalProtocolError, match="no call waits"):
        episode.utilities()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"control": {"mode": "agents"}}, "control.mode"),
        ({"routing": {"protocol": "olsr"}}, "routing.protocol"),
        ({"routing": {"batch": 5.0}}, "routing.batch"),
        ({"routing": {"policy": "k-shortest"}}, "routing.policy"),
    ],
)
def test_where_nobody_can_be_asked_is_refused_by_its_key(
    changes: dict[str, Any], key: str, small: Callable[..., Plan], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        Asked(small(1, **changes), tmp_path / "outside")
    assert error.value.key == key
    assert error.value.allowed


def test_a_flawless_call_is_worth_one_and_a_silent_one_nothing() -> None:
    assert lived_utility(row(rtt_seconds=0.0, jitter_seconds=0.0, loss=0.0)) == pytest.approx(1.0, abs=0.01)
    assert lived_utility(row(rtt_seconds=float("nan"), jitter_seconds=float("nan"), loss=float("nan"))) == 0.0
    assert lived_utility(row(rtt_seconds=0.9, jitter_seconds=0.1, loss=0.9)) < 0.05


def test_what_compression_made_of_a_call_stands() -> None:
    plain = row(rtt_seconds=0.1, jitter_seconds=0.001, loss=0.0)
    spoilt = row(rtt_seconds=0.1, jitter_seconds=0.001, loss=0.0, mos=2.0, poor=True)
    assert lived_utility(spoilt) < lived_utility(plain) - 0.3
