from __future__ import annotations

from typing import Any

import pytest

from meshsim.lab.bench import node_links

HELD = {"asked": 100.0, "links": 100.0, "memory_mb": 0.2, "idle_core": 0.05, "left_fds": 0.0}


def verdicts(*, dial: float = 0.04, relayed: float = 0.003, goodput: float = 5e7, **held: float) -> dict[str, bool]:
    judged = node_links.goals(
        [{"authenticated_s": dial, "bare_s": 0.03}] * 3,
        [{"bare_s": 0.001, "link_s": 0.002, "relayed_s": relayed}] * 3,
        [{"direct_bps": 1e8, "relayed_bps": goodput}] * 3,
        HELD | held,
    )
    return {goal["goal"]: goal["pass"] for goal in judged}


def test_links_as_they_should_be_meet_every_goal() -> None:
    assert all(verdicts().values())


@pytest.mark.parametrize(
    ("wrong", "missed"),
    [
        ({"dial": 0.095}, {"dial_over_bare"}),
        ({"dial": 0.2}, {"dial_over_bare", "dial_p50_ms"}),
        ({"relayed": 0.004}, {"added_hop_over_bare"}),
        ({"goodput": 3e7}, {"relayed_over_direct"}),
        ({"links": 99.0}, {"links_held"}),
        ({"memory_mb": 0.7}, {"link_memory_mb"}),
        ({"idle_core": 0.3}, {"idle_core"}),
        ({"left_fds": 1.0}, {"left_descriptors"}),
    ],
)
def test_what_falls_short_misses_its_goal_and_no_other(wrong: dict[str, float], missed: set[str]) -> None:
    assert {goal for goal, met in verdicts(**wrong).items() if not met} == missed


async def test_a_link_is_authenticated_in_less_than_thrice_the_time_of_a_bare_channel() -> None:
    rows = await node_links.dial_times(3)
    assert min(row["authenticated_s"] for row in rows) < 3.0 * max(row["bare_s"] for row in rows)


@pytest.mark.full
async def test_thirty_links_of_one_process_are_small_and_leave_no_socket_behind() -> None:
    held: dict[str, Any] = await node_links.many(30, 1.0)
    assert (held["links"], held["left_fds"]) == (30.0, 0.0)
    assert held["memory_mb"] < 0.6


@pytest.mark.full
def test_everything_about_links_is_measured_and_judged() -> None:
    judged, tables = node_links.measure(quick=True)
    assert {len(rows) for rows in tables.values()} == {1, 3, 20}
    assert len(judged) == 8
