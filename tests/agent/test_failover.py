"""A call has a second route before it needs one; a bad route is left before it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.agent import AgentConfig, CallSample, CallState, EventSample
from meshsim.agent.legs import label_of
from meshsim.agent.messages import LEAVING, CallEnd, CallKeepalive, CallReject, CallSetup, CallSwitch
from meshsim.testing.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshsim.agent.messages import Message
    from meshsim.mesh.ids import CallId

CONFIG = AgentConfig(digest_period=2.0, probe_period=0.5, keepalive=0.1, standby=True)
RELAYS = {"r1": 0.02, "r2": 0.03, "r3": 0.04}


def build(
    relays: int = 2,
    *,
    config: AgentConfig = CONFIG,
    drops: Callable[[float, str, str, Message], bool] | None = None,
    r2: int | None = None,
) -> Network:
    """alice and bob, who can only meet over relays, each slower than the one before; `r2` calls fit on r2."""
    net = Network(drops=drops)
    for name in ("alice", "bob"):
        net.add(name, nat="symmetric", config=config)
    for name, delay in list(RELAYS.items())[:relays]:
        net.add(name, role="relay", config=config, max_calls=r2 if name == "r2" else None)
        net.join("alice", name, delay)
        net.join("bob", name, delay)
    net.run(5.0)
    return net


def standing(relays: int = 2, *, config: AgentConfig = CONFIG, r2: int | None = None) -> tuple[Network, CallId]:
    net = build(relays, config=config, r2=r2)
    call = net.call("alice", "bob")
    net.run(2.0)
    return net, call


def paths(net: Network) -> list[tuple[str, ...]]:
    return [net.names(path) for call in net["alice"]._desk.calls for path in call.stood]


def summary(net: Network, call: CallId) -> CallSample:
    net.hang_up("alice", call)
    net.run(1.0)
    sample: CallSample = net.members["alice"].samples(CallSample)[-1]
    return sample


def live(net: Network, call: CallId, seconds: float, losses: dict[str, float]) -> None:
    """Both ends report their media every second; what comes over a relay is lost as `losses` says."""
    for _ in range(round(seconds)):
        for name in ("alice", "bob"):
            via = paths(net)[-1][1]
            net.report(name, call, loss=losses.get(via, 0.0))
        net.run(1.0)


# A second route -------------------------------------------------------------------------------------------------------


def test_a_second_route_that_shares_no_relay_stands_by_without_media_at_the_ends() -> None:
    net, call = standing()
    second = [setup for setup in net.members["alice"].sent(CallSetup) if setup.standby]
    assert [net.names(setup.path) for setup in second] == [("alice", "r2", "bob")]
    assert [len(net.members[name].media) for name in ("alice", "r1", "r2", "bob")] == [1, 1, 1, 1]
    assert paths(net) == [("alice", "r1", "bob")]
    sample = summary(net, call)
    assert (sample.outcome, sample.failovers) == ("completed", ())
    assert not any(member.media for member in net.members.values())
    assert all(not member.agent.rejected for member in net.members.values())


def test_when_a_relay_dies_media_are_on_the_second_route_as_soon_as_it_is_noticed() -> None:
    net, call = standing()
    net.kill("r1")
    net.run(1.0)
    assert paths(net)[-1] == ("alice", "r2", "bob")
    assert [list(net.members[name].media) for name in ("alice", "bob")] == [[label_of(call, 1)]] * 2
    failover = summary(net, call).failovers[0]
    assert failover.lost - failover.heard <= CONFIG.silence + 2 * CONFIG.keepalive
    assert failover.restored == failover.lost


def test_the_same_death_without_a_second_route_costs_a_set_up_more() -> None:
    net, call = standing(config=AgentConfig(digest_period=2.0, probe_period=0.5, keepalive=0.1))
    net.kill("r1")
    net.run(2.0)
    failover = summary(net, call).failovers[0]
    assert failover.restored - failover.lost >= 4 * RELAYS["r2"]


def test_a_second_route_that_dies_is_replaced_by_another() -> None:
    net, _ = standing(relays=3)
    net.kill("r2")
    net.run(4.0)
    second = [net.names(setup.path)[1] for setup in net.members["alice"].sent(CallSetup) if setup.standby]
    assert second == ["r2", "r3"]
    net.kill("r1")
    net.run(1.0)
    assert paths(net) == [("alice", "r1", "bob"), ("alice", "r3", "bob")]


def test_after_the_switch_a_new_second_route_is_made_and_a_second_death_is_survived() -> None:
    net, call = standing(relays=3)
    net.kill("r1")
    net.run(3.0)
    net.kill("r2")
    net.run(1.0)
    assert [path[1] for path in paths(net)] == ["r1", "r2", "r3"]
    sample = summary(net, call)
    assert [failover.restored - failover.lost for failover in sample.failovers] == [0.0, 0.0]


def test_a_relay_that_stands_by_keeps_no_room_and_takes_on_another_call() -> None:
    net, _ = standing(r2=1)
    net.add("carol", nat="symmetric", config=CONFIG)
    net.add("dave", nat="symmetric", config=CONFIG)
    for name in ("carol", "dave"):
        net.join(name, "r2")
    net.run(4.0)
    call = net.call("carol", "dave")
    net.run(1.0)
    assert net["carol"].call_state(call) is CallState.ACTIVE


def test_a_full_relay_is_not_asked_again_to_stand_by() -> None:
    net, _ = standing(r2=0)
    net.run(20.0)
    asked = [setup for setup in net.members["alice"].sent(CallSetup) if setup.standby]
    assert [net.names(setup.path)[1] for setup in asked if "r2" in net.names(setup.path)] in ([], ["r2"])


def test_a_switch_that_is_lost_once_still_arrives() -> None:
    lost: list[float] = []

    def drops(at: float, a: str, b: str, message: Message) -> bool:
        if isinstance(message, CallSwitch) and not lost:
            lost.append(at)
            return True
        return False

    net = build(drops=drops)
    net.call("alice", "bob")
    net.run(2.0)
    net.kill("r1")
    net.run(1.0)
    assert lost
    assert list(net.members["bob"].media) == list(net.members["alice"].media)
    assert len(net.members["bob"].media) == 1


def test_a_switch_from_the_wrong_side_or_to_no_route_is_counted_and_changes_nothing() -> None:
    net, call = standing()
    before = list(net.members["bob"].media)
    net.inject("bob", "r1", CallSwitch(call, 1, onward=True))
    net.inject("alice", "r2", CallSwitch(call, 1, onward=False))
    net.inject("bob", "r2", CallSwitch(call, 9, onward=True))
    assert list(net.members["bob"].media) == before
    assert net["bob"].rejected["unexpected_switch"] == 2
    assert net["alice"].rejected["unexpected_switch"] == 1


def test_nobody_stands_by_for_a_call_that_the_callee_does_not_know() -> None:
    net, call = standing()
    setup = next(setup for setup in net.members["alice"].sent(CallSetup) if setup.standby)
    net.hang_up("bob", call)
    net.run(10.0)
    net["bob"]._admission._seen.clear()
    net.inject("bob", "r2", setup)
    assert net["bob"].call_state(call) is CallState.ENDED


# A bad route ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("standby", [True, False])
def test_a_relay_that_drops_a_third_and_answers_every_ping_is_left_within_ten_seconds(*, standby: bool) -> None:
    config = AgentConfig(digest_period=2.0, probe_period=0.5, keepalive=0.1, standby=standby)
    net, call = standing(config=config)
    live(net, call, 4.0, {"r1": 0.3})
    assert paths(net) == [("alice", "r1", "bob"), ("alice", "r2", "bob")]
    sample = summary(net, call)
    assert sample.outcome == "completed"
    assert sample.failovers[0].restored <= 5.0 + 2.0 + 10.0


def test_a_route_that_is_left_is_accounted_for_by_all_its_nodes() -> None:
    net, call = standing()
    live(net, call, 6.0, {"r1": 0.3})
    ends = [end for end in net.members["bob"].sent(CallEnd) if end.attempt == 0]
    assert {net.names([receipt.signer])[0] for receipt in ends[0].receipts} >= {"alice", "r1", "bob"}
    assert not net["r1"]._relay.legs()


def test_a_moment_of_loss_moves_nothing() -> None:
    net, call = standing()
    for loss in (0.3, 0.0, 0.3, 0.0):
        live(net, call, 1.0, {"r1": loss})
    assert paths(net) == [("alice", "r1", "bob")]


def test_where_every_route_is_bad_the_call_moves_at_most_once_in_ten_seconds() -> None:
    net, call = standing(relays=3)
    live(net, call, 30.0, {"r1": 0.3, "r2": 0.3, "r3": 0.3})
    assert len(paths(net)) <= 4
    assert summary(net, call).outcome == "completed"


def test_a_bad_route_carries_the_call_on_where_there_is_no_other() -> None:
    net, call = standing(relays=1)
    live(net, call, 20.0, {"r1": 0.3})
    assert paths(net) == [("alice", "r1", "bob")]
    assert net["alice"].call_state(call) is CallState.ACTIVE
    assert summary(net, call).outcome == "completed"


def test_the_old_route_carries_media_for_a_moment_beside_the_new_one() -> None:
    net, call = standing()
    live(net, call, 1.0, {"r1": 0.3})
    label = label_of(call, 0)
    net.report("alice", call, loss=0.3)
    net.run(0.15)
    assert [len(net.members[name].media) for name in ("alice", "r1", "r2", "bob")] == [2, 1, 1, 2]
    net.run(0.5)
    assert all(label not in member.media for member in net.members.values())


# Leaving --------------------------------------------------------------------------------------------------------------


def leave(net: Network, name: str) -> None:
    net[name].leave(net.instant())
    net._pump(name)


def test_a_relay_that_leaves_has_its_calls_moved_before_it_goes() -> None:
    net, call = standing()
    heard = len(net.members["bob"].sent(CallKeepalive))
    leave(net, "r1")
    net.run(0.1)
    assert paths(net)[-1] == ("alice", "r2", "bob")
    net.run(1.0)
    assert not net["r1"]._relay.legs()
    assert len(net.members["bob"].sent(CallKeepalive)) > heard
    net.kill("r1")
    net.run(2.0)
    sample = summary(net, call)
    assert [failover.restored - failover.lost for failover in sample.failovers] == [0.0]
    assert sample.outcome == "completed"


def test_a_relay_on_its_way_out_takes_no_further_route() -> None:
    net, call = standing(relays=1)
    net.hang_up("alice", call)
    net.run(1.0)
    leave(net, "r1")
    net.call("alice", "bob")
    net.run(2.0)
    assert [reject.reason for reject in net.members["r1"].sent(CallReject)] == [LEAVING]
    assert net.members["alice"].samples(CallSample)[-1].outcome == "failed"


def test_a_node_that_leaves_hangs_up_its_own_calls() -> None:
    net, call = standing()
    leave(net, "bob")
    net.run(1.0)
    assert net["alice"].call_state(call) is CallState.ENDED
    assert net.members["alice"].samples(CallSample)[-1].outcome == "completed"


def test_a_call_whose_only_relay_leaves_goes_on_until_it_is_gone() -> None:
    net, call = standing(relays=1)
    leave(net, "r1")
    net.run(2.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    net.kill("r1")
    net.run(20.0)
    assert net.members["alice"].samples(CallSample)[-1].outcome == "dropped"
    assert "path_lost" in [event.kind for event in net.members["alice"].samples(EventSample)]
