"""Relay first: a call stands over relays at once, and moves to the direct way when its link is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from meshsim.agent import AgentConfig, CallSample, EventSample
from meshsim.agent.messages import CallSetup
from meshsim.testing.network import Network

if TYPE_CHECKING:
    from meshsim.mesh.ids import CallId

CONFIG = AgentConfig(digest_period=2.0, probe_period=0.5, keepalive=0.1, standby=True, relay_first=True)
DELAY = 0.03
"""Of the direct link, seconds; it takes twice that to make it."""


def build(config: AgentConfig = CONFIG, *, reachable: bool = True, relays: int = 1) -> Network:
    """alice and bob, linked with relays and not with each other; a link between them can be dialled, or cannot."""
    net = Network(policy="direct")
    for name in ("alice", "bob"):
        net.add(name, config=config)
    for number in range(relays):
        relay = f"r{number + 1}"
        net.add(relay, role="relay", config=config)
        for name in ("alice", "bob"):
            net.join(name, relay, 0.005 + 0.01 * number)
    if reachable:
        net.allow("alice", "bob", DELAY)
    net.run(5.0)
    return net


def paths(net: Network, name: str = "alice") -> list[tuple[str, ...]]:
    return [net.names(path) for call in net[name]._desk.calls for path in call.stood]


def summary(net: Network, call: CallId) -> CallSample:
    net.hang_up("alice", call)
    net.run(2.0)
    sample: CallSample = net.members["alice"].samples(CallSample)[-1]
    return sample


def events(net: Network, kind: str) -> list[EventSample]:
    return [sample for sample in net.members["alice"].samples(EventSample) if sample.kind == kind]


@pytest.mark.parametrize("standby", [True, False])
def test_a_call_begins_over_a_relay_and_moves_to_the_direct_link_when_it_is_there(*, standby: bool) -> None:
    net = build(replace(CONFIG, standby=standby))
    call = net.call("alice", "bob")
    net.run(0.05)  # less than a link takes
    assert paths(net) == [("alice", "r1", "bob")]
    net.run(3.0)
    assert paths(net) == paths(net, "bob") == [("alice", "r1", "bob"), ("alice", "bob")]
    assert bool(net.members["r1"].media) is standby  # the relay stands by now
    assert [len(net.members[name].media) for name in ("alice", "bob")] == [1, 1]
    assert len(events(net, "upgraded")) == 1
    sample = summary(net, call)
    assert (sample.outcome, sample.failovers) == ("completed", ())
    assert (len(sample.path), len(sample.final_path)) == (3, 2)
    assert all(not member.agent.rejected for member in net.members.values())
    assert not any(member.media for member in net.members.values())


def test_both_routes_are_open_for_a_moment_so_that_nothing_is_lost() -> None:
    net = build()
    net.call("alice", "bob")
    most = 0
    for _ in range(200):
        net.run(0.01)
        most = max(most, min(len(net.members[name].media) for name in ("alice", "bob")))
    assert most == 2
    assert not events(net, "path_lost")


def test_where_no_link_can_be_made_the_call_stays_on_its_relay() -> None:
    net = build(reachable=False)
    call = net.call("alice", "bob")
    net.run(20.0)
    assert paths(net) == [("alice", "r1", "bob")]
    sample = summary(net, call)
    assert (sample.outcome, sample.failovers) == ("completed", ())


def test_the_direct_way_is_tried_once() -> None:
    net = build(reachable=False, relays=2)
    net.call("alice", "bob")
    net.run(30.0)
    tried = [net.names(setup.path) for setup in net.members["alice"].sent(CallSetup) if setup.standby]
    assert tried == [("alice", "r2", "bob")]


def test_without_relay_first_a_call_waits_for_the_direct_link() -> None:
    net = build(replace(CONFIG, relay_first=False))
    net.call("alice", "bob")
    net.run(3.0)
    assert paths(net) == [("alice", "bob")]


def test_without_relays_the_direct_link_is_made_at_once() -> None:
    net = build(relays=0)
    net.call("alice", "bob")
    net.run(3.0)
    assert paths(net) == [("alice", "bob")]


def test_when_the_relay_dies_before_the_link_is_there_the_call_goes_directly() -> None:
    net = build()
    call = net.call("alice", "bob")
    net.run(0.1)
    net.kill("r1")
    net.run(5.0)
    assert paths(net)[-1] == ("alice", "bob")
    assert summary(net, call).outcome == "completed"


def test_after_the_upgrade_another_second_route_stands_by() -> None:
    net = build()
    net.call("alice", "bob")
    net.run(5.0)
    standing_by = [net.names(call.standby.path) for call in net["alice"]._desk.calls if call.standby is not None]
    assert standing_by == [("alice", "r1", "bob")]
