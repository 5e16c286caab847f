"""Bounds are exact where theory or enumeration knows them, and nothing that routes exceeds them."""

from __future__ import annotations

import math
from itertools import combinations, pairwise, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import MeshSimError, MissingExtra
from meshsim.mesh.ids import NodeId
from meshsim.mesh.view import LinkEntry, NodeEntry, Role, make_view
from meshsim.routing.bounds import (
    Commodity,
    Network,
    believed_network,
    both_ways,
    max_flow,
    most_calls,
    network_of,
)

BRANCHING = 4
"""Links of a flow that cannot be one path over a single relay."""


def drawn(seed: int) -> Network:
    draw = np.random.default_rng(seed)
    nodes = int(draw.integers(3, 14))
    there = (draw.random((nodes, nodes)) < draw.choice([0.2, 0.4, 0.8])) & ~np.eye(nodes, dtype=bool)
    src, dst = np.nonzero(there)
    whole = seed % 2 == 0
    rate = draw.integers(0, 20, len(src)).astype(float) if whole else draw.uniform(0, 1e7, len(src))
    return network_of(nodes, src, dst, rate)


def wish(source: int, target: int, calls: float = 1.0, rate: float = 1.0) -> Commodity:
    return Commodity(source=source, target=target, calls=calls, rate=rate)


def undirected(nodes: int, edges: list[tuple[int, int, float]], relay: list[float] | None = None) -> Network:
    """Links both ways that share one capacity."""
    ends = [end for a, b, _ in edges for end in ((a, b), (b, a))]
    return Network(
        nodes=nodes,
        src=np.array([a for a, _ in ends]),
        dst=np.array([b for _, b in ends]),
        resource=np.repeat(np.arange(len(edges)), 2),
        indptr=np.arange(2 * len(edges) + 1),
        capacity=np.array([c for _, _, c in edges], dtype=np.float64),
        relay=np.full(nodes, np.inf) if relay is None else np.array(relay),
    )


# One pair -------------------------------------------------------------------------------------------------------------


def test_max_flow_is_that_of_networkx_on_a_thousand_graphs() -> None:
    graphs, carrying, branching = set(), 0, 0
    for seed in range(1000):
        network = drawn(seed)
        graph: nx.DiGraph[int] = nx.DiGraph()
        graph.add_nodes_from(range(network.nodes))
        links = list(zip(network.src.tolist(), network.dst.tolist(), network.capacity.tolist(), strict=True))
        for a, b, rate in links:
            graph.add_edge(a, b, capacity=rate)
        expected = nx.maximum_flow_value(graph, 0, 1)
        found = max_flow(network, 0, 1)
        assert found.value == (expected if seed % 2 == 0 else pytest.approx(expected, rel=1e-9, abs=1e-3))
        graphs.add((network.nodes, *links))
        carrying += found.value > 0
        branching += np.count_nonzero(found.flow) >= BRANCHING
    # a few of the smallest graphs come twice
    assert len(graphs) >= 900
    assert carrying >= 700
    assert branching >= 400


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_max_flow_is_a_flow_and_its_cut_is_full(seed: int) -> None:
    network = drawn(seed)
    found, rate = max_flow(network, 0, 1), network.capacity
    slack = 1e-9 * max(rate.max(initial=0.0), 1.0)
    assert ((found.flow >= 0) & (found.flow <= rate + slack)).all()
    net = np.bincount(network.src, found.flow, network.nodes) - np.bincount(network.dst, found.flow, network.nodes)
    assert net[0] == pytest.approx(found.value, abs=slack)
    assert np.abs(net[2:]).max(initial=0.0) <= slack * network.nodes
    leaving = found.cut[network.src] & ~found.cut[network.dst]
    assert rate[leaving].sum() == pytest.approx(found.value, abs=slack * network.nodes)
    assert found.cut[0]
    assert not found.cut[1]


def test_max_flow_refuses_what_has_no_answer() -> None:
    with pytest.raises(ValueError, match="two ends"):
        max_flow(drawn(2), 1, 1)
    with pytest.raises(ValueError, match="share nothing"):
        max_flow(undirected(2, [(0, 1, 1.0)]), 0, 1)
    with pytest.raises(ValueError, match="from 0"):
        network_of(2, [0], [1], [-1.0])


