"""Many requests ranked together are decided as one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkBelief, LinkEntry, NodeEntry, Role, link_belief, make_view
from meshsim.routing import RouteRequest, RoutingEngine
from meshsim.routing.batch import Fresh
from meshsim.testing.strategies import network_views

if TYPE_CHECKING:
    from pathlib import Path

    from meshsim.mesh.view import NetworkView

POLICIES = ("weighted", "shortest", "direct")


def known_better(view: NetworkView, sources: list[int], draw: np.random.Generator) -> Fresh:
    """For each request some links of its source, measured anew, whether the shared belief has them or not."""
    request, entries = [], []
    for number, source in enumerate(sources):
        others = [node for node in range(len(view.nodes)) if node != source]
        for dst in sorted(draw.choice(others, size=draw.integers(0, len(others) + 1), replace=False).tolist()):
            delay, jitter, loss = draw.uniform(0.001, 0.3), draw.exponential(0.003), draw.beta(0.3, 20.0)
            request.append(number)
            entries.append(LinkEntry(src=source, dst=dst, delay=delay, jitter=jitter, loss=loss, age=draw.random()))
    parts = [link_belief([entry]) for entry in entries] or [link_belief([])]
    links = {name: np.concatenate([getattr(part, name) for part in parts]) for name in LinkBelief.__slots__}
    return Fresh(request=np.array(request, dtype=np.int64), links=LinkBelief(**links))


@st.composite
def batches(draw: st.DrawFn) -> tuple[NetworkView, list[RouteRequest], Fresh | None]:
    view = draw(network_views(least=3, most=16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    mixed = draw(st.booleans())
    ends = [rng.choice(len(view.nodes), 3, replace=False).tolist() for _ in range(draw(st.integers(1, 8)))]
    ids, aic = view.nodes.ids, draw(st.sampled_from(list(AicPolicy)))
    requests = [
        RouteRequest(
            source=ids[a],
            destinations=(ids[b], ids[c]) if mixed and rng.random() < 0.2 else (ids[b],),
            media=list(MediaType)[rng.integers(3)] if mixed else MediaType.AUDIO,
            aic=list(AicPolicy)[rng.integers(3)] if mixed else aic,
            max_hops=int(rng.integers(1, 4)) if rng.random() < 0.5 else None,
            exclude=frozenset([ids[c]]) if mixed and rng.random() < 0.2 else frozenset(),
        )
        for a, b, c in ends
    ]
    if not draw(st.booleans()):
        return view, requests, None
    fresh = known_better(view, [a for a, _, _ in ends], rng)
    return view, requests, fresh


def one_by_one(engine: RoutingEngine, view: NetworkView, requests: list[RouteRequest], fresh: Fresh | None):
    for number, request in enumerate(requests):
        ranking = engine.rank(request, replace(view, fresh=None if fresh is None else fresh.of(number)))
        rows = ranking.order[: 1 + engine.fallbacks]
        scores = ranking.scores
        best = (scores.ai_score, scores.confidence, scores.rtt, scores.jitter, scores.loss) if rows else ()
        yield (
            tuple(ranking.candidates.path(row) for row in rows),
            tuple(float(values[rows[0]]) for values in best) or (np.nan,) * 5,
        )


@settings(deadline=None, max_examples=150)
@given(batches(), st.sampled_from(POLICIES), st.sampled_from([1, 2, 5, 16]))
def test_many_requests_together_are_decided_as_one_by_one(case, policy, candidates):
    view, requests, fresh = case
    engine = RoutingEngine(policy, candidates=candidates)
    together = engine.rank_many(requests, view, fresh)
    for ranked, (paths, claims) in zip(together, one_by_one(engine, view, requests, fresh), strict=True):
        assert ranked.paths == paths
        assert np.array_equal(ranked.claims, claims, equal_nan=True)


@settings(deadline=None, max_examples=30)
@given(batches())
def test_a_learned_scorer_claims_the_same_for_many_as_for_one(scorer: Path, case):
    view, requests, fresh = case
    engine = RoutingEngine(learned(scorer))
    together = engine.rank_many(requests, view, fresh)
    for ranked, (paths, claims) in zip(together, one_by_one(engine, view, requests, fresh), strict=True):
        assert bool(ranked.paths) == bool(paths)
        assert np.allclose(ranked.claims, claims, rtol=1e-4, equal_nan=True)


_KEPT: dict[Path, object] = {}


def learned(scorer: Path):
    from meshsim.routing.policies import load_model  # noqa: PLC0415 - onnxruntime loads where it is used

    return _KEPT.setdefault(scorer, load_model(scorer))


def test_a_policy_that_draws_is_asked_one_by_one():
    ids = [NodeId(bytes([i] * 32)) for i in range(4)]
    nodes = [NodeEntry(id=ids[0]), NodeEntry(id=ids[1]), NodeEntry(id=ids[2], role=Role.RELAY), NodeEntry(id=ids[3])]
    view = make_view(nodes, [LinkEntry(src=0, dst=2, delay=0.01), LinkEntry(src=2, dst=1, delay=0.01)])
    request = RouteRequest(source=ids[0], destinations=(ids[1],), media=MediaType.AUDIO)
    one, other = RoutingEngine("exploring"), RoutingEngine("exploring")
    together = one.rank_many([request] * 20, view)
    assert [ranked.paths for ranked in together] == [
        paths for paths, _ in one_by_one(other, view, [request] * 20, None)
    ]
    assert one.policy.count == 20


def test_nothing_asked_is_nothing_ranked():
    assert RoutingEngine("shortest").rank_many([], make_view([NodeEntry(id=NodeId(bytes(32)))], [])) == ()


@pytest.mark.parametrize("known", [True, False])
def test_without_links_the_direct_path_is_all_there_is(known: bool):  # noqa: FBT001 - a parameter of the test
    ids = [NodeId(bytes([i] * 32)) for i in range(2)]
    view = make_view([NodeEntry(id=node) for node in ids], [])
    request = RouteRequest(source=ids[0], destinations=(ids[1],), media=MediaType.AUDIO)
    fresh = known_better(view, [0], np.random.default_rng(3)) if known else None
    assert RoutingEngine("direct").rank_many([request], view, fresh)[0].paths == ((0, 1),)


def test_a_dense_mesh_of_callers_who_know_better_is_decided_as_one_by_one():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        view = dense_view(14, seed)
        ends = [rng.choice(14, 2, replace=False).tolist() for _ in range(6)]
        fresh = known_better(view, [source for source, _ in ends], rng)
        ids, media = view.nodes.ids, MediaType.AUDIO
        requests = [RouteRequest(source=ids[a], destinations=(ids[b],), media=media) for a, b in ends]
        engine = RoutingEngine("shortest", candidates=5)
        singly = one_by_one(engine, view, requests, fresh)
        assert [ranked.paths for ranked in engine.rank_many(requests, view, fresh)] == [paths for paths, _ in singly]


def test_what_callers_are_told_of_others_links_counts_as_when_asked_one_by_one():
    for seed in range(12):
        rng = np.random.default_rng(seed)
        view = dense_view(10, seed)
        ids, source = view.nodes.ids, int(rng.integers(10))
        target = (source + 1) % 10
        other = known_better(view, [(source + 2) % 10], rng)
        requests = [RouteRequest(source=ids[source], destinations=(ids[target],), media=MediaType.AUDIO)]
        engine = RoutingEngine("shortest", candidates=5)
        singly = one_by_one(engine, view, requests, other)
        assert [ranked.paths for ranked in engine.rank_many(requests, view, other)] == [paths for paths, _ in singly]


def dense_view(count: int, seed: int) -> NetworkView:
    """A view of relays most of which are linked."""
    rng = np.random.default_rng(1000 + seed)
    nodes = [NodeEntry(id=NodeId(rng.bytes(32)), role=Role.RELAY) for _ in range(count)]
    pairs = [(a, b) for a in range(count) for b in range(count) if a != b and rng.random() < 0.7]
    return make_view(nodes, [LinkEntry(src=a, dst=b, delay=rng.uniform(0.001, 0.3)) for a, b in pairs])
