from __future__ import annotations

import math
from collections import deque

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshsim.links import CODEL_STATE, FQ_LISTS, RED_STATE, codel, compiled, fq_charge, fq_join, fq_pick, red
from meshsim.links.aqm import MAX_PACKET

TARGET, INTERVAL = 0.005, 0.1
RULE = (5.0, 15.0, 0.1, 0.002)
unit = st.floats(0.0, 1.0, exclude_max=True)
events = st.lists(st.tuples(st.floats(0.0, 0.05), st.integers(0, 8)), min_size=1, max_size=200)


class Rfc8289:
    """The pseudo-code of RFC 8289, 5.4 to 5.6, word by word: the published form that `codel` must reproduce."""

    def __init__(self, queue: deque[tuple[int, float, float]]) -> None:
        self.queue = queue
        self.first_above, self.drop_next, self.count, self.last_count, self.dropping = 0.0, 0.0, 0.0, 0.0, False
        self.dropped: list[int] = []

    def control_law(self, t: float, count: float) -> float:
        return t + INTERVAL / math.sqrt(count)

    def dodequeue(self, now: float) -> tuple[tuple[int, float, float] | None, bool]:
        if not self.queue:
            self.first_above = 0.0
            return None, False
        packet = self.queue.popleft()
        if now - packet[1] < TARGET or sum(size for _, _, size in self.queue) <= MAX_PACKET:
            self.first_above = 0.0
        elif self.first_above == 0.0:
            self.first_above = now + INTERVAL
        elif now >= self.first_above:
            return packet, True
        return packet, False

    def dequeue(self, now: float) -> int | None:
        packet, ok = self.dodequeue(now)
        if self.dropping:
            if not ok:
                self.dropping = False
            while self.dropping and now >= self.drop_next:
                assert packet is not None
                self.dropped.append(packet[0])
                self.count += 1
                packet, ok = self.dodequeue(now)
                if not ok:
                    self.dropping = False
                else:
                    self.drop_next = self.control_law(self.drop_next, self.count)
        elif ok:
            assert packet is not None
            self.dropped.append(packet[0])
            packet, ok = self.dodequeue(now)
            self.dropping = True
            delta = self.count - self.last_count
            self.count = 1
            if delta > 1 and now - self.drop_next < 16 * INTERVAL:
                self.count = delta
            self.drop_next = self.control_law(now, self.count)
            self.last_count = self.count
        return None if packet is None else packet[0]


def run_codel(timeline: list[tuple[float, int]], step=codel) -> tuple[list[int | None], list[int]]:
    """What is sent and what is dropped, when after each gap some packets join and one is asked for."""
    queue: deque[tuple[int, float, float]] = deque()
    state = np.zeros(2 * CODEL_STATE)
    now, number, sent, dropped = 0.0, 0, [], []
    for gap, joining in timeline:
        now += gap
        for _ in range(joining):
            queue.append((number, now, 1000.0))
            number += 1
        chosen = None
        while queue and chosen is None:
            which, since, _ = queue.popleft()
            if step(now, now - since, 1000.0 * len(queue), TARGET, INTERVAL, state, CODEL_STATE):
                dropped.append(which)
            else:
                chosen = which
        sent.append(chosen)
    assert not state[:CODEL_STATE].any()  # another queue's row
    return sent, dropped


def run_rfc(timeline: list[tuple[float, int]]) -> tuple[list[int | None], list[int]]:
    queue: deque[tuple[int, float, float]] = deque()
    model = Rfc8289(queue)
    now, number, sent = 0.0, 0, []
    for gap, joining in timeline:
        now += gap
        for _ in range(joining):
            queue.append((number, now, 1000.0))
            number += 1
        sent.append(model.dequeue(now))
    return sent, model.dropped


@given(events)
def test_codel_decides_packet_by_packet_as_the_pseudo_code_of_rfc_8289(timeline: list[tuple[float, int]]) -> None:
    assert run_codel(timeline) == run_rfc(timeline)


def overload(seconds: float) -> list[tuple[float, int]]:
    generator = np.random.default_rng(4)
    return [(0.01, int(n)) for n in generator.poisson(1.3, round(seconds / 0.01))] + [(0.01, 0)] * 60


def test_codel_agrees_with_the_rfc_over_long_overloads_and_after_pauses() -> None:
    timeline = overload(60.0) + overload(30.0) + [(0.3, 1)] * 20 + overload(20.0)
    sent, dropped = run_codel(timeline)
    assert (sent, dropped) == run_rfc(timeline)
    assert len(dropped) > 500


def test_compiled_codel_is_the_plain_one() -> None:
    timeline = overload(20.0)
    assert run_codel(timeline, compiled(codel, numba.njit)) == run_codel(timeline)


def test_codel_never_drops_while_waits_stay_below_target_or_little_waits() -> None:
    state = np.zeros(CODEL_STATE)
    assert not any(codel(0.01 * n, 0.0049, 1e6, TARGET, INTERVAL, state, 0) for n in range(1000))
    assert not any(codel(0.01 * n, 9.0, MAX_PACKET, TARGET, INTERVAL, state, 0) for n in range(1000))


def run_red(lengths: list[tuple[float, int, float]], rule=RULE, step=red) -> tuple[list[bool], list[float]]:
    state, now, idle_since, drops, averages = np.zeros(RED_STATE), 0.0, -math.inf, [], []
    for gap, packets, u in lengths:
        now += gap
        drops.append(bool(step(now, packets, idle_since, 0.001, u, rule, state, 0)))
        averages.append(float(state[0]))
        idle_since = now
    return drops, averages


