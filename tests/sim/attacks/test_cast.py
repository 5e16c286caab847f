"""Who misbehaves, with whom and against whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from meshsim.mesh import geo
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.view import Role
from meshsim.scenario import Plan, Scenario, compile_plan, load
from meshsim.sim.attacks import Villain, cast_villains
from meshsim.testing.processes import BASE, merged

DOMAINS = {"federation": {"domains": [{"name": "east", "share": 0.5}, {"name": "west", "share": 0.5}]}}


def plan_of(*entries: dict[str, Any], seed: int = 1, **more: Any) -> Plan:
    nodes = {"nodes": {"count": 40, "roles": {"relay": 12, "super_node": 2}}, "misbehaviour": list(entries)}
    return compile_plan(Scenario.model_validate(merged(merged(BASE, nodes), more)), seed)


def cast_of(*entries: dict[str, Any], **more: Any) -> tuple[Villain, ...]:
    return cast_villains(plan_of(*entries, **more))


def test_liars_are_drawn_among_all_and_droppers_among_relays_unless_said_otherwise():
    plan = plan_of({"kind": "bad_mouthing", "share": 0.5}, {"kind": "gray_hole", "share": 0.5})
    kinds = {villain.node: villain.kinds for villain in cast_villains(plan)}
    roles = {
        kind: {int(plan.nodes.role[node]) for node in kinds if kinds[node] == (kind,)} for (kind,) in kinds.values()
    }
    assert Role.PEER in roles["bad_mouthing"]
    assert Role.PEER not in roles["gray_hole"]
    peers = cast_of({"kind": "gray_hole", "share": 0.5, "among": "peers"})
    assert {int(plan.nodes.role[villain.node]) for villain in peers} == {Role.PEER}


def test_nodes_that_misbehave_in_more_ways_are_drawn_without_moving_those_before():
    alone = plan_of({"kind": "gray_hole", "share": 0.3})
    both = plan_of({"kind": "gray_hole", "share": 0.3}, {"kind": "camouflage", "share": 0.3, "also": ["withholding"]})
    holes = [np.flatnonzero(np.array(plan.nodes.behaviour) == "gray_hole").tolist() for plan in (alone, both)]
    assert holes[0] == holes[1]
    assert {villain.kinds for villain in cast_villains(both)} == {("gray_hole",), ("camouflage", "withholding")}


def test_entries_of_one_ring_are_friends_and_share_their_targets():
    cast = cast_of(
        {"kind": "gray_hole", "also": ["ballot_stuffing"], "share": 0.2, "ring": "a"},
        {"kind": "bad_mouthing", "share": 0.2, "ring": "a", "targets": 0.25},
        {"kind": "bad_mouthing", "share": 0.2, "targets": 0.25},
    )
    first = {villain.node for villain in cast if villain.mind.friends == cast[0].mind.friends}
    rings = {villain.mind.friends for villain in cast}
    assert len(rings) == 2
    assert set.union(*map(set, rings)) == {villain.node for villain in cast}
    assert first in rings
    for villain in cast:
        assert not (villain.mind.targets or frozenset()) & villain.mind.friends


@pytest.mark.parametrize("seed", range(1, 7))
def test_each_entry_of_a_ring_has_its_own_share_of_targets_whoever_comes_first_in_the_ring(seed: int):
    cast = cast_of(
        {"kind": "collusion", "share": 0.2, "ring": "a"},
        {"kind": "camouflage", "share": 0.2, "ring": "a"},
        {"kind": "bad_mouthing", "share": 0.1, "ring": "a", "targets": 0.25},
        {"kind": "bad_mouthing", "also": ["withholding"], "share": 0.1, "ring": "a", "targets": 0.5},
        seed=seed,
    )
    against = {villain.kinds: villain.mind.targets for villain in cast}
    assert against["collusion",] is None
    assert against["camouflage",] == frozenset()
    few, more = against["bad_mouthing",], against["bad_mouthing", "withholding"]
    assert few is not None
    assert more is not None
    assert 0 < len(few) < len(more)
    assert few < more


def test_targets_are_as_many_as_asked_for_and_all_by_default_for_a_slanderer():
    (one, *_) = cast_of({"kind": "selective", "share": 0.2, "targets": 0.5})
    assert len(one.mind.targets or ()) == round(0.5 * (40 - len(one.mind.friends)))
    assert {villain.mind.targets for villain in cast_of({"kind": "bad_mouthing"})} == {None}
    assert {villain.mind.targets for villain in cast_of({"kind": "camouflage"})} == {frozenset()}


def test_made_up_identities_are_numbers_beyond_the_nodes_and_nobody_shares_one():
    cast = cast_of({"kind": "sybil", "share": 0.3, "sybils": 7, "edges": 3}, {"kind": "self_dealing", "share": 0.3})
    made_up = [identity for villain in cast for identity in villain.identities]
    assert made_up == list(range(40, 40 + len(made_up)))
    assert {len(villain.identities) for villain in cast if villain.does("sybil")} == {7}
    assert {len(villain.identities) for villain in cast if not villain.does("sybil")} == {2}
    assert all(villain.made_up_for(villain.kinds[0]) == villain.identities for villain in cast)
    bad = {villain.node for villain in cast}
    assert all(len(set(villain.tricked) - bad) == 3 for villain in cast if villain.does("sybil"))


@pytest.mark.parametrize(("sybils", "made"), [(0, 2), (1, 2), (7, 7)])
def test_kinds_beside_each_other_each_have_their_own_number_of_identities(sybils: int, made: int):
    cast = cast_of({"kind": "self_dealing", "also": ["sybil"], "share": 0.3, "sybils": sybils})
    assert {len(villain.identities) for villain in cast} == {made}
    assert {len(villain.made_up_for("sybil")) for villain in cast} == {sybils}
    assert {len(villain.made_up_for("self_dealing")) for villain in cast} == {2}


def test_the_ends_of_a_wormhole_are_pairs_that_keep_a_link_and_lie_far_apart():
    plan = plan_of({"kind": "wormhole", "share": 0.5})
    linked = set(zip(plan.links.src.tolist(), plan.links.dst.tolist(), strict=True))
    pairs = {tuple(sorted({villain.node, villain.tunnel})) for villain in cast_villains(plan)}
    assert len(pairs) == 4
    assert all(pair in linked for pair in pairs if len(pair) == 2)
    nodes, ends = plan.nodes, np.array([pair for pair in pairs if len(pair) == 2]).T
    apart = geo.distance(*(column[end] for end in ends for column in (nodes.latitude, nodes.longitude)))
    assert apart.max() > 0.0


def test_who_digs_a_wormhole_beside_colluding_has_its_whole_ring_for_friends():
    cast = cast_of({"kind": "wormhole", "also": ["collusion"], "share": 0.4, "among": "relays"})
    ring = frozenset(villain.node for villain in cast)
    assert len(ring) > 2
    assert {villain.mind.friends for villain in cast} == {ring}
    assert any(villain.tunnel in ring - {villain.node} for villain in cast)
    assert all(cast[i].tunnel == other.node for other in cast for i in range(len(cast)) if cast[i].node == other.tunnel)


def test_a_hostile_domain_is_one_ring_that_lies_and_spoils_calls_of_others():
    cast = cast_of({"kind": "hostile_domain", "domain": "east", "share": 1.0}, **DOMAINS)
    assert {villain.kinds for villain in cast} == {("hostile_domain", "collusion")}
    assert {villain.mind.friends for villain in cast} == {frozenset(villain.node for villain in cast)}


def test_a_node_said_by_name_needs_no_entry():
    named = {"nodes": {"named": [{"name": "mallory", "role": "relay", "behaviour": "on_off", "strength": 0.4}]}}
    (mallory,) = cast_of(**named)
    assert (mallory.node, mallory.kinds, mallory.strength, mallory.mind.friends) == (0, ("on_off",), 0.4, {0})


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{kind: gray_hole, ring: a}", "gray_hole has no option 'ring'"),
        ("{kind: gray_hole, also: [bad_mouthing], duty: 0.2}", "gray_hole and bad_mouthing has no option 'duty'"),
        ("{kind: camouflage, also: [camouflage]}", "camouflage is said twice"),
        ("{kind: on_off, since: 20, until: 10}", "it ends at 10 s, before it begins at 20 s"),
        ("{kind: hostile_domain}", "a hostile domain has a name"),
        ("{kind: gray_hole, domain: north}", "no domain 'north'"),
        ("{kind: collusoin}", "collusion"),
    ],
)
def test_what_no_attack_can_be_is_refused_with_its_place(entry, message):
    with pytest.raises(ConfigError, match=message) as refused:
        load("demo", [f"misbehaviour=[{entry}]"])
    assert refused.value.key is not None
    assert refused.value.key.startswith("misbehaviour.0")


def test_what_a_single_node_cannot_do_needs_the_modelled_control_plane():
    with pytest.raises(ConfigError, match="whitewashing needs the modelled control plane"):
        load("demo", ["misbehaviour=[{kind: whitewashing}]", "control.mode=agents"])
    with pytest.raises(ConfigError, match="cannot change while media are packets"):
        load("demo", ["misbehaviour=[{kind: on_off}]", "control.mode=modelled", "media.mode=packet"])


def test_a_node_said_by_name_is_held_to_the_same_rules():
    named = "nodes.named=[{name: mallory, role: relay, behaviour: %s}]"
    with pytest.raises(ConfigError, match="cannot change while media are packets") as refused:
        load("demo", [named % "on_off", "control.mode=modelled", "media.mode=packet"])
    assert refused.value.key == "nodes.named.0.behaviour"
    with pytest.raises(ConfigError, match="a hostile domain has a name"):
        load("demo", [named % "hostile_domain", "control.mode=modelled"])


def test_shares_are_of_those_among_whom_nodes_are_drawn():
    relays = "{kind: gray_hole, share: 60%}"
    load("demo", [f"misbehaviour=[{relays}, {{kind: bad_mouthing, among: peers, share: 60%}}]"])
    with pytest.raises(ConfigError, match=r"sum to 1\.2 among relays, more than 1"):
        load("demo", [f"misbehaviour=[{relays}, {{kind: bad_mouthing, share: 60%}}]"])
