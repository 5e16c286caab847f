from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from meshsim.agent import AgentConfig, CallSample, EventSample, decode, encode
from meshsim.agent.messages import CallReject, Receipt
from meshsim.agent.notices import AbuseReport, AbuseRuling
from meshsim.agent.signing import sign
from meshsim.identity import HashSigner
from meshsim.mesh.errors import LocalProtocolError, RemoteProtocolError
from meshsim.mesh.ids import NodeId
from meshsim.mesh.time import to_nanoseconds
from meshsim.testing.network import SECRET, UNIX, Network
from meshsim.trust.abuse import LONGEST_DETAIL, WEEK, Category, Ruling

if TYPE_CHECKING:
    from meshsim.mesh.ids import CallId

JUDGE = NodeId(bytes([1]) * 32)
"""The first member of every network here: its moderator."""
HEARTBEAT = 2.0
BEHAVIOUR = AgentConfig(digest_period=1.0, probe_period=1.0, heartbeat=HEARTBEAT, moderators=(JUDGE,))
WITNESSES = 36


def build(behaviour: AgentConfig = BEHAVIOUR) -> Network:
    """alice and bob joined by r1 (near) and r2 (far), r1 knowing the judge; settled for 5 s."""
    net = Network()
    net.add("judge", config=behaviour)
    for name in ("alice", "bob"):
        net.add(name, nat="symmetric", config=behaviour)
    for name, delay in (("r1", 0.02), ("r2", 0.03)):
        net.add(name, role="relay", config=behaviour)
        net.join("alice", name, delay)
        net.join("bob", name, delay)
    net.join("judge", "r1")
    net.run(5.0)
    return net


@pytest.fixture
def net() -> Network:
    return build()


def accuse(net: Network, subject: str = "r1", count: int = WITNESSES) -> None:
    """Alice's own desk hears the reports of many nodes that it has a record of, which no receipt backs."""
    alice = net["alice"]
    for number in range(count):
        signer = HashSigner(NodeId(bytes([100 + number]) * 32), SECRET)
        record = msgspec.structs.replace(net["judge"].record, node=signer.node_id)
        for name in net.members:
            net[name]._table.learn(record, net.instant())
        report = AbuseReport(
            reporter=signer.node_id,
            subject=net.node(subject),
            category=Category.TAMPERING,
            at_ns=to_nanoseconds(net.instant().unix),
        )
        alice.receive(sign(report, signer), net.node("r2"), net.instant())
    net._pump("alice")


def say(net: Network, name: str, subject: str, word: Category | Ruling | None, call: CallId | None = None) -> str:
    reason = net[name].complain(net.node(subject), word, net.instant(), call)
    net._pump(name)
    return reason


def is_banned(net: Network, name: str, subject: str = "r1") -> bool:
    return net.node(subject) in net[name]._table.banned


def convict(net: Network) -> None:
    """The judge finds r1 guilty of what many have reported, and everybody hears of it."""
    accuse(net)
    net.run(4.0)
    assert say(net, "judge", "r1", Ruling.UPHELD) == ""
    net.run(4.0 + HEARTBEAT)


def signed_report(net: Network, *, at: float = 0.0, subject: str = "r1", reporter: str = "bob") -> AbuseReport:
    report = AbuseReport(
        reporter=net.node(reporter),
        subject=net.node(subject),
        category=Category.SPAM,
        at_ns=to_nanoseconds(net.instant().unix + at),
    )
    return sign(report, HashSigner(net.node(reporter), SECRET))


def test_a_report_reaches_everybody_over_several_hops_and_each_node_once(net: Network) -> None:
    assert say(net, "bob", "r2", Category.SPAM) == ""
    net.run(4.0)
    for name in ("alice", "r1", "r2", "judge"):
        assert len(net[name].complaints._notices) == 1
    assert len(net.members["bob"].sent(AbuseReport)) == 2
    assert len(net.members["judge"].sent(AbuseReport)) == 0


