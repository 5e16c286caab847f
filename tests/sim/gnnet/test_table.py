from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.seeds import SeedTree
from meshsim.sim.gnnet import COLUMNS, draw_sample, hop_table, predict_sample, simulate_sample

if TYPE_CHECKING:
    from meshsim.measure.external.gnnet import Sample

numbers = st.integers(0, 10_000)


def drawn(number: int) -> Sample:
    return draw_sample(SeedTree(7).generator("test", number), f"drawn-{number}")


@given(numbers)
@settings(max_examples=30, deadline=None)
def test_a_drawn_network_keeps_the_rules_of_the_challenge(number: int) -> None:
    sample = drawn(number)
    nodes = range(len(sample.routers))
    assert len(nodes) <= 10
    assert {(b, a) for a, b in sample.links} == set(sample.links)
    assert nx.is_connected(nx.Graph(sample.links))
    assert set(nx.Graph(sample.links)) == set(nodes)
    assert np.all((sample.bandwidth >= 10_000) & (sample.bandwidth <= 400_000) & (sample.bandwidth % 1000 == 0))
    assert len({(flow.source, flow.target) for flow in sample.flows}) == len(sample.flows)
    for router in sample.routers:
        assert 8_000 <= router.buffer_bits <= 64_000
        if router.policy in ("WFQ", "DRR"):
            assert sum(router.weights) == pytest.approx(1.0)
            assert [100 * weight for weight in router.weights] == pytest.approx(
                [round(100 * weight) for weight in router.weights]
            )
    for flow in sample.flows:
        way = [flow.source, *(sample.links[link][1] for link in flow.route)]
        assert (way[-1], len(set(way))) == (flow.target, len(way))
        share_on = flow.on / (flow.on + flow.off) if flow.gaps == "on_off" else 1.0
        assert 10 <= flow.rate * share_on * flow.mean_bits() <= 10_000
        assert sum(flow.shares) == pytest.approx(1.0)
        assert (len(flow.sizes) <= 5, min(flow.sizes) >= 256, max(flow.sizes) <= 2000) == (True, True, True)


def test_the_same_stream_draws_the_same_network() -> None:
    one, other = drawn(3), drawn(3)
    assert (one.links, one.flows, one.routers) == (other.links, other.flows, other.routers)
    assert one.flows != drawn(4).flows


@given(numbers)
@settings(max_examples=3, deadline=None)
def test_columns_are_numbers_whatever_is_drawn(number: int) -> None:
    table = hop_table(drawn(number))
    assert table.columns.shape == (len(table.flow), len(COLUMNS))
    assert np.isfinite(table.columns).all()
    assert np.all((table.wait > 0.0) & np.isfinite(table.wait))


@pytest.mark.full
@given(numbers, st.sampled_from([0.01, 1000.0]))
@settings(max_examples=3, deadline=None)
def test_columns_are_the_same_in_other_units_of_size(number: int, unit: float) -> None:
    sample = drawn(number)
    larger = replace(
        sample,
        bandwidth=unit * sample.bandwidth,
        routers=tuple(replace(router, buffer_bits=unit * router.buffer_bits) for router in sample.routers),
        flows=tuple(replace(flow, sizes=tuple(unit * size for size in flow.sizes)) for flow in sample.flows),
    )
    ours, theirs = hop_table(sample), hop_table(larger)
    np.testing.assert_allclose(theirs.columns, ours.columns, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(theirs.sending, ours.sending, rtol=1e-9)


def test_waits_and_sending_of_the_table_add_up_to_what_the_formulas_say() -> None:
    sample = drawn(1)
    table = hop_table(sample)
    np.testing.assert_allclose(table.by_formula(), predict_sample(sample).delay, rtol=1e-9)


def test_the_results_of_a_sample_are_not_looked_at() -> None:
    sample = drawn(2)
    ran = simulate_sample(sample, duration=20.0)
    known = replace(sample, measured=sample.measured._replace(delay=ran.delay, variance=ran.variance))
    for unknown, told in zip(hop_table(sample), hop_table(known), strict=True):
        np.testing.assert_array_equal(unknown, told)
