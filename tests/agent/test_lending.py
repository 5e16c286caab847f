"""What the owner of a relay lends: so many calls, so many bits, so many minutes a day."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshsim.agent import AgentConfig, CallSample, CallState
from meshsim.agent.messages import FULL, CallReject
from meshsim.mesh.media import MediaType, demand
from meshsim.testing.network import Network

VOICE = 2.0 * demand(MediaType.AUDIO).rate_bps


def lending(*, relay_bps: float = 0.0, relay_minutes: float = 0.0) -> Network:
    """Two pairs of people around one relay with limits, settled."""
    net = Network()
    for name in ("alice", "bob", "carol", "dave"):
        net.add(name, nat="symmetric")
    config = AgentConfig(digest_period=2.0, probe_period=1.0, relay_bps=relay_bps, relay_minutes=relay_minutes)
    net.add("r1", role="relay", config=config)
    for name in ("alice", "bob", "carol", "dave"):
        net.join(name, "r1")
    net.run(6.0)
    return net


@pytest.mark.parametrize(("rate", "second"), [(1.5 * VOICE, CallState.ENDED), (2.5 * VOICE, CallState.ACTIVE)])
def test_a_relay_carries_as_much_media_as_its_owner_lends(rate: float, second: CallState) -> None:
    net = lending(relay_bps=rate)
    net.call("alice", "bob")
    net.run(1.0)
    call = net.call("carol", "dave")
    net.run(2.0)
    assert net["carol"].call_state(call) is second
    assert [reject.reason for reject in net.members["r1"].sent(CallReject)] == [FULL] * (second is CallState.ENDED)


def test_a_relay_takes_no_call_once_the_minutes_of_its_day_are_lent_and_cuts_none_off() -> None:
    net = lending(relay_minutes=0.5)
    first = net.call("alice", "bob")
    net.run(40.0)
    assert net["alice"].call_state(first) is CallState.ACTIVE
    net.hang_up("alice", first)
    net.run(1.0)
    net.call("carol", "dave")
    net.run(2.0)
    assert net.members["carol"].samples(CallSample)[-1].outcome == "failed"


def test_what_was_lent_yesterday_is_forgotten_today() -> None:
    net = lending(relay_minutes=0.5)
    first = net.call("alice", "bob")
    net.run(40.0)
    net.hang_up("alice", first)
    net.run(1.0)
    relay = net["r1"]._relay
    assert relay._lent(net.instant()) == pytest.approx(40.0, abs=1.0)
    later = replace(net.instant(), mono=90_000.0)
    assert relay._lent(later) == 0.0


def test_without_limits_a_relay_lends_what_its_record_says() -> None:
    net = lending()
    calls = [net.call("alice", "bob"), net.call("carol", "dave")]
    net.run(2.0)
    assert [net[name].call_state(call) for name, call in zip(("alice", "carol"), calls, strict=True)] == [
        CallState.ACTIVE,
        CallState.ACTIVE,
    ]