# Many pairs -----------------------------------------------------------------------------------------------------------


def test_a_parking_lot_carries_its_short_calls() -> None:
    n = 5
    lot = network_of(n + 1, range(n), range(1, n + 1), [1.0] * n)
    bound = most_calls(lot, [wish(0, n), *(wish(i, i + 1) for i in range(n))])
    assert bound.calls == pytest.approx(n)
    assert bound.carried == pytest.approx([0.0, *[1.0] * n], abs=1e-9)
    assert bound.utilisation == pytest.approx([1.0] * n)
    long_alone = most_calls(lot, [wish(0, n, calls=3)])
    assert long_alone.calls == pytest.approx(1.0)
    assert long_alone.price.sum() == pytest.approx(1.0)


def test_a_triangle_carries_over_its_third_node_what_its_relay_allows() -> None:
    edges = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.0)]
    assert most_calls(undirected(3, edges), [wish(a, b) for a, b, _ in edges]).calls == pytest.approx(3.0)
    assert most_calls(undirected(3, edges), [wish(0, 1, calls=5)]).calls == pytest.approx(2.0)
    assert most_calls(undirected(3, edges, [0, 0, 0.25]), [wish(0, 1, calls=5)]).calls == pytest.approx(1.25)


def test_calls_of_two_rates_share_links_by_rate_and_relays_by_number() -> None:
    line = network_of(3, [0, 1], [1, 2], [10.0, 10.0], relay=[9.0, 3.0, 9.0])
    assert most_calls(line, [wish(0, 2, calls=9, rate=1.0), wish(0, 2, calls=9, rate=4.0)]).calls == pytest.approx(3.0)
    free = network_of(3, [0, 1], [1, 2], [10.0, math.inf])
    bound = most_calls(free, [wish(0, 2, calls=4, rate=1.0), wish(0, 2, calls=9, rate=4.0)])
    assert bound.calls == pytest.approx(5.5)
    assert bound.utilisation == pytest.approx([1.0, 0.0])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_one_commodity_is_bounded_by_the_max_flow(seed: int) -> None:
    network = drawn(seed)
    expected = max_flow(network, 0, 1).value
    found = most_calls(network, [wish(0, 1, calls=1e9)]).calls
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


_SPAN = st.tuples(st.integers(0, 4), st.integers(1, 4)).map(lambda s: (s[0], min(s[0] + s[1], 5)))


