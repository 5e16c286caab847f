"""The schema of scenario files."""

from __future__ import annotations

import json

import pydantic
import pytest

from meshsim import scenario
from meshsim.agent.adversary import adversaries
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.registry import group_of
from meshsim.routing.policies import POLICIES
from meshsim.routing.protocols import PROTOCOLS
from meshsim.scenario import census, network, quantities, topologies
from meshsim.scenario.nodes import NodesConfig
from meshsim.trust import models


def objects(node: object) -> list[dict]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return ([node] if isinstance(node, dict) and "properties" in node else []) + [o for n in inner for o in objects(n)]


OPEN = {"Foreign", "Networkx"}
"""Parts that pass keys on to others, who check them."""


def test_every_key_of_the_json_schema_is_described_and_no_other_is_allowed():
    schema = scenario.json_schema()
    assert json.loads(json.dumps(schema)) == schema
    found = objects(schema)
    assert len(found) > 20
    for part in found:
        assert part["additionalProperties"] is False or part["title"] in OPEN
        assert part["description"]
        assert all(entry.get("description") or "$ref" in entry for entry in part["properties"].values())


@pytest.mark.parametrize(
    ("registry", "names"),
    [
        (POLICIES, quantities.POLICY_NAMES),
        (models, quantities.REPUTATION_NAMES),
        (adversaries, quantities.AGENT_MISBEHAVIOURS),
        (PROTOCOLS, quantities.PROTOCOL_NAMES),
    ],
    ids=["policies", "reputation models", "misbehaviours", "protocols"],
)
def test_the_names_that_a_scenario_knows_are_those_of_the_registries(registry, names):
    assert sorted(names) == sorted(registry)


def test_every_generator_of_the_package_has_a_part_of_the_schema():
    assert sorted(network._OURS) == sorted(topologies.GENERATORS)
    for name in network._OURS - {"networkx"}:
        made = scenario.load("smoke", [f"underlay.topology={{generator: {name}}}"])
        assert type(made.underlay.topology) is not network.Foreign


def test_a_process_that_nobody_brings_is_refused():
    with pytest.raises(ConfigError, match="unknown world process 'storms'"):
        scenario.load("smoke", ["processes={storms: {}}"])


@pytest.mark.parametrize(
    ("registry", "override"),
    [
        (POLICIES, "routing.policy"),
        (models, "trust.model"),
        (adversaries, "nodes.named.alice.behaviour"),
        (PROTOCOLS, "routing.protocol"),
    ],
    ids=["policies", "reputation models", "misbehaviours", "protocols"],
)
def test_a_part_that_a_registry_finds_outside_may_be_named_in_a_scenario(registry, override, tmp_path, monkeypatch):
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group_of(registry.kind)}]\nmine = plugged:Mine\n")
    with pytest.raises(ConfigError, match=f"unknown {registry.kind} 'mine'"):
        scenario.load("tiny", ["control.mode=modelled", f"{override}=mine"])
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "mine" in scenario.canonical(scenario.load("tiny", ["control.mode=modelled", f"{override}=mine"]))


def test_a_scenario_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError):
        scenario.Scenario().duration = 3.0


def test_defaults_hold_what_they_promise():
    nodes = NodesConfig()
    assert nodes.nat.shares() == {"open": 0.15, "cone": 0.3, "port_restricted": 0.4, "symmetric": 0.15}
    assert scenario.Scenario().underlay.topology == "topozoo/HurricaneElectric"


def test_members_have_unique_names_and_devices_share_people():
    members = census.members(
        NodesConfig(count=12, roles={"relay": 2, "super_node": 1}, devices=1.5, named=[{"name": "peer-001"}])
    )
    assert [m.name for m in members] == [
        *(
            "peer-001",
            "super-000",
            "relay-000",
            "relay-001",
            "peer-000",
            "peer-002",
            "peer-003",
            "peer-004",
            "peer-005",
        ),
        *("peer-006", "peer-007", "peer-008"),
    ]
    people = [m.aura for m in members if m.role == "peer" and not m.named]
    assert len(people) == 8
    assert len(set(people)) == 5


def test_an_aura_with_a_domain_names_it():
    named = [{"name": "zoe", "domain": "Example.org"}, {"name": "ann", "aura": "@Ann.aura"}]
    members = census.members(NodesConfig(count=4, roles={"relay": 1, "super_node": 0}, named=named))
    assert [m.aura for m in members[:2]] == ["@zoe.aura:example.org", "@ann.aura"]
