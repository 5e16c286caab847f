"""What an episode is: scenario files and presets, where topologies come from, the plan that a scenario compiles to."""

from __future__ import annotations

from meshsim.scenario import topologies
from meshsim.scenario.compiler import compile  # noqa: A004 - the contract's verb, used as `scenario.compile`
from meshsim.scenario.plan import Plan, PlannedCalls, PlannedFaults, PlannedLinks, PlannedNodes, Underlay
from meshsim.scenario.schema import Scenario, json_schema
from meshsim.scenario.source import canonical, load, presets

__all__ = [
    "Plan",
    "PlannedCalls",
    "PlannedFaults",
    "PlannedLinks",
    "PlannedNodes",
    "Scenario",
    "Underlay",
    "canonical",
    "compile",
    "json_schema",
    "load",
    "presets",
    "topologies",
]
