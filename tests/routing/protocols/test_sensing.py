"""Links as hellos tell of them: shares received, round trips without common clocks, cheapest paths."""

from __future__ import annotations

import math
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.routing.protocols import sensing
from meshsim.routing.protocols.sensing import Heard, first_hops


@given(came=st.lists(st.booleans(), min_size=40, max_size=60), start=st.integers(0, 65_535))
def test_the_share_is_that_of_the_last_sixteen_hellos(came: list[bool], start: int) -> None:
    came[0] = came[-1] = True
    came[-8:-1] = [True] * 7  # no gap longer than the window at the end
    heard = Heard(0.0, start)
    for number, arrived in enumerate(came[1:], 1):
        if arrived:
            heard.hear((start + number) % 65_536, float(number))
    last = came[-sensing.WINDOW :]
    runs = [b - a for a, b in pairwise(n for n, arrived in enumerate(came) if arrived)]
    if max(runs) <= sensing.WINDOW:
        assert heard.forward(1.0, float(len(came) - 1)) == pytest.approx(sum(last) / len(last))


def test_hellos_that_are_overdue_count_as_lost() -> None:
    heard = Heard(0.0, 0)
    for number in range(1, 16):
        heard.hear(number, float(number))
    assert heard.forward(1.0, 15.0) == 1.0
    assert heard.forward(1.0, 19.0) == pytest.approx(13 / 16)
    assert heard.forward(1.0, 1000.0) == 0.0


def test_a_neighbour_that_starts_anew_is_counted_anew() -> None:
    heard = Heard(0.0, 5)
    heard.hear(9, 4.0)
    assert heard.forward(1.0, 4.0) < 1.0
    heard.hear(40_000, 5.0)
    assert heard.forward(1.0, 5.0) == 1.0


@given(share=st.floats(0.0, 1.0))
def test_a_share_survives_its_byte(share: float) -> None:
    assert sensing.read_share(sensing.write_share(share)) == pytest.approx(share, abs=1 / 255)
    assert (sensing.write_share(share) == 0) == (share == 0.0)


@given(then=st.floats(0.0, 1e6), elapsed=st.floats(0.0, 4000.0))
def test_stamps_measure_over_their_wrap_around(then: float, elapsed: float) -> None:
    assert sensing.since(then + elapsed, sensing.stamp(then)) == pytest.approx(elapsed, abs=2e-6)


def test_a_dead_link_takes_forever() -> None:
    assert math.isinf(sensing.etx(0.0, 1.0))


@given(
    links=st.dictionaries(
        st.tuples(st.integers(0, 7), st.integers(0, 7)), st.floats(0.1, 9.0), min_size=1, max_size=30
    ),
    relays=st.sets(st.integers(0, 7)),
)
def test_costs_are_those_of_networkx_through_relays_only(links: dict[tuple[int, int], float], relays: set[int]) -> None:
    table: dict[int, dict[int, float]] = {}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_node(0)
    for (a, b), cost in links.items():
        if a != b:
            table.setdefault(a, {})[b] = cost
            if a == 0 or a in relays:
                graph.add_edge(a, b, weight=cost)
    expected = nx.single_source_dijkstra_path_length(graph, 0)
    found = first_hops(0, table, relays)
    assert found.keys() == expected.keys() - {0}
    for node, (cost, first) in found.items():
        assert cost == pytest.approx(expected[node])
        assert first in table[0]
