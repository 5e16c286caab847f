"""What agents do to each other, seen from outside."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from meshsim.agent import (
    AgentConfig,
    CallRequest,
    CallSample,
    CallState,
    CloseMedia,
    Dial,
    EventSample,
    MediaReport,
    OpenMedia,
    RouteSample,
    Send,
    TrustSample,
    Undial,
)
from meshsim.agent.legs import label_of
from meshsim.agent.messages import (
    ABANDONED,
    CANCELLED,
    CallAccept,
    CallEnd,
    CallKeepalive,
    CallReject,
    CallReport,
    CallSetup,
    Digest,
    Hello,
    LinkState,
    Ping,
    Pong,
    Promise,
    Receipt,
)
from meshsim.agent.signing import sign
from meshsim.identity import HashSigner, NodeRecord, sign_record
from meshsim.mesh.errors import LocalProtocolError
from meshsim.mesh.ids import AuraID, CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.routing.constraints import Limits
from meshsim.testing.network import SECRET, UNIX, Network
from meshsim.trust import EventKind, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.messages import Message


def setup_of(net: Network, name: str = "alice") -> CallSetup:
    return net.members[name].sent(CallSetup)[-1]


def forged_setup(net: Network, **changes: object) -> CallSetup:
    """A set-up from alice over r1 to bob, validly signed by alice unless changed afterwards."""
    setup = CallSetup(
        call=CallId(b"c" * 16),
        attempt=0,
        path=(net.node("alice"), net.node("r1"), net.node("bob")),
        caller="@alice.aura",
        callee="@bob.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.OFF,
        expires_ns=int((UNIX + net.now + 60) * 1e9),
    )
    setup = msgspec.structs.replace(setup, **changes)  # type: ignore[arg-type]
    return sign(setup, HashSigner(net.node("alice"), SECRET))


def outcome(net: Network, name: str = "alice") -> CallSample:
    return net.members[name].samples(CallSample)[-1]


def kinds(net: Network, name: str) -> list[str]:
    return [sample.kind for sample in net.members[name].samples(EventSample)]


def failing_over(make_diamond: Callable[..., Network]) -> tuple[Network, CallId]:
    """A diamond whose first relay died under a call, and whose second no longer lets set-ups through."""
    cut: list[float] = []
    net = make_diamond(drops=lambda t, _a, b, m: bool(cut) and t > cut[0] and b == "r2" and isinstance(m, CallSetup))
    call = net.call("alice", "bob")
    net.run(2.0)
    cut.append(net.now)
    net.kill("r1")
    net.run(2.5)
    assert net["alice"].call_state(call) is CallState.FAILING_OVER
    return net, call


# Calls ----------------------------------------------------------------------------------------------------------------


def test_a_call_goes_over_the_best_relay_and_ends_when_its_caller_hangs_up(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    assert diamond["bob"].call_state(call) is CallState.ACTIVE
    assert [len(diamond.members[name].media) for name in ("alice", "r1", "r2", "bob")] == [1, 1, 0, 1]

    diamond.report("alice", call, jitter=0.002)
    diamond.hang_up("alice", call)
    diamond.run(1.0)
    assert [len(member.media) for member in diamond.members.values()] == [0, 0, 0, 0]
    sample = outcome(diamond)
    assert sample.outcome == "completed"
    assert diamond.names(sample.path) == ("alice", "r1", "bob")
    assert sample.failovers == ()
    assert sample.rtt == pytest.approx(0.08, abs=0.01)
    assert not sample.poor
    assert all(not member.agent.rejected for member in diamond.members.values())


def test_the_callee_may_hang_up_too(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.hang_up("bob", call)
    diamond.run(1.0)
    assert outcome(diamond).outcome == "completed"
    assert not any(member.media for member in diamond.members.values())


def test_media_open_with_the_same_label_and_the_right_neighbours_everywhere(diamond: Network) -> None:
    call = diamond.call("alice", "bob", MediaType.AUDIO_VIDEO)
    diamond.run(1.0)
    alice, r1, bob = (diamond.node(name) for name in ("alice", "r1", "bob"))
    opened = [diamond.members[name].media[label_of(call, 0)] for name in ("alice", "r1", "bob")]
    assert [(effect.upstream, effect.downstream) for effect in opened] == [(None, r1), (alice, bob), (r1, None)]
    assert {effect.media for effect in opened} == {MediaType.AUDIO_VIDEO}
    assert {effect.drop for effect in opened} == {0.0}


def test_a_call_over_two_relays_is_carried(line: Network) -> None:
    call = line.call("alice", "bob")
    line.run(2.0)
    assert line["alice"].call_state(call) is CallState.ACTIVE
    line.hang_up("alice", call)
    line.run(1.0)
    assert line.names(outcome(line).path) == ("alice", "r1", "r2", "bob")


def test_the_route_sample_holds_every_candidate_and_the_belief_it_was_chosen_on(diamond: Network) -> None:
    diamond.call("alice", "bob")
    diamond.run(1.0)
    sample = diamond.members["alice"].samples(RouteSample)[0]
    assert len(sample.ranking.candidates) >= 3
    assert sample.decision.path == tuple(sample.view.nodes.ids[i] for i in sample.ranking.candidates.path(1))
    assert sample.view.owner == sample.view.index[diamond.node("alice")]


def test_a_call_to_a_name_nobody_has_fails_with_the_directorys_reason(diamond: Network) -> None:
    diamond.call("alice", "nobody")
    diamond.run(1.0)
    assert outcome(diamond).outcome == "failed"
    assert "nobody" in outcome(diamond).reason
    assert outcome(diamond).callee is None
    assert outcome(diamond).path == ()


def test_a_node_cannot_call_in_anothers_name(diamond: Network) -> None:
    request = CallRequest(caller=AuraID("carol"), callee=AuraID("bob"))
    with pytest.raises(LocalProtocolError, match="cannot call as @carol"):
        diamond["alice"].place_call(request, diamond.instant())


def test_a_call_without_any_route_says_why(make_diamond: Callable[..., Network]) -> None:
    net = make_diamond()
    for name in ("r1", "r2"):
        net.kill(name)
    net.run(10.0)
    net.call("alice", "bob")
    net.run(2.0)
    assert outcome(net).outcome == "failed"
    assert outcome(net).reason.startswith("no route")


def test_hanging_up_before_the_call_stands_ends_it_as_failed(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.hang_up("alice", call)
    diamond.run(2.0)
    assert outcome(diamond).outcome == "failed"
    assert outcome(diamond).reason == "hung up before it stood"
    assert not any(member.media for member in diamond.members.values())


def test_hanging_up_during_set_up_frees_the_relay(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(0.03)
    diamond.hang_up("alice", call)
    diamond.run(1.0)
    assert diamond["r1"].load == 0.0
    assert not any(member.media for member in diamond.members.values())


def test_hanging_up_twice_changes_nothing(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.hang_up("alice", call)
    diamond.hang_up("alice", call)
    assert len(diamond.members["alice"].samples(CallSample)) == 1
    assert len(diamond.members["alice"].sent(CallEnd)) == 1


def test_a_call_under_way_can_be_summed_up(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    so_far = diamond["alice"].call_so_far(call, diamond.instant())
    assert so_far is not None
    assert (so_far.outcome, so_far.poor) == ("running", False)
    assert diamond["bob"].call_so_far(call, diamond.instant()) is None


def test_the_directory_that_never_answers_ends_the_call(diamond: Network) -> None:
    request = CallRequest(caller=AuraID("alice"), callee=AuraID("bob"))
    diamond["alice"].place_call(request, diamond.instant())
    diamond["alice"].effects()
    diamond.run(6.0)
    assert outcome(diamond).reason == "the directory does not answer"
    diamond["alice"].resolved(1, (diamond["bob"].record,), diamond.instant())
    assert diamond["alice"].effects() == []


@pytest.mark.parametrize("end", ["timeout", "hang up", "answer"])
def test_a_question_to_the_directory_is_forgotten_when_it_is_answered_or_its_call_ends(
    diamond: Network, end: str
) -> None:
    request = CallRequest(caller=AuraID("alice"), callee=AuraID("bob"))
    call = diamond["alice"].place_call(request, diamond.instant())
    assert len(diamond["alice"]._desk._tokens) == 1
    if end == "timeout":
        diamond["alice"].effects()
    if end == "hang up":
        diamond["alice"].hang_up(call, diamond.instant())
    diamond._pump("alice")
    diamond.run(6.0)
    assert not diamond["alice"]._desk._tokens


def test_late_or_repeated_answers_of_the_directory_have_no_effect(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond["alice"].resolved(1, (), diamond.instant())
    diamond["alice"].resolved(99, (), diamond.instant())
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


@pytest.mark.parametrize("fault", ["unsigned", "other name", "expired"])
def test_a_directory_record_that_does_not_hold_is_not_called(diamond: Network, fault: str) -> None:
    signer = HashSigner(diamond.node("bob"), SECRET)
    record = NodeRecord(node=signer.node_id, aura="@bob.aura", expires_unix=UNIX + 1e5)
    if fault == "other name":
        record = msgspec.structs.replace(record, aura="@eve.aura")
    if fault == "expired":
        record = msgspec.structs.replace(record, expires_unix=UNIX)
    if fault != "unsigned":
        record = sign_record(record, signer)
    request = CallRequest(caller=AuraID("alice"), callee=AuraID("bob"))
    call = diamond["alice"].place_call(request, diamond.instant())
    diamond["alice"].effects()
    diamond["alice"].resolved(1, (record,), diamond.instant())
    assert diamond["alice"].call_state(call) is CallState.ENDED
    assert sum(diamond["alice"].rejected.values()) == 1


# Failover -------------------------------------------------------------------------------------------------------------


def test_a_call_survives_the_death_of_its_relay_within_two_seconds(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    died = diamond.now
    diamond.kill("r1")
    diamond.run(4.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    diamond.hang_up("alice", call)
    diamond.run(1.0)
    sample = outcome(diamond)
    assert diamond.names(sample.path) == ("alice", "r1", "bob")
    assert diamond.names(sample.final_path) == ("alice", "r2", "bob")
    (failover,) = sample.failovers
    assert died - 0.6 <= failover.heard <= failover.lost <= died + 2.1
    assert failover.restored - failover.lost < 0.2


def test_media_open_on_the_new_path_before_they_close_on_the_old(diamond: Network) -> None:
    diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.kill("r1")
    diamond.run(4.0)
    for name in ("alice", "bob"):
        steps = [effect for _, effect in diamond.members[name].log if isinstance(effect, OpenMedia | CloseMedia)]
        assert [type(step) for step in steps] == [OpenMedia, OpenMedia, CloseMedia]
        assert steps[0].label == steps[2].label != steps[1].label


def test_the_relay_before_a_dead_one_tells_the_caller(line: Network) -> None:
    line.add("r3", role="relay")
    line.join("alice", "r3", 0.05)
    line.join("bob", "r3", 0.05)
    line.join("alice", "r2", 0.2)
    line.run(8.0)
    call = line.call("alice", "bob")
    line.run(2.0)
    first = line.members["alice"].samples(RouteSample)[-1].decision.path
    assert line.names(first) == ("alice", "r1", "r2", "bob")
    line.kill("r2")
    line.run(5.0)
    assert line["alice"].call_state(call) is CallState.ACTIVE
    assert "r2" not in line.names(line.members["alice"].sent(CallSetup)[-1].path)


def test_when_no_other_route_is_left_the_call_is_dropped(line: Network) -> None:
    call = line.call("alice", "bob")
    line.run(2.0)
    line.kill("r2")
    line.run(20.0)
    assert line["alice"].call_state(call) is CallState.ENDED
    assert line["bob"].call_state(call) is CallState.ENDED
    sample = outcome(line)
    assert sample.outcome == "dropped"
    assert sample.poor
    assert sample.failovers[-1].restored != sample.failovers[-1].restored
    assert not any(line.members[name].media for name in ("alice", "r1", "bob"))


def test_a_node_that_was_asleep_past_all_deadlines_ends_its_call_once(make_diamond: Callable[..., Network]) -> None:
    net, _call = failing_over(make_diamond)
    net.now += 60.0
    net["alice"].handle_timer(net.instant())
    net._pump("alice")
    assert [sample.outcome for sample in net.members["alice"].samples(CallSample)] == ["dropped"]


def test_a_late_keepalive_over_the_lost_route_does_not_close_it_before_the_new_one_stands(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond["alice"].link_down(diamond.node("r1"), diamond.instant())
    diamond["alice"].link_up(diamond.node("r1"), diamond.instant())
    assert diamond["alice"].call_state(call) is CallState.FAILING_OVER
    diamond.inject("alice", "r1", CallKeepalive(call, 0, False, 9, 0, 0))
    assert diamond["alice"].rejected == {}
    assert [type(effect) for _, effect in diamond.members["alice"].log].count(CloseMedia) == 0
    diamond.run(1.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    assert [type(effect) for _, effect in diamond.members["alice"].log].count(CloseMedia) == 1


def test_hanging_up_while_failing_over_drops_the_call(make_diamond: Callable[..., Network]) -> None:
    net, call = failing_over(make_diamond)
    net.hang_up("alice", call)
    assert outcome(net).outcome == "dropped"
    assert outcome(net).reason == "hung up while failing over"


def test_a_lost_link_of_the_first_hop_is_acted_on_at_once(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.part("alice", "r1")
    lost = diamond.now
    diamond["alice"].link_down(diamond.node("r1"), diamond.instant())
    diamond["r1"].link_down(diamond.node("alice"), diamond.instant())
    diamond._pump("alice")
    diamond._pump("r1")
    diamond.run(1.0)
    diamond.hang_up("alice", call)
    assert outcome(diamond).failovers[0].lost == lost


def test_a_path_that_carries_keepalives_but_no_media_is_given_up(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    for _ in range(3):
        diamond.report("alice", call, loss=1.0)
        diamond.run(0.1)
    diamond.run(1.0)
    diamond.hang_up("alice", call)
    assert len(outcome(diamond).failovers) == 1
    assert "path_lost" in kinds(diamond, "alice")


def test_reports_of_a_route_not_in_use_have_no_effect(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    report = MediaReport(label=1, jitter=0.5, loss=1.0)
    for known in (call, CallId(b"x" * 16)):
        diamond["alice"].media_report(known, report, diamond.instant())
    diamond.hang_up("alice", call)
    assert not outcome(diamond).poor


def test_the_worse_direction_makes_the_quality(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.report("bob", call, jitter=0.001, loss=0.05)
    diamond.run(0.5)
    diamond.report("alice", call, jitter=0.004, loss=0.0)
    diamond.hang_up("alice", call)
    assert outcome(diamond).loss == pytest.approx(0.05)
    assert outcome(diamond).jitter == pytest.approx(0.004)
    assert outcome(diamond).poor


# Refusals -------------------------------------------------------------------------------------------------------------


def test_a_full_relay_refuses_and_the_next_route_is_tried() -> None:
    net = Network()
    for name in ("alice", "bob", "carol", "dave"):
        net.add(name, nat="symmetric")
    for name, delay in (("r1", 0.02), ("r2", 0.03)):
        net.add(name, role="relay", max_calls=1)
        for peer in ("alice", "bob", "carol", "dave"):
            net.join(peer, name, delay)
    net.run(5.0)
    net.call("alice", "bob")
    net.call("carol", "dave")
    net.run(1.0)
    first, second = (net.members[name].sent(CallSetup)[-1].path for name in ("alice", "carol"))
    assert {net.names(first)[1], net.names(second)[1]} == {"r1", "r2"}
    assert [reject.reason for reject in net.members["r1"].sent(CallReject)] == ["full"]
    assert net["r1"].load == 1.0


def test_a_relay_that_cannot_reach_the_callee_says_so(diamond: Network) -> None:
    diamond.part("r1", "bob")
    diamond["r1"].link_down(diamond.node("bob"), diamond.instant())
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    assert diamond.members["r1"].sent(CallReject)[0].reason == "unreachable"
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    assert diamond.names(diamond.members["alice"].sent(CallSetup)[-1].path) == ("alice", "r2", "bob")


def test_a_relay_dials_a_next_hop_it_has_no_link_to_and_refuses_when_that_fails(diamond: Network) -> None:
    diamond.add("carol", nat="cone")
    path = tuple(diamond.node(name) for name in ("alice", "r1", "carol"))
    diamond.inject("r1", "alice", forged_setup(diamond, path=path, callee="@carol.aura"))
    diamond.run(1.0)
    assert diamond.members["r1"].sent(CallReject)[-1].reason == "unreachable"
    assert diamond["r1"].load == 0.0


def test_a_relay_refuses_at_once_what_goes_to_a_silent_neighbour(diamond: Network) -> None:
    diamond.kill("bob")
    diamond.run(5.0)
    diamond.inject("r1", "alice", forged_setup(diamond))
    assert diamond.members["r1"].sent(CallReject)[-1].reason == "unreachable"
    assert diamond["r1"].load == 0.0


@pytest.mark.parametrize("end", ["given up", "caller lost"])
def test_a_route_that_ended_while_its_relay_dialled_on_is_not_refused_again(diamond: Network, end: str) -> None:
    diamond.add("carol", nat="cone")
    path = tuple(diamond.node(name) for name in ("alice", "r1", "carol"))
    setup = forged_setup(diamond, path=path, callee="@carol.aura")
    diamond.inject("r1", "alice", setup)
    if end == "given up":
        reject = CallReject(setup.call, 0, onward=True, by=diamond.node("alice"), reason=ABANDONED)
        diamond.inject("r1", "alice", reject)
    else:
        diamond["r1"].link_down(diamond.node("alice"), diamond.instant())
    diamond.run(1.0)
    refused = [one for one in diamond.members["r1"].sent(CallReject) if not one.onward]
    assert refused == []
    assert diamond["r1"].load == 0.0


def test_a_call_that_was_hung_up_while_dialling_is_not_tried_again() -> None:
    net = Network(policy="direct")
    net.add("alice")
    net.add("bob")
    net.run(1.0)
    call = net.call("alice", "bob")
    net.run(0.05)
    net.hang_up("alice", call)
    net.run(2.0)
    assert outcome(net).reason == "hung up before it stood"
    assert [type(effect) for _, effect in net.members["alice"].log].count(Dial) == 1


def test_a_direct_call_dials_the_callee_and_falls_back_to_a_relay_when_that_fails() -> None:
    net = Network(policy="direct")
    net.add("alice")
    net.add("bob")
    net.run(1.0)
    net.call("alice", "bob")
    net.run(2.0)
    assert outcome(net).reason == "unreachable" or outcome(net).reason.startswith("no route")
    assert outcome(net).outcome == "failed"


def test_a_call_for_somebody_else_is_refused_and_not_tried_again(diamond: Network) -> None:
    diamond.inject("bob", "r1", forged_setup(diamond, callee="@eve.aura"))
    assert diamond.members["bob"].sent(CallReject)[-1].reason == "not here"
    diamond.inject("bob", "r1", forged_setup(diamond, attempt=1, caller="nonsense"))
    assert diamond.members["bob"].sent(CallReject)[-1].reason == "not here"


def test_a_busy_callee_ends_the_attempt() -> None:
    net = Network()
    net.add("alice", nat="symmetric")
    net.add("bob", nat="symmetric", config=AgentConfig(max_own_calls=0))
    net.add("r1", role="relay")
    net.join("alice", "r1")
    net.join("bob", "r1")
    net.run(25.0)
    net.call("alice", "bob")
    net.run(2.0)
    assert (outcome(net).outcome, outcome(net).reason) == ("failed", "busy")
    net.run(5.0)  # past the set-up's deadline, which means nothing any more
    assert len(net.members["alice"].samples(CallSample)) == 1
    assert len(net.members["alice"].sent(CallSetup)) == 1


def test_a_call_that_nobody_answers_times_out_and_counts_against_the_relay(
    make_diamond: Callable[..., Network],
) -> None:
    net = make_diamond(drops=lambda _t, _a, b, m: b == "bob" and isinstance(m, CallSetup))
    before = net["alice"].reputation(net.node("r1"), net.instant()).mean
    net.call("alice", "bob")
    net.run(20.0)
    assert outcome(net).outcome == "failed"
    assert len(net.members["alice"].sent(CallSetup)) == 2
    assert net["alice"].reputation(net.node("r1"), net.instant()).mean < before
    assert net["r1"].load == 0.0


def test_a_route_that_its_ends_left_without_a_word_is_swept_by_its_relay(make_diamond: Callable[..., Network]) -> None:
    net = make_diamond(drops=lambda _t, _a, _b, m: isinstance(m, CallKeepalive | CallReject))
    net.call("alice", "bob")
    net.run(1.0)
    assert len(net.members["r1"].media) == 1
    net.run(30.0)
    assert net.members["r1"].media == {}
    assert net["r1"].load == 0.0
    assert net["r1"].neighbours()[0].up


# Forged, replayed, misdirected ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expires_ns": int(UNIX * 1e9)}, "expired"),
        ({"expires_ns": 2**62}, "expired"),
        ({"path": "looped"}, "looped"),
        ({"path": "elsewhere"}, "off_path"),
        ({"path": "other side"}, "off_path"),
    ],
)
def test_a_set_up_that_does_not_hold_is_counted_and_dropped(
    diamond: Network, changes: dict[str, object], reason: str
) -> None:
    alice, bob, r1, r2 = (diamond.node(name) for name in ("alice", "bob", "r1", "r2"))
    named = {"looped": (alice, r1, alice, r1, bob), "elsewhere": (alice, r2, bob), "other side": (alice, r2, r1, bob)}
    if "path" in changes:
        changes = {"path": named[str(changes["path"])]}
    sent = len(diamond.members["r1"].log)
    diamond.inject("r1", "alice", forged_setup(diamond, **changes))
    assert diamond["r1"].rejected == {reason: 1}
    assert len(diamond.members["r1"].log) == sent


def test_a_set_up_that_the_caller_did_not_sign_is_dropped(diamond: Network) -> None:
    forged = msgspec.structs.replace(forged_setup(diamond), callee="@eve.aura")
    diamond.inject("r1", "alice", forged)
    assert diamond["r1"].rejected == {"forged": 1}


def test_a_replayed_set_up_is_dropped(diamond: Network) -> None:
    diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.inject("r1", "alice", setup_of(diamond))
    assert diamond["r1"].rejected == {"replayed": 1}


def test_nobody_else_sets_up_a_call_that_goes_out_from_here() -> None:
    net = Network()
    for name in ("alice", "r1", "bob", "eve"):
        net.add(name, role="peer" if name == "bob" else "relay")
    net.join("alice", "r1")
    net.join("r1", "bob")
    net.join("alice", "eve")
    net.join("eve", "bob", 0.5)
    net.run(8.0)
    call = net.call("alice", "bob")
    net.run(1.0)
    path = tuple(net.node(name) for name in ("eve", "alice", "r1"))
    stolen = msgspec.structs.replace(setup_of(net), path=path, caller="@eve.aura")
    net.inject("alice", "eve", sign(stolen, net["eve"]._core.signer))
    assert net["alice"].rejected == {"replayed": 1}
    net.run(5.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE


def test_a_relay_cannot_say_the_caller_cancelled_to_end_the_call_as_completed(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.inject("alice", "r1", CallReject(call, 0, False, diamond.node("alice"), CANCELLED))
    assert diamond["alice"].call_state(call) is CallState.FAILING_OVER
    diamond.run(2.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


def test_an_acceptance_the_callee_did_not_sign_does_not_open_media(make_diamond: Callable[..., Network]) -> None:
    net = make_diamond(drops=lambda _t, _a, b, m: b == "alice" and isinstance(m, CallAccept))
    call = net.call("alice", "bob")
    net.run(0.5)
    net.inject("alice", "r1", CallAccept(call, 0, b"no"))
    net.inject("alice", "r2", CallAccept(call, 0, b"no"))
    assert net["alice"].rejected == {"forged": 1, "unexpected_accept": 1}
    assert net.members["alice"].media == {}


UNKNOWN = CallId(b"u" * 16)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (CallAccept(UNKNOWN, 0, b""), "unexpected_accept"),
        (CallReject(UNKNOWN, 0, False, NodeId(bytes(32)), ""), "unexpected_reject"),
        (CallKeepalive(UNKNOWN, 0, False, 0, 0, 0), "unexpected_keepalive"),
        (CallReport(UNKNOWN, 0, False, 0, 0.0), "unexpected_report"),
        (CallEnd(UNKNOWN, 0, False, False, ""), "unexpected_end"),
        (Pong(12345), "unasked_pong"),
    ],
)
def test_messages_about_nothing_are_counted(diamond: Network, message: Message, reason: str) -> None:
    diamond.inject("alice", "r1", message)
    assert diamond["alice"].rejected == {reason: 1}


def test_a_relay_drops_what_comes_from_the_wrong_side(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.inject("r1", "bob", CallEnd(call, 0, True, False, ""))
    assert diamond["r1"].rejected["wrong_side"] == 1
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


def test_a_relay_bears_no_call_out_that_the_callee_never_accepted(diamond: Network) -> None:
    setup = forged_setup(diamond, callee="@carol.aura")  # bob will refuse it
    diamond.inject("r1", "alice", setup)
    diamond.inject("r1", "alice", CallEnd(setup.call, 0, True, False, ""))
    diamond.run(1.0)
    assert [end.receipts for end in diamond.members["r1"].sent(CallEnd)] == [()]
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.hang_up("alice", call)
    diamond.run(1.0)
    (relay,) = [name for name in ("r1", "r2") if any(end.call == call for end in diamond.members[name].sent(CallEnd))]
    for end in diamond.members[relay].sent(CallEnd):
        assert end.call == setup.call or diamond.node(relay) in {receipt.signer for receipt in end.receipts}


def test_an_end_drops_what_comes_from_the_wrong_side(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.inject("alice", "r2", CallEnd(call, 0, False, False, ""))
    diamond.inject("alice", "r2", CallKeepalive(call, 0, False, 0, 0, 0))
    assert diamond["alice"].rejected == {"unexpected_end": 1, "unexpected_keepalive": 1}
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


def test_messages_of_a_stranger_are_dropped(diamond: Network) -> None:
    diamond.add("eve")
    diamond.inject("alice", "eve", Pong(1))
    assert diamond["alice"].rejected == {"stranger": 1}


def test_a_hello_with_anothers_record_is_forged(diamond: Network) -> None:
    diamond.inject("alice", "r1", Hello(diamond["r2"].record, 0))
    assert diamond["alice"].rejected == {"forged": 1}


def test_a_hello_with_a_bad_signature_is_dropped(diamond: Network) -> None:
    record = msgspec.structs.replace(diamond["r1"].record, max_calls=1000)
    diamond.inject("alice", "r1", Hello(record, 0))
    assert diamond["alice"].rejected == {"bad_record": 1}
    assert diamond["alice"].view(diamond.instant()).nodes.max_calls.max() == 10


# Receipts and reputation ----------------------------------------------------------------------------------------------


def test_a_good_call_raises_its_relay_in_the_eyes_of_everybody_who_hears_of_it(diamond: Network) -> None:
    before = diamond["r2"].reputation(diamond.node("r1"), diamond.instant())
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.hang_up("alice", call)
    diamond.run(15.0)
    for name in ("alice", "bob", "r2"):
        after = diamond[name].reputation(diamond.node("r1"), diamond.instant())
        assert after.mean > before.mean
        assert {sample.event for sample in diamond.members[name].samples(TrustSample)} >= {"successful_call"}


def test_a_dropped_route_lowers_its_relay(diamond: Network) -> None:
    before = diamond["alice"].reputation(diamond.node("r1"), diamond.instant())
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.kill("r1")
    diamond.run(4.0)
    diamond.hang_up("alice", call)
    diamond.run(15.0)
    for name in ("alice", "bob", "r2"):
        assert diamond[name].reputation(diamond.node("r1"), diamond.instant()).mean < before.mean
    assert diamond["alice"].reputation(diamond.node("r2"), diamond.instant()).mean > before.mean


def test_receipts_of_the_caller_alone_do_not_raise_a_relay(diamond: Network) -> None:
    signer = HashSigner(diamond.node("alice"), SECRET)
    before = diamond["bob"].reputation(diamond.node("r1"), diamond.instant()).mean
    receipt = sign(
        Receipt(
            call=CallId(b"z" * 16),
            attempt=0,
            path=tuple(diamond.node(name) for name in ("alice", "r1", "bob")),
            signer=signer.node_id,
            outcome=Outcome.COMPLETED,
            mos=4.4,
            poor=False,
            at_ns=int((UNIX + diamond.now) * 1e9),
        ),
        signer,
    )
    diamond.inject("r2", "alice", receipt)
    diamond.run(15.0)
    assert diamond["r2"].reputation(diamond.node("r1"), diamond.instant()).mean == before


# Gossip ---------------------------------------------------------------------------------------------------------------


def test_gossip_tells_everybody_of_every_link(line: Network) -> None:
    for name in line.members:
        view = line[name].view(line.instant())
        assert len(view.nodes) == 4
        assert {
            (line.names([view.nodes.ids[s], view.nodes.ids[d]]))
            for s, d in zip(view.links.src, view.links.dst, strict=True)
        } >= {
            ("alice", "r1"),
            ("r1", "r2"),
            ("r2", "bob"),
        }
        assert view.nodes.online.all()


def test_a_settled_mesh_gossips_little(diamond: Network) -> None:
    diamond.run(20.0)
    before = {name: len(member.sent(Digest)) for name, member in diamond.members.items()}
    diamond.run(20.0)
    statements = sum(
        len(digest.entries)
        for name, member in diamond.members.items()
        for digest in member.sent(Digest)[before[name] :]
    )
    # telling everything to everybody in each of the 10 rounds would be 10 rounds x 8 directed links x 3 other nodes
    assert 0 < statements < 240 / 2


def test_a_lone_statement_is_taken_like_a_digest(diamond: Network) -> None:
    digests = [digest for digest in diamond.members["r2"].sent(Digest) if digest.entries]
    statement = digests[0].entries[0].statement
    diamond.add("carol")
    diamond.join("carol", "r1")
    assert isinstance(statement, LinkState)
    diamond.inject("carol", "r1", statement)
    assert statement.origin in diamond["carol"].view(diamond.instant()).index


def test_a_silent_neighbour_is_believed_offline_and_back_when_heard(diamond: Network) -> None:
    diamond.kill("r1")
    diamond.run(6.0)
    view = diamond["alice"].view(diamond.instant())
    assert not view.nodes.online[view.index[diamond.node("r1")]]
    assert "neighbour_lost" in kinds(diamond, "alice")
    diamond.revive("r1")
    diamond.run(6.0)
    view = diamond["alice"].view(diamond.instant())
    assert view.nodes.online[view.index[diamond.node("r1")]]
    assert "neighbour_back" in kinds(diamond, "alice")


def test_the_version_of_a_view_changes_only_with_belief(diamond: Network) -> None:
    first = diamond["alice"].view(diamond.instant())
    second = diamond["alice"].view(diamond.instant())
    assert first.version == second.version
    assert first.links is second.links
    assert first.fresh is not None
    assert len(first.fresh) == 4
    diamond.run(20.0)
    assert diamond["alice"].view(diamond.instant()).version > first.version


def test_no_two_agents_share_a_version(diamond: Network) -> None:
    versions = {diamond[name].view(diamond.instant()).version for name in diamond.members}
    assert len(versions) == 4


# The agent as a value -------------------------------------------------------------------------------------------------


def test_an_agent_can_be_copied_and_pickled_in_the_middle_of_a_call(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    now = diamond.instant()
    for twin in (copy.deepcopy(diamond["alice"]), pickle.loads(pickle.dumps(diamond["alice"]))):  # noqa: S301 - our own
        twin.hang_up(call, now)
        assert twin.call_state(call) is CallState.ENDED
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


def test_the_same_story_is_told_the_same_way_twice(make_diamond: Callable[..., Network]) -> None:
    def story() -> list[str]:
        net = make_diamond()
        net.call("alice", "bob")
        net.run(2.0)
        net.kill("r1")
        net.run(5.0)
        return [repr((at, type(effect).__name__)) for member in net.members.values() for at, effect in member.log]

    assert story() == story()


def test_an_agent_that_was_told_nothing_wants_nothing() -> None:
    net = Network()
    agent = net.add("alice")
    assert agent.wake_at() is None
    assert agent.effects() == []
    agent.receive_invalid(NodeId(bytes(32)), net.instant())
    assert agent.rejected == {"malformed": 1}
    assert agent.wake_at() is not None


def test_a_route_is_not_judged_by_what_was_lived_on_the_route_before(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    for _ in range(3):
        diamond.report("alice", call, loss=1.0)
    diamond.run(3.0)
    diamond.report("alice", call, loss=0.0)
    diamond.hang_up("alice", call)
    diamond.run(13.0)
    assert outcome(diamond).poor
    events = {sample.event: diamond.names([sample.node])[0] for sample in diamond.members["alice"].samples(TrustSample)}
    assert events["call_dropped"] == "r1"
    assert events["successful_call"] == "r2"


def test_a_direct_call_goes_over_a_link_that_is_dialled_for_it() -> None:
    net = Network(policy="direct")
    for name in ("alice", "bob"):
        net.add(name)
    net.allow("alice", "bob", 0.03)
    call = net.call("alice", "bob")
    net.run(2.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    assert [neighbour.node for neighbour in net["alice"].neighbours()] == [net.node("bob")]
    net.hang_up("alice", call)
    net.run(1.0)
    assert outcome(net).path == (net.node("alice"), net.node("bob"))
    assert outcome(net).rtt == pytest.approx(0.06, abs=0.01)


@pytest.mark.parametrize("config", [AgentConfig(max_neighbours=0), AgentConfig(dial_timeout=1.0)])
def test_a_link_that_never_comes_fails_the_call(config: AgentConfig) -> None:
    net = Network(policy="direct")
    net.add("alice", config=config)
    net.add("bob")
    alice = net["alice"]
    call = alice.place_call(CallRequest(caller=AuraID("alice"), callee=AuraID("bob")), net.instant())
    alice.resolved(1, (net["bob"].record,), net.instant())
    alice.effects()
    net.run(8.0)
    assert alice.call_state(call) is CallState.ENDED


def test_a_callee_that_did_not_notice_the_loss_takes_the_new_route(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond.part("alice", "r1")
    diamond["alice"].link_down(diamond.node("r1"), diamond.instant())
    diamond._pump("alice")
    diamond.run(0.2)
    assert diamond["bob"].call_state(call) is CallState.ACTIVE
    assert list(diamond.members["bob"].media) == [label_of(call, 0), label_of(call, 1)]  # something may be under way
    diamond.run(0.2)
    assert list(diamond.members["bob"].media) == [label_of(call, 1)]
    assert "path_lost" not in kinds(diamond, "bob")
    diamond.run(5.0)
    assert diamond["bob"].call_state(call) is CallState.ACTIVE


def test_a_first_hop_lost_during_set_up_is_replaced(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(0.02)
    diamond["alice"].link_down(diamond.node("r1"), diamond.instant())
    diamond._pump("alice")
    diamond.run(1.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    assert diamond.names(setup_of(diamond).path) == ("alice", "r2", "bob")


def test_only_so_many_routes_are_tried(make_diamond: Callable[..., Network]) -> None:
    net = make_diamond(drops=lambda _t, _a, b, m: b == "carol" and isinstance(m, CallSetup))
    net.add("carol", nat="symmetric", config=AgentConfig(max_attempts=1))
    for name in ("r1", "r2"):
        net.join("carol", name)
    net.run(25.0)
    net._drops = lambda _t, _a, b, m: b == "bob" and isinstance(m, CallSetup)
    net.call("carol", "bob")
    net.run(10.0)
    assert outcome(net, "carol").outcome == "failed"
    assert len(net.members["carol"].sent(CallSetup)) == 1


def flap(net: Network, times: int, pause: float) -> None:
    """The relays of alice's call die in turn, each back `pause` seconds after the other took over."""
    for _ in range(times):
        relay = net.names(setup_of(net).path)[1]
        net.kill(relay)
        net.run(3.0)
        net.revive(relay)
        net.run(pause)