@given(spans=st.lists(_SPAN, min_size=1, max_size=7), rates=st.lists(st.integers(0, 3), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_on_a_line_the_bound_is_the_best_set_of_whole_calls(spans: list[tuple[int, int]], rates: list[int]) -> None:
    # intervals make a totally unimodular matrix: the linear programme has whole solutions
    line = network_of(6, range(5), range(1, 6), rates)
    best = max(
        size
        for size in range(len(spans) + 1)
        for chosen in combinations(spans, size)
        if all(sum(a <= link < b for a, b in chosen) <= rate for link, rate in enumerate(rates))
    )
    assert most_calls(line, [wish(a, b) for a, b in spans]).calls == pytest.approx(best, abs=1e-7)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_two_commodities_are_bounded_by_the_smallest_cut(seed: int) -> None:
    # Hu, "Multi-commodity network flows", Operations Research 11(3), 1963: exact for two in undirected networks
    draw = np.random.default_rng(seed)
    nodes = 6
    edges = [(a, b, float(draw.integers(0, 9))) for a, b in combinations(range(nodes), 2) if draw.random() < 0.6]
    pairs = [(0, 1), (2, 3)]
    cut = min(
        sum(c for a, b, c in edges if side[a] != side[b])
        for side in product((False, True), repeat=nodes)
        if all(side[a] != side[b] for a, b in pairs)
    )
    alone = [most_calls(undirected(nodes, edges), [wish(a, b, calls=999)]).calls for a, b in pairs]
    together = most_calls(undirected(nodes, edges), [wish(a, b, calls=999) for a, b in pairs]).calls
    assert together == pytest.approx(min(cut, sum(alone)), abs=1e-6)


def greedy(network: Network, wanted: list[Commodity]) -> float:
    """Whole calls, one after the other, each on the first path that still has room."""
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(network.nodes))
    left = network.capacity.copy()
    row = {}
    for link, ends in enumerate(zip(network.src.tolist(), network.dst.tolist(), strict=True)):
        graph.add_edge(*ends)
        row[ends] = network.resource[network.indptr[link] : network.indptr[link + 1]]
    carried = 0
    for each in wanted:
        for path in nx.all_simple_paths(graph, each.source, each.target, cutoff=4):
            used = np.concatenate([row[hop] for hop in pairwise(path)])
            load = each.rate * np.bincount(used, minlength=len(left))
            if (load <= left).all():
                left -= load
                carried += 1
                break
    return carried


@given(seed=st.integers(0, 10_000), both=st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_greedy_routing_exceeds_the_bound(*, seed: int, both: bool) -> None:
    draw = np.random.default_rng(seed)
    nodes = int(draw.integers(3, 7))
    src, dst = np.nonzero(~np.eye(nodes, dtype=bool))
    network = network_of(nodes, src, dst, draw.integers(0, 6, len(src)))
    network = both_ways(network) if both else network
    wanted = [wish(*draw.permutation(nodes)[:2].tolist(), rate=float(draw.integers(1, 4))) for _ in range(8)]
    bound = most_calls(network, wanted)
    assert greedy(network, wanted) <= bound.calls + 1e-7
    assert bound.calls <= len(wanted) + 1e-7
    assert (bound.utilisation <= 1 + 1e-7).all()
    assert (bound.price >= -1e-9).all()


def test_calls_both_ways_load_the_way_back_and_need_one() -> None:
    network = network_of(3, [0, 1, 1, 2], [1, 0, 2, 1], [5.0, 2.0, 9.0, 9.0])
    wanted = [wish(0, 2, calls=9)]
    assert most_calls(network, wanted).calls == pytest.approx(5.0)
    assert most_calls(both_ways(network), wanted).calls == pytest.approx(2.0)
    one_way = both_ways(network_of(3, [0, 1, 2], [1, 2, 1], [5.0, 9.0, 9.0]))
    assert sorted(zip(one_way.src.tolist(), one_way.dst.tolist(), strict=True)) == [(1, 2), (2, 1)]
    assert most_calls(one_way, wanted).calls == 0.0
    assert len(both_ways(network_of(2, [], [], [])).src) == 0


def test_a_view_is_a_network_of_what_links_and_relays_have_to_spare() -> None:
    nodes = [
        NodeEntry(id=NodeId(bytes([i] * 32)), role=role, load=0.5, max_calls=4)
        for i, role in enumerate([Role.PEER, Role.PEER, Role.RELAY])
    ]
    links = [LinkEntry(src=0, dst=2, delay=0.1, rate=3.0), LinkEntry(src=2, dst=1, delay=0.1, rate=8.0)]
    network = believed_network(make_view(nodes, links))
    assert network.relay.tolist() == [0.0, 0.0, 2.0]
    assert most_calls(network, [wish(0, 1, calls=9)]).calls == pytest.approx(2.0)
    assert max_flow(network, 0, 1).value == 3.0


def test_nothing_wanted_is_nothing_carried_and_nonsense_is_refused() -> None:
    assert most_calls(drawn(3), []).calls == 0.0
    for wrong in ({"target": 0}, {"calls": -1.0}, {"rate": 0.0}, {"rate": math.inf}):
        with pytest.raises(ValueError, match="calls are between"):
            Commodity(**{"source": 0, "target": 1, "calls": 1.0, "rate": 1.0} | wrong)


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "scipy.optimize", None)
    with pytest.raises(MissingExtra, match="sim"):
        most_calls(drawn(3), [wish(0, 1)])


def test_where_nothing_limits_calls_there_is_no_bound() -> None:
    with pytest.raises(MeshSimError, match="no bound was found"):
        most_calls(network_of(2, [0], [1], [math.inf]), [wish(0, 1, calls=math.inf)])
