"""Relays that say goodbye before they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from meshsim.measure import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.scenario import Plan
    from meshsim.sim import SimulationResult

NS = 1e9
SPAN = 600.0
BUSY: dict[str, Any] = {"duration": SPAN, "warmup": 0.0, "record": {"candidates": False}, "misbehaviour": []}
"""Relays stay for two minutes on average and are half a minute away."""


def told(result: SimulationResult, kind: str) -> list[tuple[float, int]]:
    """When and by whom there was an event, seconds and node."""
    events = Trace(result.trace).columns("events")
    rows = zip(events["time_ns"].tolist(), events["kind"], events["node"].tolist(), strict=True)
    return [(ns / NS, node) for ns, what, node in rows if what == kind]


def scores(result: SimulationResult) -> dict[int, float]:
    """The last score of each node that ever got one."""
    trust = Trace(result.trace).columns("trust")
    return dict(zip(trust["node"].tolist(), trust["score"].tolist(), strict=True))


@pytest.fixture(scope="module")
def go(small: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SimulationResult]:
    """Simulates the busy world with some share of goodbyes; the same one once."""
    from meshsim.sim import simulate  # noqa: PLC0415 - numba stays out of collection

    done: dict[str, SimulationResult] = {}

    def make(goodbye: float, **changes: Any) -> SimulationResult:
        key = repr((goodbye, changes))
        if key not in done:
            churn = {"session_mean": 120.0, "goodbye": goodbye, **changes.pop("churn", {})}
            done[key] = simulate(small(1, **BUSY | changes | {"churn": churn}), tmp_path_factory.mktemp("polite") / "t")
        return done[key]

    return make


def test_who_says_goodbye_is_not_blamed_and_who_vanishes_is(go):
    silent, polite = scores(go(0.0)), scores(go(1.0))
    assert min(polite.values()) > 60.0
    assert min(polite.values()) > max(silent.values())


def test_calls_lose_little_when_relays_say_goodbye(go):
    lost = {}
    for goodbye in (0.0, 1.0):
        calls = Trace(go(goodbye).trace).columns("calls")
        moved = calls["failovers"] > 0
        assert moved.sum() > 10
        lost[goodbye] = float(np.nanmedian(calls["loss"][moved]))
    # an outage lasts for a second and a half at least, in calls of half a minute
    assert lost[0.0] > 0.02
    assert lost[1.0] < lost[0.0] / 4


def test_calls_leave_a_relay_before_it_leaves(go):
    result = go(1.0)
    goodbyes, moves = told(result, "goodbye"), told(result, "failover")
    assert sum(any(0.0 <= at - since <= 3.0 for since, _ in goodbyes) for at, _ in moves) > 0.8 * len(moves) > 8


def test_who_has_said_goodbye_takes_no_call_until_it_is_back(go):
    result = go(1.0)
    back, calls = told(result, "up"), Trace(result.trace).columns("calls")
    away = [
        (at, min((t for t, other in back if other == node and t > at), default=SPAN), node)
        for at, node in told(result, "goodbye")
    ]
    met = 0
    for start, end, path in zip(calls["start_ns"] / NS, calls["end_ns"] / NS, calls["final_path"], strict=True):
        gone = {node for since, until, node in away if since < start and end < until}
        met += bool(gone)
        assert not gone.intersection(list(path)[1:-1])
    assert met > 20


def test_a_goodbye_excuses_no_lost_packet(go, small):
    bad = {"kind": "gray_hole", "share": 0.4, "strength": 0.4, "among": "relays"}
    changes = {"misbehaviour": [bad], "routing": {"policy": "random-relay"}}
    result = go(1.0, **changes)
    behaviour = small(1, **BUSY | changes).nodes.behaviour
    last = scores(result)
    dropping = [score for node, score in last.items() if behaviour[node] == "gray_hole"]
    honest = [score for node, score in last.items() if behaviour[node] == "honest"]
    assert max(dropping) < 40.0 < min(honest)


def test_calls_without_an_alternative_break_when_the_relay_is_gone_and_it_is_not_blamed(go):
    alone = {"nodes": {"roles": {"relay": 1, "super_node": 0}, "nat": {"symmetric": 1.0}}}
    polite, silent = go(1.0, **alone), go(0.0, **alone)
    assert polite.counts["dropped"] > 0
    assert min(scores(polite).values()) > 70.0 > max(scores(silent).values())
    reasons = Trace(polite.trace).columns("calls")["reason"]
    assert "no route left" in set(reasons)


def test_a_goodbye_changes_nothing_where_ends_leave(go):
    result = go(1.0, churn={"applies_to": "all"})
    reasons = set(Trace(result.trace).columns("calls")["reason"])
    assert {"caller left", "callee left"} <= reasons


@pytest.mark.full
def test_ends_without_a_link_to_spare_stay_on_the_path_they_have(go):
    crowded = {"nodes": {"max_connections": 4, "nat": {"symmetric": 1.0}}, "calls": {"rate": 2.0}}
    result = go(1.0, **crowded)
    goodbyes, calls = told(result, "goodbye"), Trace(result.trace).columns("calls")
    ends, why = calls["end_ns"] / NS, np.array(calls["reason"])
    spare = np.char.endswith(why.astype(str), "has no connection to spare")
    assert spare.sum() > 2
    flowed = spare & (np.array(calls["outcome"]) == "dropped")
    assert not any(0.0 <= end - since < 2.9 for end in ends[flowed].tolist() for since, _ in goodbyes)
