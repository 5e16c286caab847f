"""`nodes.links: edges`: a mesh of radios, where a call goes from neighbour to neighbour or not at all."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from meshsim.measure.trace import Trace
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Role
from meshsim.scenario import Scenario, compile_plan
from meshsim.sim import simulate

CITY = {
    "duration": 240,
    "warmup": 0,
    "underlay": {
        "topology": {"generator": "grid", "rows": 3, "columns": 4, "spacing": "1 km"},
        "hop_delay": "1 ms",
        "utilisation_mean": 0.2,
    },
    "nodes": {"count": 30, "links": "edges", "roles": {"relay": 10, "super_node": 2}, "scatter": 0},
    "calls": {"rate": 0.3, "duration": {"median": 20, "sigma": 0.5}, "media": {"audio": 1}},
    "routing": {"policy": "shortest", "max_hops": 12, "candidates": 6},
    "churn": {"enabled": True, "session_mean": 200, "downtime_mean": 20},
}


@pytest.fixture(scope="module")
def plan():
    return compile_plan(Scenario.model_validate(CITY), 3)


@pytest.fixture(scope="module")
def calls(plan, tmp_path_factory):
    return Trace(simulate(plan, tmp_path_factory.mktemp("edges")).trace).columns("calls")


def test_a_relaying_node_stands_at_every_place_and_super_nodes_where_most_edges_meet(plan):
    relaying = plan.nodes.role != Role.PEER
    assert sorted(plan.nodes.router[relaying]) == list(range(12))
    degree = np.bincount(plan.underlay.topology.src)
    assert (degree[plan.nodes.router[plan.nodes.role == Role.SUPER_NODE]] == degree.max()).all()


def test_links_follow_edges_and_lead_peers_to_the_node_at_their_place(plan):
    edges = set(zip(plan.underlay.topology.src.tolist(), plan.underlay.topology.dst.tolist(), strict=True))
    for a, b in zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True):
        places = int(plan.nodes.router[a]), int(plan.nodes.router[b])
        if Role.PEER in (plan.nodes.role[a], plan.nodes.role[b]):
            assert places[0] == places[1]
        else:
            assert places in edges


def test_neighbours_meet_over_the_edge_between_them(plan):
    for a, b in zip(plan.underlay.topology.src.tolist(), plan.underlay.topology.dst.tolist(), strict=True):
        assert len(plan.underlay.route(a, b)) == 1


def test_every_call_goes_from_neighbour_to_neighbour(plan, calls):
    links = set(zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True))
    paths = [path for path in calls["final_path"] if len(path)]
    assert len(paths) > 20
    assert max(len(path) for path in paths) > 4
    for path in paths:
        assert all((int(a), int(b)) in links for a, b in pairwise(path))
    assert (np.array(calls["outcome"]) == "completed").mean() > 0.5


def test_too_few_relaying_nodes_for_the_places_are_refused():
    wrong = {**CITY, "nodes": {**CITY["nodes"], "roles": {"relay": 5}}}
    with pytest.raises(ConfigError, match="one stands at each place") as error:
        compile_plan(Scenario.model_validate(wrong), 1)
    assert list(error.value.allowed) == ["12 relaying nodes"]


def test_radio_links_need_the_modelled_control_plane():
    with pytest.raises(ValueError, match="modelled control plane"):
        Scenario.model_validate({**CITY, "control": {"mode": "agents"}, "routing": {}})
