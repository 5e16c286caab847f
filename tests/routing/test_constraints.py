"""Every refusal has its reason, and only what must be refused is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from meshsim.mesh.ids import NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.view import Nat, NetworkView, NodeEntry, Role, make_view
from meshsim.routing import RouteRequest
from meshsim.routing.candidates import candidates_of
from meshsim.routing.constraints import Limits, apply, lets_newcomers_in, relay_refusals

ALICE, BOB, RELAY, OTHER = (NodeId(bytes([i] * 32)) for i in range(4))
REQUEST = RouteRequest(source=ALICE, destinations=(BOB,), media=MediaType.AUDIO)
RELAYED = candidates_of([(0, 2, 1)])
LIMITS = Limits()


def view_with(relay: NodeEntry, *, caller: Nat = Nat.OPEN, callee: Nat = Nat.OPEN, online: bool = True) -> NetworkView:
    ends = [NodeEntry(id=ALICE, nat=caller), NodeEntry(id=BOB, nat=callee, online=online)]
    return make_view([*ends, relay, NodeEntry(id=OTHER, role=Role.RELAY)], [])


GOOD = NodeEntry(id=RELAY, role=Role.RELAY)


def reason(relay: NodeEntry, request: RouteRequest = REQUEST, limits: Limits = LIMITS) -> str:
    return apply(RELAYED, request, view_with(relay), limits).reason[0]


def test_a_sound_relay_is_not_refused() -> None:
    assert reason(GOOD) == ""


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"role": Role.PEER}, "not a relay"),
        ({"online": False}, "relay offline"),
        ({"reputation": 29.9}, "relay below trust floor 30"),
        ({"reputation": float("nan")}, "relay below trust floor 30"),
        ({"load": 1.0}, "relay at capacity"),
        ({"max_calls": 0}, "relay at capacity"),
        ({"nat": Nat.SYMMETRIC}, ""),
    ],
)
def test_an_unsound_relay_is_refused_with_its_reason(change: dict[str, float], expected: str) -> None:
    assert reason(replace(GOOD, **change)) == expected


def test_a_newcomer_is_not_held_to_the_trust_floor() -> None:
    assert reason(replace(GOOD, reputation=5.0, evidence=1.0)) == ""


def test_an_excluded_relay_is_refused() -> None:
    assert reason(GOOD, replace(REQUEST, exclude=frozenset({RELAY, NodeId(bytes(32))}))) == (
        "relay excluded by the request"
    )


def test_a_barred_relay_is_refused_with_the_reason_that_the_request_gives() -> None:
    barred = replace(REQUEST, barred=(("of a rival", frozenset({OTHER})), ("of a stranger", frozenset({RELAY}))))
    assert reason(GOOD, barred) == "of a stranger"
    view = view_with(GOOD)
    refusals = relay_refusals(barred, view, LIMITS)
    assert refusals.counts() == ("of a rival (1 node)", "of a stranger (1 node)")
    assert relay_refusals(replace(barred), view, LIMITS) is refusals
    assert relay_refusals(REQUEST, view, LIMITS).ok.tolist() == [False, False, True, True]


def test_a_relay_without_aic_is_refused_only_when_aic_is_required() -> None:
    plain = replace(GOOD, aic=False)
    assert reason(plain, replace(REQUEST, aic=AicPolicy.REQUIRE)) == "a node of the path lacks AIC"
    assert reason(plain, replace(REQUEST, aic=AicPolicy.PREFER)) == ""


def test_aic_is_required_of_the_ends_too() -> None:
    view = make_view([NodeEntry(id=ALICE), NodeEntry(id=BOB, aic=False)], [])
    feasible = apply(candidates_of([(0, 1)]), replace(REQUEST, aic=AicPolicy.REQUIRE), view, LIMITS)
    assert feasible.reason == ("a node of the path lacks AIC",)


def test_a_relay_of_an_unfederated_domain_is_refused() -> None:
    limits = Limits(permits=lambda node: node != RELAY)
    assert reason(GOOD, limits=limits) == "relay in a domain that is not federated"
    assert relay_refusals(REQUEST, view_with(GOOD), limits).ok.tolist() == [False, False, False, True]


def test_symmetric_nats_cannot_connect_directly_but_can_over_an_open_relay() -> None:
    view = view_with(GOOD, caller=Nat.SYMMETRIC, callee=Nat.PORT_RESTRICTED)
    feasible = apply(candidates_of([(0, 1), (0, 2, 1)]), REQUEST, view, LIMITS)
    assert feasible.reason == ("NAT types cannot connect", "")
    assert feasible.ok.tolist() == [False, True]


def test_an_offline_destination_refuses_every_path() -> None:
    feasible = apply(candidates_of([(0, 1), (0, 2, 1)]), REQUEST, view_with(GOOD, online=False), LIMITS)
    assert feasible.counts() == ("destination offline (2 paths)",)


def test_a_path_over_the_hop_limit_is_refused() -> None:
    assert reason(GOOD, replace(REQUEST, max_hops=1)) == "path longer than 1 hops"


def test_a_looping_path_is_refused() -> None:
    feasible = apply(candidates_of([(0, 2, 0, 1)]), REQUEST, view_with(GOOD), LIMITS)
    assert feasible.reason == ("path visits a node twice",)


def test_the_first_refused_relay_of_a_path_gives_the_reason() -> None:
    nodes = [NodeEntry(id=ALICE), NodeEntry(id=BOB), replace(GOOD, online=False), replace(GOOD, id=OTHER, load=1.0)]
    feasible = apply(candidates_of([(0, 2, 3, 1), (0, 3, 2, 1)]), REQUEST, make_view(nodes, []), LIMITS)
    assert feasible.reason == ("relay offline", "relay at capacity")


def test_refused_relays_are_counted_by_reason() -> None:
    refusals = relay_refusals(REQUEST, view_with(replace(GOOD, online=False)), LIMITS)
    assert refusals.counts() == ("relay offline (1 node)",)
    assert np.array_equal(refusals.ok, [False, False, False, True])


def test_refusals_of_one_belief_are_found_once_but_never_with_exclusions() -> None:
    view = view_with(GOOD)
    first = relay_refusals(REQUEST, view, LIMITS)
    assert relay_refusals(REQUEST, view, LIMITS) is first
    excluded = relay_refusals(replace(REQUEST, exclude=frozenset({RELAY})), view, LIMITS)
    assert excluded.ok.tolist() == [False, False, False, True]
    assert relay_refusals(REQUEST, view, Limits(trust_floor=99.0)).ok.tolist() == [False] * 4
    assert relay_refusals(REQUEST, view, LIMITS).ok.tolist() == [False, False, True, True]


CLOSED = replace(REQUEST, newcomers=False)
NEWCOMER = replace(GOOD, evidence=3.0)


def test_a_newcomer_is_refused_only_where_enough_others_have_a_name_and_the_call_is_not_for_newcomers() -> None:
    enough, more = Limits(established=1), Limits(established=2)  # the other relay of the view has a name
    assert reason(NEWCOMER, CLOSED, enough) == "relay is new, and others could carry the call"
    assert reason(NEWCOMER, CLOSED, more) == ""
    assert reason(NEWCOMER, REQUEST, enough) == ""
    assert reason(GOOD, CLOSED, enough) == ""


def test_relays_that_may_not_relay_do_not_count_as_established() -> None:
    view = view_with(NEWCOMER)
    barred = replace(CLOSED, barred=(("of a rival", frozenset({OTHER})),))
    assert relay_refusals(barred, view, Limits(established=1)).ok.tolist() == [False, False, True, False]


def test_a_share_of_the_calls_is_open_to_newcomers_each_by_its_own_draw() -> None:
    doors = SeedTree(3).stream("doors")
    opened = [[lets_newcomers_in(share, doors, number) for number in range(400)] for share in (0.0, 0.2, 0.5, 1.0)]
    assert [sum(some) for some in opened] == pytest.approx([0, 80, 200, 400], abs=40)
    assert all(wider >= narrower for some, more in pairwise(opened) for narrower, wider in zip(some, more, strict=True))


def test_a_destination_that_is_believed_offline_is_tried_where_the_request_insists() -> None:
    view = view_with(GOOD, online=False)
    assert apply(RELAYED, REQUEST, view, LIMITS).reason == ("destination offline",)
    assert apply(RELAYED, replace(REQUEST, insists=True), view, LIMITS).reason == ("",)
