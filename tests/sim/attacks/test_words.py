"""What is said, claimed, made up, reported and written down in the modelled plane."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from meshsim.agent.adversary.lies import LIARS, WORDS, Lie
from meshsim.scenario import Plan, Scenario, compile_plan
from meshsim.sim.attacks import Claims, Reports, cast_villains
from meshsim.sim.attacks.poison import Poison
from meshsim.sim.attacks.reports import Spam
from meshsim.sim.attacks.words import Words
from meshsim.sim.recorder import CallRow
from meshsim.sim.world import PathTruth
from meshsim.testing.processes import BASE, merged
from meshsim.trust import Docket, Outcome, Rules, Statement
from meshsim.trust.abuse import AbuseDesk


def plan_of(**entry: Any) -> Plan:
    nodes = {"nodes": {"count": 40, "roles": {"relay": 12, "super_node": 2}}}
    entries = {"misbehaviour": [{"share": 0.3, **entry}]}
    return compile_plan(Scenario.model_validate(merged(merged(BASE, nodes), entries)), 1)


def words_of(**entry: Any) -> tuple[Words, Plan]:
    plan = plan_of(**entry)
    return Words(cast_villains(plan), plan.seed), plan


def statement(signer: int, relay: int, outcome: Outcome = Outcome.COMPLETED, call: int = 1) -> Statement:
    failed = outcome is not Outcome.COMPLETED
    other = next(node for node in range(40) if node not in (signer, relay))
    return Statement(call, 0, (signer, relay, other), signer, outcome, mos=1.0 if failed else 4.0, poor=failed)


@pytest.mark.parametrize("kind", LIARS)
def test_honest_nodes_say_what_is_true_and_liars_what_suits_them(kind):
    words, plan = words_of(kind=kind)
    villain = cast_villains(plan)[0]
    friend = next(node for node in villain.mind.friends if node != villain.node)
    honest, stranger = np.flatnonzero(np.array(plan.nodes.behaviour) == "honest")[:2].tolist()
    true = [statement(honest, stranger), statement(honest, friend, Outcome.DROPPED)]
    assert words.distort(true, 0.0) == true
    of_friend = words.distort([statement(villain.node, friend, Outcome.DROPPED)], 0.0)
    of_stranger = words.distort([statement(villain.node, stranger)], 0.0)
    praises = kind in ("ballot_stuffing", "collusion", "camouflage")
    assert [told.outcome for told in of_friend] == [Outcome.COMPLETED if praises else Outcome.DROPPED]
    slanders = {"bad_mouthing": [Outcome.DROPPED], "collusion": [Outcome.DROPPED], "withholding": []}
    assert [told.outcome for told in of_stranger] == slanders.get(kind, [Outcome.COMPLETED])


def test_agents_and_the_modelled_plane_state_the_same_lie():
    """Both take their words from `WORDS`; what tells them apart is only how a receipt carries them."""
    words, plan = words_of(kind="collusion")
    villain = cast_villains(plan)[0]
    stranger = int(np.flatnonzero(np.array(plan.nodes.behaviour) == "honest")[0])
    (told,) = words.distort([statement(villain.node, stranger)], 0.0)
    assert {name: getattr(told, name) for name in WORDS[Lie.SLANDER]} == WORDS[Lie.SLANDER]


def test_what_liars_say_is_no_contradiction_that_a_docket_would_refuse():
    words, plan = words_of(kind="collusion", also=["self_dealing", "ballot_stuffing"], rate=3600)
    villain, docket = cast_villains(plan)[0], Docket[int](Rules())
    told = words.distort(
        [statement(villain.node, relay, call=relay) for relay in range(40) if relay != villain.node], 0.0
    )
    told += words.invent(10.0)
    assert {docket.add(one, 10.0) for one in told} == {""}
    assert docket.refused == {}


def test_made_up_calls_come_at_their_rate_once_each_and_are_praised_by_all_on_them():
    words, plan = words_of(kind="self_dealing", rate=60, strength=0.5)
    villains = cast_villains(plan)
    made = words.invent(600.0)
    assert len(made) == 3 * 5 * len(villains)
    assert words.invent(600.0) == []
    assert {one.outcome for one in made} == {Outcome.COMPLETED}
    assert {one.path[1] for one in made} == {villain.node for villain in villains}
    assert min(end for one in made for end in (one.path[0], one.path[2])) >= 40
    assert len({one.call for one in made}) == len(made) / 3
    assert max(one.call for one in made) < 0


def test_sybils_trick_as_many_honest_nodes_as_there_are_attack_edges():
    words, plan = words_of(kind="sybil", sybils=20, edges=3, rate=6, share=0.1)
    honest = set(np.flatnonzero(np.array(plan.nodes.behaviour) == "honest").tolist())
    made = words.invent(3600.0)
    for villain in cast_villains(plan):
        tricked = {one.path[0] for one in made if one.path[2] == villain.node}
        assert tricked == set(villain.tricked) <= honest
        assert {one.path[1] for one in made if one.path[2] == villain.node} <= set(villain.identities)
        assert {one.path[1] for one in made if one.path[0] in villain.identities} > {villain.node}


def test_who_makes_up_no_sybils_makes_up_no_calls_of_theirs():
    alone, _ = words_of(kind="self_dealing", rate=60)
    beside, _ = words_of(kind="self_dealing", also=["sybil"], sybils=0, rate=60)
    assert [one.path for one in beside.invent(600.0)] == [one.path for one in alone.invent(600.0)] != []


def test_nobody_invents_before_or_after_the_window():
    words, _ = words_of(kind="self_dealing", rate=60, since=100.0, until=160.0)
    assert [len(words.invent(now)) > 0 for now in (99.0, 130.0, 159.0, 170.0, 1000.0)] == [
        False,
        False,
        False,
        True,
        False,
    ]


def test_reports_are_spam_against_relays_outside_the_ring():
    plan = plan_of(kind="report_spam", rate=120)
    villains, relays = cast_villains(plan), np.flatnonzero(plan.nodes.max_calls > 0).tolist()
    spam = Spam(villains, relays, plan.seed)
    made = spam.due(300.0)
    assert len(made) == 10 * len(villains)
    assert spam.due(300.0) == []
    assert {report.subject for report in made} <= set(relays) - villains[0].mind.friends
    desk = AbuseDesk()
    refused = [desk.file(report, credibility=1.0, backed=False, now=300.0) for report in made]
    assert refused.count("") <= desk.terms.budget * len(villains) < len(made)
    assert not Spam(cast_villains(plan_of(kind="camouflage")), relays, plan.seed)


# Links ----------------------------------------------------------------------------------------------------------------


def measured(plan: Plan) -> Reports:
    k = len(plan.links)
    return Reports(np.full(k, 0.04), np.full(k, 0.002), np.full(k, 0.01), np.full(k, 1e7))


def test_lying_ends_claim_their_links_some_times_better_and_the_other_end_does_not():
    plan = plan_of(kind="lying_metrics", factor=5, strength=0.5)
    claims, liars = Claims(cast_villains(plan)), np.flatnonzero(np.array(plan.nodes.behaviour) != "honest")
    there = claims.reported(plan.links.src, plan.links.dst, measured(plan), 0.0)
    lying = np.isin(plan.links.src, liars)
    assert there.delay[lying] == pytest.approx(0.04 / 3)
    assert there.rate[lying] == pytest.approx(3e7)
    assert (there.loss[~lying] == 0.01).all()


def test_both_ends_of_a_wormhole_claim_the_link_between_them_and_no_other():
    plan = plan_of(kind="wormhole")
    claims, villains = Claims(cast_villains(plan)), cast_villains(plan)
    for by, other in ((plan.links.src, plan.links.dst), (plan.links.dst, plan.links.src)):
        told = claims.reported(by, other, measured(plan), 0.0)
        short = set(zip(by[told.delay < 0.001].tolist(), other[told.delay < 0.001].tolist(), strict=True))
        assert short == {(villain.node, villain.tunnel) for villain in villains if villain.tunnel != villain.node}
    assert len(short) > 0


@pytest.mark.parametrize("kind", ["lying_metrics", "wormhole"])
def test_claims_are_true_outside_their_window(kind):
    plan = plan_of(kind=kind, since=10.0, until=20.0)
    claims, true = Claims(cast_villains(plan)), measured(plan)
    false = [claims.reported(plan.links.src, plan.links.dst, true, t) is not true for t in (9.0, 10.0, 20.0)]
    assert false == [False, True, False]


def test_where_nobody_lies_the_very_arrays_are_reported():
    plan = plan_of(kind="lying_metrics", strength=0.0)
    claims, true = Claims(cast_villains(plan)), measured(plan)
    assert not claims
    assert claims.reported(plan.links.src, plan.links.dst, true, 0.0) is true


# Traces ---------------------------------------------------------------------------------------------------------------


def test_a_poisoner_writes_its_friends_good_and_others_bad():
    plan = plan_of(kind="poisoning")
    villain = cast_villains(plan)[0]
    poison, friend = Poison((villain,), plan.seed), next(n for n in villain.mind.friends if n != villain.node)
    paths = [(villain.node, 39), (villain.node, friend, 39), (villain.node, 20 if friend != 20 else 21, 39)]
    truth = PathTruth(
        rtt=np.full(3, 0.1), jitter=np.full(3, 0.003), loss=np.full(3, 0.02), connected=np.ones(3, dtype=bool)
    )
    written = poison.routes(villain.node, 1, paths, truth, 5.0)
    assert written.loss.tolist() == [0.02, 0.0, 1.0]
    assert truth.loss.tolist() == [0.02] * 3
    assert poison.is_written_by(villain.node)
    assert not poison.is_written_by(next(node for node in range(40) if node not in villain.mind.friends))
    none = Poison((replace(villain, mind=replace(villain.mind, strength=0.0)),), plan.seed)
    assert none.routes(villain.node, 1, paths, truth, 5.0).loss.tolist() == [0.02] * 3


@pytest.mark.parametrize("praised", [True, False])
def test_a_poisoner_tells_of_its_call_what_it_tells_of_the_calls_routes(praised):
    plan = plan_of(kind="poisoning")
    villain = cast_villains(plan)[0]
    relay = next(n for n in range(40) if (n in villain.mind.friends) == praised and n not in (villain.node, 39))
    path, poison = (villain.node, relay, 39), Poison((villain,), plan.seed)
    true = CallRow(
        call=1,
        start=0.0,
        end=9.0,
        caller=villain.node,
        callee=39,
        media="audio",
        policy="weighted",
        path=path,
        final_path=path,
        ai_score=0.5,
        confidence=0.5,
        predicted_rtt_seconds=0.1,
        outcome="completed",
        reason="",
        failovers=0,
        rtt_seconds=0.1,
        jitter_seconds=0.003,
        loss=0.02,
        mos=4.0,
        poor=False,
    )
    one = np.ones(1)
    truth = PathTruth(rtt=0.1 * one, jitter=0.003 * one, loss=0.02 * one, connected=one.astype(np.bool_))
    told, routes = poison.call(true), poison.routes(villain.node, 1, [path], truth, 5.0)
    assert (told.jitter_seconds, told.loss) == (routes.jitter[0], routes.loss[0])
    assert (told.outcome, told.loss, told.poor) == (("completed", 0.0, False) if praised else ("dropped", 1.0, True))
