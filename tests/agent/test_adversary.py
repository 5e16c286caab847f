from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshsim.agent import AgentConfig, CallSample, CallState, OpenMedia
from meshsim.agent.adversary import BlackHole, GrayHole, Means, adversaries
from meshsim.agent.messages import CallKeepalive
from meshsim.mesh.errors import ConfigError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant
from meshsim.testing import AdversaryContract
from meshsim.testing.adversaries import SIGNERS
from meshsim.testing.network import UNIX, Network

if TYPE_CHECKING:
    from meshsim.agent.adversary import Interceptor

STREAM = SeedTree(3).stream("adversary")
NOW = Instant(5.0, UNIX + 5.0)


def means(strength: float = 1.0) -> Means:
    """What r1 has at its disposal."""
    return Means(strength=strength, stream=STREAM, signer=SIGNERS["r1"])


def mesh(*interceptors: Interceptor, pair_cap: float = 6.0) -> Network:
    """alice and bob, joined by r1, which may misbehave, and by r2, which is slower and honest."""
    net = Network()
    config = AgentConfig(digest_period=2.0, probe_period=1.0, pair_cap=pair_cap)
    net.add("alice", nat="symmetric", config=config)
    net.add("bob", nat="symmetric")
    net.add("r1", role="relay", interceptors=interceptors)
    net.add("r2", role="relay")
    for name, delay in (("r1", 0.02), ("r2", 0.04)):
        net.join("alice", name, delay)
        net.join("bob", name, delay)
    net.run(5.0)
    return net


@pytest.mark.parametrize("kind", list(adversaries))
def test_every_kind_keeps_the_contract(kind: str) -> None:
    contract = type(kind, (AdversaryContract,), {"kind": kind})()
    contract.test_strength_0_leaves_everything_identical()
    contract.test_it_is_plain_data_like_the_agent()


def test_a_black_hole_is_noticed_avoided_and_loses_its_reputation() -> None:
    net = mesh(BlackHole(means()))
    before = net["alice"].reputation(net.node("r1"), net.instant()).mean
    call = net.call("alice", "bob")
    net.run(0.2)
    assert {effect.drop for effect in net.members["r1"].media.values()} == {1.0}
    net.run(5.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    net.hang_up("alice", call)
    net.run(15.0)
    sample = net.members["alice"].samples(CallSample)[0]
    assert net.names(sample.path) == ("alice", "r1", "bob")
    assert net.names(sample.final_path) == ("alice", "r2", "bob")
    for name in ("alice", "bob", "r2"):
        assert net[name].reputation(net.node("r1"), net.instant()).mean < before
        assert net[name].reputation(net.node("r2"), net.instant()).mean > before
    assert net.members["r1"].media == {}


def test_calls_that_a_black_hole_swallows_make_the_next_caller_avoid_it() -> None:
    net = mesh(BlackHole(means()), pair_cap=100.0)
    for _ in range(21):
        call = net.call("alice", "bob")
        net.run(3.0)
        net.hang_up("alice", call)
        net.run(1.0)
    net.run(10.0)
    call = net.call("alice", "bob")
    net.run(1.0)
    net.hang_up("alice", call)
    sample = net.members["alice"].samples(CallSample)[-1]
    assert net.names(sample.path) == ("alice", "r2", "bob")


def test_a_gray_hole_thins_out_media_and_keeps_up_appearances() -> None:
    net = mesh(GrayHole(means(0.2)))
    call = net.call("alice", "bob")
    net.run(5.0)
    assert net["alice"].call_state(call) is CallState.ACTIVE
    assert [effect.drop for effect in net.members["r1"].media.values()] == [0.2]
    for name in ("alice", "bob"):
        net.report(name, call, loss=0.2)
    net.hang_up("alice", call)
    net.run(1.0)
    assert net.members["alice"].samples(CallSample)[0].poor
    net.run(13.0)
    assert net["r2"].reputation(net.node("r1"), net.instant()).mean < 50


def test_misbehaviour_leaves_own_calls_and_other_effects_alone() -> None:
    own = OpenMedia(call=CallId(bytes(16)), label=1, upstream=None, downstream=NodeId(bytes(32)), media=MediaType.AUDIO)
    keepalive = CallKeepalive(CallId(bytes(16)), 0, True, 0, 0, 0)
    for interceptor in (BlackHole(means()), GrayHole(means())):
        assert interceptor.outgoing(own, NOW) is own
        assert interceptor.incoming(keepalive, NodeId(bytes(32)), NOW) is keepalive


def test_a_half_strong_black_hole_swallows_about_half_of_the_calls() -> None:
    hole = BlackHole(means(0.5))
    relayed = [
        OpenMedia(
            call=CallId(bytes(16)),
            label=i,
            upstream=NodeId(b"a" * 32),
            downstream=NodeId(b"b" * 32),
            media=MediaType.AUDIO,
        )
        for i in range(400)
    ]
    passed = [hole.outgoing(effect, NOW) for effect in relayed]
    dropped = sum(effect.drop for effect in passed if isinstance(effect, OpenMedia))
    assert 160 < dropped < 240


class Deaf:
    """Hears nothing and says nothing."""

    def incoming(self, message: object, source: object, now: object) -> None:
        return None

    def outgoing(self, effect: object, now: object) -> None:
        return None


def test_an_interceptor_may_swallow_everything_and_others_see_nothing_of_it() -> None:
    net = mesh(Deaf(), Deaf())
    assert net["r1"].rejected == {}
    assert net.members["r1"].log == []
    view = net["alice"].view(net.instant())
    assert view.fresh is not None
    assert len(view.fresh) == 2


def test_an_unknown_misbehaviour_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="gray_hole"):
        adversaries["grey_hole"]
