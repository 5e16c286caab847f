from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from meshsim.measure.trace import Trace
from meshsim.sim.connections import Connections

paths = st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=4, unique=True), max_size=12)


@given(paths, st.integers(1, 4))
def test_nobody_ever_has_more_links_than_the_limit(wanted, limit):
    links, neighbours = Connections(limit), {}
    for path in wanted:
        if not links.refusing(path):
            links.open(path)
            for a, b in pairwise(path):
                neighbours.setdefault(a, set()).add(b)
                neighbours.setdefault(b, set()).add(a)
    assert all(len(linked) <= limit for linked in neighbours.values())


@given(paths)
def test_links_that_are_given_up_leave_room(wanted):
    links = Connections(2)
    for path in wanted:
        links.open(path)
    for path in wanted:
        links.close(path)
    assert links.refusing((0, 1, 2)) == []


def test_two_calls_over_one_link_count_once():
    links = Connections(1)
    links.open((0, 1))
    links.open((0, 1))
    links.close((0, 1))
    assert links.refusing((0, 1)) == []
    assert links.refusing((2, 1)) == [1]


def test_refused_calls_say_who_had_no_connection_to_spare(small, run):
    limited = run(small(nodes={"max_connections": 1}))
    trace = Trace(limited.trace)
    reasons, details = set(trace.columns("calls")["reason"]), set(trace.columns("events")["detail"])
    assert any("no connection to spare" in str(reason) for reason in reasons)
    assert "relay has no connection to spare" in details
    assert limited.counts["failed"] > run(small()).counts["failed"]


def test_a_limit_that_never_binds_changes_nothing_but_the_scenario(small, run):
    loose, none = run(small(nodes={"max_connections": 5000})), run(small())
    assert loose.counts == none.counts
    calls = [Trace(one.trace).columns("calls")["mos"].tolist() for one in (loose, none)]
    assert str(calls[0]) == str(calls[1])
