from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.trust import EventKind, Evidence, eigentrust, models
from meshsim.trust.eigentrust import EigenTrust
from meshsim.trust.network import Web


def web_of(local: np.ndarray[tuple[int, int], np.dtype[np.float64]], seeds: list[int]) -> Web:
    rater, node = np.nonzero(local)
    chosen = np.zeros(len(local), dtype=np.bool_)
    chosen[seeds] = True
    weight = local[rater, node]
    return Web(rater, node, weight, np.zeros_like(weight), chosen, np.ones(len(local), dtype=np.bool_))


def test_the_worked_example_of_openrank() -> None:
    """go-eigentrust, README: local trust ek-sd 100, vm-sd 100, ek-vm 75; pre-trust ek 50, vm 100; alpha .5."""
    ek, sd, vm = 0, 1, 2
    local = np.zeros((3, 3))
    local[ek, sd], local[vm, sd], local[ek, vm] = 100.0, 100.0, 75.0
    web = web_of(local, [])
    trust = EigenTrust(alpha=0.5).trust(web, web.praise, np.array([50.0, 0.0, 100.0]) / 150.0)
    # The README stopped at its default threshold, about 2e-6 from the fixed point.
    assert trust[[ek, sd, vm]] == pytest.approx([0.21705427907, 0.30232554291, 0.48062017802], abs=1e-6)


graphs = st.integers(3, 7).flatmap(
    lambda n: st.lists(
        st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.0, 5.0]), min_size=n, max_size=n), min_size=n, max_size=n
    )
)


@settings(max_examples=40, deadline=None)
@given(rows=graphs, alpha=st.floats(0.1, 0.9))
def test_trust_is_the_fixed_point_of_the_papers_equation(rows: list[list[float]], alpha: float) -> None:
    local = np.array(rows)
    np.fill_diagonal(local, 0.0)
    start = np.zeros(len(local))
    start[:2] = 0.5
    given_out = local.sum(axis=1, keepdims=True)
    c = np.where(given_out > 0.0, local / np.where(given_out > 0.0, given_out, 1.0), start)
    exact = np.linalg.solve(np.eye(len(local)) - (1.0 - alpha) * c.T, alpha * start)
    web = web_of(local, [0, 1])
    trust = EigenTrust(alpha=alpha).trust(web, web.praise, start)
    assert trust == pytest.approx(exact, abs=1e-8)
    assert trust.sum() == pytest.approx(1.0)


@settings(max_examples=40, deadline=None)
@given(
    honest=st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=4, max_size=4),
    attack=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(1, 9)), max_size=6),
    made_up=st.integers(1, 60),
    ring=st.integers(1, 7),
    alpha=st.floats(0.1, 0.9),
)
def test_made_up_nodes_hold_no_more_than_the_bound_however_many(
    honest: list[list[int]], attack: list[tuple[int, int, int]], made_up: int, ring: int, alpha: float
) -> None:
    """Mass of a set without seeds <= (1 - a) / a times what flows into it, whoever the set praises."""
    n = 4 + made_up
    local = np.zeros((n, n))
    local[:4, :4] = honest
    for victim, sybil, weight in attack:
        local[victim, 4 + sybil % made_up] = weight
    for k in range(made_up):
        local[4 + k, 4 + (k + ring) % made_up] = 3.0
    np.fill_diagonal(local, 0.0)
    web = web_of(local, [0, 1])
    start = web.seeds / 2.0
    trust = EigenTrust(alpha=alpha).trust(web, web.praise, start)
    share = local[:4] / np.maximum(local[:4].sum(axis=1, keepdims=True), 1.0)
    inflow = float((trust[:4, None] * share)[:, 4:].sum())
    assert trust[4:].sum() <= (1.0 - alpha) / alpha * inflow + 1e-8


def sybil_mass(k: int) -> float:
    """Trust of k made-up nodes that praise each other in a ring, but for the one that two honest nodes praise."""
    model = eigentrust()
    rng = np.random.default_rng(1)
    for node in range(40):
        if node < 5:
            model.anchor(node)
        for other in rng.choice(40, 8, replace=False):
            model.observe(int(other), Evidence(kind=EventKind.SUCCESSFUL_CALL, node=int(other), t=0.0, raters=(node,)))
    for edge in (10, 11):
        model.observe(40, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=40, t=0.0, raters=(edge,)))
    for i in range(k):
        node = 40 + (i + 1) % k
        model.observe(node, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=0.0, raters=(40 + i,)))
    web = model.web(0.0)
    trust = EigenTrust().trust(web, web.praise, web.seeds / web.seeds.sum())
    return float(trust[41:].sum())


def test_ten_thousand_made_up_nodes_hold_no_more_trust_than_a_hundred() -> None:
    few, many = sybil_mass(100), sybil_mass(10_000)
    assert many == pytest.approx(few, rel=1e-3)


def test_the_only_one_that_a_seed_praises_has_a_fair_share() -> None:
    local = np.zeros((3, 3))
    local[0, 1] = 4.0
    web = web_of(local, [0])
    table = EigenTrust(alpha=0.2).rate(web)
    assert table.evidence.tolist() == [0.0, 4.0, 0.0]
    assert table.mean.tolist() == pytest.approx([50.0, (2.0 * 50.0 + 4.0 * 80.0) / 6.0, 50.0])


def test_without_seeds_everybody_known_is_trusted_alike() -> None:
    model = models["eigentrust"]()
    for rater, node in ((0, 1), (1, 0)):
        model.observe(node, Evidence(kind=EventKind.SUCCESSFUL_CALL, node=node, t=0.0, raters=(rater,), weight=1e6))
    assert model.table(3, 0.0).mean == pytest.approx([80.0, 80.0, 50.0], abs=1e-3)
