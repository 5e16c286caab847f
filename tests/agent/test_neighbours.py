from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent import AgentConfig, Dial, EventSample, Send
from meshsim.agent.core import Alarms, Core
from meshsim.agent.effects import Emit
from meshsim.agent.messages import CallSetup
from meshsim.agent.neighbours import PENDING_PINGS, Neighbour, Neighbourhood
from meshsim.identity import HashSigner, HashVerifier, NodeRecord
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType
from meshsim.mesh.seeds import SeedTree
from meshsim.mesh.time import Instant

OWN, NEAR, FAR = (NodeId(bytes([i]) * 32) for i in range(3))


def core(**config: float) -> Core:
    signer = HashSigner(OWN, b"s")
    return Core(
        config=AgentConfig(**config),  # type: ignore[arg-type]
        record=NodeRecord(node=OWN, aura="@own.aura"),
        signer=signer,
        verifier=HashVerifier(b"s"),
        stream=SeedTree(0).stream("t"),
    )


def setup(to: NodeId) -> CallSetup:
    return CallSetup(
        call=CallId(bytes(16)),
        attempt=0,
        path=(OWN, to),
        caller="@a.aura",
        callee="@b.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.OFF,
        expires_ns=0,
    )


def at(t: float) -> Instant:
    return Instant(t, t)


def pinged(rtts: list[float | None]) -> Neighbour:
    """A neighbour after one ping a second with these round trips; None for a lost one."""
    neighbour = Neighbour(node=NEAR)
    for t, rtt in enumerate(rtts):
        ping = neighbour.ping(float(t), timeout=0.9)
        if rtt is not None:
            assert neighbour.pong(ping.sequence, t + rtt)
    neighbour.ping(float(len(rtts)), timeout=0.9)
    return neighbour


def test_a_steady_round_trip_is_half_a_delay_each_way_without_jitter_or_loss() -> None:
    neighbour = pinged([0.05] * 20)
    assert neighbour.delay == pytest.approx(0.025)
    assert neighbour.one_way_jitter == pytest.approx(0.0, abs=1e-9)
    assert neighbour.one_way_loss == 0.0


def test_jitter_follows_rfc_3550() -> None:
    neighbour = pinged([0.05, 0.07, 0.05])
    first = 0.02 / 16
    assert neighbour.jitter == pytest.approx(first + (0.02 - first) / 16)


def test_loss_is_the_share_of_pings_never_answered() -> None:
    neighbour = pinged([0.05, None, 0.05, None] * 10)
    assert neighbour.loss == pytest.approx(0.5)
    assert (1 - neighbour.one_way_loss) ** 2 == pytest.approx(0.5)


@given(st.lists(st.none() | st.floats(0.001, 0.8), max_size=40))
def test_estimates_stay_in_range_whatever_happens(rtts: list[float | None]) -> None:
    neighbour = pinged(rtts)
    assert 0 <= neighbour.loss <= 1
    assert 0 <= neighbour.one_way_loss <= 1
    assert neighbour.jitter >= 0
    seen = [rtt for rtt in rtts if rtt is not None]
    assert math.isnan(neighbour.rtt) if not seen else min(seen) - 1e-6 <= neighbour.rtt <= max(seen) + 1e-6


def test_a_pong_counts_once_and_only_if_it_was_asked_for() -> None:
    neighbour = Neighbour(node=NEAR)
    ping = neighbour.ping(0.0, 1.0)
    assert neighbour.pong(ping.sequence, 0.1)
    assert not neighbour.pong(ping.sequence, 0.2)
    assert not neighbour.pong(99, 0.2)


def test_pings_on_their_way_are_bounded_and_forgotten_with_the_link() -> None:
    neighbour = Neighbour(node=NEAR)
    for _ in range(200):
        neighbour.ping(0.0, 10.0)
    assert len(neighbour._pending) == PENDING_PINGS
    neighbour.forget_pings()
    neighbour.ping(100.0, 10.0)
    assert neighbour.loss == 0.0


def test_reaching_a_node_without_a_link_dials_once_and_waits() -> None:
    common = core()
    links = Neighbourhood(common, [NEAR])
    assert not links.reach(NEAR, setup(NEAR), at(0.0))
    assert links.reach(FAR, setup(FAR), at(0.0))
    assert links.reach(FAR, setup(FAR), at(0.1))
    assert [effect for effect in common.outbox if isinstance(effect, Dial)] == [Dial(node=FAR)]
    assert common.alarms.next() == common.config.dial_timeout
    assert links.open(FAR, at(0.2)) == [setup(FAR), setup(FAR)]
    assert common.alarms.next() is None
    assert links.is_up(FAR)
    assert links.reach(FAR, setup(FAR), at(0.3))
    assert isinstance(common.outbox[-1], Send)


def test_a_dialled_link_that_closes_is_no_neighbour_any_more_a_kept_one_stays() -> None:
    links = Neighbourhood(core(), [NEAR])
    for node in (NEAR, FAR):
        links.open(node, at(0.0))
        assert links.close(node) == []
    assert NEAR in links
    assert not links.is_up(NEAR)
    assert FAR not in links


def test_there_are_never_too_many_neighbours() -> None:
    common = core(max_neighbours=1)
    links = Neighbourhood(common, [NEAR])
    assert not links.reach(FAR, setup(FAR), at(0.0))
    assert links.open(FAR, at(0.0)) == []
    assert FAR not in links
    assert common.rejected == {"too_many_neighbours": 1}


def test_one_word_brings_a_silent_neighbour_back() -> None:
    common = core()
    links = Neighbourhood(common, [NEAR])
    links.open(NEAR, at(0.0))
    assert links.silent(at(2.0), 1.0) == [NEAR]
    links.mark_down(NEAR)
    assert links.silent(at(2.0), 1.0) == []
    assert links.hear(NEAR, at(3.0))
    assert links.is_up(NEAR)
    samples = [effect.sample for effect in common.outbox if isinstance(effect, Emit)]
    assert samples == [EventSample(at=3.0, kind="neighbour_back", node=NEAR)]


def test_a_neighbour_that_speaks_before_its_link_is_announced_is_simply_up() -> None:
    common = core()
    links = Neighbourhood(common, [NEAR])
    assert links.hear(NEAR, at(0.0))
    assert links.is_up(NEAR)
    assert common.outbox == []
    assert not links.hear(FAR, at(0.0))


def test_alarms_ring_in_order_once_and_can_be_put_off_or_cancelled() -> None:
    alarms = Alarms()
    assert alarms.next() is None
    for key, due in ((("b", b"", 0), 1.0), (("a", b"", 0), 1.0), (("c", b"", 0), 0.5), (("d", b"", 0), 9.0)):
        alarms.set(key, due)
    alarms.set(("c", b"", 0), 2.0)
    alarms.cancel(("d", b"", 0))
    alarms.cancel(("never", b"", 0))
    assert [key[0] for key in alarms.take_due(1.0)] == ["a", "b"]
    assert alarms.next() == 2.0
    assert ("c", b"", 0) in alarms
