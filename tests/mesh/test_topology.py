"""Topologies: there and back to networkx, distances, NAT and link look-up."""

from __future__ import annotations

import dataclasses

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh import geo
from meshsim.mesh.topology import Link, Node, Topology, from_networkx
from meshsim.mesh.view import LinkBelief, Nat, connectable, find_links


def test_a_topology_survives_the_trip_through_networkx() -> None:
    graph = nx.Graph(name="line")
    graph.add_node("a", latitude=0.0, longitude=0.0)
    graph.add_node("b", latitude=0.0, longitude=1.0)
    graph.add_edge("a", "b", length=5.0)
    graph.add_edge("a", "a")
    line = from_networkx(graph)
    again = from_networkx(line.to_networkx())
    assert (line.names, line.src.tolist(), line.dst.tolist()) == (("a", "b"), [0, 1], [1, 0])
    assert again.length.tolist() == line.length.tolist() == [5.0, 5.0]
    assert (line.node(1), line.link(0)) == (Node(name="b", latitude=0.0, longitude=1.0), Link(src=0, dst=1, length=5.0))
    assert line.indptr.tolist() == [0, 1, 2]


def test_a_length_not_given_is_the_great_circle() -> None:
    graph = nx.Graph()
    graph.add_node(0, latitude=0.0, longitude=0.0)
    graph.add_node(1, latitude=0.0, longitude=90.0)
    graph.add_edge(0, 1)
    assert from_networkx(graph).length[0] == pytest.approx(geo.EARTH_RADIUS * np.pi / 2)


def test_a_directed_graph_keeps_its_directions() -> None:
    assert len(from_networkx(nx.DiGraph([(0, 1)])).src) == 1


def test_what_is_said_of_links_survives_the_trip_and_is_unknown_elsewhere() -> None:
    graph = nx.DiGraph()
    graph.add_edge(0, 1, length=7.0, loss=0.25, rate=1e6)
    graph.add_edge(1, 0, length=9.0, loss=0.5)
    again = from_networkx(from_networkx(graph).to_networkx())
    assert again.loss is not None
    assert again.rate is not None
    assert again.loss.tolist() == [0.25, 0.5]
    assert again.rate[0] == 1e6
    assert np.isnan(again.rate[1])
    assert again.delay is None


def test_measures_are_one_for_each_link() -> None:
    line = from_networkx(nx.Graph([(0, 1)]))
    with pytest.raises(ValueError, match=r"jitter has shape \(3,\)"):
        dataclasses.replace(line, jitter=np.zeros(3))


def test_place_names_must_be_unique() -> None:
    empty = np.zeros(0, dtype=np.int32)
    with pytest.raises(ValueError, match="unique"):
        Topology(
            name="x",
            names=("a", "a"),
            latitude=np.zeros(2),
            longitude=np.zeros(2),
            src=empty,
            dst=empty,
            length=np.zeros(0),
        )


@given(st.integers(2, 12), st.integers(0, 10**6))
def test_every_edge_of_a_graph_becomes_two_links(n: int, seed: int) -> None:
    graph = nx.gnp_random_graph(n, 0.4, seed=seed)
    topology = from_networkx(graph)
    assert set(zip(topology.src.tolist(), topology.dst.tolist(), strict=True)) == set(graph.to_directed().edges)


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        (Nat.OPEN, Nat.SYMMETRIC, True),
        (Nat.CONE, Nat.SYMMETRIC, True),
        (Nat.PORT_RESTRICTED, Nat.PORT_RESTRICTED, True),
        (Nat.PORT_RESTRICTED, Nat.SYMMETRIC, False),
        (Nat.SYMMETRIC, Nat.SYMMETRIC, False),
    ],
)
def test_symmetric_nats_do_not_meet(a: Nat, b: Nat, *, joined: bool) -> None:
    assert bool(connectable(a, b)) is bool(connectable(b, a)) is joined


def test_links_are_found_by_their_ends() -> None:
    src, dst = np.array([0, 0, 1], np.int32), np.array([1, 2, 0], np.int32)
    zero = np.zeros(3)
    links = LinkBelief(
        src=src, dst=dst, delay=zero, jitter=zero, loss=zero, rate=zero, age=zero, observed=np.ones(3, dtype=bool)
    )
    found = find_links(links, np.array([1, 0, 2], np.int32), np.array([0, 2, 0], np.int32), 3)
    assert found.tolist() == [2, 1, -1]


def test_predicted_rtt_grows_with_distance() -> None:
    assert float(geo.predicted_rtt(0.0)) == pytest.approx(0.0314)
    assert float(geo.predicted_rtt(1e6)) == pytest.approx(0.0488)
