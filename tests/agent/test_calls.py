from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.agent.calls import name_of
from meshsim.agent.effects import MediaReport
from meshsim.agent.legs import Leg, Quality, label_of
from meshsim.agent.messages import LOST, CallReject, CallSetup
from meshsim.agent.states import TRANSITIONS, CallEvent, CallState, step
from meshsim.mesh.errors import LocalProtocolError
from meshsim.mesh.ids import CallId, NodeId
from meshsim.mesh.media import AicPolicy, MediaType

CALL = CallId(b"c" * 16)
PATH = tuple(NodeId(bytes([i]) * 32) for i in range(4))


def leg(place: int) -> Leg:
    setup = CallSetup(
        call=CALL,
        attempt=1,
        path=PATH,
        caller="@a.aura",
        callee="@b.aura",
        media=MediaType.AUDIO,
        aic=AicPolicy.OFF,
        expires_ns=0,
    )
    return Leg(setup=setup, place=place, opened=0.0, heard=0.0)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(CallState, CallEvent)))
def test_only_listed_transitions_are_made(state: CallState, event: CallEvent) -> None:
    if (state, event) in TRANSITIONS:
        assert step(state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=str(state)):
            step(state, event)


def test_an_ended_call_stays_ended() -> None:
    assert not [event for state, event in TRANSITIONS if state is CallState.ENDED]


def test_every_state_can_be_reached_and_every_other_can_end() -> None:
    assert set(TRANSITIONS.values()) | {CallState.IDLE} == set(CallState)
    for state in set(CallState) - {CallState.ENDED, CallState.IDLE}:
        assert CallState.ENDED in {after for (before, _), after in TRANSITIONS.items() if before is state}


@given(st.binary(min_size=16, max_size=16), st.integers(0, 254))
def test_labels_are_32_bits_and_differ_between_routes(call: bytes, attempt: int) -> None:
    label = label_of(CallId(call), attempt)
    assert 0 < label < 2**32
    assert label != label_of(CallId(call), attempt + 1)


def test_a_leg_knows_its_neighbours_at_each_place() -> None:
    assert [(one.upstream, one.downstream) for one in map(leg, range(4))] == [
        (None, PATH[1]),
        (PATH[0], PATH[2]),
        (PATH[1], PATH[3]),
        (PATH[2], None),
    ]
    assert leg(0).next_hop == PATH[1]
    assert leg(3).next_hop == PATH[2]
    assert [len(leg(place).neighbours()) for place in range(4)] == [1, 2, 2, 1]


def test_the_hop_behind_the_complainer_is_blamed_unless_it_is_an_end() -> None:
    def blamed(by: int, reason: str, *, onward: bool = False) -> NodeId:
        return leg(0).blamed(CallReject(CALL, 1, onward, PATH[by], reason))

    assert blamed(1, LOST) == PATH[2]
    assert blamed(2, LOST) == PATH[2]
    assert blamed(1, "full") == PATH[1]
    assert blamed(2, LOST, onward=True) == PATH[1]
    assert blamed(1, LOST, onward=True) == PATH[1]


def test_what_nobody_measured_is_held_against_nobody() -> None:
    quality = Quality()
    assert all(math.isnan(value) for value in quality.means())
    mos, poor = quality.verdict(MediaType.AUDIO)
    assert math.isnan(mos)
    assert not poor
    quality.add(MediaReport(label=1, jitter=0.0, loss=1.0))
    assert quality.verdict(MediaType.AUDIO)[1]


def test_a_call_without_media_reports_is_judged_by_its_round_trip() -> None:
    quality = Quality()
    quality.add_rtt(0.1)
    mos, poor = quality.verdict(MediaType.AUDIO)
    assert mos > 4
    assert not poor
    quality.add_rtt(1.9)
    assert quality.verdict(MediaType.AUDIO)[1]


def test_quality_takes_the_worse_direction() -> None:
    quality = Quality()
    quality.add_remote(0.004, 0.0)
    assert quality.means()[1:] == (0.004, 0.0)
    quality.add(MediaReport(label=1, jitter=0.002, loss=0.01, rtt=0.05))
    quality.add(MediaReport(label=1, jitter=0.002, loss=0.03))
    assert quality.means() == pytest.approx((0.05, 0.004, 0.02))


@pytest.mark.parametrize(("text", "name"), [("@alice.aura", "alice"), ("alice", ""), ("@.aura", "")])
def test_a_name_from_the_wire_is_read_or_empty(text: str, name: str) -> None:
    assert name_of(text) == name
