"""Candidates are exact, loopless, in order, and start with the direct path."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meshsim.mesh.ids import NodeId
from meshsim.mesh.view import LinkEntry, NetworkView, NodeEntry, Role, make_view
from meshsim.routing.candidates import candidates_of, k_shortest, merged
from meshsim.testing.policies import check_paths_agree_with_networkx
from meshsim.testing.strategies import network_views

test_k_shortest_agrees_with_networkx = check_paths_agree_with_networkx


def line(*delays: float, fresh: tuple[LinkEntry, ...] = ()) -> NetworkView:
    nodes = [NodeEntry(id=NodeId(bytes([9 - i] * 32)), role=Role.RELAY) for i in range(len(delays) + 1)]
    links = [LinkEntry(src=i, dst=i + 1, delay=delay) for i, delay in enumerate(delays)]
    return make_view(nodes, links, fresh=fresh)


def everyone(view: NetworkView) -> np.ndarray:
    return np.ones(len(view.nodes), dtype=np.bool_)


def test_the_direct_path_comes_first_even_when_nobody_knows_it() -> None:
    view = line(0.01, 0.01)
    assert list(k_shortest(view, 0, 2, 4, 3, everyone(view))) == [(0, 2), (0, 1, 2)]


def test_the_hop_limit_holds() -> None:
    view = line(0.01, 0.01, 0.01)
    assert list(k_shortest(view, 0, 3, 4, 2, everyone(view))) == [(0, 3)]
    assert list(k_shortest(view, 0, 3, 4, 3, everyone(view))) == [(0, 3), (0, 1, 2, 3)]
    assert list(k_shortest(view, 0, 3, 4, 1, everyone(view))) == [(0, 3)]


def test_one_candidate_is_the_direct_path() -> None:
    view = line(0.01, 0.01)
    assert list(k_shortest(view, 0, 2, 1, 3, everyone(view))) == [(0, 2)]


def test_fresh_links_replace_and_extend_what_is_shared() -> None:
    shortcut = (LinkEntry(src=0, dst=2, delay=0.001), LinkEntry(src=0, dst=1, delay=0.5))
    view = line(0.01, 0.01, 0.01, fresh=shortcut)
    assert list(k_shortest(view, 0, 3, 4, 3, everyone(view))) == [(0, 3), (0, 2, 3), (0, 1, 2, 3)]


def test_nodes_that_may_not_relay_are_avoided() -> None:
    view = line(0.01, 0.01)
    assert list(k_shortest(view, 0, 2, 4, 3, np.array([True, False, True]))) == [(0, 2)]


def test_equal_delays_come_in_the_order_of_ids() -> None:
    nodes = [NodeEntry(id=NodeId(bytes([i] * 32)), role=Role.RELAY) for i in (1, 2, 9, 5, 7)]
    links = [LinkEntry(src=a, dst=b, delay=0.01) for relay in (2, 3, 4) for a, b in ((0, relay), (relay, 1))]
    view = make_view(nodes, links)
    assert [path[1] for path in k_shortest(view, 0, 1, 4, 2, everyone(view))] == [1, 3, 4, 2]


def test_a_link_of_unknown_delay_is_not_searched() -> None:
    view = line(float("nan"), 0.01)
    assert list(k_shortest(view, 0, 2, 4, 3, everyone(view))) == [(0, 2)]


@given(view=network_views(least=3), k=st.integers(1, 8), hops=st.integers(1, 5))
def test_a_shorter_list_is_the_head_of_a_longer_one(view: NetworkView, k: int, hops: int) -> None:
    relay = view.nodes.role > 0
    longer = list(k_shortest(view, 0, 1, k + 5, hops, relay))
    assert list(k_shortest(view, 0, 1, k, hops, relay)) == longer[:k]


def test_candidates_know_their_hops() -> None:
    found = candidates_of([(0, 3), (0, 1, 2, 3), (0, 2, 3)])
    assert found.hops.tolist() == [1, 3, 2]
    assert found.hop_src.tolist() == [0, 0, 1, 2, 0, 2]
    assert found.hop_dst.tolist() == [3, 1, 2, 3, 2, 3]
    assert found.hop_path.tolist() == [0, 1, 1, 1, 2, 2]
    assert found.hop_indptr.tolist() == [0, 1, 4, 6]
    assert list(found.take([2, 0])) == [(0, 2, 3), (0, 3)]


def test_merging_keeps_all_paths_in_order() -> None:
    one, other = candidates_of([(0, 1)]), candidates_of([(0, 2), (0, 3, 2)])
    assert list(merged([one, other])) == [(0, 1), (0, 2), (0, 3, 2)]
    assert merged([one]) is one


def test_equal_delays_over_one_relay_and_two_come_in_the_order_of_ids() -> None:
    nodes = [NodeEntry(id=NodeId(bytes([i] * 32)), role=Role.RELAY) for i in (1, 2, 9, 5)]
    pairs = ((0, 2, 0.02), (2, 1, 0.02), (0, 3, 0.01), (3, 2, 0.01), (2, 3, 0.01), (3, 1, 0.03))
    view = make_view(nodes, [LinkEntry(src=a, dst=b, delay=delay) for a, b, delay in pairs])
    assert list(k_shortest(view, 0, 1, 5, 3, everyone(view))) == [
        (0, 1),
        (0, 3, 1),
        (0, 3, 2, 1),
        (0, 2, 1),
        (0, 2, 3, 1),
    ]


@given(view=network_views(least=3), k=st.integers(2, 8), most=st.integers(2, 3))
def test_enumerating_and_searching_find_the_same(view: NetworkView, k: int, most: int) -> None:
    relay = view.nodes.role > 0
    longer = k_shortest(view, 0, 1, 10_000, 4, relay)  # beyond three hops it searches
    short = [path for path in longer if len(path) <= most + 1]
    assert list(k_shortest(view, 0, 1, k, most, relay)) == short[:k]


def test_where_there_are_fewer_paths_than_wanted_the_search_ends_all_the_same():
    # a clique of fourteen nodes from which one link leads to the target: 10**9 prefixes lead nowhere
    clique = [LinkEntry(src=a, dst=b, delay=0.01) for a in range(14) for b in range(14) if a != b]
    nodes = [NodeEntry(id=NodeId(bytes([i] * 32)), role=Role.RELAY) for i in range(16)]
    view = make_view(nodes, [*clique, LinkEntry(src=0, dst=14, delay=0.01), LinkEntry(src=14, dst=15, delay=0.01)])
    found = k_shortest(view, 0, 15, 4, 12, np.ones(16, dtype=np.bool_))
    assert found.paths == ((0, 15), (0, 14, 15))