def test_many_reports_and_a_moderators_ruling_ban_a_node_at_everybody_but_itself(net: Network) -> None:
    convict(net)
    assert [is_banned(net, name) for name in ("alice", "bob", "r2", "judge", "r1")] == [True, True, True, True, False]
    assert [e.node for e in net.members["alice"].samples(EventSample) if e.kind == "banned"] == [net.node("r1")]


def test_a_banned_relay_carries_no_new_call(net: Network) -> None:
    convict(net)
    net.call("alice", "bob")
    net.run(3.0)
    assert [net.names(media_path) for media_path in stood(net)] == [("alice", "r2", "bob")]


def stood(net: Network) -> list[tuple[NodeId, ...]]:
    return [path for call in net["alice"]._desk.calls for path in call.stood]


def test_nothing_is_relayed_for_a_banned_node(net: Network) -> None:
    accuse(net, "bob")
    net.run(4.0)
    say(net, "judge", "bob", Ruling.UPHELD)
    net.run(4.0 + HEARTBEAT)
    net.call("bob", "alice")
    net.run(5.0)
    assert [call.outcome for call in net.members["bob"].samples(CallSample)] == ["failed"]
    assert {reject.reason for reject in net.members["r2"].sent(CallReject)} == {"banned"}


def test_a_call_in_progress_leaves_a_banned_relay_within_a_heartbeat_and_nobody_is_blamed(net: Network) -> None:
    call = net.call("alice", "bob")
    net.run(3.0)
    assert net.names(stood(net)[0]) == ("alice", "r1", "bob")
    accuse(net)
    net.run(4.0)
    say(net, "judge", "r1", Ruling.UPHELD)
    net.run(4.0 + HEARTBEAT)
    assert [net.names(path) for path in stood(net)] == [("alice", "r1", "bob"), ("alice", "r2", "bob")]
    net.hang_up("alice", call)
    net.run(15.0)
    sample = net.members["alice"].samples(CallSample)[0]
    assert (sample.outcome, len(sample.failovers)) == ("completed", 1)
    assert sample.failovers[0].restored - sample.failovers[0].lost < 0.5
    for name in net.members:
        receipts: list[Receipt] = [receipt for _, receipt in net[name]._ledger._recent]
        assert {receipt.outcome.value for receipt in receipts} <= {"completed"}
        assert not any(receipt.poor for receipt in receipts)


def test_a_call_that_has_no_other_route_ends_in_order_and_nobody_is_blamed(net: Network) -> None:
    net.call("alice", "bob")
    net.run(3.0)
    net["alice"]._table.ruled_out = net["bob"]._table.ruled_out = frozenset({net.node("r1"), net.node("r2")})
    net["alice"]._desk.move(net.instant())
    net._pump("alice")
    net.run(3.0)
    assert [call.outcome for call in net.members["alice"].samples(CallSample)] == ["dropped"]
    assert list(net["bob"]._desk.calls) == []
    receipts = [receipt for _, receipt in net["bob"]._ledger._recent]
    assert {receipt.outcome.value for receipt in receipts} == {"completed"}


def test_a_receipt_of_two_makes_a_report_weigh_more_than_a_bare_word(net: Network) -> None:
    call = net.call("alice", "bob")
    net.run(3.0)
    net.hang_up("alice", call)
    net.run(15.0)
    assert say(net, "alice", "r1", Category.TAMPERING, call) == ""
    assert say(net, "alice", "r2", Category.TAMPERING) == ""
    backed, bare = [net["alice"].complaints._desk.weight(number, net.now) for number in (0, 2)]
    assert backed == pytest.approx(1.0)
    assert bare == pytest.approx(0.25)


