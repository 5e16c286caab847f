"""From a scenario and a seed to the plan of one episode. Every draw comes from a named stream of the seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshsim.mesh.seeds import SeedTree
from meshsim.scenario.events import build_calls, build_faults
from meshsim.scenario.federation import border_nodes
from meshsim.scenario.mobility import build_moves
from meshsim.scenario.overlay import build_links
from meshsim.scenario.plan import Plan
from meshsim.scenario.population import build_nodes
from meshsim.scenario.quantities import LONGEST
from meshsim.scenario.underlay import build_underlay

if TYPE_CHECKING:
    from meshsim.scenario.network import UnderlayConfig
    from meshsim.scenario.schema import Scenario


def compile_plan(scenario: Scenario, seed: int) -> Plan:
    """The plan of the episode `seed` of `scenario`: the same arguments give the same arrays.

    Args:
        scenario: Validated.
        seed: Any integer.

    Raises:
        ConfigError: If the underlay is too large or not connected.

    >>> from meshsim.scenario import load
    >>> compile_plan(load("tiny"), seed=1).nodes.names[:2]
    ('alice', 'bob')
    """
    seeds = SeedTree(seed)
    underlay = build_underlay(_below(scenario), scenario.topology(seed), seeds)
    nodes = build_nodes(scenario, underlay.topology, seeds)
    border = border_nodes(scenario.federation, nodes) if scenario.federation.divided else None
    return Plan(
        scenario=scenario,
        seed=seed,
        nodes=nodes,
        links=build_links(scenario.nodes, nodes, underlay, seeds, border),
        underlay=underlay,
        calls=build_calls(scenario, nodes, underlay.topology, seeds),
        faults=build_faults(scenario, nodes, underlay.topology, seeds),
        moves=build_moves(scenario.mobility, scenario.duration, nodes, underlay.topology, seeds),
    )


def _below(scenario: Scenario) -> UnderlayConfig:
    """What the underlay is built from: where links follow edges, neighbours meet over the edge between them."""
    if scenario.nodes.links != "edges":
        return scenario.underlay
    return scenario.underlay.model_copy(update={"routing_inflation": 0.0, "hop_cost": LONGEST})
