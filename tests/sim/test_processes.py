"""World processes: each keeps the contract of `meshsim.testing`. That of background load stands in `test_drift`."""

from __future__ import annotations

from typing import ClassVar

import pytest

from meshsim.testing import ProcessContract

MORE_CALLS = {"at": 20, "duration": 40, "factor": 4}
STRIKE = {"at": 30, "centre": 4, "radius": "600 km", "recovery": "20 s"}


class TestDiurnal(ProcessContract):
    off: ClassVar = {
        "calls": {"arrivals": {"diurnal": {"depth": 0, "weekend": 0, "peak": 3, "starts": 5, "period": 60}}}
    }
    on: ClassVar = {"calls": {"arrivals": {"diurnal": {"depth": 0.9, "peak": 3, "starts": 5, "period": 60}}}}
    touches = frozenset({"calls"})
    streams = ("calls/activity",)


class TestCrowds(ProcessContract):
    off: ClassVar = {"calls": {"arrivals": {"crowds": [MORE_CALLS | {"factor": 1}]}}}
    on: ClassVar = {"calls": {"arrivals": {"crowds": [MORE_CALLS]}}}
    touches = frozenset({"calls"})
    streams = ("calls/crowd/",)


class TestLocality(ProcessContract):
    off: ClassVar = {"calls": {"locality": {"share": 0, "radius": "400 km"}}}
    on: ClassVar = {"calls": {"locality": {"share": 0.9, "radius": "700 km"}}}
    touches = frozenset({"calls"})
    streams = ("calls/near",)


class TestSessions(ProcessContract):
    off: ClassVar = {
        "churn": {"session": {"law": "exponential", "mean": 40}, "downtime": {"law": "exponential", "mean": 20}}
    }
    on: ClassVar = {"churn": {"session": {"law": "weibull", "shape": 0.5, "scale": 20}}}
    touches = frozenset({"faults"})
    streams = ("churn/",)


class TestGoodbye(ProcessContract):
    off: ClassVar = {"churn": {"goodbye": 0, "notice": "9 s"}}
    on: ClassVar = {"churn": {"goodbye": 0.8, "notice": "9 s"}}
    touches = frozenset({"faults"})
    streams = ("goodbye/",)


class TestOutages(ProcessContract):
    off: ClassVar = {"outages": [STRIKE | {"nodes": 0, "edges": 0}, {"rate_per_day": 0}]}
    on: ClassVar = {"outages": [STRIKE, {"rate_per_day": 2000, "radius": "300 km", "nodes": 0.5, "edges": 0.5}]}
    touches = frozenset({"faults"})
    streams = ("outages/",)


class TestPunching(ProcessContract):
    off: ClassVar = {"nodes": {"punch_success": 1}}
    on: ClassVar = {"nodes": {"punch_success": 0.2}}
    streams = ("nat/punch/",)


class TestMobility(ProcessContract):
    moving: ClassVar = {"model": "random_waypoint", "speed": {"low": 100, "high": 1000}, "period": 2}
    off: ClassVar = {"mobility": moving | {"share": 0}}
    on: ClassVar = {"mobility": moving}
    touches = frozenset({"moves"})
    streams = ("mobility/",)


class TestRinging(ProcessContract):
    off: ClassVar = {"calls": {"ringing": {"enabled": False, "answer": 0.5, "timeout": 9}}}
    on: ClassVar = {"calls": {"ringing": {"enabled": True, "answer": 0.5, "patience": 9}}}
    streams = ("ringing/",)


class TestFederation(ProcessContract):
    trust: ClassVar = {"trust": "verified", "privacy": {"public": 0.5, "federated": 0.5, "private": 0}}
    off: ClassVar = {"federation": {"domains": [], **trust}}
    on: ClassVar = {
        "federation": {
            "domains": [{"name": "a.org", "share": 0.5, "borders": 1}, {"name": "b.org", "share": 0.5, "borders": 1}],
            **trust,
        }
    }
    touches = frozenset({"nodes", "links"})
    streams = ("federation/",)


def test_the_world_of_the_contract_has_calls_and_nodes_that_come_and_go():
    plan = ProcessContract().plan()
    assert len(plan.calls) > 20
    assert {"up", "down"} <= set(plan.faults.kind)
    assert len(set(plan.faults.node.tolist())) > 2


class Undeclared(ProcessContract):
    """Outages that say neither what they touch nor what they draw from."""

    off = TestOutages.off
    on = TestOutages.on


class Leaking(ProcessContract):
    """A strength 0 that is none."""

    off = TestOutages.on
    touches = TestOutages.touches
    streams = TestOutages.streams


def test_the_contract_finds_out_who_breaks_it():
    with pytest.raises(AssertionError, match="faults"):
        Undeclared().test_on_changes_no_other_part_of_the_plan()
    with pytest.raises(AssertionError):
        Undeclared().test_its_draws_come_from_streams_of_its_own()
    with pytest.raises(AssertionError):
        Leaking().test_off_leaves_the_trace_identical()
