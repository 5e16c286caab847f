"""Lies as functions, and what interceptors make of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent.adversary import Ed25519Mint, HashMint, Interceptor, Means, adversaries, interceptors
from meshsim.agent.adversary.gray_hole import REMEMBERED
from meshsim.agent.adversary.lies import (
    INVENTORS,
    LIARS,
    WORDS,
    Lie,
    Mind,
    calls_due,
    improved,
    lie,
    made_up,
    tell,
    tunnelled,
    words,
)
from meshsim.agent.adversary.timing import PATIENCE, Cycle, Window
from meshsim.agent.effects import Emit, OpenMedia, Send
from meshsim.agent.messages import (
    LINK_ENTRIES,
    CallEnd,
    CallSetup,
    Digest,
    LinkEntry,
    LinkState,
    Outcome,
    Ping,
    Receipt,
    Told,
)
from meshsim.agent.samples import CallSample
from meshsim.agent.signing import is_signed, sign
from meshsim.identity import HashSigner, HashVerifier, NodeRecord, sign_record
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant, to_nanoseconds

SECRET = b"lies"
VERIFIER = HashVerifier(SECRET)
SIGNERS = [HashSigner(NodeId(bytes([i + 1]) * 32), SECRET) for i in range(6)]
IDS = [signer.node_id for signer in SIGNERS]
ME, FRIEND, STRANGER, VICTIM, OTHER, LAST = range(6)
NODES = st.integers(0, 9)
MINDS = st.builds(
    Mind,
    strength=st.floats(0, 1),
    friends=st.frozensets(NODES, max_size=4),
    targets=st.none() | st.frozensets(NODES, max_size=4),
)
DRAWS = st.floats(0, 1, exclude_max=True)


def at(mono: float) -> Instant:
    return Instant(mono, 1e9 + mono)


def means(strength: float = 1.0, **more: Any) -> Means:
    friends = frozenset({IDS[FRIEND]})
    stream = SeedTree(2).stream("lies")
    own = {"mint": HashMint(b"me", SECRET), "friends": friends} | more
    return Means(strength=strength, stream=stream, signer=SIGNERS[ME], **own)


def receipt(relay: int, outcome: Outcome = Outcome.COMPLETED, *, signer: int = ME, call: int = 1) -> Receipt:
    path = (IDS[ME], IDS[relay], IDS[LAST])
    failed = outcome is not Outcome.COMPLETED
    made = Receipt(
        call=CallId(call.to_bytes(16, "big")),
        attempt=0,
        path=path,
        signer=IDS[signer],
        outcome=outcome,
        mos=1.0 if failed else 4.0,
        poor=failed,
        at_ns=to_nanoseconds(1e9),
    )
    return sign(made, SIGNERS[signer])


def only(kind: str, **more: Any) -> Interceptor:
    return interceptors((kind,), means(**more))[0]


def told(liar: Interceptor, *receipts: Receipt, now: float = 10.0) -> tuple[Receipt, ...]:
    """What is left of receipts in a digest."""
    effect = liar.outgoing(Send(to=IDS[OTHER], message=Digest((), receipts)), at(now))
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Digest)
    return effect.message.receipts


# The functions --------------------------------------------------------------------------------------------------------


@given(st.sampled_from(LIARS), MINDS, st.lists(NODES, max_size=4), DRAWS)
def test_no_liar_without_strength_lies_and_none_harms_a_friend(kind, mind, relays, draw):
    said = lie(kind, mind, relays, draw)
    assert said is Lie.TRUTH or draw < mind.strength
    if any(relay in mind.friends for relay in relays):
        assert said in (Lie.TRUTH, Lie.PRAISE)
    else:
        assert said is not Lie.PRAISE


@given(MINDS, st.lists(NODES, min_size=1, max_size=4), DRAWS)
def test_more_strength_never_tells_more_truth(mind, relays, draw):
    weak = Mind(strength=mind.strength / 2, friends=mind.friends, targets=mind.targets)
    for kind in LIARS:
        if lie(kind, weak, relays, draw) is not Lie.TRUTH:
            assert lie(kind, mind, relays, draw) is lie(kind, weak, relays, draw)


@given(MINDS, st.lists(NODES, max_size=4), DRAWS)
def test_a_ring_is_bad_mouthing_and_ballot_stuffing_in_one(mind, relays, draw):
    assert lie("collusion", mind, relays, draw) is tell(("ballot_stuffing", "bad_mouthing"), mind, relays, draw)


@given(st.sampled_from(INVENTORS), st.integers(0, 5), st.integers(0, 6), DRAWS)
def test_a_made_up_call_has_three_nodes_and_praises_a_friend_or_oneself(kind, friends, identities, draw):
    made = tuple(range(100, 100 + identities))
    path = made_up(kind, 0, list(range(friends + 1)), made, draw)
    if path:
        assert len(set(path)) == 3
        assert path[1] in range(friends + 1) or (kind == "sybil" and path[1] in made)
        assert path[1] == 0 or kind != "self_dealing"
    assert bool(path) is (friends > 0 and identities > 0 if kind == "ballot_stuffing" else identities >= 2)


def test_words_change_only_what_a_record_has():
    assert words(Lie.PRAISE, ("mos", "loss", "path")) == {"mos": 4.4, "loss": 0.0}
    assert words(Lie.TRUTH, ("mos",)) == words(Lie.SILENCE, ("mos",)) == {}


def test_claims_of_no_strength_are_the_truth_and_none_makes_a_link_worse():
    assert improved(0.0, 50.0) == 1.0
    assert improved(1.0, 50.0) == 50.0
    assert tunnelled(0.1, 0.0) == 0.1
    assert tunnelled(0.1, 1.0) == tunnelled(0.4, 1.0) < 0.001
    assert tunnelled(1e-5, 1.0) == 1e-5


def test_sybils_make_up_calls_each_others_by_themselves():
    assert calls_due("sybil", 12.0, 10, 3600.0) == 120
    assert calls_due("self_dealing", 12.0, 10, 3600.0) == 12
    assert calls_due("self_dealing", 0.0, 10, 3600.0) == calls_due("self_dealing", 12.0, 10, -5.0) == 0


@given(st.floats(10, 1000), st.floats(0.01, 0.99), st.floats(0, 1), st.floats(0, 1e5))
def test_between_turns_a_cycle_stays_as_it_is(period, duty, phase, now):
    cycle = Cycle(period=period, duty=duty, phase=phase)
    turn = cycle.next_turn(now)
    assert now < turn <= now + 1.01 * period
    assert cycle.is_bad(now + 0.999 * (turn - now)) is cycle.is_bad(now + 0.001 * (turn - now))


def test_a_cycle_of_one_part_never_turns():
    assert Cycle(duty=0.0).next_turn(5.0) == Cycle(duty=1.0).next_turn(5.0) == float("inf")


def test_a_window_is_closed_below_and_open_above():
    window = Window(since=2.0, until=3.0)
    assert [now in window for now in (1.9, 2.0, 2.9, 3.0)] == [False, True, True, False]


# Interceptors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "relay", "truth", "outcome"),
    [
        ("bad_mouthing", STRANGER, Outcome.COMPLETED, Outcome.DROPPED),
        ("bad_mouthing", FRIEND, Outcome.DROPPED, Outcome.DROPPED),
        ("ballot_stuffing", FRIEND, Outcome.DROPPED, Outcome.COMPLETED),
        ("ballot_stuffing", STRANGER, Outcome.DROPPED, Outcome.DROPPED),
        ("collusion", FRIEND, Outcome.TIMEOUT, Outcome.COMPLETED),
        ("collusion", STRANGER, Outcome.COMPLETED, Outcome.DROPPED),
        ("self_dealing", STRANGER, Outcome.COMPLETED, Outcome.COMPLETED),
        ("withholding", FRIEND, Outcome.COMPLETED, Outcome.COMPLETED),
    ],
)
def test_a_liar_states_and_signs_what_suits_it(kind, relay, truth, outcome):
    (stated,) = told(only(kind), receipt(relay, truth), now=0.0)
    assert stated.outcome is outcome
    assert stated.poor is (outcome is not Outcome.COMPLETED)
    assert is_signed(stated, IDS[ME], VERIFIER)


def test_a_spy_harms_its_targets_helps_its_friends_and_is_truthful_of_others():
    spy = only("camouflage", targets=frozenset({IDS[VICTIM]}))
    asked = [receipt(relay, call=relay) for relay in (STRANGER, VICTIM)]
    assert [stated.outcome for stated in told(spy, *asked)] == [Outcome.COMPLETED, Outcome.DROPPED]
    assert told(spy, receipt(FRIEND, Outcome.DROPPED))[0].outcome is Outcome.COMPLETED


def test_who_withholds_leaves_its_own_receipts_out_and_passes_others_on():
    own, others = receipt(STRANGER), receipt(STRANGER, signer=LAST)
    silent = only("withholding")
    assert told(silent, own, others) == (others,)
    assert silent.outgoing(Send(to=IDS[OTHER], message=own), at(1.0)) is None
    end = CallEnd(own.call, 0, True, False, "done", (own, others))
    passed = silent.outgoing(Send(to=IDS[OTHER], message=end), at(1.0))
    assert isinstance(passed, Send)
    assert passed.message == CallEnd(own.call, 0, True, False, "done", (others,))


@pytest.mark.parametrize("kinds", [*permutations(LIARS, 2), LIARS, LIARS[::-1]])
@pytest.mark.parametrize("relay", [FRIEND, OTHER])
def test_of_several_lies_the_first_is_told_as_in_the_modelled_plane(kinds, relay):
    said, honest = told_by_all(kinds, receipt(relay)), receipt(relay)
    word = tell(kinds, means().mind, honest.path[1:-1], 0.0)
    expected = honest.outcome if word is Lie.TRUTH else WORDS.get(word, {}).get("outcome")
    assert [one.outcome for one in said] == ([] if word is Lie.SILENCE else [expected])


def told_by_all(kinds: tuple[str, ...], told_of: Receipt) -> tuple[Receipt, ...]:
    """What is left of a receipt in a digest that passes all misbehaviours of a node, in order."""
    left: tuple[Receipt, ...] = (told_of,)
    for liar in interceptors(kinds, means(mint=None)):
        left = told(liar, *left)
    return left


def test_a_liar_says_the_same_of_a_route_to_everybody():
    liar = only("bad_mouthing", strength=0.5)
    asked = [receipt(STRANGER, call=call << 96) for call in range(60)]
    first, second = told(liar, *asked[:24]), told(liar, *asked[:24], now=99.0)
    assert first == second
    lied = sum(stated.outcome is Outcome.DROPPED for some in (asked[:24], asked[24:48]) for stated in told(liar, *some))
    assert 10 < lied < 38


def test_a_liar_is_honest_outside_its_window():
    liar = only("bad_mouthing", window=Window(since=5.0, until=8.0))
    asked = receipt(STRANGER)
    assert [told(liar, asked, now=now)[0].outcome for now in (4.0, 5.0, 8.0)] == ["completed", "dropped", "completed"]


@pytest.mark.parametrize("kind", INVENTORS)
def test_made_up_calls_are_signed_by_both_ends_and_told_once(kind):
    inventor = only(kind, rate=60.0, identities=4)
    made = told(inventor, now=120.0)
    calls = {stated.call: stated.path for stated in made}
    assert len(made) == 2 * len(calls) > 0
    assert all(is_signed(stated, stated.signer, VERIFIER) for stated in made)
    assert all(stated.signer in (stated.path[0], stated.path[-1]) for stated in made)
    assert {stated.outcome for stated in made} == {Outcome.COMPLETED}
    if kind != "sybil":
        assert {path[1] for path in calls.values()} == {IDS[FRIEND if kind == "ballot_stuffing" else ME]}
    assert told(inventor, now=120.0) == ()


def test_an_inventor_of_no_strength_makes_nothing_up():
    assert told(only("self_dealing", strength=0.0), now=1e6) == ()


def test_anybody_can_mint_real_keys_and_the_same_number_gives_the_same():
    mint = Ed25519Mint(b"me")
    assert mint.signer(3).node_id == Ed25519Mint(b"me").signer(3).node_id != mint.signer(4).node_id


def statement(*links: LinkEntry) -> LinkState:
    record = NodeRecord(node=IDS[ME], aura="@me.aura", role="relay", nat="open", capacity_bps=1e8, expires_unix=2e9)
    made = LinkState(
        record=sign_record(record, SIGNERS[ME]), epoch=0, sequence=1, load=0.0, calls=0, links=links, expires_ns=1
    )
    return sign(made, SIGNERS[ME])


def claimed(liar: Interceptor, stated: LinkState) -> dict[NodeId, LinkEntry]:
    effect = liar.outgoing(Send(to=IDS[OTHER], message=Digest((Told(0, stated),))), at(1.0))
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Digest)
    said = effect.message.entries[0].statement
    assert is_signed(said, IDS[ME], VERIFIER)
    return {link.to: link for link in said.links}


def test_lying_metrics_claim_every_link_some_times_better():
    links = LinkEntry(IDS[STRANGER], 40_000_000, 4_000_000, 0.02, 1e7)
    said = claimed(only("lying_metrics", factor=4.0), statement(links))[IDS[STRANGER]]
    assert (said.delay_ns, said.jitter_ns, said.loss, said.rate_bps) == (10_000_000, 1_000_000, 0.005, 4e7)


def test_a_wormhole_claims_its_link_all_but_instant_even_where_there_is_none():
    far = LinkEntry(IDS[STRANGER], 40_000_000, 4_000_000, 0.02, 1e7)
    said = claimed(only("wormhole"), statement(far))
    assert said[IDS[STRANGER]] == far
    assert said[IDS[FRIEND]].delay_ns < 1_000_000
    near = LinkEntry(IDS[FRIEND], 40_000_000, 4_000_000, 0.02, 1e7)
    assert claimed(only("wormhole"), statement(near))[IDS[FRIEND]].delay_ns < 1_000_000


def test_a_wormhole_leads_to_its_other_end_alone_however_many_friends_its_ends_have():
    friends = frozenset({IDS[FRIEND], IDS[OTHER]})
    said = claimed(only("wormhole", friends=friends, tunnel=frozenset({IDS[OTHER]})), statement())
    assert set(said) == {IDS[OTHER]}


def test_a_full_statement_has_no_room_for_a_wormhole():
    links = [LinkEntry(NodeId(bytes([9, i]) * 16), 1, 0, 0.0, 1e7) for i in range(LINK_ENTRIES)]
    assert list(claimed(only("wormhole"), statement(*links))) == [link.to for link in links]


def test_only_own_statements_are_altered_and_the_same_one_always_the_same_way():
    liar, stated = only("lying_metrics"), statement(LinkEntry(IDS[STRANGER], 40, 4, 0.02, 1e7))
    alone = [liar.outgoing(Send(to=IDS[node], message=stated), at(float(node))) for node in (OTHER, LAST)]
    assert isinstance(alone[0], Send)
    assert isinstance(alone[1], Send)
    assert alone[0].message is alone[1].message is not stated
    for effect in (relayed(), Send(to=IDS[OTHER], message=Ping(3))):
        assert liar.outgoing(effect, at(1.0)) is effect
    other = msgspec.structs.replace(stated.record, node=IDS[OTHER])
    foreign = Send(to=IDS[LAST], message=Digest((Told(0, msgspec.structs.replace(stated, record=other)),)))
    assert liar.outgoing(foreign, at(1.0)) == foreign


@pytest.mark.parametrize("kind", sorted(adversaries))
def test_everything_comes_in_to_who_misbehaves(kind):
    assert only(kind).incoming(Ping(3), IDS[OTHER], at(1.0)) == Ping(3)


def relayed(label: int = 1, call: int = 1) -> OpenMedia:
    ends = {"upstream": IDS[VICTIM], "downstream": IDS[LAST]}
    return OpenMedia(call=CallId(call.to_bytes(16, "big")), label=label, media=MediaType.AUDIO, **ends)


def drop(interceptor: Interceptor, now: float = 1.0, call: int = 1) -> float:
    effect = interceptor.outgoing(relayed(call=call), at(now))
    assert isinstance(effect, OpenMedia)
    return effect.drop


def test_an_on_off_hole_drops_in_its_part_of_each_cycle():
    hole = only("on_off", strength=0.3, cycle=Cycle(period=10.0, duty=0.4))
    assert [drop(hole, now) for now in (1.0, 3.9, 4.1, 9.9, 11.0)] == [0.3, 0.3, 0.0, 0.0, 0.3]


def test_a_milking_relay_serves_well_until_it_cashes_in():
    hole = only("milking", strength=0.5)
    dropped = [drop(hole, call=call) for call in range(PATIENCE + 5)]
    assert dropped == [0.0] * PATIENCE + [0.5] * 5


def test_a_selective_hole_drops_for_its_victims_alone():
    hole = only("selective", targets=frozenset({IDS[VICTIM]}))
    for call, caller in ((1, VICTIM), (2, OTHER)):
        setup = CallSetup(
            call=CallId(call.to_bytes(16, "big")),
            attempt=0,
            path=(IDS[caller], IDS[ME], IDS[LAST]),
            caller="@a.aura",
            callee="@b.aura",
            media=MediaType.AUDIO,
            aic=AicPolicy.OFF,
            expires_ns=1,
        )
        assert hole.incoming(setup, IDS[caller], at(0.5)) is setup
    assert (drop(hole, call=1), drop(hole, call=2), drop(hole, call=3)) == (1.0, 0.0, 0.0)
    for call in range(10, 10 + REMEMBERED):
        hole.incoming(msgspec.structs.replace(setup, call=CallId(call.to_bytes(16, "big"))), IDS[OTHER], at(0.6))
    assert drop(hole, call=1) == 0.0


def test_a_poisoner_writes_of_its_calls_what_suits_its_friends():
    sample = CallSample(
        call=CallId(bytes(16)),
        start=0.0,
        end=1.0,
        caller=IDS[ME],
        callee=IDS[LAST],
        media=MediaType.AUDIO,
        decision=None,
        path=(),
        final_path=(IDS[ME], IDS[FRIEND], IDS[LAST]),
        outcome="dropped",
        reason="",
        failovers=(),
        rtt=0.1,
        jitter=0.001,
        loss=0.4,
        mos=1.0,
        poor=True,
    )
    effect = only("poisoning").outgoing(Emit(sample=sample), at(2.0))
    assert isinstance(effect, Emit)
    written = effect.sample
    assert isinstance(written, CallSample)
    assert (written.outcome, written.loss, written.poor, written.rtt) == ("completed", 0.0, False, 0.1)
    for honest in (Emit(sample=replace(sample, final_path=(IDS[ME], IDS[LAST]))), relayed()):
        assert only("poisoning").outgoing(honest, at(2.0)) is honest
