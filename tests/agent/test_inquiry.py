"""Calls beyond the own area: a node that keeps only the nearest in mind asks its neighbours for the way."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from meshsim.agent import AgentConfig, CallSample
from meshsim.agent.inquiry import ASKERS, PER_SECOND
from meshsim.agent.messages import Digest, Inquiry
from meshsim.mesh.ids import NodeId
from meshsim.testing.network import Network

if TYPE_CHECKING:
    from meshsim.mesh.ids import CallId

AREA = 6
CONFIG = AgentConfig(digest_period=2.0, probe_period=0.5, inquire=True, max_nodes=AREA)


def build(config: AgentConfig = CONFIG, *, relays: int = 2) -> Network:
    """alice and bob with `relays` relays in a row between them, each with a crowd that fills its area."""
    net = Network()
    names = [f"r{number + 1}" for number in range(relays)]
    for name in ("alice", "bob"):
        net.add(name, nat="symmetric", config=config)
    for name in names:
        net.add(name, role="relay", config=replace(config, max_nodes=AREA + 4))
    for one, other in zip(["alice", *names], [*names, "bob"], strict=True):
        net.join(one, other)
    for name in ("alice", *names):
        for number in range(2 if name == "alice" else 5):
            net.add(f"{name}-{number}", nat="symmetric", config=config)
            net.join(name, f"{name}-{number}")
    net.run(8.0)
    return net


def result(net: Network, call: CallId) -> CallSample:
    net.run(3.0)
    if not net.members["alice"].samples(CallSample):
        net.hang_up("alice", call)
        net.run(1.0)
    sample: CallSample = net.members["alice"].samples(CallSample)[-1]
    return sample


@pytest.mark.parametrize("relays", [1, 2])
def test_a_callee_beyond_the_area_is_reached_by_asking(relays: int) -> None:
    net = build(relays=relays)
    assert net.node("bob") not in net["alice"].view(net.instant()).index
    sample = result(net, net.call("alice", "bob"))
    assert sample.outcome == "completed"
    assert net.names(sample.path) == ("alice", *(f"r{number + 1}" for number in range(relays)), "bob")


def test_without_asking_the_same_call_finds_no_route() -> None:
    net = build(replace(CONFIG, inquire=False))
    sample = result(net, net.call("alice", "bob"))
    assert (sample.outcome, sample.path) == ("failed", ())
    assert not net.members["alice"].sent(Inquiry)


def test_whom_nobody_knows_a_way_to_is_given_up_soon() -> None:
    net = build()
    net.add("hermit", nat="symmetric", config=CONFIG)
    net.call("alice", "hermit")
    net.run(1.5)
    sample = net.members["alice"].samples(CallSample)[-1]
    assert sample.outcome == "failed"
    assert len(net.members["alice"].sent(Inquiry)) == len(net["alice"].neighbours())


def test_a_call_within_the_area_asks_nobody() -> None:
    net = build()
    sample = result(net, net.call("alice", "alice-1"))
    assert not net.members["alice"].sent(Inquiry)
    assert sample.outcome in ("completed", "failed")


def test_an_inquiry_is_handed_on_once_and_only_to_those_who_are_linked_with_whom_it_is_about() -> None:
    net = build(relays=3)
    net.call("alice", "bob")
    net.run(2.0)
    asked = {name: len(member.sent(Inquiry)) for name, member in net.members.items() if member.sent(Inquiry)}
    assert set(asked) == {"alice"}  # r1 knows nobody who is linked with bob: three relays are out of reach


def test_who_asks_too_much_is_not_answered() -> None:
    net = build()
    before = len(net.members["r1"].sent(Digest))
    for _ in range(PER_SECOND + 15):
        net.inject("r1", "alice", Inquiry(net.node("r2"), 2))
    assert net["r1"].rejected["inquiries"] == 15
    assert len(net.members["r1"].sent(Digest)) - before <= PER_SECOND


def test_inquiries_about_thousands_are_not_kept_in_mind() -> None:
    net = build()
    for number in range(3 * ASKERS):
        net.inject("r1", "alice", Inquiry(NodeId(number.to_bytes(32, "big")), 2))
        net.run(0.06)
    assert len(net["r1"]._desk.inquiries._askers) <= ASKERS
    assert len(net["r1"].view(net.instant()).nodes) <= AREA + 4