def test_a_long_call_lives_through_more_failovers_than_one_failover_may_try_routes(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(12.0)
    flap(diamond, 8, 12.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    assert diamond["bob"].call_state(call) is CallState.ACTIVE
    diamond.hang_up("alice", call)
    assert outcome(diamond).outcome == "completed"
    assert len(outcome(diamond).failovers) == 8


def test_a_call_goes_back_to_a_relay_that_came_back_but_not_for_ever(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    flap(diamond, 2, 2.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    flap(diamond, 2, 2.0)  # none of its routes has proven itself
    assert diamond["alice"].call_state(call) is CallState.ENDED
    assert outcome(diamond).outcome == "dropped"


def test_a_call_never_numbers_more_routes_than_a_set_up_can(diamond: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.agent.routes.ATTEMPTS", 3)
    call = diamond.call("alice", "bob")
    diamond.run(12.0)
    flap(diamond, 3, 12.0)
    assert diamond["alice"].call_state(call) is CallState.ENDED
    assert len(diamond.members["alice"].sent(CallSetup)) == 3


def renewed(record: NodeRecord, **changes: object) -> NodeRecord:
    record = msgspec.structs.replace(record, expires_unix=record.expires_unix + 10.0, **changes)  # type: ignore[arg-type]
    return sign_record(record, HashSigner(record.node_id, SECRET))


def test_a_renewed_record_is_told_to_neighbours_and_by_gossip(line: Network) -> None:
    line.run(10.0)
    record = renewed(line["alice"].record, max_calls=7)
    line["alice"].renew(record, line.instant())
    assert line["alice"].record == record
    line.run(8.0)
    for name in ("alice", "r1", "bob"):  # bob hears of alice by gossip alone
        view = line[name].view(line.instant())
        assert view.nodes.max_calls[view.index[line.node("alice")]] == 7
    line.run(30.0)
    assert line.members["alice"].sent(Hello)[-1].record == record
    assert [n.record for n in line["r1"].neighbours() if n.node == line.node("alice")] == [record]
    assert not any(member.agent.rejected for member in line.members.values())


def test_a_node_does_not_take_anothers_record_for_its_own(diamond: Network) -> None:
    with pytest.raises(LocalProtocolError, match="not this node's"):
        diamond["alice"].renew(renewed(diamond["bob"].record), diamond.instant())


def test_the_memory_of_set_ups_is_bounded(diamond: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshsim.agent.admission.SEEN_SETUPS", 3)
    for attempt in range(9):
        diamond.inject("r1", "alice", forged_setup(diamond, attempt=attempt))
    assert len(diamond["r1"]._admission._seen) == 3
    assert diamond["r1"].rejected == {}


def test_an_acceptance_that_comes_twice_opens_media_once(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    again = diamond.members["bob"].sent(CallAccept)[0]
    diamond.inject("r1", "bob", again)
    diamond.run(0.1)
    assert [type(effect) for _, effect in diamond.members["r1"].log].count(OpenMedia) == 1
    assert diamond["alice"].rejected == {"unexpected_accept": 1}
    assert diamond["alice"].call_state(call) is CallState.ACTIVE


def test_what_comes_late_over_a_finished_route_is_not_held_against_anybody(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(1.0)
    diamond.hang_up("alice", call)
    diamond.inject("alice", "r1", CallKeepalive(call, 0, False, 9, 0, 0))
    assert diamond["alice"].rejected == {}
    diamond.run(0.1)
    diamond.inject("r1", "bob", CallKeepalive(call, 0, False, 9, 0, 0))
    assert diamond["r1"].rejected == {"route_ended": 1}


def test_a_relay_loses_only_the_routes_through_the_lost_neighbour(diamond: Network) -> None:
    diamond.add("carol", nat="symmetric")
    diamond.join("carol", "r1")
    diamond.run(5.0)
    kept, lost = diamond.call("alice", "carol"), diamond.call("alice", "bob")
    diamond.run(2.0)
    diamond["r1"].link_down(diamond.node("bob"), diamond.instant())
    diamond._pump("r1")
    assert list(diamond.members["r1"].media) == [label_of(kept, 0)]
    diamond.run(2.0)
    assert diamond["alice"].call_state(lost) is CallState.ACTIVE
    assert label_of(lost, 1) in diamond.members["r2"].media


def test_a_link_too_many_is_not_spoken_over() -> None:
    net = Network()
    net.add("alice", config=AgentConfig(max_neighbours=1))
    for name in ("r1", "r2"):
        net.add(name, role="relay")
        net.join("alice", name)
    net.run(2.0)
    assert [neighbour.node for neighbour in net["alice"].neighbours()] == [net.node("r1")]
    assert net["alice"].rejected["too_many_neighbours"] == 1
    assert net["alice"].rejected["stranger"] > 0


# Links made for calls -------------------------------------------------------------------------------------------------


def dialled(**config: float) -> tuple[Network, CallId]:
    """alice and bob, who keep links to their relays only, in a call over a link that alice made for it."""
    settings = AgentConfig(digest_period=2.0, probe_period=1.0, **config)  # type: ignore[arg-type]
    net = Network()
    for name, relay in (("alice", "r1"), ("bob", "r2")):
        net.add(relay, role="relay", config=settings)
        net.add(name, config=settings, neighbours=[net.node(relay)])
        net.join(name, relay)
    net.allow("alice", "bob")
    net.run(3.0)
    call = net.call("alice", "bob")
    net.run(8.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    return net, call


def test_a_link_made_for_a_call_is_closed_once_it_is_idle_and_nobody_is_suspected() -> None:
    net, call = dialled(idle=5.0)
    net.run(10.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    net.hang_up("alice", call)
    net.run(8.0)
    assert [len(net[name].neighbours()) for name in ("alice", "bob")] == [1, 1]
    assert [e.node for _, e in net.members["alice"].log if isinstance(e, Undial)] == [net.node("bob")]
    assert "neighbour_lost" not in kinds(net, "alice") + kinds(net, "bob")
    again = net.call("alice", "bob")
    net.run(2.0)
    assert net["alice"].call_state(again) is CallState.ACTIVE


def test_a_link_made_for_a_call_and_made_anew_meanwhile_is_closed_all_the_same() -> None:
    net, call = dialled(idle=5.0)
    net.join("alice", "bob")
    net.run(1.0)
    net.hang_up("alice", call)
    net.run(8.0)
    assert [len(net[name].neighbours()) for name in ("alice", "bob")] == [1, 1]


def test_links_made_for_calls_carry_no_gossip_unless_the_other_end_gossips() -> None:
    net, _ = dialled()
    bob = net.node("bob")
    told = [e.to for _, e in net.members["alice"].log if isinstance(e, Send) and isinstance(e.message, Digest)]
    assert net.node("r1") in told
    assert bob not in told
    net.inject("alice", "bob", Digest(()))
    net.run(3.0)
    told = [e.to for _, e in net.members["alice"].log if isinstance(e, Send) and isinstance(e.message, Digest)]
    assert bob in told


def test_receipts_of_routes_far_away_are_not_passed_on(diamond: Network) -> None:
    strangers = tuple(NodeId(bytes([i]) * 32) for i in (91, 92, 93))
    near = (strangers[0], diamond.node("r2"), strangers[2])
    for number, path in enumerate((strangers, near)):
        receipt = Receipt(
            call=CallId(bytes([number]) * 16),
            attempt=0,
            path=path,
            signer=path[0],
            outcome=Outcome.DROPPED,
            mos=1.0,
            poor=True,
            at_ns=int((UNIX + diamond.now) * 1e9),
        )
        diamond.inject("alice", "r1", Digest((), (sign(receipt, HashSigner(path[0], SECRET)),)))
    diamond.run(3.0)
    passed = [receipt.path for digest in diamond.members["alice"].sent(Digest) for receipt in digest.receipts]
    assert near in passed
    assert strangers not in passed


def test_a_neighbour_in_use_is_pinged_when_silent_and_not_while_it_is_heard(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    before = len(diamond.members["alice"].sent(Ping))
    diamond.run(10.0)
    assert diamond["alice"].call_state(call) is CallState.ACTIVE
    pings = len(diamond.members["alice"].sent(Ping)) - before
    assert 20 <= pings <= 32  # two neighbours once a second, and hardly any beside; every beat would add twenty


# Bytes ----------------------------------------------------------------------------------------------------------------


def test_receipts_state_the_bytes_that_each_node_was_told_it_carried(diamond: Network) -> None:
    call = diamond.call("alice", "bob")
    diamond.run(2.0)
    label = label_of(call, 0)
    for name, counts in (("alice", [100, 4000]), ("r1", [9000]), ("bob", [5000, 4500])):
        for carried in counts:
            diamond[name].media_carried(call, label, carried, diamond.instant())
    diamond["r1"].media_carried(call, label + 1, 10**6, diamond.instant())
    diamond["r2"].media_carried(call, label, 10**6, diamond.instant())
    diamond.hang_up("alice", call)
    diamond.run(1.0)
    receipts = diamond.members["bob"].sent(CallEnd)[-1].receipts
    stated = {diamond.names([receipt.signer])[0]: receipt.carried for receipt in receipts}
    assert stated == {"alice": 4000, "r1": 9000, "bob": 5000}


# A lost direct link ---------------------------------------------------------------------------------------------------


def triangle() -> Network:
    """alice and bob with a link, and r with links to both; settled for 10 s, and a call of alice over the link."""
    net = Network()
    for name, role in (("alice", "peer"), ("bob", "peer"), ("r", "relay")):
        net.add(name, role=role, config=AgentConfig(digest_period=2.0, probe_period=1.0))
    for a, b in (("alice", "bob"), ("alice", "r"), ("r", "bob")):
        net.join(a, b)
    net.run(10.0)
    return net


def test_a_call_whose_direct_link_is_lost_goes_on_over_a_relay() -> None:
    net = triangle()
    call = net.call("alice", "bob")
    net.run(2.0)
    assert net.names(setup_of(net).path) == ("alice", "bob")
    net.part("alice", "bob")
    net.run(8.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    assert net.names(setup_of(net).path) == ("alice", "r", "bob")
    net.hang_up("alice", call)
    assert outcome(net).outcome == "completed"


def test_a_new_call_to_who_is_cut_off_from_here_alone_goes_over_a_relay() -> None:
    net = triangle()
    net.part("alice", "bob")
    net.run(20.0)
    call = net.call("alice", "bob")
    net.run(4.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE


def test_a_relay_is_not_blamed_for_a_callee_that_died() -> None:
    net = triangle()
    call = net.call("alice", "bob")
    net.run(2.0)
    net.kill("bob")
    net.run(40.0)
    assert net["alice"].call_state(call) is CallState.ENDED
    assert outcome(net).outcome == "dropped"
    assert net["alice"].reputation(net.node("r"), net.instant()).evidence == 0.0


def test_who_has_stated_nothing_for_long_is_not_tried() -> None:
    net = triangle()
    net.kill("bob")
    net.run(30.0)
    net.call("alice", "bob")
    net.run(1.0)
    assert outcome(net).outcome == "failed"
    assert "destination offline" in outcome(net).reason


# Promises -------------------------------------------------------------------------------------------------------------


def far_network() -> Network:
    """alice - r - bob, a second of round trip."""
    net = Network()
    for name, role in (("alice", "peer"), ("r", "relay"), ("bob", "peer")):
        net.add(name, role=role, nat="open" if role == "relay" else "symmetric")
    net.join("alice", "r", 0.25)
    net.join("r", "bob", 0.25)
    net.run(10.0)
    return net


def test_the_caller_promises_what_it_expected_of_the_route_it_chose() -> None:
    net = far_network()
    net.call("alice", "bob")
    net.run(2.0)
    decision = net.members["alice"].samples(RouteSample)[-1].decision
    promise = setup_of(net).promise
    assert promise is not None
    assert promise.expected == pytest.approx((decision.predicted.rtt, decision.predicted.jitter, 0.0), abs=1e-9)
    assert promise.expected[0] == pytest.approx(1.0, rel=0.1)


def test_a_runner_up_is_promised_nothing(diamond: Network) -> None:
    diamond.kill("r1")
    diamond.call("alice", "bob")
    diamond.run(8.0)
    last = setup_of(diamond)
    assert diamond.names(last.path) == ("alice", "r2", "bob")
    assert last.promise is None


@pytest.mark.parametrize(
    ("promise", "rtt", "loss", "poor"),
    [
        (Promise(10**9, 0, 0.0), 1.05, 0.0, False),
        (Promise(10**9, 0, 0.0), 2.0, 0.0, True),
        (Promise(1000, 0, 0.0), 1.05, 0.0, False),
        (Promise(10**10, 0, 0.0), 2.0, 0.0, False),
        (None, 2.0, 0.0, False),
        (Promise(10**9, 0, 0.0), 1.05, 0.2, True),
        (Promise(10**9, 0, 0.3), 1.05, 0.2, True),
        (Promise(10**10, 10**9, 1.0), 1.05, 0.2, True),
        (None, 1.05, 0.2, True),
    ],
    ids=["kept", "broken", "blames", "absolves of distance as silence does", "none", "lossy", "excuses", "all", "mute"],
)
def test_a_callee_holds_relays_to_a_promise_only_as_far_as_it_believes_it(
    promise: Promise | None, rtt: float, loss: float, *, poor: bool
) -> None:
    net = far_network()
    setup = CallSetup(
        call=CallId(bytes(16)),
        attempt=0,
        path=tuple(net.node(name) for name in ("alice", "r", "bob")),
        caller="@alice.aura",
        callee="@bob.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.OFF,
        expires_ns=int((UNIX + net.now + 60.0) * 1e9),
        promise=promise,
    )
    net.inject("bob", "r", sign(setup, net["alice"]._core.signer))
    report = MediaReport(label=label_of(setup.call, 0), jitter=0.001, loss=loss, rtt=rtt)
    net["bob"].media_report(setup.call, report, net.instant())
    net.hang_up("bob", setup.call)
    (receipt,) = net.members["bob"].sent(CallEnd)[-1].receipts
    assert receipt.poor is poor


def test_a_callee_that_knows_nothing_of_a_route_takes_no_promise_of_it(diamond: Network) -> None:
    path = (diamond.node("alice"), NodeId(b"?" * 32), diamond.node("bob"))
    unknown = msgspec.structs.replace(far_setup(diamond), path=path, promise=Promise(1, 1, 1.0))
    assert all(math.isnan(measure) for measure in diamond["bob"]._desk._router.credit(unknown, diamond.instant()))


def far_setup(net: Network) -> CallSetup:
    net.call("alice", "bob")
    net.run(1.0)
    return setup_of(net)


# Newcomers ------------------------------------------------------------------------------------------------------------


def calls_at_a_door(make_diamond: Callable[..., Network], share: float, calls: int = 40) -> Network:
    net = make_diamond()
    alice = net["alice"]._core
    alice.config = replace(alice.config, newcomers=share)
    for _ in range(calls):
        call = net.call("alice", "bob")
        net.run(1.0)
        net.hang_up("alice", call)
    return net


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0, 0), (0.4, 8, 24), (1.0, 40, 40)])
def test_a_share_of_an_agents_calls_is_open_to_newcomers(
    make_diamond: Callable[..., Network], share: float, least: int, most: int
) -> None:
    asked = calls_at_a_door(make_diamond, share).members["alice"].samples(RouteSample)
    assert len(asked) == 40
    assert least <= sum(sample.request.newcomers for sample in asked) <= most


def test_a_call_keeps_its_answer_at_the_door_when_its_route_is_lost(make_diamond: Callable[..., Network]) -> None:
    net = calls_at_a_door(make_diamond, 0.5, calls=0)
    for _ in range(8):
        net.call("alice", "bob")
    net.run(1.0)
    net.kill("r1")
    net.run(5.0)
    answers: dict[CallId, set[bool]] = {}
    for sample in net.members["alice"].samples(RouteSample):
        answers.setdefault(sample.call, set()).add(sample.request.newcomers)
    assert sorted(len(said) for said in answers.values()) == [1] * 8
    assert {answer for said in answers.values() for answer in said} == {False, True}


def test_a_call_that_is_closed_to_newcomers_goes_over_a_relay_with_a_name(make_diamond: Callable[..., Network]) -> None:
    net = calls_at_a_door(make_diamond, 0.0, calls=0)
    alice = net["alice"]
    alice._desk._router._engine.limits = Limits(established=1)
    named = Verdict(net.node("r2"), (EventKind.SUCCESSFUL_CALL,), 25.0, (), 1.0, net.now)
    alice._trust.observe(named, net.now)
    alice._table.touch()
    call = net.call("alice", "bob")
    net.run(1.0)
    assert net.names(setup_of(net).path) == ("alice", "r2", "bob")  # r1 is nearer
    net.hang_up("alice", call)
    net.kill("r2")
    net.run(5.0)
    net.call("alice", "bob")
    net.run(1.0)
    assert net.names(setup_of(net).path) == ("alice", "r1", "bob")  # rather a newcomer than no call


def test_a_door_shifts_no_other_draw_of_an_agent(make_diamond: Callable[..., Network]) -> None:
    def story(share: float) -> list[str]:
        net = calls_at_a_door(make_diamond, share, calls=3)
        log = [str(entry) for name in sorted(net.members) for entry in net.members[name].log]
        return [entry for entry in log if "RouteSample" not in entry]

    assert story(0.5) == story(1.0)
