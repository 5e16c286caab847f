"""The engine decides, explains and falls back; without a route it says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from meshsim.mesh import quality
from meshsim.mesh.errors import ConfigError, NoRoute
from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.view import LinkEntry, Nat, NetworkView, NodeEntry, Role, make_view
from meshsim.routing import Prediction, RouteDecision, RouteRequest, RoutingEngine
from meshsim.routing.candidates import candidates_of
from meshsim.routing.graph import CACHED_BELIEFS, Graph, Memo, graph_of

ALICE, BOB, NEAR, FAR, TABLET = (NodeId(bytes([i] * 32)) for i in range(5))
REQUEST = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)


def mesh(*, nat: Nat = Nat.OPEN, aic: bool = True, relays_online: bool = True) -> NetworkView:
    return make_view(
        [
            NodeEntry(id=ALICE, nat=nat),
            NodeEntry(id=BOB, nat=nat),
            NodeEntry(id=NEAR, role=Role.RELAY, aic=aic, online=relays_online),
            NodeEntry(id=FAR, role=Role.RELAY, online=relays_online),
            NodeEntry(id=TABLET),
        ],
        [
            LinkEntry(src=0, dst=2, delay=0.01),
            LinkEntry(src=2, dst=1, delay=0.01),
            LinkEntry(src=0, dst=3, delay=0.05),
            LinkEntry(src=3, dst=1, delay=0.05),
            LinkEntry(src=2, dst=3, delay=0.01),
            LinkEntry(src=2, dst=4, delay=0.005),
            LinkEntry(src=0, dst=1, delay=0.2),
        ],
        version=3,
    )


def find(request: RouteRequest = REQUEST, view: NetworkView | None = None, **options: object) -> RouteDecision:
    return RoutingEngine("shortest", **options).find(request, mesh() if view is None else view)


def test_a_decision_says_what_is_expected_and_why() -> None:
    decision = find()
    mos = float(quality.voice_mos(0.02, 0.001 * 2**0.5, 0.0))
    assert decision.path == (ALICE, NEAR, BOB)
    assert decision.policy == "shortest"
    assert decision.predicted == Prediction(
        rtt=pytest.approx(0.04), jitter=pytest.approx(0.001 * 2**0.5), loss=0.0, mos=pytest.approx(mos)
    )
    assert decision.reasons == ("shortest: chosen among 4 feasible of 4 paths",)
    assert np.isnan([decision.ai_score, decision.confidence]).all()


def test_fallbacks_that_share_no_relay_come_first() -> None:
    decision = find(fallbacks=3)
    assert decision.fallbacks == ((ALICE, FAR, BOB), (ALICE, BOB), (ALICE, NEAR, FAR, BOB))


def test_the_route_id_names_path_medium_and_view() -> None:
    one = find()
    assert one.route_id == find().route_id
    assert len(one.route_id) == 16
    others = [find(replace(REQUEST, media=MediaType.DATA)), find(view=replace(mesh(), version=4))]
    assert all(other.path == one.path and other.route_id != one.route_id for other in others)


def test_all_devices_of_the_callee_are_tried() -> None:
    decision = find(replace(REQUEST, destinations=(BOB, TABLET)))
    assert decision.path == (ALICE, NEAR, TABLET)
    assert (ALICE, FAR, BOB) in decision.fallbacks


def test_unknown_devices_of_the_callee_are_passed_over() -> None:
    decision = find(replace(REQUEST, destinations=(NodeId(bytes([77] * 32)), BOB, ALICE)))
    assert decision.path == (ALICE, NEAR, BOB)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(REQUEST, source=NodeId(bytes([77] * 32))), "source unknown to the view"),
        (replace(REQUEST, destinations=(NodeId(bytes([77] * 32)),)), "destination unknown to the view"),
        (replace(REQUEST, destinations=(ALICE,)), "destination is the source"),
    ],
)
def test_ends_that_cannot_be_joined_are_named(request_: RouteRequest, reason: str) -> None:
    with pytest.raises(NoRoute) as refusal:
        find(request_)
    assert refusal.value.reasons == (reason,)


def test_no_route_counts_what_was_refused() -> None:
    with pytest.raises(NoRoute) as refusal:
        find(view=mesh(nat=Nat.SYMMETRIC, relays_online=False))
    assert refusal.value.reasons == ("NAT types cannot connect (1 path)", "relay offline (2 nodes)")


def test_a_relay_joins_what_nats_keep_apart() -> None:
    decision = RoutingEngine("direct").find(REQUEST, mesh(nat=Nat.SYMMETRIC))
    assert decision.path == (ALICE, NEAR, BOB)
    assert "NAT types cannot connect (1 path)" in decision.reasons


def test_required_aic_takes_another_relay() -> None:
    decision = find(replace(REQUEST, aic=AicPolicy.REQUIRE), mesh(aic=False))
    assert decision.path == (ALICE, FAR, BOB)
    assert decision.supports_aic
    assert "relay without AIC (1 node)" in decision.reasons


def test_preferred_aic_comes_before_speed_where_it_exists() -> None:
    decision = find(replace(REQUEST, aic=AicPolicy.PREFER), mesh(aic=False), fallbacks=9)
    assert decision.path == (ALICE, FAR, BOB)
    assert "AIC preferred and supported by every node of the path" in decision.reasons
    assert (ALICE, NEAR, BOB) in decision.fallbacks


def test_preferred_aic_falls_back_and_says_so() -> None:
    view = mesh()
    plain = replace(view, nodes=replace(view.nodes, aic=np.zeros(5, dtype=np.bool_)))
    decision = find(replace(REQUEST, aic=AicPolicy.PREFER), plain)
    assert decision.path == (ALICE, NEAR, BOB)
    assert "AIC preferred, but no feasible path supports it" in decision.reasons


def test_a_failed_relay_is_excluded_on_request() -> None:
    assert find(replace(REQUEST, exclude=frozenset({NEAR}))).path == (ALICE, FAR, BOB)


def test_the_trust_floor_is_the_owners() -> None:
    assert find(trust_floor=81.0).path == (ALICE, BOB)


def test_unfederated_relays_are_not_used() -> None:
    assert find(permits=lambda node: node == FAR).path == (ALICE, FAR, BOB)


def test_the_number_of_candidates_is_bounded() -> None:
    assert len(RoutingEngine("shortest", candidates=2).rank(REQUEST, mesh()).candidates) == 2


def test_logged_candidates_can_be_ranked_anew() -> None:
    ranking = RoutingEngine("shortest").rank_among(candidates_of([(0, 3, 1), (0, 4, 1), (0, 1)]), REQUEST, mesh())
    assert ranking.order == (0, 2)
    assert ranking.feasibility.reason[1] == "not a relay"
    assert ranking.propensity.tolist() == [1.0, 0.0, 0.0]


def test_an_engine_without_candidates_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        RoutingEngine("shortest", candidates=0)
    with pytest.raises(ConfigError, match="unknown routing policy"):
        RoutingEngine("fastest")


def test_requests_are_checked() -> None:
    with pytest.raises(ValueError, match="at least one destination"):
        RouteRequest(source=ALICE, destinations=(), media=MediaType.AUDIO)
    with pytest.raises(ValueError, match="max_hops"):
        replace(REQUEST, max_hops=0)
    assert replace(REQUEST, media=MediaType.DATA).hop_limit == 5
    assert replace(REQUEST, max_hops=1).hop_limit == 1


def test_views_of_one_belief_share_its_graph_and_old_ones_are_forgotten() -> None:
    view = mesh()
    graph = graph_of(view)
    assert graph_of(replace(view, owner=1, fresh=view.links)) is graph
    for _ in range(CACHED_BELIEFS):
        graph_of(mesh())
    assert graph_of(view) is not graph


def test_a_memo_keeps_the_last_few() -> None:
    built: list[Graph] = []
    memo = Memo(lambda graph: built.append(graph) or len(built), size=2)
    graphs = [Graph(mesh().nodes, mesh().links) for _ in range(3)]
    assert [memo(graphs[i]) for i in (0, 1, 0, 2, 0, 1)] == [1, 2, 1, 3, 1, 4]