def test_only_a_moderators_word_rules_and_only_once(net: Network) -> None:
    with pytest.raises(LocalProtocolError, match="no moderator"):
        say(net, "bob", "r1", Ruling.UPHELD)
    at = to_nanoseconds(net.instant().unix)
    usurped = AbuseRuling(moderator=net.node("bob"), subject=net.node("r1"), ruling=Ruling.UPHELD, at_ns=at)
    net.inject("r2", "bob", sign(usurped, HashSigner(net.node("bob"), SECRET)))
    true = AbuseRuling(moderator=JUDGE, subject=net.node("r1"), ruling=Ruling.UPHELD, at_ns=at)
    true = sign(true, HashSigner(JUDGE, SECRET))
    again = sign(msgspec.structs.replace(true, ruling=Ruling.DISMISSED), HashSigner(JUDGE, SECRET))
    for ruling in (true, true, again):
        net.inject("r2", "bob", ruling)
    assert net["r2"].complaints.refused == {"no_moderator": 1, "duplicate": 1, "replayed": 1}


def test_an_appeal_that_is_heard_lifts_the_ban_and_none_is_heard_twice(net: Network) -> None:
    convict(net)
    with pytest.raises(LocalProtocolError, match="cannot appeal"):
        say(net, "bob", "r1", None)
    assert say(net, "r1", "r1", None) == ""
    net.run(1.0)
    assert say(net, "r1", "r1", None) == "appealed_before"
    net.run(4.0)
    assert net["judge"].complaints.cases(net.instant())[0][0] == net.node("r1")
    say(net, "judge", "r1", Ruling.DISMISSED)
    net.run(4.0 + HEARTBEAT)
    assert not is_banned(net, "alice")
    assert not is_banned(net, "judge")


@pytest.mark.parametrize(
    ("at", "reason"),
    [(120.0, "future"), (-WEEK - 1.0, "expired"), (0.0, "forged"), (0.0, "oneself"), (0.0, "stranger")],
)
def test_reports_that_no_honest_node_passes_on_are_refused_with_a_reason(net: Network, at: float, reason: str) -> None:
    report = signed_report(net, at=at, subject="bob" if reason == "oneself" else "r1")
    if reason == "forged":
        report = msgspec.structs.replace(report, category=Category.FRAUD)
    if reason == "stranger":
        report = msgspec.structs.replace(report, subject=NodeId(b"?" * 32))
    net.inject("r2", "bob", report)
    assert net["r2"].complaints.refused == {reason: 1}
    assert net["r2"].rejected == ({} if reason == "stranger" else {reason: 1})
    assert not net["r2"].complaints._notices


def test_a_repeated_report_and_more_than_a_weeks_budget_are_refused_and_not_passed_on(net: Network) -> None:
    report = signed_report(net)
    net.inject("r2", "bob", report)
    net.inject("r2", "bob", report)
    for category in list(Category)[1:]:
        net.inject(
            "r2", "bob", sign(msgspec.structs.replace(report, category=category), HashSigner(net.node("bob"), SECRET))
        )
    for number in range(3):
        other = msgspec.structs.replace(report, subject=net.node("alice"), at_ns=report.at_ns + number)
        net.inject(
            "r2",
            "bob",
            sign(msgspec.structs.replace(other, category=list(Category)[number]), HashSigner(net.node("bob"), SECRET)),
        )
    assert net["r2"].complaints.refused == {"duplicate": 1, "over_budget": 2}
    assert len(net["r2"].complaints._notices) == 5


def test_who_knows_no_moderator_takes_no_part() -> None:
    net = build(AgentConfig(digest_period=1.0))
    assert say(net, "alice", "r1", Category.SPAM) == "unmoderated"
    net.run(3.0)
    assert net.members["alice"].sent(AbuseReport) == []


def test_what_notices_say_fits_into_bytes_and_too_long_a_detail_does_not(net: Network) -> None:
    report = signed_report(net)
    assert decode(encode(report)) == report
    with pytest.raises(RemoteProtocolError):
        decode(encode(msgspec.structs.replace(report, detail=bytes(LONGEST_DETAIL + 1))))
    assert net.instant().unix == UNIX + net.now
