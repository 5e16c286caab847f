from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meshsim.scenario import Scenario
from meshsim.scenario import compile as compile_plan
from meshsim.sim import simulate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from meshsim.scenario import Plan
    from meshsim.sim import SimulationResult

SMALL: dict[str, Any] = {
    "name": "small",
    "duration": 240.0,
    "warmup": 20.0,
    "underlay": {
        "topology": {"generator": "grid", "rows": 3, "columns": 3},
        "capacity": 200e6,
        "utilisation_mean": 0.4,
        "drift": {"congestion": {"rate_per_edge_per_hour": 8.0}},
    },
    "nodes": {"count": 16, "roles": {"relay": 4, "super_node": 1}},
    "calls": {"rate": 0.5, "duration": {"median": 25.0}},
    "churn": {"enabled": True, "session_mean": 120.0, "downtime_mean": 30.0},
    "misbehaviour": [{"kind": "gray_hole", "share": 0.4, "strength": 0.1}, {"kind": "black_hole", "share": 0.2}],
    "routing": {"policy": "shortest", "candidates": 8},
    "control": {"mode": "modelled"},
}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`base` with `change` laid over it, mappings merged key by key."""
    out = dict(base)
    for key, value in change.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


@pytest.fixture(scope="session")
def small() -> Callable[..., Plan]:
    """Makes the plan of a small episode: `small(seed, **changes)`."""

    def make(seed: int = 1, **changes: Any) -> Plan:
        return compile_plan(Scenario.model_validate(merged(SMALL, changes)), seed)

    return make


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., SimulationResult]:
    """Simulates a plan into a fresh folder: `run(plan, **options)`."""
    count = 0

    def go(plan: Plan, **options: Any) -> SimulationResult:
        nonlocal count
        count += 1
        return simulate(plan, tmp_path / f"run-{count}", **options)

    return go
