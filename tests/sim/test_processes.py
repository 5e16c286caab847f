"""World processes that the plan draws: each keeps the contract of `meshsim.testing`."""

from __future__ import annotations

from typing import ClassVar

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
        "churn": {"session": {"law": "exponential", "mean": 100}, "downtime": {"law": "exponential", "mean": 20}}
    }
    on: ClassVar = {"churn": {"session": {"law": "weibull", "shape": 0.5, "scale": 40}}}
    touches = frozenset({"faults"})
    streams = ("churn/",)


class TestOutages(ProcessContract):
    off: ClassVar = {"outages": [STRIKE | {"nodes": 0, "edges": 0}, {"rate_per_day": 0}]}
    on: ClassVar = {"outages": [STRIKE, {"rate_per_day": 2000, "radius": "300 km", "nodes": 0.5, "edges": 0.5}]}
    touches = frozenset({"faults"})
    streams = ("outages/",)


class TestPunching(ProcessContract):
    off: ClassVar = {"nodes": {"punch_success": 1}}
    on: ClassVar = {"nodes": {"punch_success": 0.2}}
    streams = ("nat/punch/",)
