"""Regions fail as they are said to: who, where, when, for how long, and together with what else goes wrong."""

from __future__ import annotations

from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from meshsim import scenario
from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.scenario import Scenario
from meshsim.scenario.events import _joint

GRID = {"topology": {"generator": "grid", "rows": 4, "columns": 5, "spacing": "500 km"}}
WORLD = {
    "duration": 7200,
    "warmup": 0,
    "nodes": {"count": 100, "roles": {"relay": 20, "super_node": 0}},
    "underlay": GRID,
    "calls": {"rate": 0.1},
}


def plan(*outages: dict[str, object], seed: int = 1, **more: object) -> scenario.Plan:
    return scenario.compile(Scenario.model_validate({**WORLD, "outages": outages, **more}), seed)


def hit(found: scenario.Plan, kind: str) -> dict[int, float]:
    """First time at which `kind` happens to each number."""
    times: dict[int, float] = {}
    for at, what, number in zip(found.faults.at.tolist(), found.faults.kind, found.faults.node.tolist(), strict=True):
        if what == kind:
            times.setdefault(number, at)
    return times


def away(found: scenario.Plan, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Metres from `place`, of nodes and of places."""
    at, nodes = found.underlay.topology, found.nodes
    here = at.latitude[place], at.longitude[place]
    return geo.distance(*here, nodes.latitude, nodes.longitude), geo.distance(*here, at.latitude, at.longitude)


def test_all_and_only_the_nodes_and_edges_of_the_region_fail_at_the_instant_said():
    found = plan({"at": 100, "centre": 7, "radius": "600 km"})
    nodes, places = away(found, 7)
    topology = found.underlay.topology
    assert set(hit(found, "down")) == set(np.flatnonzero(nodes <= 600e3).tolist())
    inside = (places <= 600e3)[topology.src] | (places <= 600e3)[topology.dst]
    assert set(hit(found, "edge_down")) == set(np.flatnonzero(inside).tolist())
    assert {*hit(found, "down").values(), *hit(found, "edge_down").values()} == {100.0}
    assert 0 < inside.sum() < len(inside)


def test_both_directions_of_an_edge_fail_and_return_together():
    found = plan({"at": 10, "centre": 7, "radius": "900 km", "edges": 0.5, "nodes": 0})
    topology = found.underlay.topology
    for kind in ("edge_down", "edge_up"):
        times = {(int(topology.src[e]), int(topology.dst[e])): at for e, at in hit(found, kind).items()}
        assert times
        assert all(times[b, a] == at for (a, b), at in times.items())
    assert not hit(found, "down")


def test_the_share_asked_of_nodes_is_hit_and_recovery_is_lognormal_with_the_median_asked():
    shares, lengths = [], []
    for seed in range(12):
        found = plan({"at": 0, "centre": 7, "radius": "5000 km", "nodes": 0.4, "edges": 0, "recovery": 600}, seed=seed)
        down, up = hit(found, "down"), hit(found, "up")
        shares.append(len(down) / len(found.nodes))
        lengths += [up[node] for node in down if node in up]
    assert np.mean(shares) == pytest.approx(0.4, abs=0.05)
    law, wrong = stats.lognorm(0.5, scale=600.0), stats.lognorm(0.5, scale=720.0)
    assert stats.kstest(lengths, law.cdf).pvalue > 0.01
    assert stats.kstest(lengths, wrong.cdf).pvalue < 0.01


def test_failures_by_chance_come_at_the_rate_asked_and_in_other_places():
    outage = {"rate_per_day": 240, "radius": "100 km", "edges": 1, "nodes": 0, "recovery": 1, "recovery_sigma": 0}
    found = plan(outage, duration=86400)
    strikes = [(at, {*numbers}) for at, numbers in _at_once(found, "edge_down")]
    assert len(strikes) == pytest.approx(240, abs=4 * np.sqrt(240))
    gaps = np.diff([at for at, _ in strikes])
    assert stats.kstest(gaps, stats.expon(scale=86400 / 240).cdf).pvalue > 0.01
    assert len({frozenset(numbers) for _, numbers in strikes}) > 15


def _at_once(found: scenario.Plan, kind: str) -> list[tuple[float, list[int]]]:
    rows = [(a, n) for a, k, n in zip(found.faults.at, found.faults.kind, found.faults.node, strict=True) if k == kind]
    return [(float(at), [int(n) for _, n in group]) for at, group in groupby(rows, key=lambda row: row[0])]


def test_a_longer_episode_begins_like_a_shorter_one():
    outage = {"rate_per_day": 200, "radius": "400 km"}
    short, long = (plan(outage, duration=d, churn={"enabled": True}) for d in (3600, 7200))
    count = len(short.faults)
    assert count > 50
    assert np.array_equal(short.faults.at, long.faults.at[:count])
    assert short.faults.kind == long.faults.kind[:count]


def test_a_node_is_back_when_the_last_of_its_causes_is_over():
    churn = {"enabled": True, "session_mean": 300, "downtime_mean": 200, "applies_to": "all"}
    outage = {"at": 1000, "centre": 7, "radius": "5000 km", "recovery": 900, "recovery_sigma": 0}
    both, alone = plan(outage, churn=churn), plan(churn=churn)
    for node in range(len(both.nodes)):
        up = [
            [
                (a, k)
                for a, k, n in zip(p.faults.at, p.faults.kind, p.faults.node, strict=True)
                if n == node and "edge" not in k
            ]
            for p in (both, alone)
        ]
        assert all(a[1] != b[1] for a, b in pairwise(up[0]))
        for t in (500.0, 999.0, 1000.0, 1899.0, 1901.0, 3000.0):
            struck = 1000 <= t < 1900
            assert _is_up(up[0], t) == (_is_up(up[1], t) and not struck)


def _is_up(changes: list[tuple[float, str]], t: float) -> bool:
    before = [kind for at, kind in changes if at <= t]
    return not before or before[-1] == "up"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.integers(0, 9)), max_size=8))
def test_something_is_down_exactly_while_a_cause_holds(spans):
    """Each cause has a life of its own, so causes are numbered anew."""
    changes = [
        change
        for cause, (start, _, length) in enumerate(spans)
        for change in ((float(start), cause, True), (start + length + 0.5, cause, False))
    ]
    told = list(_joint(changes))
    for t in np.arange(0.25, 20.0, 0.5):
        down = any(start <= t < start + length + 0.5 for start, _, length in spans)
        before = [state for at, state in told if at <= t]
        assert (bool(before) and before[-1]) == down
    assert all(a[1] != b[1] for a, b in pairwise(told))


@pytest.mark.parametrize(
    ("override", "key", "told"),
    [
        ("outages=[{at: 5, rate_per_day: 2}]", "outages.0", "not both"),
        ("outages=[{at: 5, centre: Atlantis}]", "outages.0.centre", "Atlantis"),
        ("outages=[{at: 5, centre: 9999}]", "outages.0.centre", "no place 9999"),
        ("outages=[{at: 5, nodes: 120%}]", "outages.0.nodes", "<= 1"),
        ("outages=[{at: 5, radius: 0}]", "outages.0.radius", "> 0"),
    ],
)
def test_what_cannot_fail_is_refused_by_key(override, key, told):
    with pytest.raises(ConfigError) as refused:
        scenario.load("demo", [override])
    assert refused.value.key == key
    assert told in str(refused.value)
