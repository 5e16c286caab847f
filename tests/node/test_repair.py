"""Video mended hop by hop: what is kept, what is asked for, and how fast a flow may come."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshsim.node.repair import LARGEST_GAP, LEAST_RATE, PATIENCE, RESENDS, SEQUENCES, START_RATE, Inflow, Kept

STEP = 0.01
SIZE = 1100


# What a node keeps ----------------------------------------------------------------------------------------------------


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=80), limit=st.integers(400, 2000))
def test_the_newest_packets_are_kept_within_the_bound_and_the_oldest_go_first(sizes, limit) -> None:
    kept, packets = Kept(limit), {}
    for sequence, size in enumerate(sizes):
        packets[sequence] = bytes([sequence]) * size
        kept.keep(sequence, packets[sequence])
    have = [sequence for sequence in packets if kept.again(sequence) is not None]
    assert have == list(range(have[0], len(sizes)))
    assert sum(len(packets[sequence]) for sequence in have) <= limit
    assert have[0] == 0 or sum(len(packets[sequence]) for sequence in range(have[0] - 1, len(sizes))) > limit


def test_nobody_can_have_a_packet_sent_again_without_end() -> None:
    kept = Kept()
    kept.keep(7, b"x")
    assert [kept.again(7) for _ in range(RESENDS + 2)] == [b"x"] * RESENDS + [None, None]
    assert kept.again(8) is None
    assert kept.resent == RESENDS


# What a node asks for -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    first=st.integers(0, SEQUENCES - 1),
    fates=st.lists(st.sampled_from(["come", "come", "come", "lost", "twice"]), min_size=2, max_size=120),
)
def test_each_packet_is_new_once_and_only_what_is_missing_is_asked_for(first, fates) -> None:
    flow, now, came, lost = Inflow(), 0.0, set(), set()
    fates[0] = fates[-1] = "come"
    for number, fate in enumerate(fates):
        now += STEP
        sequence = (first + number) % SEQUENCES
        if fate == "lost":
            lost.add(sequence)
            continue
        assert flow.receive(sequence, 0, SIZE, now)
        came.add(sequence)
        if fate == "twice":
            assert not flow.receive(sequence, 0, SIZE, now)
        asked = set(flow.due(now))
        assert asked <= lost - came
        for again in sorted(asked):
            assert flow.receive(again, 0, SIZE, now)
            assert not flow.receive(again, 0, SIZE, now)
            came.add(again)
    assert came == {(first + number) % SEQUENCES for number in range(len(fates))}
    assert (flow.lost, flow.recovered, flow.received) == (len(lost), len(lost), len(fates))
    assert flow.wakes_in == math.inf


def test_a_packet_that_never_comes_is_asked_for_again_and_then_given_up() -> None:
    flow = Inflow()
    flow.receive(1, 0, SIZE, 0.0)
    flow.receive(3, 0, SIZE, 0.0)
    times = [step * STEP for step in range(200) if flow.due(step * STEP)]
    assert 3 <= len(times) <= 20
    assert times[-1] <= PATIENCE
    assert flow.wakes_in == math.inf
    assert not flow.receive(2, 0, SIZE, 2.0)


def test_a_jump_is_a_new_beginning_and_asks_for_nothing() -> None:
    flow = Inflow()
    flow.receive(1, 0, SIZE, 0.0)
    assert flow.receive(2 + LARGEST_GAP, 0, SIZE, 0.1)
    assert flow.due(0.2) == ()
    assert flow.lost == 0


@pytest.mark.parametrize("rtt", [0.01, 0.08, 0.3])
def test_the_round_trip_to_the_neighbour_is_learned_from_answers(rtt: float) -> None:
    flow, now = Inflow(), 0.0
    for number in range(0, 120, 2):
        now += 1.0
        flow.receive(number, 0, SIZE, now)
        flow.receive(number + 2, 0, SIZE, now)
        assert flow.due(now) == (number + 1,)
        flow.receive(number + 1, 0, SIZE, now + rtt)
    assert flow.rtt == pytest.approx(rtt, rel=0.1)


# How fast it may come -------------------------------------------------------------------------------------------------


def stream(flow: Inflow, seconds: float, *, loss: float = 0.0, queue: float = 0.0) -> None:
    """A flow at the rate that is allowed; each second its packets come `queue` seconds later than before."""
    now, number, late = 0.0, 0, 0.0
    while now < seconds:
        step = 8 * SIZE / flow.rate
        now, late, number = now + step, late + queue * step, number + 1
        if math.floor(number * loss) == math.floor((number - 1) * loss):
            flow.receive(number % SEQUENCES, round(now * 1e9), SIZE, now + 0.05 + late)


def test_on_a_clean_way_the_rate_grows() -> None:
    flow = Inflow()
    stream(flow, 5.0)
    assert flow.rate > 1.2 * START_RATE


@pytest.mark.parametrize("trouble", [{"loss": 0.2}, {"queue": 0.2}])
def test_where_a_hop_loses_or_a_queue_grows_the_rate_falls(trouble: dict[str, float]) -> None:
    flow = Inflow()
    stream(flow, 8.0, **trouble)
    assert LEAST_RATE <= flow.rate < 0.8 * START_RATE


def test_a_flow_full_of_gaps_is_not_mended_without_end() -> None:
    flow = Inflow()
    for jump in range(100):
        flow.receive(jump * (LARGEST_GAP - 1) % SEQUENCES, 0, SIZE, jump * 0.001)
        assert len(flow.due(jump * 0.001)) <= LARGEST_GAP
