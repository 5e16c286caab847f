from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.errors import ConfigError
from meshsim.sim.fluid import max_min, run_elastic

ROOM = 1e-9


@st.composite
def networks(draw, most_links: int = 6, most_flows: int = 12):
    """Links, flows over some of them, demands and weights."""
    links = draw(st.integers(1, most_links))
    capacity = draw(st.lists(st.floats(0.1, 100.0), min_size=links, max_size=links))
    some = st.lists(st.integers(0, links - 1), min_size=1, max_size=links, unique=True)
    flows = draw(st.lists(some, min_size=1, max_size=most_flows))
    size = {"min_size": len(flows), "max_size": len(flows)}
    demand = draw(st.lists(st.one_of(st.just(math.inf), st.floats(0.1, 50.0)), **size))
    weight = draw(st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), **size))
    indptr = np.cumsum([0, *(len(flow) for flow in flows)])
    return indptr, np.concatenate(flows), np.array(capacity), np.array(demand), np.array(weight)


def assert_fair(indptr, route, capacity, demand, weight, rates):
    """No link carries more than it can, and every flow gets its demand or has a bottleneck."""
    flows = [route[indptr[f] : indptr[f + 1]] for f in range(len(rates))]
    owner = np.repeat(np.arange(len(rates)), np.diff(indptr))
    used = np.bincount(route, weights=rates[owner], minlength=len(capacity))
    assert (used <= capacity * (1 + ROOM)).all()
    level = rates / weight
    top = np.zeros(len(capacity))
    np.maximum.at(top, route, level[owner])
    for f, links in enumerate(flows):
        full = used[links] >= capacity[links] * (1 - ROOM)
        bottleneck = full & (level[f] >= top[links] * (1 - ROOM))
        assert bottleneck.any() or rates[f] >= demand[f] * (1 - ROOM)


@given(networks())
def test_every_flow_gets_its_demand_or_has_a_bottleneck(network):
    assert_fair(*network, max_min(*network))


@pytest.mark.parametrize("links", [1, 2, 5, 40])
def test_a_parking_lot_is_shared_by_halves(links):
    indptr = [0, links, *range(links + 1, 2 * links + 1)]
    rates = max_min(indptr, [*range(links), *range(links)], np.full(links, 3.0))
    np.testing.assert_allclose(rates, 1.5, rtol=1e-12)


def test_weights_and_demands_share_one_link_as_by_hand():
    rates = max_min([0, 1, 2, 3], [0, 0, 0], [9.0], demand=[1.0, math.inf, math.inf], weight=[4.0, 1.0, 3.0])
    np.testing.assert_allclose(rates, [1.0, 2.0, 6.0])


def test_a_flow_without_links_gets_its_demand():
    assert max_min([0, 0, 1], [0], [2.0], demand=[7.0, math.inf]).tolist() == [7.0, 2.0]


def test_a_dead_link_stops_only_who_crosses_it():
    assert max_min([0, 2, 3], [0, 1, 1], [0.0, 5.0]).tolist() == [0.0, 5.0]


@given(networks(), st.data())
@settings(max_examples=60)
def test_transfers_have_fair_rates_whatever_came_before(network, data):
    """All transfers but the last few have ended when the clock is looked at: the ends tell the rates."""
    indptr, route, capacity, demand, weight = network
    flows = len(demand)
    moments = st.lists(st.floats(0.0, 5.0), min_size=flows, max_size=flows)
    arrivals = np.array(data.draw(moments))
    sizes = np.array(data.draw(st.lists(st.floats(0.1, 20.0), min_size=flows, max_size=flows)))
    ends = run_elastic(indptr, route, capacity, arrivals, sizes, demand=demand, weight=weight)
    np.testing.assert_allclose(ends, stepped(network, arrivals, sizes), rtol=1e-6)


def stepped(network, arrivals, sizes):
    """The same, with all rates worked out anew from scratch after every event."""
    indptr, route, capacity, demand, weight = network
    left, ends, now = sizes.copy(), np.full(len(sizes), np.inf), 0.0
    while np.isinf(ends).any():
        here = np.flatnonzero((arrivals <= now) & np.isinf(ends))
        parts = [route[indptr[f] : indptr[f + 1]] for f in here]
        lengths = np.cumsum([0, *(len(part) for part in parts)])
        rates = max_min(lengths, np.concatenate([[], *parts]).astype(int), capacity, demand[here], weight[here])
        finish = now + left[here] / rates
        coming = arrivals[arrivals > now]
        then = min([*finish, *coming])
        left[here] -= rates * (then - now)
        done = here[finish <= then * (1 + 1e-12)]
        ends[done], left[done], now = then, 0.0, then
    return ends


def test_a_processor_shared_by_poisson_arrivals_is_m_m_1():
    rng = np.random.default_rng(3)
    size = 40_000
    arrivals = np.cumsum(rng.exponential(1 / 0.7, size))
    work = rng.exponential(1.0, size)
    spent = run_elastic(np.arange(size + 1), np.zeros(size, dtype=int), [1.0], arrivals, work) - arrivals
    assert spent.mean() == pytest.approx(1 / (1 - 0.7), rel=0.06)
    # processor sharing is fair: the mean time of a transfer is proportional to its size
    small, large = work < 0.5, work > 2.0
    assert (spent[small].sum() / work[small].sum()) == pytest.approx(spent[large].sum() / work[large].sum(), rel=0.1)


def test_a_transfer_over_a_dead_link_never_ends():
    assert run_elastic([0, 1, 2], [0, 1], [0.0, 1.0], [0.0, 0.0], [1.0, 2.0]).tolist() == [math.inf, 2.0]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"route": [0, 2]}, "route"),
        ({"indptr": [0, 2], "route": [0, 0]}, "route"),
        ({"capacity": [-1.0, 1.0]}, "capacity"),
        ({"capacity": [math.inf, 1.0]}, "capacity"),
        ({"weight": 0.0}, "weight"),
        ({"demand": -1.0}, "demand"),
        ({"arrivals": [0.0, math.nan]}, "arrivals"),
        ({"sizes": [1.0]}, "sizes"),
        ({"indptr": [0, 0, 2]}, "indptr"),
    ],
)
def test_what_makes_no_sense_is_named(change, key):
    asked = {"indptr": [0, 1, 2], "route": [0, 1], "capacity": [1.0, 1.0], "arrivals": [0.0, 0.0], "sizes": [1.0, 1.0]}
    with pytest.raises(ConfigError) as told:
        run_elastic(**{**asked, **change})
    assert told.value.key == key
