"""The paper prints figures of its data set, no vector: walks are counted by hand and by solving for them."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.trust.meritrank import MeritRank, bridges
from meshsim.trust.network import Web, outward


def web_of(pairs: list[tuple[int, int]], n: int, seeds: list[int]) -> Web:
    rater, node = np.array(sorted(pairs)).T
    chosen = np.zeros(n, dtype=np.bool_)
    chosen[seeds] = True
    return Web(rater, node, np.ones(len(rater)), np.zeros(len(rater)), chosen, np.ones(n, dtype=np.bool_))


def bridges_of(web: Web, threshold: float = 0.95) -> list[int]:
    weight = outward(web, web.praise)[0]
    visits = MeritRank().visits(web, weight)
    return [int(bridge) for bridge in bridges(web, weight * visits[web.rater], threshold)]


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda pair: pair[0] != pair[1]), min_size=1),
    alpha=st.floats(0.1, 0.9),
)
def test_visits_are_those_of_infinitely_many_walks(pairs: set[tuple[int, int]], alpha: float) -> None:
    web = web_of(sorted(pairs), 7, [0, 1])
    weight = outward(web, web.praise)[0]
    step = np.zeros((7, 7))
    step[web.rater, web.node] = weight
    exact = np.linalg.solve(np.eye(7) - (1.0 - alpha) * step.T, web.trusted / web.trusted.sum())
    assert MeritRank(alpha=alpha).visits(web, weight) == pytest.approx(exact, abs=1e-7)


def test_each_step_of_a_chain_is_reached_by_fewer_walks() -> None:
    web = web_of([(0, 1), (1, 2), (2, 3)], 4, [0])
    visits = MeritRank(alpha=0.2).visits(web, outward(web, web.praise)[0])
    assert visits == pytest.approx([1.0, 0.8, 0.64, 0.512])


def test_all_that_lies_behind_one_node_hangs_on_it() -> None:
    # Seed 0 praises 1 and 2; behind 2 alone lie 3 and, over 3 and 4 that 2 both knows, 5, and at the end 6.
    web = web_of([(0, 1), (0, 2), (2, 3), (2, 4), (3, 5), (4, 5), (5, 6)], 7, [0])
    assert bridges_of(web) == [-1, -1, -1, 2, 2, 2, 2]


def test_a_node_with_a_second_way_to_it_hangs_on_none_unless_it_is_hardly_used() -> None:
    second = web_of([(0, 1), (0, 2), (1, 3), (2, 3)], 4, [0])
    assert bridges_of(second) == [-1, -1, -1, -1]
    assert bridges_of(web_of([(0, 1), (0, 2), (1, 3)], 4, [0])) == [-1, -1, -1, 1]
    flow = np.array([1.0, 1.0, 0.97, 0.03])
    assert bridges(second, flow, 0.95).tolist() == [-1, -1, -1, 1]
    assert bridges(second, flow, 0.98).tolist() == [-1, -1, -1, -1]


def test_a_way_that_carries_nothing_is_no_second_way() -> None:
    web = web_of([(0, 1), (0, 2), (1, 3), (2, 3)], 4, [0])
    assert bridges(web, np.array([1.0, 1.0, 1.0, 0.0]), 1.0).tolist() == [-1, -1, -1, 1]
    assert bridges(web, np.array([1.0, 1.0, 1.0, 1e-6]), 1.0).tolist() == [-1, -1, -1, -1]


def test_opinions_that_carry_the_same_are_left_out_together_or_not_at_all() -> None:
    # Over node 1 comes .9, over each of 2, 3 and 4 a thirtieth: one of them alone would be few enough to leave out.
    web = web_of([(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (2, 5), (3, 5), (4, 5)], 6, [0])
    flow = np.array([1.0, 1.0, 1.0, 1.0, 0.9, 0.1 / 3.0, 0.1 / 3.0, 0.1 / 3.0])
    assert bridges(web, flow, 0.95).tolist()[5] == -1
    assert bridges(web, flow, 0.85).tolist()[5] == 1


def test_seeds_are_no_bridges_and_hang_on_none() -> None:
    assert bridges_of(web_of([(0, 1), (1, 2), (2, 0)], 3, [0])) == [-1, -1, 1]
    assert bridges_of(web_of([(0, 1), (1, 2)], 3, [0, 1, 2])) == [-1, -1, -1]


def test_nodes_behind_a_bridge_lose_what_beta_says() -> None:
    web = web_of([(0, 1), (0, 2), (2, 3)], 5, [0])
    free, decayed = MeritRank(beta=0.0).rate(web), MeritRank(beta=0.8).rate(web)
    # A decayed node has less, so that the fair share falls and all others rise.
    assert decayed.mean[3] < free.mean[3]
    assert decayed.mean[1] > free.mean[1]
    assert MeritRank(beta=1.0).rate(web).evidence[3] == pytest.approx(1.0)


def test_a_ring_of_made_up_nodes_behind_one_edge_hangs_on_it() -> None:
    ring = [(2 + k, 2 + (k + 1) % 8) for k in range(8)] + [(2 + k, 2 + (k + 3) % 8) for k in range(8)]
    assert bridges_of(web_of([(0, 1), (1, 2), *ring], 10, [0])) == [-1, -1, *[1] * 8]


def test_a_ladder_that_frees_one_node_at_a_time_is_given_up_after_64_rungs() -> None:
    # Each rung is reached from node 1 and from the rung before, and both ways are known to be two only then.
    for rungs, bridge in ((60, 2 + 60), (70, -1)):
        steps = [(1, rung) for rung in range(3, 3 + rungs)] + [(rung, rung + 1) for rung in range(2, 2 + rungs)]
        web = web_of([(0, 1), (0, 2), *steps, (2 + rungs, 3 + rungs)], 4 + rungs, [0])
        assert bridges(web, np.ones(len(web.rater)), 0.95).tolist() == [-1] * (3 + rungs) + [bridge]


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.sets(st.tuples(st.integers(0, 7), st.integers(1, 7)).filter(lambda pair: pair[0] != pair[1]), min_size=1)
)
def test_bridges_are_the_first_dominators_that_networkx_finds(pairs: set[tuple[int, int]]) -> None:
    graph = nx.DiGraph(pairs)
    graph.add_node(0)
    dominator = nx.immediate_dominators(graph, 0)
    expected = []
    for place in range(8):
        above = place
        while above in dominator and dominator[above] not in {0, None}:
            above = dominator[above]
        expected.append(above if above != place else -1)
    assert bridges_of(web_of(sorted(pairs), 8, [0]), threshold=1.0) == expected