lengths = st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(0, 60), unit), max_size=100)


@given(lengths)
def test_red_drops_nothing_below_its_least_average_and_all_above_its_largest(
    offered: list[tuple[float, int, float]],
) -> None:
    for drop, average in zip(*run_red(offered, (5.0, 15.0, 0.1, 0.3)), strict=True):
        assert 0.0 <= average <= 60.0
        assert not (average < 5.0 and drop)
        assert not (average >= 15.0 and not drop)


def test_gaps_between_drops_of_red_are_uniform_at_a_steady_average() -> None:
    generator = np.random.default_rng(6)
    drops, _ = run_red([(0.0, 10, u) for u in generator.random(100_000).tolist()], (0.0, 20.0, 0.125, 1.0))
    gaps = np.diff(np.flatnonzero(drops))  # the average is 10: probability 1/16, gaps of 1 .. 16
    assert gaps.max() == 16
    assert gaps.mean() == pytest.approx(8.5, abs=2.576 * math.sqrt(255 / 12 / len(gaps)))


def test_an_idle_link_forgets_its_average() -> None:
    state = np.array([10.0, 3.0])
    assert not red(2.0, 0, 1.0, 0.001, 0.0, RULE, state, 0)
    assert state.tolist() == [pytest.approx(10.0 * 0.998**1000), 0.0]


def test_a_compiled_red_is_the_plain_one() -> None:
    draws = np.random.default_rng(7).random((500, 3)).tolist()
    offered = [(0.01 * gap, int(20 * packets), u) for gap, packets, u in draws]
    assert run_red(offered, step=compiled(red, numba.njit)) == run_red(offered)


class Buckets:
    """FQ without CoDel over `fq_join`, `fq_pick` and `fq_charge`, for the second of two links."""

    def __init__(self, buckets: int, quantum: float) -> None:
        self.first, self.quantum = 3, quantum
        size = self.first + buckets
        self.deficit = np.zeros(size)
        self.following, self.status, self.waiting = np.zeros((3, size), np.int64)
        self.lists = np.zeros(2 * FQ_LISTS, np.int64)
        self.queues: list[deque[float]] = [deque() for _ in range(size)]

    def join(self, bucket: int, size: float) -> None:
        where = self.first + bucket
        self.queues[where].append(size)
        self.waiting[where] += 1
        fq_join(where, self.quantum, self.deficit, self.following, self.status, self.lists, FQ_LISTS)

    def send(self, pick=fq_pick) -> tuple[int, float] | None:
        bucket = pick(self.quantum, self.waiting, self.deficit, self.following, self.status, self.lists, FQ_LISTS)
        if bucket < 0:
            return None
        size = self.queues[bucket].popleft()
        self.waiting[bucket] -= 1
        fq_charge(bucket, size, self.deficit)
        return bucket - self.first, size


joins = st.lists(st.one_of(st.none(), st.tuples(st.integers(0, 4), st.integers(40, 1500))), max_size=150)


@given(joins, st.integers(100, 3000))
def test_fair_queueing_keeps_each_flow_in_order_and_loses_nothing(
    orders: list[tuple[int, int] | None], quantum: int
) -> None:
    fair = Buckets(5, float(quantum))
    offered: list[list[float]] = [[] for _ in range(5)]
    served: list[list[float]] = [[] for _ in range(5)]

    def serve() -> bool:
        sent = fair.send()
        if sent is not None:
            served[sent[0]].append(sent[1])
        return sent is not None

    for order in orders:
        if order is None:
            assert (sum(map(len, served)) < sum(map(len, offered))) == serve()
        else:
            fair.join(order[0], float(order[1]))
            offered[order[0]].append(float(order[1]))
    while serve():
        pass
    assert served == offered
    assert not fair.status.any()
    assert not fair.lists[[4, 6]].any()


def test_backlogged_flows_share_bytes_equally_whatever_their_packets() -> None:
    fair = Buckets(3, 1514.0)
    sizes = (200.0, 700.0, 1500.0)
    for _ in range(2000):
        for bucket, size in enumerate(sizes):
            fair.join(bucket, size)
    got = [0.0] * 3
    for _ in range(1500):
        sent = fair.send()
        assert sent is not None
        got[sent[0]] += sent[1]
    assert max(got) - min(got) <= 2 * 1514.0 + 1500.0


def test_a_new_sparse_flow_goes_before_backlogged_ones() -> None:
    fair = Buckets(3, 1514.0)
    for _ in range(10):
        fair.join(0, 1500.0)
        fair.join(1, 1500.0)
    for _ in range(5):
        fair.send()
    fair.join(2, 100.0)
    assert fair.send() == (2, 100.0)


def test_compiled_buckets_are_picked_as_plain_ones() -> None:
    pick = compiled(fq_pick, numba.njit)
    generator = np.random.default_rng(9)
    plain, fast = Buckets(5, 1514.0), Buckets(5, 1514.0)
    for bucket, size, serve in zip(*generator.integers(0, (5, 1500, 3), (2000, 3)).T.tolist(), strict=True):
        for fair in (plain, fast):
            fair.join(bucket, float(size + 1))
        if serve:
            assert plain.send() == fast.send(pick)
