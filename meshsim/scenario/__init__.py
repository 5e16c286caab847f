"""What an episode is: scenario files and presets, where topologies come from, the plan that a scenario compiles to."""

from __future__ import annotations

from meshsim.scenario import topologies
from meshsim.scenario.compiler import compile_plan
from meshsim.scenario.plan import Plan, PlannedCalls, PlannedFaults, PlannedLinks, PlannedNodes, Underlay
from meshsim.scenario.schema import Scenario, json_schema
from meshsim.scenario.source import canonical, change, load, presets

compile = compile_plan  # noqa: A001 - read as `scenario.compile`; `compile_plan` is for those who import the name

__all__ = [
    "Plan",
    "PlannedCalls",
    "PlannedFaults",
    "PlannedLinks",
    "PlannedNodes",
    "Scenario",
    "Underlay",
    "canonical",
    "change",
    "compile",
    "compile_plan",
    "json_schema",
    "load",
    "presets",
    "topologies",
]
