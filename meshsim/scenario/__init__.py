"""What an episode is: scenario files and presets, where topologies come from, and the plan that a scenario compiles to."""

from __future__ import annotations

from meshsim.scenario import topologies
from meshsim.scenario.schema import Scenario, json_schema
from meshsim.scenario.source import canonical, load, presets

__all__ = ["Scenario", "canonical", "json_schema", "load", "presets", "topologies"]
