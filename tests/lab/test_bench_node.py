from __future__ import annotations

import math
from typing import Any

import pytest

from meshsim.cli.bench import NODE_PARTS
from meshsim.lab.bench import node, node_kill, node_media, node_mesh
from meshsim.lab.bench.node_kill import Loss
from meshsim.mesh.errors import ConfigError


def loss(**changes: Any) -> Loss:
    said: dict[str, Any] = {"kind": "kill", "relay": "r1", "noticed": 0.3, "gap": 0.35, "completed": True, "doubled": 0}
    return Loss(**(said | changes))


def verdicts(went: list[Loss]) -> dict[str, bool]:
    return {goal["goal"]: goal["pass"] for goal in node_kill.goals(went)}


def test_the_command_offers_every_part() -> None:
    assert set(node.PARTS) == set(NODE_PARTS)
    with pytest.raises(ConfigError, match="no part 'wire'"):
        node.run(("wire",))


def test_failures_noticed_in_time_and_mended_in_time_meet_every_goal() -> None:
    assert all(verdicts([loss(), loss(kind="leave", noticed=math.nan, gap=0.01)]).values())


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        ({"noticed": 0.5}, "kill_noticed_p95_ms"),
        ({"noticed": math.nan}, "kill_noticed_p95_ms"),
        ({"gap": 0.6}, "kill_gap_p50_ms"),
        ({"gap": math.nan}, "kill_gap_p99_ms"),
        ({"completed": False}, "calls_that_went_on"),
        ({"doubled": 1}, "doubled_packets"),
    ],
)
def test_a_failure_that_was_noticed_late_or_not_at_all_misses_its_goal(wrong: dict[str, Any], missed: str) -> None:
    assert not verdicts([loss(**wrong), loss(kind="leave", gap=0.0)])[missed]


def test_one_slow_failure_in_thirty_is_within_p95_and_shows_in_p99() -> None:
    found = verdicts([loss() for _ in range(29)] + [loss(noticed=0.9, gap=1.5)])
    assert found["kill_noticed_p95_ms"]
    assert not found["kill_gap_p99_ms"]


@pytest.mark.full
def test_relays_that_vanish_or_leave_are_replaced_under_real_calls(tmp_path: Any) -> None:
    went = node_kill.losses(kills=1, leaves=1, folder=tmp_path / "bed", progress=lambda _: None)
    assert [one.kind for one in went] == ["kill", "leave"]
    assert all(one.completed for one in went)
    assert all(one.gap < 1.0 for one in went)


@pytest.mark.full
def test_nodes_of_several_processes_come_to_know_each_other() -> None:
    found = node_mesh.convergence(processes=2, each=3)
    assert found["nodes"] == 6
    assert found["converged_s"] < 10.0


# Video ----------------------------------------------------------------------------------------------------------------


SHARES = {"direct": 0.06, "relayed": 0.07, "bare_direct": 0.07, "bare_relayed": 0.15}
CALL = {
    "caller_expected": 900, "caller_shown": 900, "callee_expected": 900, "callee_shown": 899, "relay_codecs": 0,
}  # fmt: skip
NOTHING = dict.fromkeys(("caller_expected", "callee_expected", "caller_shown", "callee_shown"), 0)


def judged(added: list[float], shares: dict[str, float], call: dict[str, Any]) -> dict[str, bool]:
    return {goal["goal"]: goal["pass"] for goal in node_media.goals(added, [shares], call)}


def test_a_relay_that_adds_little_and_mends_nearly_all_meets_every_goal() -> None:
    assert all(judged([0.001] * 100, SHARES, CALL).values())


@pytest.mark.parametrize(
    ("added", "shares", "call", "missed"),
    [
        (0.02, {}, {}, "relay_video_added_p50_ms"),
        (0.03, {}, {}, "relay_video_added_p99_ms"),
        (0.0, {"relayed": 0.10}, {}, "relay_cpu_over_media_relay"),
        (0.0, {}, {"caller_shown": 890}, "frames_lost_share"),
        (
            0.0,
            {},
            {"caller_expected": 0, "callee_expected": 0, "caller_shown": 0, "callee_shown": 0},
            "frames_lost_share",
        ),
        (0.0, {}, {"relay_codecs": 1}, "relay_codecs"),
        (0.0, {}, {"relay_codecs": -1}, "relay_codecs"),
    ],
)
def test_what_is_slow_dear_or_lost_misses_its_goal(
    added: float, shares: dict[str, float], call: dict[str, Any], missed: str
) -> None:
    assert not judged([added] * 100, SHARES | shares, CALL | call)[missed]


@pytest.mark.full
def test_video_is_carried_mended_and_measured(tmp_path: Any) -> None:
    told = node.run(("media",), quick=True)
    verdicts = {goal["goal"]: goal["pass"] for goal in told["goals"]}
    assert verdicts["relay_video_added_p99_ms"]
    assert verdicts["relay_codecs"]
    (call,) = told["tables"]["video_loss"]
    assert (call["outcome"], call["caller_wrong"], call["callee_wrong"]) == ("completed", 0, 0)
    assert call["caller_frozen"] < 0.1
